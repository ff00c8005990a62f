"""What users run: the command line, and one package a command, none of which knows another."""
