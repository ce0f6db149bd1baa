"""The schema of run folders: what a run writes is what it allows, and anything else is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathfuse.errors import RunError
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.schema import MAPPINGS, TABLES, largest, wrong_mapping
from tests.report.runs import write_whole_run

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.sampled_from(sorted(MAPPINGS)), PLAIN)
@settings(max_examples=100)
def test_whatever_a_file_holds_is_allowed_or_one_short_sentence(name: str, content: object) -> None:
    said = wrong_mapping(name, content)
    assert "\n" not in said and len(said) < 1000
    if not isinstance(content, dict):
        assert said.endswith("and no mapping")


def test_every_file_of_a_run_is_in_the_schema_and_allowed(tmp_path: Path) -> None:
    run = RunFolder(write_whole_run(tmp_path / "run", patients=12))
    found = [path.relative_to(run.path).as_posix() for path in run.path.rglob("*") if path.suffix in (".json", ".csv")]
    assert {"metrics.json", "cohort.json", "curves/train.csv", "reliability.csv", "risk_coverage.csv"} <= set(found)
    for name in found:
        if name.endswith(".json"):
            assert name in MAPPINGS or name == "seal.json"
            assert name == "seal.json" or run.json(name)
        elif name != "predictions.csv":
            assert run.lines(name) and largest(name) is not None


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cohort.json", {"flow": [{"kind": "table", "step": "a", "cases": "x"}]}, "flow[0].cases is 'x' and no number"),
        ("cohort.json", {"flow": [{"kind": "table", "step": "a", "cases": -1}]}, "flow[0].cases is -1 and no count"),
        ("cohort.json", {"flow": [{"step": "a"}]}, "flow[0].kind is missing"),
        ("cohort.json", {"notes": ["x" * 200_000]}, "notes[0] has more than 100000 signs"),
        ("metrics.json", {"he": {"auroc": True}}, "he.auroc is True and no number"),
        ("metrics.json", {"he": {"auroc": float("inf")}}, "he.auroc is inf and no number"),
        ("stages.json", {"complete": "train"}, "complete is 'train' and no list"),
        ("versions.json", {"given": 3}, "given is 3 and no list"),
        ("versions.json", {"plugins": {"a": 1}}, "plugins.a is 1 and no text"),
        ("spec.json", {"train": {"modalities": [], "classes": [1]}}, "train.class_counts is missing"),
        (
            "spec.json",
            {"train": {"modalities": [], "classes": ["a"], "class_counts": ["1"]}},
            "train.class_counts[0] is '1' and no number",
        ),
        (
            "config.yaml",
            {"stages": {"train": {"steady": {"average": []}}}},
            "stages.train.steady.average is [] and no number",
        ),
        ("modalities.json", {"same_patients": {}}, "same_patients.n_cases is missing"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(name: str, content: object, said: str) -> None:
    assert wrong_mapping(name, content) == said


@pytest.mark.parametrize("content", [{}, {"stranger": [1, {"a": None}]}, {"complete": [], "kept": {}}])
def test_what_nobody_reads_may_be_anything(content: object) -> None:
    assert wrong_mapping("stages.json", content) == ""
    assert wrong_mapping("made_by_somebody.json", content) == ""


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("splits.csv", "case_id,patient_id,split\na,a,test\n", "column label is missing"),
        ("curves/train.csv", "epoch,val/loss\nfirst,0.5\n", "line 2: epoch 'first' is no number"),
        ("risk_coverage.csv", "subset,score,coverage,risk\nhe,a,0.5,\n", "line 2: risk '' is no number"),
    ],
)
def test_tables_have_their_columns_and_numbers(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(RunError, match=said):
        RunFolder(tmp_path).lines(name)


def test_a_file_that_is_larger_than_it_may_be_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "stages.json").open("wb") as file:
        file.truncate(65 << 20)  # a hole, which takes no space
    with pytest.raises(RunError, match=r"stages\.json cannot be read \(it is larger than 64 MiB\)"):
        RunFolder(tmp_path).json("stages.json")
    assert all(largest(name) for name in (*MAPPINGS, *TABLES, "config.yaml"))


@pytest.mark.parametrize(
    "text",
    [
        '{"train": {"modalities": [], "classes": ["a"], "class_counts": []}}',
        '{"train": {"modalities": [{"name": "he", "kind": "smell", "width": 3}], "classes": [], "class_counts": []}}',
        '{"train": {"modalities": [{"name": "he", "kind": "image", "width": 3, "x": 1}], "classes": [], '
        '"class_counts": []}}',
    ],
)
def test_a_spec_that_describes_no_data_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(text)
    with pytest.raises(RunError, match=r"spec\.json describes no data"):
        RunFolder(tmp_path).specs()
