"""The flow of a cohort: cases and patients left after every step from the table to the parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


class Counted(Protocol):
    """Anything that is one case of one patient."""

    @property
    def patient_id(self) -> str:
        """The patient of the case."""

    @property
    def label(self) -> str:
        """Its class; empty where unknown."""


@dataclass(frozen=True)
class FlowStep:
    """One box of the flow figure.

    Attributes:
        kind: `table` is the start, `left out` leaves to the side, `in use` remains, `part` is what that divides into.
        step: what happened, for example `left out: no he or ihc image`; the name of a part is `train`, `val` or `test`.
        cases: how many cases start, leave, remain or are in the part.
        patients: how many patients do; a patient leaves with the last of its cases.
        unlabelled: how many of the cases have no label.
    """

    kind: Literal["table", "left out", "in use", "part"]
    step: str
    cases: int
    patients: int
    unlabelled: int = 0


def table_step(cases: Sequence[Counted]) -> FlowStep:
    """The start: all cases of the source."""
    return FlowStep("table", "in the table", len(cases), _patients(cases), _bare(cases))


def left_out_step(why: str, before: Sequence[Counted], after: Sequence[Counted]) -> tuple[FlowStep, ...]:
    """What leaves between two lists of cases; nothing where they are equally long."""
    if len(after) == len(before):
        return ()
    lost = _patients(before) - _patients(after)
    bare = _bare(before) - _bare(after)
    return (FlowStep("left out", f"left out: {why}", len(before) - len(after), lost, bare),)


def part_steps(cases: Sequence[Counted], parts: Sequence[str]) -> tuple[FlowStep, ...]:
    """What remains, and the parts it divides into, in the order of training; an empty part is not a step.

    Args:
        cases: the cases in use.
        parts: of each case, its part.
    """
    divided = {
        name: [case for case, part in zip(cases, parts, strict=True) if part == name]
        for name in ("train", "val", "test")
    }
    return (
        FlowStep("in use", "in use", len(cases), _patients(cases), _bare(cases)),
        *(FlowStep("part", name, len(own), _patients(own), _bare(own)) for name, own in divided.items() if own),
    )


def _patients(cases: Iterable[Counted]) -> int:
    return len({case.patient_id for case in cases})


def _bare(cases: Iterable[Counted]) -> int:
    return sum(not case.label for case in cases)
