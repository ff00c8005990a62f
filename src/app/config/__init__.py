"""What may be typed, and why it may not: names, types and targets, before anything is built."""
