"""Parts of networks that are not attention."""
