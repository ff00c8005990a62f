"""What Lightning runs: tasks, callbacks, loggers and strategies."""
