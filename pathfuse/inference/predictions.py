"""Predictions of cases, collected over batches and written as `predictions.csv`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed

from pathfuse.cohort.table import Case
from pathfuse.core import Batch, Prediction
from pathfuse.core.finite import refuse_not_finite
from pathfuse.runs.files import COLUMNS, PREDICTIONS
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.predictions import SubsetPredictions
from pathfuse.runs.rows import Rows

if TYPE_CHECKING:  # with scipy, which whoever explains does not need
    from pathfuse.evaluate.calibrate.calibrator import Calibrator
    from pathfuse.evaluate.calibrate.file import Calibrators

MOST_GROUPS = 20  # values of a column that still make groups of cases


@dataclass(frozen=True)
class Predictions:
    """N predicted cases.

    Attributes:
        case_ids: the cases.
        patient_ids: their patients.
        present: per modality, (N,) bool, what the model was given.
        target: (N,) long, -1 where unknown.
        probabilities: (N, C) float64.
        confidence: (N,) learned confidence, NaN-free, or None.
    """

    case_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    present: dict[str, Tensor]
    target: Tensor
    probabilities: Tensor
    confidence: Tensor | None

    @classmethod
    def of(cls, batch: Batch, prediction: Prediction) -> Predictions:
        """The rows of a batch for which there was something to predict from.

        Raises:
            NotFiniteError: if a probability or confidence is not.
        """
        if prediction.logits is None:
            raise ValueError("this head does not classify")
        rows = prediction.present.nonzero().flatten().cpu()
        batch = batch.select(rows)
        probabilities = prediction.logits.detach().double().softmax(-1).cpu()[rows]
        confidence = None if prediction.confidence is None else prediction.confidence.detach().double().cpu()[rows]
        refuse_not_finite(batch.case_ids, probabilities, *([] if confidence is None else [confidence]))
        return cls(
            batch.case_ids,
            batch.patient_ids,
            {m: p.cpu() for m, p in batch.present.items()},
            batch.target.cpu(),
            probabilities,
            confidence,
        )

    def __len__(self) -> int:
        return len(self.case_ids)

    def __add__(self, other: Predictions) -> Predictions:
        both = self.confidence is not None and other.confidence is not None
        return Predictions(
            self.case_ids + other.case_ids,
            self.patient_ids + other.patient_ids,
            {m: torch.cat([p, other.present[m]]) for m, p in self.present.items()},
            torch.cat([self.target, other.target]),
            torch.cat([self.probabilities, other.probabilities]),
            torch.cat([self.confidence, other.confidence]) if both else None,  # type: ignore[list-item]
        )

    def labelled(self) -> Predictions:
        """Only the cases whose label is known."""
        rows = (self.target >= 0).nonzero().flatten()
        return self._rows(rows)

    def scored(self, parts: Mapping[str, str]) -> SubsetPredictions:
        """The labelled cases as statistics read them; `parts` says which part each case belongs to."""
        known = self.labelled()
        prob = known.probabilities.numpy()
        confidence = prob.max(1) if known.confidence is None else known.confidence.numpy()
        return SubsetPredictions(
            known.case_ids,
            known.patient_ids,
            tuple(parts.get(case, "") for case in known.case_ids),
            Rows(prob, prob.argmax(1), known.target.numpy(), confidence),
            known.confidence is not None,
        )

    def distinct(self) -> Predictions:
        """Every case once, in order of first appearance."""
        first = {case: row for row, case in reversed(list(enumerate(self.case_ids)))}
        return self._rows(torch.tensor(sorted(first.values()), dtype=torch.long))

    def _rows(self, rows: Tensor) -> Predictions:
        picked = rows.tolist()
        return Predictions(
            tuple(self.case_ids[row] for row in picked),
            tuple(self.patient_ids[row] for row in picked),
            {m: p[rows] for m, p in self.present.items()},
            self.target[rows],
            self.probabilities[rows],
            None if self.confidence is None else self.confidence[rows],
        )


def gathered(collected: dict[str, Predictions]) -> dict[str, Predictions]:
    """The predictions of all ranks, every case once: a distributed sampler repeats some to fill the last batch."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return collected
    parts: list[dict[str, Predictions]] = [collected] * distributed.get_world_size()
    distributed.all_gather_object(parts, collected)
    joined: dict[str, Predictions] = {}
    for part in parts:
        for key, rows in part.items():
            joined[key] = joined[key] + rows if key in joined else rows
    return {key: rows.distinct() for key, rows in joined.items()}


def write_predictions(
    run: RunFolder,
    subsets: Mapping[str, Predictions],
    classes: Sequence[str],
    parts: Mapping[str, str],
    calibration: Calibrators | None = None,
) -> None:
    """Writes one line per case and subset of stains, in a form that other tools read.

    Args:
        run: where `predictions.csv` is written, as a whole.
        subsets: predictions by subset name.
        classes: class names, for the columns and the labels.
        parts: case to `train`, `val` or `test`; empty where a case belongs to no part.
        calibration: adds calibrated probabilities, prediction sets and abstentions.
    """
    modalities = next((list(rows.present) for rows in subsets.values()), [])
    header = ["case_id", "patient_id", "split", "subset", *(f"present_{m}" for m in modalities)]
    header += ["target", "predicted", *(f"p_{name}" for name in classes), "confidence"]
    if calibration is not None:
        # Not p_: whoever reads the file finds the model's own probabilities under that.
        header += [*(f"cal_{name}" for name in classes), "cal_confidence", "set", "abstain"]
    lines = (
        line
        for subset, rows in subsets.items()
        for line in _lines(subset, rows, classes, parts, None if calibration is None else calibration.of(subset))
    )
    run.write_lines(PREDICTIONS, header, lines)


def write_columns(run: RunFolder, cohort: Iterable[Case], predicted: Collection[str]) -> None:
    """Writes `columns.csv`: what the case table says of every case beside its label, where that makes groups of them.

    Args:
        run: where it is written; nothing is where no column has 2 to 20 values, so names and dates stay outside.
        cohort: all cases, of which a fold may test those of one group alone.
        predicted: ids of the cases that were predicted.
    """
    rows = {case.case_id: {"site": case.site, **case.labels} for case in cohort}
    names = dict.fromkeys(name for own in rows.values() for name in own)
    kept = [n for n in names if 2 <= len({own[n] for own in rows.values() if own.get(n)}) <= MOST_GROUPS]
    if kept:
        lines = ([case, *(own.get(n, "") for n in kept)] for case, own in rows.items() if case in predicted)
        run.write_lines(COLUMNS, ["case_id", *kept], lines)


def _lines(
    subset: str, rows: Predictions, classes: Sequence[str], parts: Mapping[str, str], calibrator: Calibrator | None
) -> Iterator[list[object]]:
    further = [[]] * len(rows) if calibrator is None else _promised(rows, calibrator, classes)
    for row, case in enumerate(rows.case_ids):
        target = int(rows.target[row])
        yield [
            *(case, rows.patient_ids[row], parts.get(case, ""), subset),
            *(int(present[row]) for present in rows.present.values()),
            classes[target] if target >= 0 else "",
            classes[int(rows.probabilities[row].argmax())],
            *(repr(p) for p in rows.probabilities[row].tolist()),
            "" if rows.confidence is None else repr(float(rows.confidence[row])),
            *further[row],
        ]


def _promised(rows: Predictions, calibrator: Calibrator, classes: Sequence[str]) -> list[list[str]]:
    prob = rows.probabilities.numpy()
    made = calibrator(prob, None if rows.confidence is None else rows.confidence.numpy())
    cells = zip(made.prob, made.sure.tolist(), made.set_names(classes), made.abstain, strict=True)
    return [
        [*(repr(p) for p in own.tolist()), repr(sure), str(name), str(int(abstain))]
        for own, sure, name, abstain in cells
    ]


def rows_of(prediction: Prediction, rows: Tensor) -> Prediction:
    """The prediction of some rows of a batch, `rows` (N,) long."""
    index = rows.to(prediction.present.device)
    logits, confidence = prediction.logits, prediction.confidence
    return Prediction(
        prediction.present[index],
        None if logits is None else logits[index],
        None if confidence is None else confidence[index],
    )


def any_labelled(rows: Predictions | None) -> bool:
    """Whether there are predictions of cases whose label is known."""
    return rows is not None and len(rows.labelled()) > 0
