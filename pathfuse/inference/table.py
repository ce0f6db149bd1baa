"""Predictions of a model as a small table."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pathfuse.evaluate.calibrate.calibrator import SEPARATOR
from pathfuse.evaluate.calibrate.file import Calibrators
from pathfuse.inference.predictions import Predictions
from pathfuse.system.csv_writing import CsvWriter
from pathfuse.system.files import atomic_text

_SHOWN = 20  # rows that are printed


@dataclass(frozen=True)
class PredictionTable:
    """Predictions of N cases; the order is that of the cases.

    Attributes:
        classes: the C class names.
        case_ids: the cases.
        given: per case the stains that the model was given, for example `he+ihc`.
        probabilities: (N, C) float64, the model's own.
        calibrated: (N, C) float64; the model's own where the run has no calibration.
        confidence: (N,) learned by the head, else the highest calibrated probability.
        set: per case the classes that the truth is among, with the promised coverage; None without calibration.
        abstain: (N,) bool, whether the run's threshold says that a person should look; all False without calibration.
        notes: what was converted, and what to know about the cases.
    """

    classes: tuple[str, ...]
    case_ids: tuple[str, ...]
    given: tuple[str, ...]
    probabilities: NDArray[np.float64]
    calibrated: NDArray[np.float64]
    confidence: NDArray[np.float64]
    set: tuple[tuple[str, ...], ...] | None
    abstain: NDArray[np.bool_]
    notes: tuple[str, ...] = ()

    @property
    def predicted(self) -> tuple[str, ...]:
        """Per case the class with the highest probability."""
        return tuple(self.classes[index] for index in self.probabilities.argmax(1)) if len(self) else ()

    def __len__(self) -> int:
        return len(self.case_ids)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Case by case, by column."""
        columns = self.columns()
        return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))

    def __getitem__(self, case_id: str) -> dict[str, Any]:
        """One case by its name."""
        if case_id not in self.case_ids:
            raise KeyError(f"no case is called {case_id!r}; there are {', '.join(self.case_ids[:5])}")
        return list(self)[self.case_ids.index(case_id)]

    def columns(self) -> dict[str, list[Any]]:
        """The table by columns, as `pandas.DataFrame` takes it."""
        chances = {f"p_{name}": self.calibrated[:, k].tolist() for k, name in enumerate(self.classes)}
        sets = {} if self.set is None else {"set": [SEPARATOR.join(own) for own in self.set]}
        return {
            "case_id": list(self.case_ids),
            "given": list(self.given),
            "predicted": list(self.predicted),
            **chances,
            "confidence": self.confidence.tolist(),
            **sets,
            "abstain": self.abstain.tolist(),
        }

    def to_csv(self, path: str | Path) -> None:
        """Writes the columns as a table."""
        columns = self.columns()
        with atomic_text(Path(path)) as file:
            rows = CsvWriter(file)
            rows.writerow(columns)
            rows.writerows(zip(*columns.values(), strict=True))

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        more = [f"and {len(self) - _SHOWN} more"] if len(self) > _SHOWN else []
        return "\n".join([*lines, *more, *(f"note: {note}" for note in self.notes)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        head, *rows = self._cells()
        made = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        titles = "".join(f"<th>{html.escape(name)}</th>" for name in head)
        return f"<table><tr>{titles}</tr>{''.join(f'<tr>{row}</tr>' for row in made)}</table>{notes}"

    def _cells(self) -> list[list[str]]:
        columns = {name: column[:_SHOWN] for name, column in self.columns().items()}
        rows = [[_text(value) for value in row] for row in zip(*columns.values(), strict=True)]
        return [list(columns), *rows]


def table_of(
    subsets: Mapping[str, Predictions],
    classes: Sequence[str],
    calibration: Calibrators | None,
    order: Sequence[str],
    notes: Sequence[str] = (),
) -> PredictionTable:
    """The predictions of all subsets as one table.

    Args:
        subsets: predictions by the stains that were given; a case is in one of them.
        classes: class names.
        calibration: of the run; None where it has none.
        order: the cases in their order.
        notes: to show with it.
    """
    rows: dict[str, tuple[Any, ...]] = {}
    promised = calibration is not None
    for subset, own in subsets.items():
        prob = own.probabilities.numpy()
        calibrator = None if calibration is None else calibration.of(subset)
        learned = None if own.confidence is None else own.confidence.numpy()
        made = None if calibrator is None else calibrator(prob, learned)
        promised = promised and made is not None
        chances = prob if made is None else made.prob
        sets = [""] * len(own) if made is None else made.set_names(classes)
        abstain = np.zeros(len(own), bool) if made is None else made.abstain
        sure = chances.max(1) if learned is None else learned
        for row, case in enumerate(own.case_ids):
            rows[case] = (subset, prob[row], chances[row], sure[row], str(sets[row]), bool(abstain[row]))
    known = [case for case in order if case in rows]
    lists = list(zip(*(rows[case] for case in known), strict=True)) or [()] * 6
    shape = (len(known), len(classes))
    return PredictionTable(
        tuple(classes),
        tuple(known),
        tuple(lists[0]),
        np.array(lists[1], dtype=np.float64).reshape(shape),
        np.array(lists[2], dtype=np.float64).reshape(shape),
        np.array(lists[3], dtype=np.float64),
        tuple(tuple(filter(None, text.split(SEPARATOR))) for text in lists[4]) if promised else None,
        np.array(lists[5], dtype=bool),
        tuple(notes),
    )


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
