"""The page about one run."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pathfuse.evaluate.called import called_too_often
from pathfuse.evaluate.groups import cells_of, group_values
from pathfuse.report.groups import SITE, groups_section
from pathfuse.report.page import Column, Facts, Page, Section, Text, missing
from pathfuse.report.run.by_case import by_case_sections
from pathfuse.report.run.cohort import cohort_section, examples_section, splits_section
from pathfuse.report.run.methods import patients_named
from pathfuse.report.run.origin import provenance_section, weights_section
from pathfuse.report.run.ranking import confusion_section, ranking_section
from pathfuse.report.run.scores import metrics_section, strata_section
from pathfuse.report.run.training import curves_section
from pathfuse.report.run.trust import calibration_section, selection_section
from pathfuse.runs.files import COHORT
from pathfuse.runs.folder import RunFolder

COUNTS = re.compile(r"(train|val|test): \d+ cases")
NOTHING_TESTED = "No labelled case in the test part: there is nothing to measure. `predictions.csv` has what was said."


def run_page(run: RunFolder, *, all_subsets: bool = False, by: Sequence[str] = ()) -> Page:
    """Everything that a run folder says, in the order in which a reviewer asks.

    Args:
        run: the run.
        all_subsets: show also the combinations of stains that the model was never trained to be given.
        by: columns of the case table whose values get metrics of their own; without, the site.
    """
    sections = [_summary(run), cohort_section(run), splits_section(run)]
    if run.test_cases:
        cases = run.test_cases if all_subsets else run.trained_cases
        sections += [
            metrics_section(run, cases),
            *_groups(run, by or (SITE,)),
            ranking_section(run, cases),
            confusion_section(run, cases),
            calibration_section(run, cases),
            selection_section(run, cases),
            strata_section(run, cases),
        ]
    else:
        sections.append(Section("metrics", "Metrics", [missing(NOTHING_TESTED)]))
    sections += [
        curves_section(run),
        *by_case_sections(run),
        examples_section(run),
        weights_section(run),
        provenance_section(run),
    ]
    return Page(f"{run.name}: report of a run", f"Folder {run.path.resolve().name}", sections)


def _groups(run: RunFolder, columns: Sequence[str]) -> list[Section]:
    """Metrics per site, or per value of other columns, given the stains that the model was trained with."""
    own, classes = run.test_cases[run.fullest], run.predictions.classes
    found = {
        column: {
            run.fullest: group_values([own.rows], own.patient_ids, cells_of(run.columns, column, own.case_ids), classes)
        }
        for column in columns
    }
    return groups_section(found, of="Given")


def _summary(run: RunFolder) -> Section:
    facts = [Column("classes", "Classes")]
    record: dict[str, str | float | None] = {"classes": ", ".join(run.predictions.classes)}
    if run.test_cases:
        own, metrics = run.test_cases[run.fullest], run.metrics.get(run.fullest, {})
        record |= {"given": run.fullest, "n_cases": len(own.case_ids), "n_patients": len(set(own.patient_ids))}
        facts += [Column("given", "Stains given", "given"), Column("n_cases", "Test cases", "count")]
        facts += [Column("n_patients", "Test patients", "count")] if patients_named(run) else []
        for key, head in (("balanced_accuracy", "Balanced accuracy"), ("auroc", "AUC-ROC, mean of classes")):
            record |= {key: metrics.get(f"test/{key}")}
            facts.append(Column(key, head, "share", interval=True))
            for limit in (f"{key}_low", f"{key}_high"):
                record |= {limit: metrics.get(f"test/{limit}")}
    blocks: list[Facts | Text] = [Facts("facts", facts, record)]
    notes = [str(note) for note in run.json(COHORT).get("notes") or []]
    notes = [note for note in notes if not COUNTS.match(note)]  # the table of parts has them
    if run.test_cases and (called := called_too_often(run.test_cases[run.fullest].rows, run.predictions.classes)):
        notes.insert(0, called)
    if notes:
        blocks.append(Text(notes, points=True))
    return Section("summary", "Summary", blocks)
