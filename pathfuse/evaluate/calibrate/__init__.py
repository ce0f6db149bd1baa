"""Calibration, abstention and prediction sets, chosen on the validation part."""
