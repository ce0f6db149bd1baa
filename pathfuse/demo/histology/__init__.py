"""Tissue of a generated patient: random fields, cells, stained sections."""
