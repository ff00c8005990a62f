"""Optuna as a sweeper of Hydra, which loads plugins from the package ``hydra_plugins`` alone."""
