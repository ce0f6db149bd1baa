"""Loggers of a run by one word: csv, tensorboard, wandb, mlflow."""
