"""Parts of a cohort: those of the source, drawn ones, or one fold of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from pathfuse.cohort.folds.check import refuse_overlap
from pathfuse.cohort.folds.draw_parts import describe_parts, draw_parts
from pathfuse.cohort.folds.file import FoldRow, apply_folds, folds_sha256, place_name, read_folds
from pathfuse.cohort.split_rows import Folds
from pathfuse.cohort.table import Case
from pathfuse.errors import RecipeError


@dataclass(frozen=True)
class Parts:
    """The options by which every data module says how its cases get their parts.

    Args:
        split: `given` keeps the parts of the source, `drawn` draws new ones by patient.
        folds: file of folds; None leaves the parts to `split`.
        repeat: which repeat of that file.
        fold: which fold of that repeat.
        val_fraction: fraction of the training patients drawn for validation when the source has no such part.
        test_fraction: fraction of the patients drawn for the test when the source has no parts.
        seed: of the draw.
        test_on: `test` tests on the test part, `all` makes every case a test case.

    Raises:
        RecipeError: for a value out of range, or options that exclude each other.
    """

    split: Literal["given", "drawn"] = "given"
    folds: str | None = None
    repeat: int = 0
    fold: int = 0
    val_fraction: float = 0.3
    test_fraction: float = 0.2
    seed: int = 0
    test_on: Literal["test", "all"] = "test"

    def __post_init__(self) -> None:
        for name, share in (("val_fraction", self.val_fraction), ("test_fraction", self.test_fraction)):
            if not 0 <= share < 1:
                raise RecipeError(f"cohort.{name} is {share}; give a fraction from 0 to below 1.")
        for name, number in (("repeat", self.repeat), ("fold", self.fold)):
            if number < 0:
                raise RecipeError(f"cohort.{name} is {number}; give at least 0.")
            if number and self.folds is None:
                raise RecipeError(f"cohort.{name} is {number}, but there is no cohort.folds; name the file of folds.")
        if self.folds is not None and self.split == "drawn":
            raise RecipeError("cohort.split is drawn, but cohort.folds gives the parts; remove one of them.")

    def apply(self, cases: Sequence[Case]) -> tuple[list[Case], list[str]]:
        """The cases with a part each, and what to know about the parts.

        Raises:
            CaseTableError: if a patient is in two parts, or the file of folds does not fit the cases.
        """
        if self.test_on == "all":
            unread = [f"test_on: all makes every case a test case; {self.folds} is not read."] if self.folds else []
            return [replace(case, split="test") for case in cases], unread
        if self.folds is not None:
            return self._from_file(Path(self.folds), cases)
        return draw_parts(
            cases,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.seed,
            redraw=self.split == "drawn",
        )

    @cached_property
    def chosen(self) -> Folds | None:
        """The fold that the parts come from; None where they do not come from a file.

        Raises:
            CaseTableError: if the file cannot be read.
        """
        if self.folds is None or self.test_on == "all":
            return None
        path = Path(self.folds)
        return Folds(path.name, folds_sha256(path), self.repeat, self.fold)

    def _from_file(self, path: Path, cases: Sequence[Case]) -> tuple[list[Case], list[str]]:
        rows = read_folds(path)
        placed = apply_folds(cases, rows, self.repeat, self.fold, name=path.name)
        place = self.repeat, self.fold, 0
        own = [row for row in rows if row.place == place]
        refuse_overlap(own, f"{path.name}: {place_name(place)}")
        return placed, [*self._file_notes(path, rows, len(own) - len(placed)), *describe_parts(placed)]

    def _file_notes(self, path: Path, rows: Sequence[FoldRow], unused: int) -> list[str]:
        sha256 = "" if self.chosen is None else self.chosen.sha256[:12]
        notes = [f"The parts are those of {path.name}, repeat {self.repeat}, fold {self.fold} (sha256 {sha256})."]
        if any(row.inner for row in rows):
            notes.append(f"{path.name} has inner folds; the validation part is that of the first.")
        if unused:
            notes.append(f"{unused} cases of {path.name} are not in use here.")
        return notes
