"""The cohort: cases, patients, labels, parts and folds."""

from pathfuse.cohort.cohort import Cohort
from pathfuse.cohort.table import Case, CaseFile, CaseTable, Positions

__all__ = ["Case", "CaseFile", "CaseTable", "Cohort", "Positions"]
