"""Spacings that a microscope can have, in micrometres per pixel."""

MIN_MPP = 0.05  # half of what an oil objective resolves
MAX_MPP = 40.0  # 72 dpi, the default of many image writers, reads as 352.8 um per pixel, 300 dpi as 84.7

SAME = 0.1  # scanners of one kind differ by a few percent


def alike(one: float, other: float) -> bool:
    """Whether two spacings, or two sizes in micrometres, are one but for what scanners of a kind differ by."""
    return abs(one / other - 1) <= SAME


def spacing_of(cell: str) -> float | None:
    """The spacing in a cell, in micrometres per pixel, with a point or a comma; None if it is none that exists."""
    try:
        value = float(cell.replace(",", "."))
    except ValueError:
        return None
    return value if MIN_MPP <= value <= MAX_MPP else None


def no_spacing(cell: str) -> str:
    """The sentences for a cell that holds no spacing."""
    return f"mpp {cell!r} is no number between {MIN_MPP:g} and {MAX_MPP:g} µm per pixel. Correct or clear it."
