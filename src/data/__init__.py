"""Files in: clean images, patches, batches."""
