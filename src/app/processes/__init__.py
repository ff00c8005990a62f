"""One job in several processes: settled once, frozen in a file, read by every process."""
