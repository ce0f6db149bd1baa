"""Inputs of a trained model: arrays, files, tables and new cases."""
