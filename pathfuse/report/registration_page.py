"""register.html: what became of every pair, with pictures."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from pathfuse.register.files.pictures import PICTURES
from pathfuse.register.files.status import FILE, PairStatus, read_status
from pathfuse.register.quality import (
    LEAST_OVERLAP,
    REFUSE_ABOVE,
    REFUSE_BELOW,
    REFUSE_LEAD,
    REVIEW_ABOVE,
    REVIEW_BELOW,
    REVIEW_LEAD,
)
from pathfuse.report.page import Block, Column, Example, Gallery, Page, Picture, Raw, Section, Table, Text
from pathfuse.report.render import write_page

PAGE = "register.html"
NUMBERS = (
    "lead",
    "similarity",
    "consistency_um",
    "overlap",
    "degrees",
    "scale",
    "landmarks_median_px",
    "landmarks_p90_px",
)
HEADS = {
    "accepted": "Accepted",
    "review": "To be looked at",
    "refused": "Refused",
    "failed": "Failed",
}


def write_registration_page(folder: Path) -> list[Path]:
    """Writes the page about all pairs in a folder, and its JSON."""
    statuses = read_status(folder / FILE)
    counts = {word: sum(one.status == word for one in statuses.values()) for word in HEADS}
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    sections = [Section("pairs", "Pairs", [_table(statuses), Text(_limits(), points=True)])]
    if any((folder / pair / picture).is_file() for pair in statuses for picture in PICTURES):
        sections.append(Section("pictures", "What the pictures show", [Text(list(PICTURES.values()), points=True)]))
    for word, head in HEADS.items():
        own = [one for one in statuses.values() if one.status == word]
        examples = [_example(folder, one) for one in own]
        shown = [one for one in examples if one.pictures]
        if shown:
            sections.append(Section(word, head, [Gallery(word, f"{len(own)} pairs", shown, wide=True)]))
    return write_page(Page("Registration", f"{len(statuses)} pairs: {said or 'none'}", sections), folder / PAGE)


def _table(statuses: Mapping[str, PairStatus]) -> Block:
    columns = [
        Column("pair", "Pair"),
        Column("status", "Status"),
        Column("lead", "Lead", "share"),
        Column("similarity", "Similarity", "share"),
        Column("consistency_um", "There and back, µm", "tenths"),
        Column("overlap", "Overlap", "percent"),
        Column("degrees", "Turned, degrees", "tenths"),
        Column("mirrored", "Mirrored"),
        Column("scale", "Scale", "share"),
    ]
    if any(one.landmarks_median_px for one in statuses.values()):
        columns += [
            Column("landmarks_median_px", "Landmarks, median px", "tenths"),
            Column("landmarks_p90_px", "90th percentile px", "tenths"),
        ]
    columns.append(Column("reason", "Why"))
    return Table("pairs", "What became of every pair", columns, [_record(one) for one in statuses.values()])


def _record(status: PairStatus) -> dict[str, Raw]:
    found: dict[str, Raw] = {key: getattr(status, key) for key in ("pair", "status", "reason")}
    found |= {key: _number(getattr(status, key)) for key in NUMBERS}
    return found | {"mirrored": {"1": "yes", "0": "no"}.get(status.mirrored, "")}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _limits() -> list[str]:
    return [
        "Lead is how much more alike both tissues are as placed than in the best other placement: of unrelated slides "
        f"about 0. Below {REFUSE_LEAD:g} a pair is refused, below {REVIEW_LEAD:g} it is to be looked at.",
        "Similarity is the share of random placements of the same tissue that look less alike: 0.5 is chance. Below "
        f"{REFUSE_BELOW:g} a pair is refused, below {REVIEW_BELOW:g} it is to be looked at.",
        "There and back is the median distance of a place from itself, by two registrations that know nothing of each "
        f"other. Above {REFUSE_ABOVE:g} µm a pair is refused, above {REVIEW_ABOVE:g} it is to be looked at.",
        f"Tissues that overlap by less than {LEAST_OVERLAP:.0%} of the smaller one are refused.",
        "The local error does not see what misleads both ways alike: it is a lower bound.",
    ]


def _example(folder: Path, status: PairStatus) -> Example:
    pictures = []
    for name, caption in PICTURES.items():
        path = folder / status.pair / name
        if path.is_file():
            uri = "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
            what = caption.partition(":")[0]
            pictures.append(Picture(uri, f"{what} of pair {status.pair}", what))
    numbers = [f"lead {status.lead}", f"similarity {status.similarity}", f"there and back {status.consistency_um} µm"]
    return Example(status.pair, "; ".join(filter(None, [*numbers, status.reason])), pictures)
