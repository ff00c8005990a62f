"""See where attention looks."""
