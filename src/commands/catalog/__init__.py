"""What there is to choose from, with papers, cost and sizes."""
