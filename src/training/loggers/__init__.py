"""Loggers that know a whole run, beside the CSV that is always written."""
