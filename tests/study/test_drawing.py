"""Figures of a study from run folders that are written by hand: what is drawn, tested and left out."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import wilcoxon

from pathfuse.errors import RecipeError
from pathfuse.explain.overlay import GAP_PX, SCALE_PX, write_png
from pathfuse.runs.folder import RunFolder
from pathfuse.study.definition.explain import ExplainStep, read_explain, refuse_unexplained
from pathfuse.study.definition.report import FigureSpec, Report, TableSpec, read_report
from pathfuse.study.definition.study import Study, Variant
from pathfuse.study.drawing.figures import write_figure
from pathfuse.study.drawing.naming import called
from pathfuse.study.explaining import one_per_class
from pathfuse.study.jobs import Job
from pathfuse.study.scores import RunScores
from tests.study.small import rows

VALUE = "cases:correlate:mean_correlation_from_he"
NAMES = {"d8": "d = 8", "se": "attention"}


def run_of(folder: Path, name: str, values: list[float], colour: int = 90) -> RunScores:
    run = RunFolder(folder / name)
    columns = ["case_id", "patient_id", "target", "mean_correlation_from_he"]
    run.write_lines("by_case/correlate.csv", columns, [[f"c{i}", f"p{i}", "0", v] for i, v in enumerate(values)])
    run.write_lines("panels/correlate.csv", ["target", "case_id", "he", "ihc"], [["0", "c0", "0.png", ""]])
    (run.path / "panels/correlate").mkdir()
    write_png(run.path / "panels/correlate/0.png", np.full((8, 8, 3), colour, np.uint8))
    (run.path / "explain/GradCAM").mkdir(parents=True)
    write_png(run.path / "explain/GradCAM/c0.png", np.full((8, 16 + 2 * GAP_PX + SCALE_PX, 3), colour, np.uint8))
    entry = {
        "case_id": "c0",
        "target": "0",
        "explained": "2+",
        "pictures": {"GradCAM": {"he": "GradCAM/c0.png"}},
    }
    (run.path / "explain/explain.json").write_text(json.dumps({"cases": [entry]}))
    return RunScores(Job(name, 1, 0, 0, (), (), (), run.path, ""), run, {"he": {"mec": 0.1}})


@pytest.fixture
def by_variant(tmp_path: Path) -> dict[str, list[RunScores]]:
    rng = np.random.default_rng(0)
    base = rng.normal(size=12)
    return {
        "d8_se": [run_of(tmp_path, "d8_se", list(base + 0.5))],
        "d8_plain": [run_of(tmp_path, "d8_plain", list(base + rng.normal(size=12) * 0.1))],
    }


VARIANTS = tuple(Variant(f"d8_{name}", ("corranet",), axes={"d": "d8", "attention": name}) for name in ("se", "plain"))
STUDY = Study("small", VARIANTS, report=Report(names=NAMES))


def test_grouped_bars_have_published_marks_and_the_test_over_cases(tmp_path: Path, by_variant) -> None:
    spec = FigureSpec(
        "figure2b", "grouped", values={"own": VALUE, "MEC": "mec"}, group="d", by="attention", published={"d8_se": 0.76}
    )
    chart, table = write_figure(tmp_path / "out", spec, STUDY, by_variant, 1)
    found = rows(table)
    assert [(row["group"], row["bar"], row["published"]) for row in found[:2]] == [
        ("d = 8", "attention, own", "0.76"), ("d = 8", "attention, MEC", ""),
    ]  # fmt: skip
    one, other = (list(by_variant[name][0].by_case(VALUE).values()) for name in ("d8_se", "d8_plain"))
    assert found[-1]["pairs"] == "12" and float(found[-1]["p_wilcoxon"]) == pytest.approx(
        wilcoxon(np.array(one) - np.array(other)).pvalue, abs=1e-6
    )
    text = chart.read_text()
    assert (
        "attention against plain: Wilcoxon p" in text
        and "over 12 test cases" in text
        and ">published<" in text
        and ">attention, own<" in text
    )


def test_panels_are_pictures_of_a_case_per_class(tmp_path: Path, by_variant) -> None:
    spec = FigureSpec("figure2a", "panels", value="panels:correlate")
    files = write_figure(tmp_path / "out", spec, STUDY, by_variant, 1)
    assert [file.name for file in files][::2] == ["figure2a_d8_se.svg", "figure2a_d8_plain.svg"]
    text = files[0].read_text()
    assert text.count("<image") == 1 and ">ihc<" in text
    spec = FigureSpec("figure5a", "panels", value="explain")
    (maps, table) = write_figure(tmp_path / "out", spec, STUDY, by_variant, 1)
    assert maps.read_text().count("<image") == 3  # the image, and a map per variant
    assert ">2+<" in maps.read_text() and rows(table) == [
        {"target": "0", "case_id": "c0", "image": "", "d = 8, attention": "2+", "d = 8, plain": "2+"}
    ]


def test_maps_have_a_chart_per_value_of_an_axis_and_are_of_the_explainer_that_is_named(
    tmp_path: Path, by_variant
) -> None:
    spec = FigureSpec("figure5a", "panels", title="5A", value="explain:GradCAM", per="attention")
    files = write_figure(tmp_path / "out", spec, STUDY, by_variant, 1)
    assert [file.name for file in files][::2] == ["figure5a_se.svg", "figure5a_plain.svg"]
    text = files[0].read_text()
    assert text.count("<image") == 2 and "5A: attention" in text and ">d = 8<" in text
    other = FigureSpec("figure5a", "panels", value="explain:Occlusion")
    assert write_figure(tmp_path / "out", other, STUDY, by_variant, 1) == []


def test_heat_maps_of_bags_stand_without_an_image(tmp_path: Path, by_variant) -> None:
    for (run,) in by_variant.values():
        entry = {
            "case_id": "c0",
            "target": "0",
            "pictures": {"GradCAM": {"he": ["GradCAM/c0.png", "GradCAM/c0-2.png"]}},
        }
        text = json.dumps({"cases": [entry]})
        (run.folder.path / "explain/explain.json").write_text(text)
    (maps, _) = write_figure(tmp_path / "out", FigureSpec("maps", "panels", value="explain"), STUDY, by_variant, 1)
    assert maps.read_text().count("<image") == 2 and ">image<" not in maps.read_text()


def test_a_file_name_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path, by_variant) -> None:
    run = by_variant["d8_se"][0].folder
    (tmp_path / "0.png").write_bytes((run.path / "panels/correlate/0.png").read_bytes())
    run.write_lines("panels/correlate.csv", ["target", "case_id", "he"], [["0", "c0", "../../../nothing.png"]])
    spec = FigureSpec("figure2a", "panels", value="panels:correlate", variants=("d8_se",))
    assert write_figure(tmp_path / "out", spec, STUDY, by_variant, 1) == []


def test_names_are_those_of_the_axes_but_for_what_is_said_elsewhere() -> None:
    assert called(STUDY, VARIANTS[0]) == "d = 8, attention"
    assert called(STUDY, VARIANTS[0], without=("d",)) == "attention"
    assert called(STUDY, Variant("he_only", ("he_only",))) == "he_only"


def test_the_first_test_case_of_every_class_is_shown() -> None:
    lines = [("a", "1+", "val"), ("b", "1+", "test"), ("c", "1+", "test"), ("d", "0", "test"), ("e", "", "test")]
    assert one_per_class({"case_id": c, "target": t, "split": s} for c, t, s in lines) == ["b", "d"]


def test_what_is_explained_is_read_strictly() -> None:
    step = read_explain({"explainers": "GradCAM", "target": "label", "variants": ["*_he"]}, "s.yaml: explain")
    same = ExplainStep(("GradCAM",), (), "label", ("*_he",))
    assert step == same and step.reaches("vit_he") and not step.reaches("vit_ihc")
    assert read_explain(None, "") is None and hash(step) == hash(same)
    with pytest.raises(
        RecipeError, match=r"s\.yaml: explain: .explains. is no key of explain\. Did you mean explainer"
    ):
        read_explain({"explains": "GradCAM"}, "s.yaml: explain")
    with pytest.raises(RecipeError, match="faithfulness is 'much'"):
        read_explain({"faithfulness": "much"}, "s.yaml: explain")


def test_figures_of_what_is_not_explained_are_refused() -> None:
    maps = Report(figures=(FigureSpec("maps", "panels", value="explain:Occlusion"),))
    drop = Report(tables=(TableSpec("drop", columns=("mec", "explain:drop_in_accuracy.soft.relative")),))
    with pytest.raises(RecipeError, match=r"s\.yaml: report\.figures\.maps is of explanations, but nothing is"):
        refuse_unexplained(maps, None, "s.yaml")
    with pytest.raises(RecipeError, match=r"s\.yaml: report\.tables\.drop is of explanations"):
        refuse_unexplained(drop, None, "s.yaml")
    with pytest.raises(RecipeError, match="'Occlusion' is no explainer of the study"):
        refuse_unexplained(maps, ExplainStep(("GradCAM",)), "s.yaml")
    refuse_unexplained(drop, ExplainStep(), "s.yaml")


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ({"kind": "grouped", "values": {"MEC": "mec"}}, "need `values`, by what they are called, and a `group`"),
        ({"kind": "panels"}, "panels need a `value`: panels:STAGE, explain, or explain:EXPLAINER"),
        ({"kind": "roc", "lines": "strata"}, "lines: 'strata' is unknown; write classes, confidence, models"),
        ({"kind": "roc", "strata": True}, "`strata: true` is `lines: confidence` now"),
        ({"kind": "roc", "per": "network"}, "'network' is no axis of a grid"),
        ({"kind": "bars", "value": "mec", "published": {"he": "high"}}, "published.he: 'high' is no number"),
    ],
)
def test_a_figure_that_cannot_be_drawn_is_refused(figure: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        read_report({"figures": {"one": figure}}, "s.yaml", ["he"], ["d"])
