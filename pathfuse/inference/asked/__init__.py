"""What a trained model is asked about: arrays, files, tables and new cases."""
