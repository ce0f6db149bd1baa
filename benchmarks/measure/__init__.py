"""Measuring of time, memory and floors, and the aims that figures are held to."""
