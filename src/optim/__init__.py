"""Learning-rate schedules, each with a warm-up."""
