from pathlib import Path

import pytest

from pathfuse.errors import RecipeError
from pathfuse.study.definition.file import find_study, read_study, study_files
from pathfuse.study.definition.study import with_only, with_options
from tests.conftest import PROJECT_ROOT

STUDIES = sorted((PROJECT_ROOT / "studies").glob("*.yaml"))

GRID = """
grids:
  plain:
    network: {a: {overrides: {last.model.x: 1}}, b: {}}
    input: {he: he_only, ihc: {recipe: ihc_only, subset: ihc}}
  more:
    d: {d8: {recipe: corranet, overrides: {correlate.model.encoder.dim: 8}}}
overrides: {data.size_px: 32, model.loss_weights: {kl: 0}}
"""


def read(tmp_path: Path, text: str) -> object:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return read_study(path)[0]


def test_grids_are_variants_and_options_are_words(tmp_path: Path) -> None:
    study = read(tmp_path, GRID)
    assert [v.name for v in study.variants] == ["a_he", "a_ihc", "b_he", "b_ihc", "d8"]
    first, second, *_ = study.variants
    assert first.options == (("data.size_px", "32"), ("model.loss_weights", '{"kl": 0}'), ("last.model.x", "1"))
    assert (second.recipes, second.subset, second.axes) == (("ihc_only",), "ihc", {"network": "a", "input": "ihc"})


def test_options_with_a_variant_s_name_reach_that_variant(tmp_path: Path) -> None:
    study = with_options(read(tmp_path, GRID), (("a_*.cohort.cases", "X"), ("seed", "3"), ("d8.cohort.cases", "Y")))
    assert [v.options[-2:] for v in study.variants if v.name in ("a_ihc", "b_he", "d8")] == [
        (("cohort.cases", "X"), ("seed", "3")),
        (("model.loss_weights", '{"kl": 0}'), ("seed", "3")),
        (("seed", "3"), ("cohort.cases", "Y")),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("variant: {}", "mine.yaml: 'variant' is no key of a study. Did you mean variants?"),
        ("variants: {}", "there is nothing to train"),
        ("variants: {a: {recipes: he_only}}", "variants.a: 'recipes' is no key of a variant. Did you mean recipe?"),
        ("variants: {a: {overrides: {}}}", "no recipe is named for a"),
        ("variants: {a/b: he_only}", "'a/b' becomes a file or folder"),
        ("variants: {tables: he_only}", "the folder tables of a study has another use"),
        ("variants: {a: he_only}\ngrid: {x: {a: he_only}}", "two variants are called a"),
        ("variants: {a: he_only}\nseeds: [1, 1]", "seeds: expected different whole numbers"),
        ("variants: {a: he_only}\nseeds: [true]", "seeds: expected different whole numbers"),
        ("variants: {a: he_only}\nsplits: {fold: 3}", "splits: 'fold' is no key of splits. Did you mean folds?"),
        ("variants: {a: he_only}\nsplits: {folds: three}", "splits.folds: 'three' is no number"),
        ("variants: {a: he_only}\nsplits: gone.csv", "gone.csv does not exist"),
        ("variants: {a: he_only}\noverrides: {data: {size_px: 3}}", "overrides.data: an override has a dotted key"),
        ("variants: {a: he_only}\nreport: {baseline: b}", "report.baseline: 'b' is no variant of the study"),
        ("variants: {a: he_only}\nreport: {figures: {f: {kind: pie}}}", "figures.f.kind: 'pie' is unknown"),
        ("variants: {a: he_only}\nreport: {figures: {f: {kind: bars}}}", "bars need a `value`"),
        ("variants: {a: he_only}\nreport: {tables: {t: {column: x}}}", "Did you mean columns?"),
        ("variants: {a: he_only}\nreport: {tables: {t: {variants: ['b*']}}}", "'b*' is no variant"),
        ("variants: {a: he_only}\nreport: {tables: {../t: {}}}", "'../t' becomes a file"),
        ("variants: {a: he_only}\nreport: {figures: {/tmp/f: {kind: roc}}}", "'/tmp/f' becomes a file"),
        (
            "variants: {a: he_only}\nreport: {tables: {t: {columns: [mcc], published: {a: {mc: 1}}}}}",
            "published.a: 'mc' is no column. Did you mean mcc?",
        ),
        (
            "grid: {net: {a: he_only, b: ihc_only}}\nreport: {figures: {f: {kind: bars, value: mcc, by: nets}}}",
            "figures.f.by: 'nets' is no axis of a grid. Did you mean net?",
        ),
        ("variants: {a: he_only}\nreport: {draws: 0}", "report.draws: 0 is no whole number from 1 on"),
        ("variants: [a]", "variants: expected a mapping of keys"),
    ],
)
def test_a_wrong_study_is_refused_in_one_line_that_names_the_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RecipeError) as error:
        read(tmp_path, text)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_an_unknown_study_gets_a_guess() -> None:
    with pytest.raises(RecipeError, match="Did you mean resolution"):
        find_study("resolutions")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_shipped_study_can_be_named_and_read_with_its_demo_layer(path: Path) -> None:
    assert find_study(path.stem).read_text() == path.read_text()
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ") and any(line.startswith("# Needs: ") for line in lines)
    whole, small = read_study(path)[0], read_study(path, ["demo"])[0]
    assert [v.name for v in whole.variants] == [v.name for v in small.variants] and whole.report == small.report
    assert path.stem in {study.name for study in study_files()}


COHORTS = """
variants: {a: he_only, b_x: he_only, b_y: he_only}
splits: given
cohorts: {one: {cohort.demo.seed: 1}, two: {cohort.demo.seed: 2}}
"""


def test_a_study_of_several_cohorts_takes_the_parts_that_they_bring(tmp_path: Path) -> None:
    study = read(tmp_path, COHORTS)
    assert study.splits is None
    assert dict(study.cohorts) == {"one": (("cohort.demo.seed", "1"),), "two": (("cohort.demo.seed", "2"),)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("splits: given", "splits: {folds: 3}"), "folds are of one cohort, and there are 2. Write splits: given"),
        (("cohort.demo.seed: 1", "seed: 1"), "cohorts.one: seed is no option of a cohort"),
        (("{cohort.demo.seed: 1}", "{}"), "cohorts.one: nothing is no option of a cohort"),
        (("one:", "a/b:"), "'a/b' becomes a file or folder"),
    ],
)
def test_cohorts_that_cannot_be_are_refused(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        read(tmp_path, COHORTS.replace(*change))


def test_some_variants_of_a_study_can_be_named(tmp_path: Path) -> None:
    study = read(tmp_path, COHORTS)
    assert [own.name for own in with_only(study, ["b_*"]).variants] == ["b_x", "b_y"]
    assert with_only(study, []) is study
    with pytest.raises(RecipeError, match=r"--only: 'b_z' is no variant of the study\. Did you mean b_"):
        with_only(study, ["b_z"])


def test_curves_name_the_axes_they_run_along(tmp_path: Path) -> None:
    grid = (
        "grid: {n: {few: {}, many: {}}, arm: {a: he_only, b: ihc_only}}\nreport: {figures: {f: {kind: curves, SAID}}}"
    )
    figure = read(tmp_path, grid.replace("SAID", "value: auroc, x: n, by: arm, lead: b")).report.figures[0]
    assert (figure.x, figure.by, figure.lead) == ("n", "arm", "b")
    for said, told in (
        ("value: auroc, by: arm", "curves need `x`, an axis of the grid: n, arm"),
        ("x: n, by: arm", "curves need a `value`"),
        ("value: auroc, x: m, by: arm", "'m' is no axis of a grid"),
    ):
        with pytest.raises(RecipeError, match=told):
            read(tmp_path, grid.replace("SAID", said))
