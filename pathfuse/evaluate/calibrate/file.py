"""`calibration.json`: what was chosen on a run's validation part, for all stains together and per subset of stains.

The file holds `part` (always `val`), `checkpoint` (the weights it belongs to), `classes`, `rule`, and under `pooled`
and under `subsets` by name: `cases` and `patients` it was fitted on, `temperature`, `sureness`, `confidence` (what
decides on abstaining), `abstention` and `sets`, as the classes of these names describe them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathfuse.errors import RunError, cannot_be_read
from pathfuse.evaluate.calibrate.calibrator import Calibrator, Confidence
from pathfuse.evaluate.her2 import in_order
from pathfuse.runs.files import CALIBRATION
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.predictions import SubsetPredictions
from pathfuse.runs.rows import Rows

FEWEST = 10
"""Labelled validation patients below which nothing is calibrated."""

ENOUGH = 50
"""Labelled validation patients from which a subset of stains gets a calibration of its own."""

RULE = (
    f"A subset of stains with at least {ENOUGH} labelled validation patients has a calibration of its own, in subsets; "
    "every other one uses pooled, which is fitted on all predictions of the validation part together."
)


@dataclass(frozen=True)
class Fitted:
    """A calibration and what it stands on.

    Attributes:
        calibrator: temperature, threshold and set size.
        cases: predictions it was fitted on.
        patients: their patients.
    """

    calibrator: Calibrator
    cases: int
    patients: int


@dataclass(frozen=True)
class Calibrators:
    """The calibrations of a run.

    Attributes:
        checkpoint: the weights they belong to, below the run's folder of checkpoints.
        classes: class names.
        pooled: for every subset that has none of its own.
        own: by subset of stains.
    """

    checkpoint: str
    classes: tuple[str, ...]
    pooled: Fitted
    own: Mapping[str, Fitted]

    @classmethod
    def fit(
        cls,
        subsets: Mapping[str, SubsetPredictions],
        classes: Sequence[str],
        checkpoint: str,
        *,
        target_risk: float,
        miss: float,
        confidence: Confidence,
    ) -> Calibrators:
        """Chooses everything on labelled validation cases.

        Args:
            subsets: the cases by subset of stains.
            classes: class names.
            checkpoint: the weights that predicted them.
            target_risk: acceptable share of errors among cases that are not abstained from.
            miss: share of patients whose truth may lie outside their set.
            confidence: what decides on abstaining.

        Raises:
            RunError: if a case is not of the validation part, or there is none.
        """
        together = _together(list(subsets.values()))

        def fitted(own: SubsetPredictions) -> Fitted:
            rows = own.rows
            calibrator = Calibrator.fit(
                rows.prob,
                rows.target,
                rows.confidence if own.learned else None,
                own.patient_ids,
                own.parts,
                target_risk=target_risk,
                miss=miss,
                ordered=in_order(classes),
                confidence=confidence,
            )
            return Fitted(calibrator, len(rows), len(set(own.patient_ids)))

        alone = {name: fitted(own) for name, own in subsets.items() if len(set(own.patient_ids)) >= ENOUGH}
        return cls(checkpoint, tuple(classes), fitted(together), alone)

    def of(self, subset: str) -> Calibrator:
        """What applies to predictions from these stains."""
        return self.own.get(subset, self.pooled).calibrator

    def write(self, run: RunFolder) -> None:
        """Writes `calibration.json`."""
        content = {
            "part": "val",
            "checkpoint": self.checkpoint,
            "classes": list(self.classes),
            "rule": RULE,
            "pooled": _plain(self.pooled),
            "subsets": {name: _plain(fitted) for name, fitted in self.own.items()},
        }
        run.write_json(CALIBRATION, content)
        run.seal_files(CALIBRATION)

    @classmethod
    def read(cls, run: RunFolder) -> Calibrators | None:
        """Reads `calibration.json`; None where a run has none.

        Raises:
            RunError: if it is damaged, or another one by now.
        """
        if not run.has(CALIBRATION):
            return None
        content = run.sealed_json(CALIBRATION)
        try:
            own = {str(name): _of_plain(one) for name, one in content["subsets"].items()}
            pooled = _of_plain(content["pooled"])
            return cls(str(content["checkpoint"]), tuple(content["classes"]), pooled, own)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            advice = "Restore it, or remove it to go without."
            raise cannot_be_read(RunError, run.path / CALIBRATION, error, advice) from error

    @classmethod
    def of_checkpoint(cls, checkpoint: Path, classes: Sequence[str]) -> Calibrators | None:
        """The calibration of the run that a checkpoint lies in; None if the run has none, or has it of other weights.

        Args:
            checkpoint: `checkpoints/<stage>/<name>` in a run folder, or any other file.
            classes: those of the model.

        Raises:
            RunError: if the file is damaged.
        """
        run = RunFolder.of_checkpoint(checkpoint)
        found = None if run is None else cls.read(run)
        own = f"{checkpoint.resolve().parent.name}/{checkpoint.name}"
        return found if found and found.checkpoint == own and found.classes == tuple(classes) else None


def _together(subsets: Sequence[SubsetPredictions]) -> SubsetPredictions:
    if not subsets:
        raise RunError("A calibration is chosen on the validation part alone, but it has no labelled case.")
    whole = subsets[0]
    for other in subsets[1:]:
        whole = SubsetPredictions(
            whole.case_ids + other.case_ids,
            whole.patient_ids + other.patient_ids,
            whole.parts + other.parts,
            Rows.cat(whole.rows, other.rows),
            whole.learned and other.learned,
        )
    return whole


def _plain(fitted: Fitted) -> dict[str, Any]:
    return {"cases": fitted.cases, "patients": fitted.patients, **fitted.calibrator.plain()}


def _of_plain(plain: Mapping[str, Any]) -> Fitted:
    return Fitted(Calibrator.of_plain(plain), int(plain["cases"]), int(plain["patients"]))
