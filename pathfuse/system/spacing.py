"""Spacings that a microscope can have, in micrometres per pixel."""

MIN_MPP = 0.05  # half of what an oil objective resolves
MAX_MPP = 40.0  # 72 dpi, the default of many image writers, reads as 352.8 um per pixel, 300 dpi as 84.7
