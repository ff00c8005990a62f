"""Lightning callbacks: what happens beside training."""
