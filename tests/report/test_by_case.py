"""The section about single test cases: means, intervals over patients, rank correlation, pictures."""

from pathlib import Path

import pytest
from scipy.stats import spearmanr

from pathfuse.report.page import Gallery, Table
from pathfuse.report.run.by_case import by_case_sections
from pathfuse.runs.folder import RunFolder
from tests.report.runs import write_whole_run

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_stage_has_means_and_the_rank_correlation_with_the_score(tmp_path: Path) -> None:
    run = RunFolder(write_whole_run(tmp_path / "run", examples=False))
    assert by_case_sections(run) == []
    values = [
        (f"c{i}", f"p{i // 2}", label, v) for i, (label, v) in enumerate(zip("0123", (0.1, 0.4, 0.2, 0.9), strict=True))
    ]
    lines = [[case, patient, f"{label}+" if label != "0" else label, v, ""] for case, patient, label, v in values]
    names = ["case_id", "patient_id", "target", "dab_from_he", "mean_correlation_from_he_shuffled"]
    run = RunFolder(run.path)
    run.write_lines("by_case/train.csv", names, lines)
    run.write_lines("panels/train.csv", ["target", "case_id", "he", "ihc"], [["0", "c0", "0.png", "../../secret.png"]])
    (run.path / "panels/train").mkdir()
    (run.path / "panels/train/0.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    (section,) = by_case_sections(run)
    table, gallery = section.blocks[0], section.blocks[2]
    assert isinstance(table, Table) and isinstance(gallery, Gallery)
    dab, shuffled = table.records
    assert dab["mean"] == pytest.approx(0.4) and dab["mean_low"] < dab["mean"] < dab["mean_high"]
    assert dab["spearman"] == pytest.approx(spearmanr([0, 1, 2, 3], [0.1, 0.4, 0.2, 0.9]).statistic)
    assert (
        shuffled["n_cases"] == 0
        and shuffled["spearman"] is None
        and shuffled["said"] == "the same with the reference stain of another patient"
    )
    assert [picture.caption for picture in gallery.examples[0].pictures] == ["he"]
