"""A third party's data modules, installed: folds, label maps, studies, new cases and resuming, as ours have."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from abc import ABC
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pathfuse.study.run
from pathfuse.cli import main
from pathfuse.data.samples import SampleData
from pathfuse.registry import forget_installed
from pathfuse.training.reported import for_report
from tests.study.conftest import runs_here

PACKAGE = Path(__file__).parent / "foreign" / "foreign_cohort"
OFFERED = {"ExpressionPanel": "foreign_cohort.panel", "ArchivedScans": "foreign_cohort.scans"}
LABELS = ("0", "1+", "2+", "3+")
PATIENTS = 32

PANEL = """
cohort: {cases: labels.csv}
data: {class_path: ExpressionPanel, init_args: {noise: 0.1}}
loading: {batch_size: 8, num_workers: 0}
model:
  encoder: {class_path: VectorEncoder, init_args: {dim: 16, hidden: 16}}
  fusion: {class_path: MeanFusion}
  head: {class_path: SoftmaxHead}
  loss_weights: {classification: 1.0}
optimizer: {class_path: Adam, init_args: {lr: 1.0e-2}}
trainer: {max_epochs: 4}
"""
SCANS = """
cohort: {cases: labels.csv}
data: {class_path: ArchivedScans}
loading: {batch_size: 4, num_workers: 0}
model:
  encoder:
    class_path: PerStainImageEncoder
    init_args: {backbone: {class_path: TimmBackbone, init_args: {name: test_resnet, weights: random}}}
  fusion: {class_path: MeanFusion}
  head: {class_path: SoftmaxHead}
  loss_weights: {classification: 1.0}
optimizer: {class_path: Adam, init_args: {lr: 1.0e-3}}
trainer: {max_epochs: 1}
"""


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The installed package, and a folder with labels, a panel and an archive, to work in."""
    site = tmp_path / "site"
    shutil.copytree(PACKAGE, site / "foreign_cohort")
    info = site / "foreign_cohort-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-cohort\nVersion: 1.2\n")
    lines = "".join(f"{name} = {module}:{name}\n" for name, module in OFFERED.items())
    (info / "entry_points.txt").write_text(f"[pathfuse.data]\n{lines}")
    monkeypatch.syspath_prepend(str(site))
    forget_installed()
    folder = tmp_path / "work"
    folder.mkdir()
    write_labels(folder / "labels.csv", range(PATIENTS))
    write_panel(folder / "panel.csv", range(PATIENTS))
    write_scans(folder / "scans.npz", range(PATIENTS))
    (folder / "panel.yaml").write_text(PANEL)
    (folder / "scans.yaml").write_text(SCANS)
    monkeypatch.chdir(folder)
    known = set(subclasses())
    yield folder
    forget_installed()
    for name in [name for name in sys.modules if name.partition(".")[0] == "foreign_cohort"]:
        del sys.modules[name]
    # The parser walks the subclasses of a contract, those of a package that is gone too; these are no longer ones.
    for kind in set(subclasses()) - known:
        kind.__bases__ = (Gone,)


class Gone(ABC):  # noqa: B024 - abstract like the contract, whose place it takes
    """Takes the place of the contract that a class of a package which is gone had for its base."""


def subclasses() -> Iterator[type]:
    yield from (kind for kind in SampleData.__subclasses__() if kind.__module__.startswith("foreign_cohort"))


def write_labels(path: Path, numbers: range, labelled: bool = True) -> None:
    rows = [f"c{n},p{n},{LABELS[n % 4] if labelled else ''},{'test' if n % 4 == n // 8 else 'train'}" for n in numbers]
    path.write_text("\n".join(["case_id,patient_id,label,split", *rows]) + "\n")


def write_panel(path: Path, numbers: range) -> None:
    values = {n: np.random.default_rng(n).normal(n % 4, 0.2, 3) for n in numbers}
    path.write_text("\n".join(["case,a,b,c", *(f"c{n}," + ",".join(map(str, v)) for n, v in values.items())]) + "\n")


def write_scans(path: Path, numbers: range) -> None:
    arrays = {}
    for n in numbers:
        for stain in ("he", "ihc") if n % 3 else ("he",):
            shade = np.random.default_rng(n).normal(60 + 40 * (n % 4), 15, (64, 64, 3))
            arrays[f"c{n}_{stain}"] = shade.clip(0, 255).astype(np.uint8)
    np.savez(path, **arrays)  # type: ignore[arg-type]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_is_short() -> None:
    for module in OFFERED.values():
        text = (PACKAGE / f"{module.rpartition('.')[2]}.py").read_text()
        assert len(text.splitlines()) < 40


def test_they_are_listed_and_a_run_says_whose_it_is(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in OFFERED) and "foreign-cohort" in listed
    assert main(["fit", "--recipe", "panel.yaml", "--out", "run"]) == 0
    versions = json.loads((there / "run" / "versions.json").read_text())
    assert versions["plugins"]["foreign-cohort"] == "1.2"
    assert "labels.csv was taken for a label table" in capsys.readouterr().out


def test_a_case_that_it_has_nothing_of_is_counted_in_the_flow(there: Path) -> None:
    write_panel(there / "panel.csv", range(2, PATIENTS))
    assert main(["fit", "--recipe", "panel.yaml", "--out", "run", "--trainer.max_epochs=1"]) == 0
    flow = json.loads((there / "run" / "cohort.json").read_text())["flow"]
    assert [step["cases"] for step in flow if step["step"] == "left out: no row in panel.csv"] == [2]


def test_images_of_its_own_format_train_with_a_balanced_sampler_and_absent_stains(there: Path) -> None:
    words = ["--loading.sampler=balanced", "--loading.num_workers=2", "--out", "run"]
    assert main(["fit", "--recipe", "scans.yaml", *words]) == 0
    metrics = json.loads((there / "run" / "metrics.json").read_text())
    assert metrics["he"]["n_cases"] > metrics["he+ihc"]["n_cases"] > 0


def do_here(patch: pytest.MonkeyPatch) -> None:
    """Further runs of a study are done in this process, without their pages; one study of this file is done whole."""
    patch.setattr(pathfuse.study.run, "_runs", runs_here)
    patch.setattr(for_report, "draw_page", lambda run, _: run.path / "report.html")


def test_it_is_cross_validated_by_a_file_of_folds_and_by_drawn_ones(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["data", "split", "labels.csv", "--folds", "2", "--out", "folds.csv"]) == 0
    line = ["crossval", "--recipe", "panel.yaml", "--trainer.max_epochs=2"]
    assert main([*line, "--folds", "folds.csv", "--out", "filed"]) == 0
    folds = {(row["fold"], row["case_id"]): row["part"] for row in rows(there / "folds.csv")}
    for fold in "01":
        used = {row["case_id"]: row["split"] for row in rows(there / f"filed/panel/seed7/r0f{fold}/splits.csv")}
        assert used == {case: part for (number, case), part in folds.items() if number == fold}
    do_here(monkeypatch)
    assert main([*line, "--folds", "2", "--seeds", "1,2", "--out", "drawn"]) == 0
    assert [row["status"] for row in rows(there / "drawn" / "runs.csv")] == ["done"] * 4
    before = (there / "filed/panel/seed7/r0f0/predictions.csv").read_bytes()
    assert main([*line, "--folds", "folds.csv", "--out", "filed"]) == 0
    assert (there / "filed/panel/seed7/r0f0/predictions.csv").read_bytes() == before


def test_a_study_compares_two_modules_with_a_merged_label(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do_here(monkeypatch)
    (there / "both.yaml").write_text(
        "variants: {panel: panel.yaml, quiet: {recipe: panel.yaml, overrides: {data.noise: 0}}, scans: scans.yaml}\n"
        "splits: {folds: 2}\nseeds: [1]\n"
        "overrides: {cohort.label_map: positive, trainer.max_epochs: 1}\n"
    )
    assert main(["study", "both.yaml", "--out", "study"]) == 0
    header = (there / "study/panel/seed1/r0f0/predictions.csv").read_text().splitlines()[0]
    assert "p_negative" in header and "p_positive" in header
    assert main(["compare", "study/panel/seed1/r0f0", "study/quiet/seed1/r0f0", "--out", "compared"]) == 0
    assert main(["report", "study/panel/seed1/r0f0"]) == 0
    assert "ExpressionPanel" in (there / "study/panel/seed1/r0f0/report.html").read_text()


def test_new_cases_without_labels_are_predicted_and_resuming_is_exact(there: Path) -> None:
    assert main(["fit", "--recipe", "panel.yaml", "--out", "run"]) == 0
    new = range(100, 110)
    write_labels(there / "new.csv", new, labelled=False)
    write_panel(there / "new_panel.csv", new)
    words = ["--cases", "new.csv", "--data.table", "new_panel.csv", "--out", "scores"]
    assert main(["predict", "run", *words]) == 0
    assert [row["case_id"] for row in rows(there / "scores/predictions.csv")] == [f"c{n}" for n in new]
    done = (there / "run/predictions.csv").read_bytes()
    (there / "run/stages.json").unlink()
    assert main(["fit", "--resume", "run"]) == 0
    assert (there / "run/predictions.csv").read_bytes() == done


def test_a_class_that_takes_no_cohort_first_is_refused(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = there.parent / "site" / "foreign_cohort" / "panel.py"
    file.write_text(
        file.read_text().replace("cohort: Cohort, *", "who: Cohort, *").replace("cohort.restr", "who.restr")
    )
    assert main(["fit", "--recipe", "panel.yaml", "--out", "run"]) == 2
    error = capsys.readouterr().err
    assert "ExpressionPanel takes no cohort. The constructor of a data module is (cohort, *, ...)" in error
    assert not (there / "run").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data.cohort=x"], "cohort"),
        (["--data.root=x"], "data.root is now cohort.cases"),
        (["--data.batch_size=3"], "data.batch_size is now loading.batch_size"),
        (["--data.splits=x"], "data.splits is now cohort.folds"),
        (["--data.labels=optional"], "data.labels is gone"),
        (["--data.demo.grid=3"], "data.pictures.grid"),
    ],
)
def test_an_old_or_foreign_key_below_data_is_one_line_with_the_new_one(
    words: list[str], said: str, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--recipe", "panel.yaml", "--out", "run", *words]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: stage train:") and said in line, line
