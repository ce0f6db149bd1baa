"""Lines and numbers of the CSV files that a study writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from math import isnan


def csv_text(lines: Sequence[Sequence[str]]) -> str:
    """The lines as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def number_cell(value: float) -> str:
    """A number with six digits; empty where it is not defined."""
    return "" if isnan(value) else f"{value:.6f}"
