"""Networks: an input image in, a restored image out."""
