"""What has been trained."""
