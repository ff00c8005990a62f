"""Hyperparameter search by Optuna; `conf/hydra/sweeper/optuna.yaml` has its settings."""
