"""What is measured of maps, against cases worked by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pathfuse.core import Batch, Explainer
from pathfuse.explain import Agreement, Faithfulness, Wanted, bags, explain_cases
from pathfuse.explain.faith.alone import gini, likeness, overlap, pointing
from pathfuse.explain.faith.curves import insertion_and_deletion
from pathfuse.explain.faith.measured import over_patients
from pathfuse.explain.faith.randomised import mixed_up
from pathfuse.explain.faith.words import FEWEST, MEASURES, Interval, sentence
from pathfuse.explain.stains import hardly_used, mean_shares
from pathfuse.testing.reference_attention import tiny_bag_model
from pathfuse.testing.specs import stains, with_vector
from pathfuse.testing.synthetic import synthetic_batch
from pathfuse_captum.gradcam import GradCAM
from pathfuse_captum.gradients import IntegratedGradients
from pathfuse_captum.leaving_out import LeaveOut
from pathfuse_captum.shapley import StainShapley
from tests.explain.small import CLASSES, make_batch, make_model
from tests.explain.small_bags import make_batch as make_bags
from tests.explain.small_bags import make_model as make_bag_model


def test_the_gini_index_is_that_of_all_pairs():
    scores = torch.tensor([0.1, -0.4, 0.2, 0.9])
    sizes = scores.abs().double().numpy()
    pairs = np.abs(sizes[:, None] - sizes[None]).mean() / (2 * sizes.mean())
    assert gini(scores) == pytest.approx(pairs, abs=1e-6)
    assert gini(torch.ones(5)) == pytest.approx(0) and gini(torch.zeros(5)) == 0


def test_likeness_is_that_of_ranks_and_a_flat_map_is_like_nothing():
    rising = torch.arange(6.0)
    assert likeness(rising, rising**3) == pytest.approx(1) and likeness(rising, -rising) == pytest.approx(-1)
    assert likeness(rising, torch.ones(6)) is None


def test_the_pointing_game_and_the_overlap_count_hits():
    truth = np.array([True, True, False, False])
    assert pointing(np.array([1.0, 9, 2, 3]), truth) == 1 and pointing(np.array([1.0, 1, 2, 9]), truth) == 0
    assert pointing(np.ones(4), truth) == 0.5
    assert overlap(np.array([4.0, 3, 2, 1]), truth) == 1 and overlap(np.array([4.0, 1, 3, 2]), truth) == pytest.approx(
        1 / 3
    )


def test_the_curves_are_the_probabilities_of_bags_that_grow_and_shrink():
    model, whole = make_bag_model(), make_bags()
    case = whole.select(torch.tensor([1]))  # two patches of one stain
    scores = torch.tensor([0.2, 0.9])
    insertion, deletion = insertion_and_deletion(model, case, "he", scores, 2)

    def probability(rows: list[int]) -> float:
        held = case.x["he"]
        less = replace(held, values=held.values[rows], lengths=torch.tensor([len(rows)]), slide=held.slide[rows],
                       coords=held.coords[rows])  # fmt: skip
        batch = Batch({**case.x, "he": less}, case.present, case.target, case.case_ids, case.patient_ids)
        return float(model(batch).logits.detach().softmax(1)[0, 2])

    none, low, high, both = (probability(rows) for rows in ([], [0], [1], [0, 1]))
    counts = [round(step / 10 * 2) for step in range(11)]
    shown = [{0: none, 1: high, 2: both}[count] for count in counts]
    hidden = [{0: both, 1: low, 2: none}[count] for count in counts]
    assert insertion == pytest.approx(np.trapezoid(shown, dx=0.1), abs=1e-6)
    assert deletion == pytest.approx(np.trapezoid(hidden, dx=0.1), abs=1e-6)


def test_mixed_up_weights_are_the_same_numbers_elsewhere():
    model = make_model()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    other = mixed_up(model, 0)
    for name, weight in other.named_parameters():
        assert torch.equal(weight.flatten().sort().values, before[name].flatten().sort().values)
        assert torch.equal(dict(model.named_parameters())[name], before[name])
    assert not torch.equal(other(make_batch()).logits, model(make_batch()).logits)


def test_intervals_are_over_patients_and_not_over_cases():
    values = {f"c{n}": float(n % 2) for n in range(40)}
    same = over_patients(values, dict.fromkeys(values, "p"), 0)
    assert (same.low, same.value, same.high, same.patients) == (0.5, 0.5, 0.5, 1)
    each = over_patients(values, {case: case for case in values}, 0)
    assert 0.3 < each.low < 0.5 < each.high < 0.7 and each.patients == 40


def interval(low, high, patients=9):
    return Interval((low + high) / 2, low, high, patients)


@pytest.mark.parametrize(
    ("found", "share", "said"),
    [
        ({"insertion gain": interval(0.1, 0.2)}, None, "GradCAM in H&E is better than a random map."),
        (
            {"insertion gain": interval(-0.1, 0.2), "truth gain": interval(-0.1, 0.1)},
            0.5,
            "GradCAM in H&E is no better than a random map; it cannot be told whether it points where the signal is.",
        ),
        ({"insertion gain": interval(-0.2, -0.1)}, None, "GradCAM in H&E is worse than a random map."),
        ({"insertion gain": interval(0.1, 0.2, FEWEST - 1)}, 0.01, "GradCAM in H&E: 4 patients are too few to tell."),
        (
            {"insertion gain": interval(0.1, 0.2), "untrained": interval(0.6, 0.8), "truth gain": interval(-0.3, -0.1)},
            0.07,
            "GradCAM in H&E is better than a random map; it shows much the same of a model with mixed-up weights; it "
            "points away from where the signal is; the stain is hardly used (7 % of the worth).",
        ),
    ],
)
def test_the_sentence_follows_from_the_figures(found, share, said):
    assert sentence("GradCAM", "he", found, share) == said


def test_a_stain_under_the_limit_is_hardly_used_unless_it_is_alone():
    assert hardly_used({"he": 0.09, "ihc": 0.91}) == ["he"] and hardly_used({"he": 0.0}) == []
    assert mean_shares([{"he": 0.2, "ihc": 0.8}, {"he": 1.0}]) == pytest.approx({"he": 0.2, "ihc": 0.8})


class Blind(Explainer):
    """The same everywhere."""

    def explain(self, model, batch, target=None):
        return {name: torch.zeros(len(batch), 32, 32) for name in model.reads}


def test_images_are_measured_beside_a_random_and_a_constant_map(tmp_path):
    mask = np.zeros((32, 32), dtype=bool)
    mask[:8] = True
    believed = Faithfulness(truth=lambda case, stain: mask if stain == "he" else None, disturbed=1)
    wanted = Wanted(shapley=StainShapley(), faithfulness=believed)
    named = {"GradCAM": GradCAM(), "Blind": Blind()}
    summary = explain_cases(make_model("each"), [make_batch()], named, tmp_path, classes=CLASSES, wanted=wanted)
    lines = {(one["explainer"], one["modality"], one["measure"]): one for one in summary["faithfulness"]["table"]}
    told = {" ".join(measure.split()[:2]) for _, _, measure in lines}
    assert told <= {" ".join(measure.split()[:2]) for measure in MEASURES}, "the page says what every measure is"
    blind = lines["Blind", "he", "insertion"]
    assert blind["value"] == pytest.approx(blind["constant"]) and blind["random"] is not None
    own = summary["explainers"]["GradCAM"]
    assert own["drop_in_accuracy"].keys() == own["drop_in_accuracy_of_a_random_map"].keys() == {"soft"}
    # A random map is the same beside every explainer.
    assert own["drop_in_accuracy_of_a_random_map"] == summary["explainers"]["Blind"]["drop_in_accuracy_of_a_random_map"]
    page = (tmp_path / "explain.html").read_text()
    assert page.startswith("<!doctype html>") and page.count("Drop in Accuracy, soft mask, %") == 2
    assert lines["Blind", "he", "AUC against the truth"]["value"] == 0.5
    assert ("GradCAM", "ihc", "AUC against the truth") not in lines
    assert lines["GradCAM", "he", "infidelity"]["cases"] == 1
    assert summary["faithfulness"]["sentences"][0].endswith("3 patients are too few to tell.")
    assert all(sum(case["shares"].values()) == pytest.approx(1) for case in summary["cases"])


def test_three_stains_and_a_vector_go_through_everything(tmp_path, monkeypatch):
    monkeypatch.setattr(bags, "write_heat_map", lambda path, *_, **__: path)  # takes most of the time
    spec = with_vector(stains(3, kind="features"))
    torch.manual_seed(0)
    model = tiny_bag_model(spec).eval()
    model.spec = spec
    named = {
        "IntegratedGradients": IntegratedGradients(steps=4),
        "LeaveOut": LeaveOut(),
        "StainShapley": StainShapley(),
    }
    wanted = Wanted(target="label", shapley=StainShapley(), faithfulness=Faithfulness(disturbed=1))
    batch = synthetic_batch(spec, 3, absent=True)
    summary = explain_cases(model, [batch], named, tmp_path, classes=spec.classes, wanted=wanted)
    first = summary["cases"][0]
    assert set(first["shares"]) == {"he", "ihc", "ki67", "clinical"}
    assert first["explained"] == spec.classes[int(batch.target[0])]
    columns = first["columns"]["IntegratedGradients"]["clinical"]
    assert list(columns) == [f"clinical {number}" for number in range(5)]
    assert "clinical" not in first["columns"].get("LeaveOut", {})
    page = (tmp_path / "explain.html").read_text()
    assert "IntegratedGradients, clinical" in page and page.count("<section") == 3


class Worth(Explainer):
    """Says that H&E is worth next to nothing."""

    def explain(self, model, batch, target=None):
        return {name: torch.full((len(batch), 32, 32), 1e-3 if name == "he" else 1.0) for name in model.reads}


def test_what_is_hardly_used_is_said_on_its_map_and_in_the_table(tmp_path):
    model, wanted = make_model("each"), Wanted(shapley=Worth())
    summary = explain_cases(
        model, [make_batch(cases=1)], {"GradCAM": GradCAM()}, tmp_path, classes=CLASSES, wanted=wanted
    )
    assert summary["cases"][0]["hardly_used"] == ["he"]
    page = (tmp_path / "explain.html").read_text()
    assert page.count('figure class="hardly"') == 1 and page.count('<span class="flag">hardly used</span>') == 3


def test_what_is_explained_is_compared_with_what_the_evaluation_wrote():
    batch = make_batch(cases=2)
    logits = torch.tensor([[0.0, 1.0, 2.0, 3.0], [3.0, 0.0, 0.0, 0.0]])
    written = logits.softmax(1).tolist()
    same = Agreement({("case0", frozenset({"he"})): written[0], ("case1", frozenset({"ihc"})): written[0]})
    same.add(batch, logits, ("he",))
    assert same.cases == 1 and same.largest < 1e-6 and same.note() == []
    other = Agreement({("case0", frozenset({"he"})): written[1]})
    other.add(batch, logits, ("he",))
    assert "is not what the run's evaluation wrote" in other.note()[0]


def test_a_hostile_name_is_text_in_the_page(tmp_path):
    batch = make_batch(cases=1)
    object.__setattr__(batch, "case_ids", ("<script>alert(1)</script>",))
    explain_cases(make_model(), [batch], {"GradCAM": GradCAM()}, tmp_path, classes=CLASSES)
    page = (tmp_path / "explain.html").read_text()
    assert page.count("<script>") == 1 and "&lt;script&gt;alert(1)" in page
