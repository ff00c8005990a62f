"""Ray as a launcher of Hydra, which loads plugins from the package ``hydra_plugins`` alone."""
