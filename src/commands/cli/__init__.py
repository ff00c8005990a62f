"""The command line that all commands share: what was typed is checked, then Hydra runs it."""
