"""What may happen to a training, done for real: fault, exit status, message, and what is left."""
