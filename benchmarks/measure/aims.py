"""Aims of the benchmarks: declared beside each bench, judged by what it measured, collected for the last table."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

KEPT_IN = "PATHFUSE_OUTCOMES"  # a file that outcomes are appended to, one JSON object a line


class Measured(Protocol):
    """What is known of a variant."""

    min_s: float
    floor_s: float
    peak_mb: float


@dataclass(frozen=True)
class Aim:
    """A variant is at least so many times a peer's speed, a share of the floor, or a peer's memory over its own.

    Attributes:
        variant: name in the table.
        least: the number to reach.
        of: what it is a multiple of.
        peer: whose speed or memory; the floor has none.
    """

    variant: str
    least: float
    of: Literal["speed", "floor", "memory"]
    peer: str = ""

    def __str__(self) -> str:
        against = {"speed": f"times the speed of {self.peer}", "floor": "of the floor"}
        return f"{self.variant}: {self.least:.3g} {against.get(self.of, f'times less memory than {self.peer}')}"

    def reached(self, found: Mapping[str, Measured]) -> float:
        """The number that was reached."""
        own = found[self.variant]
        if self.of == "floor":
            return own.floor_s / own.min_s
        peer = found[self.peer]
        return peer.min_s / own.min_s if self.of == "speed" else peer.peak_mb / max(own.peak_mb, 1.0)


@dataclass(frozen=True)
class Outcome:
    """One line of the last table.

    Attributes:
        what: the table or figure that it is about.
        aim: in words.
        reached: the number.
        met: whether that is enough.
        share: of the floor, where there is one.
    """

    what: str
    aim: str
    reached: str
    met: bool
    share: float | None = None


def judge(what: str, aims: Sequence[Aim], found: Mapping[str, Measured]) -> list[Outcome]:
    """The outcome of every aim of a table, noted for the last one."""
    outcomes = []
    for aim in aims:
        number, own = aim.reached(found), found[aim.variant]
        share = own.floor_s / own.min_s if own.floor_s else None
        outcomes.append(Outcome(what, str(aim), f"{number:.2f}", number >= aim.least, share))
    return note(*outcomes)


def note(*outcomes: Outcome) -> list[Outcome]:
    """Prints outcomes and keeps them for the last table."""
    for outcome in outcomes:
        print(f"    aim: {outcome.aim}: {outcome.reached}, {'reached' if outcome.met else 'MISSED'}")
    if path := os.environ.get(KEPT_IN):
        with Path(path).open("a") as file:
            file.writelines(json.dumps(asdict(outcome)) + "\n" for outcome in outcomes)
    return list(outcomes)


def noted(path: Path) -> list[Outcome]:
    """The outcomes that were kept in a file."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [Outcome(**json.loads(line)) for line in lines]
