"""Leave-one-out folds of a column: each of its values, such as a site, is tested by a model that never saw it."""

from __future__ import annotations

from collections.abc import Sequence

from pathfuse.cohort.folds.check import check_folds, label_of
from pathfuse.cohort.folds.draw import Splits, with_validation
from pathfuse.cohort.folds.file import FoldRow
from pathfuse.cohort.table import Case
from pathfuse.errors import CaseTableError

MOST = 30  # folds; more are no sites, but patients or slides


def leave_out(cases: Sequence[Case], column: str, *, val_fraction: float = 0.2, seed: int = 0) -> Splits:
    """A fold per value of a column, in the order of the values; validation is drawn by patient from the others.

    Args:
        cases: the cohort; its order does not matter.
        column: `site`, or another column of the table.
        val_fraction: share of each training fold that becomes its validation part.
        seed: of that draw.

    Raises:
        CaseTableError: if a case has no value, a patient has two, or there is one value alone or too many.
    """
    ordered = sorted(cases, key=lambda case: (case.patient_id, case.case_id))
    of_case = {case.case_id: label_of(case, column) for case in ordered}
    _refuse(ordered, of_case, column)
    values = sorted(set(of_case.values()))
    if not 2 <= len(values) <= MOST:
        raise CaseTableError(
            f"column {column} has {len(values)} different value{'s' * (len(values) > 1)}; leaving one out needs 2 to "
            f"{MOST}. Name another column."
        )
    rows: list[FoldRow] = []
    for fold, value in enumerate(values):
        own = [
            FoldRow(0, fold, case.case_id, case.patient_id, "test" if of_case[case.case_id] == value else "train")
            for case in ordered
        ]
        rows += with_validation(own, ordered, val_fraction=val_fraction, seed=seed)
    named = ", ".join(f"fold {fold} tests {value}" for fold, value in enumerate(values))
    return Splits(tuple(rows), (*check_folds(rows, cases), f"Every {column} is left out once: {named}."))


def _refuse(cases: Sequence[Case], of_case: dict[str, str], column: str) -> None:
    first: dict[str, Case] = {}
    for case in cases:
        if not of_case[case.case_id]:
            raise CaseTableError(f"case {case.case_id} has no {column}, so nothing can be left out by it. Fill it in.")
        other = first.setdefault(case.patient_id, case)
        if of_case[other.case_id] != of_case[case.case_id]:
            raise CaseTableError(
                f"patient {case.patient_id} has {column} {of_case[other.case_id]} (case {other.case_id}) and "
                f"{of_case[case.case_id]} (case {case.case_id}), and would train the model that tests it. Correct it."
            )
