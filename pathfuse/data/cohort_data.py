"""A data module over a cohort: what does not depend on how the cases are loaded."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from pathfuse.data.cohort import Cohort
from pathfuse.data.contracts import CaseData, Folds, SplitRow
from pathfuse.data.flow import FlowStep
from pathfuse.data.images import Pixels
from pathfuse.data.parts import Parts


class CohortData(CaseData):
    """Answers from its cohort; a subclass reads the cohort and makes the batches."""

    parts: Parts = Parts()

    @property
    @abstractmethod
    def cohort(self) -> Cohort:
        """The cases with their parts, read once."""

    def split_table(self) -> list[SplitRow]:
        """Every case with its part, in table order."""
        return self.cohort.split_table()

    def fingerprint(self) -> str:
        """SHA-256 over cases, patients, labels, parts, and name and size of the files; folders do not count."""
        return self.cohort.fingerprint()

    def origin(self) -> Path:
        """The case table or folder that was read; that of the demo cohort if there is neither."""
        return self.cohort.origin

    def folds(self) -> Folds | None:
        """The fold that the parts come from; None where they do not come from a file of folds."""
        return self.parts.folds

    def flow(self) -> list[FlowStep]:
        """How many cases and patients are left at every step from the source to the parts, in order."""
        return self.cohort.flow_steps()

    def picture(self, case_id: str) -> dict[str, Pixels]:
        """Nothing: a cohort of features has no pictures."""
        self.cohort.position(case_id)
        return {}

    def notes(self) -> list[str]:
        """What to read before trusting a number."""
        return list(self.cohort.notes)
