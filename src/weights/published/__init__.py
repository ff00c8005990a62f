"""Published weights: names and sizes as their authors have them, one network family a file."""
