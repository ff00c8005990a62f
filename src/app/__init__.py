"""What commands share: configuration in, objects, run folders and records out."""
