"""Image sets: downloaded, unpacked, checked, and put in place whole or not at all."""
