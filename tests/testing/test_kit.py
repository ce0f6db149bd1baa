"""Each small broken component fails exactly the check that it breaks."""

import pytest
import torch
from torch import nn

from pathfuse.core import (
    Explainer,
    Fused,
    FusedSpec,
    Fusion,
    Objective,
    Outcome,
    Prediction,
    SupervisedObjective,
    Tokens,
    WeightsNote,
)
from pathfuse.errors import PluginError, RecipeError
from pathfuse.registry import Component
from pathfuse.testing import (
    TWO_STAINS,
    CheckResult,
    Example,
    ReferenceBackbone,
    ReferenceEncoder,
    ReferenceFusion,
    ReferenceHead,
    ReferenceInput,
    parametrize_with_checks,
    run_checks,
    summary,
)
from pathfuse.testing.kit import by_cause
from pathfuse_images.encoder import ImageEncoder
from pathfuse_joint.by_modality import ByModality


class SegmentMean(Fusion):
    """The mean patch over all stains.

    Args:
        tokens: sizes of the tokens.
        spec: the data.
    """

    order_free = True

    def __init__(self, tokens, spec):
        super().__init__()
        first = next(iter(tokens.values()))
        if any(token.layout != "packed" for token in self.looked_at(tokens)):
            raise RecipeError("SegmentMean: takes bags only. Choose another fusion block.")
        self.mix = nn.Linear(first.dim, first.dim)
        self.out = FusedSpec(first.dim, "vector")

    def looked_at(self, tokens):
        return list(tokens.values())

    def weigh(self, bag):
        return bag

    def forward(self, tokens):
        joint, present = 0.0, []
        for token in tokens.values():
            bags = token.values.split(token.lengths.tolist())
            zero = token.values.new_zeros(token.values.shape[1])
            means = [
                self.weigh(bag).mean(0) if real and len(bag) else zero
                for bag, real in zip(bags, token.present, strict=True)
            ]
            joint = joint + torch.stack(means)
            present.append(token.present)
        return Fused(self.mix(joint), torch.stack(present).any(0), tokens=tokens)


class PlainExplainer(Explainer):
    """The brightness of the first channel, unless the model has no weight at all."""

    def explain(self, model, batch, target=None):
        images = [name for name in model.reads if batch.x[name].dim() == 4]
        some = any(bool(weight.any()) for weight in model.parameters())
        bright = {name: batch.image(name)[:, 0] * some for name in images}
        return {name: torch.where(batch.present[name].view(-1, 1, 1), bright[name], 0.0) for name in images}


SOUND = (
    ReferenceBackbone,
    Example(ReferenceBackbone, {"keep_map": True}),
    ReferenceInput,
    ReferenceEncoder,
    ReferenceFusion,
    ReferenceHead,
    SegmentMean,
    PlainExplainer,
    SupervisedObjective,
)


@parametrize_with_checks(*SOUND)
def test_sound_components_pass(check):
    check()


class UndocumentedOption(ReferenceHead):
    """One option is not described.

    Args:
        fused: size of the embedding.
        spec: the data.
    """

    def __init__(self, fused, spec, *, secret=1):
        super().__init__(fused, spec)


class PositionalOption(ReferenceHead):
    """An option that can be given by position.

    Args:
        fused: size of the embedding.
        spec: the data.
        width: an option.
    """

    def __init__(self, fused, spec, width=1):
        super().__init__(fused, spec)


class SharedDefault(ReferenceHead):
    """One module for all instances.

    Args:
        fused: size of the embedding.
        spec: the data.
        act: an activation.
    """

    def __init__(self, fused, spec, *, act=nn.ReLU()):  # noqa: B008
        super().__init__(fused, spec)


class OneClassTooMany(ReferenceHead):
    def __init__(self, fused, spec):
        super().__init__(fused, spec)
        self.classify = nn.Linear(fused.dim, len(spec.classes) + 1)


class ReadsAbsentRows(ReferenceFusion):
    def forward(self, tokens):
        fused = super().forward(tokens)
        read = 1e-3 * next(iter(tokens.values())).values
        return Fused(fused.embedding + read, fused.present, fused.by_modality, tokens)


class NormalisesOverAbsentRows(ReferenceFusion):
    def __init__(self, tokens, spec):
        super().__init__(tokens, spec)
        first = next(iter(tokens.values()))
        self.norm = (nn.BatchNorm2d if first.layout == "map" else nn.BatchNorm1d)(first.dim)

    def forward(self, tokens):
        normed = {
            name: Tokens(self.norm(token.values), token.present, token.lengths, token.score)
            for name, token in tokens.items()
        }
        return super().forward(normed)


class NaNGradients(ReferenceHead):
    def forward(self, fused):
        values = fused.embedding.mean((2, 3)) if fused.embedding.dim() == 4 else fused.embedding
        logits = torch.where(fused.present[:, None], self.classify(values), 0.0)
        return Prediction(fused.present, logits)


class LooksAtOtherCases(ReferenceFusion):
    def forward(self, tokens):
        fused = super().forward(tokens)
        return Fused(fused.embedding - 0.1 * fused.embedding.mean(0), fused.present, fused.by_modality, tokens)


class UnusedWeight(ReferenceEncoder):
    def __init__(self, spec):
        super().__init__(spec)
        self.spare = nn.Linear(2, 2)


class RemembersTheLastInput(ReferenceHead):
    def forward(self, fused):
        again = not self.training and getattr(self, "last", None) is fused.embedding
        self.last = None if self.training else fused.embedding
        prediction = super().forward(fused)
        return Prediction(fused.present, prediction.logits + float(again))


class HalfANote(ReferenceHead):
    @classmethod
    def weights_note(cls, options):
        return WeightsNote("net", "", "none")


class DrawsNumbers(ReferenceHead):
    def forward(self, fused):
        torch.rand(1)
        return super().forward(fused)


class ChangesTheEnvironment(ReferenceHead):
    def forward(self, fused):
        import os

        os.environ["PATHFUSE_TEST_TOUCHED"] = str(id(fused))
        return super().forward(fused)


class KeepsStateOutsideTheStateDict(ReferenceHead):
    scale = 1.0

    def loss(self, prediction, batch):
        if self.training:
            self.scale *= 1.1
        return {name: self.scale * term for name, term in super().loss(prediction, batch).items()}


class CannotBePickled(ReferenceHead):
    def __init__(self, fused, spec):
        super().__init__(fused, spec)
        self.act = lambda value: value


class AlwaysSingle(ReferenceHead):
    def forward(self, fused):
        prediction = super().forward(fused)
        return Prediction(fused.present, prediction.logits.float())


class NeedsBothStains(ReferenceFusion):
    def forward(self, tokens):
        there = [bool(token.present.any()) for token in tokens.values()]
        if any(there) and not all(there):
            raise ValueError("mean of an empty tensor")
        return super().forward(tokens)


class ClaimsToBePresent(ReferenceFusion):
    def forward(self, tokens):
        fused = super().forward(tokens)
        return Fused(fused.embedding, torch.ones_like(fused.present), fused.by_modality, tokens)


class TwoStainsUndeclared(ReferenceFusion):
    def __init__(self, tokens, spec):
        super().__init__(tokens, spec)
        if len(tokens) != 2:
            raise RecipeError("TwoStainsUndeclared: takes two stains.")


class TwoStainsDeclared(TwoStainsUndeclared):
    exactly = 2


class LearnsFromUnknownLabels(ReferenceHead):
    def loss(self, prediction, batch):
        loss = nn.functional.cross_entropy(prediction.logits, batch.target.clamp(min=0), reduction="none")
        return {"classification": torch.where(prediction.present, loss, 0.0).sum() / len(batch)}


class LossIsNoScalar(ReferenceHead):
    def loss(self, prediction, batch):
        return {name: term.view(1) for name, term in super().loss(prediction, batch).items()}


class NeedsTwoPatches(SegmentMean):
    def weigh(self, bag):
        return (bag - bag.mean(0)) / bag.std(0) + bag


class MindsTheOrder(SegmentMean):
    def weigh(self, bag):
        return bag * torch.arange(len(bag), dtype=bag.dtype)[:, None]


class LeavesTraining(PlainExplainer):
    def explain(self, model, batch, target=None):
        model.train()
        return super().explain(model, batch, target)


class NoTerm(Objective):
    def losses(self, model, batch):
        return Outcome({}, model(batch))


class ShowsWhatIsHidden(SupervisedObjective):
    def step(self, model, shown, whole):
        return self.losses(model, whole)


EXACTLY = {
    UndocumentedOption: "options_are_documented",
    HalfANote: "weights_are_named",
    PositionalOption: "options_are_keyword_only",
    SharedDefault: "options_are_keyword_only",
    OneClassTooMany: "outputs_have_the_promised_shapes",
    ReadsAbsentRows: "absent_rows_are_not_read",
    NormalisesOverAbsentRows: "absent_rows_are_not_read",
    NaNGradients: "absent_rows_are_not_read",
    LooksAtOtherCases: "cases_are_independent",
    UnusedWeight: "every_parameter_gets_a_gradient",
    RemembersTheLastInput: "eval_is_deterministic",
    DrawsNumbers: "eval_leaves_global_state_alone",
    ChangesTheEnvironment: "eval_leaves_global_state_alone",
    KeepsStateOutsideTheStateDict: "state_dict_round_trips",
    CannotBePickled: "copies_answer_alike",
    AlwaysSingle: "number_types_work",
    NeedsBothStains: "one_stain_is_enough",
    ClaimsToBePresent: "nothing_present_is_said",
    TwoStainsUndeclared: "three_stains_work",
    LearnsFromUnknownLabels: "unlabelled_cases_do_not_count",
    LossIsNoScalar: "loss_terms_are_scalars",
    NeedsTwoPatches: "bags_of_any_length_work",
    MindsTheOrder: "patch_order_does_not_matter",
    LeavesTraining: "the_model_is_left_alone",
    NoTerm: "outputs_have_the_promised_shapes",
    ShowsWhatIsHidden: "the_model_is_shown_only_what_it_is_given",
}


def failures(component):
    return {result.name: result.reason for result in run_checks(component) if not result.passed}


@pytest.mark.parametrize("component", EXACTLY, ids=lambda component: component.__name__)
def test_a_broken_component_fails_exactly_its_check(component, monkeypatch):
    monkeypatch.setenv("PATHFUSE_TEST_TOUCHED", "")
    found = failures(component)
    assert set(found) == {EXACTLY[component]}, found
    assert all(found.values())


class LooksAtTheFirstToken(SegmentMean):
    """The mean patch, for whoever has bags of everything.

    Args:
        tokens: sizes of the tokens.
        spec: the data.
    """

    def looked_at(self, tokens):
        return list(tokens.values())[:1]


def test_a_block_that_neither_takes_nor_refuses_a_vector_beside_bags_is_found():
    results = run_checks(LooksAtTheFirstToken)
    assert {result.setting for result in results if not result.passed} == {"packed tokens and a vector"}


def test_encoders_for_each_modality_are_filled_in_by_name():
    results = run_checks(ByModality)
    assert {result.setting for result in results} - {""} == {
        "images",
        "bags of features",
        "vectors",
        "images and a vector",
        "bags of features and a vector",
    }
    assert all(result.passed for result in results), summary(results)


def test_a_fusion_block_for_exactly_two_stains_may_say_so():
    results = run_checks(TwoStainsDeclared)
    assert all(result.passed for result in results)
    assert "three_stains_work" not in {result.name for result in results}


def test_another_registered_name_is_a_failure(monkeypatch):
    entry = Component("pathfuse.head", "Small", f"{ReferenceHead.__module__}:ReferenceHead", "somebody")
    monkeypatch.setattr("pathfuse.testing.checks.declaration.components", lambda: iter([entry]))
    assert set(failures(ReferenceHead)) == {"the_name_is_the_class_name"}


class TakesNothing(ReferenceFusion):
    def __init__(self, tokens, spec):
        raise RecipeError("TakesNothing: the data is too small. Collect more.")


class DoesNotStart(ReferenceFusion):
    def __init__(self, tokens, spec):
        raise ZeroDivisionError("oops")


@pytest.mark.parametrize(
    ("component", "cause"), [(TakesNothing, "too small"), (DoesNotStart, "ZeroDivisionError: oops")]
)
def test_a_component_that_cannot_be_built_says_why(component, cause):
    found = failures(component)
    assert set(found) == {"it_can_be_built"} and cause in found["it_can_be_built"]


def test_a_cause_that_two_checks_met_at_different_cases_is_one():
    said = "CaseTableError: case {} has a sample of 'x', which modality_specs does not name."
    results = [CheckResult("Lab", f"check_{n}", "a cohort", "failed", said.format(f"c{n}")) for n in (5, 2)]
    results.append(CheckResult("Lab", "check_3", "a cohort", "failed", "another"))
    first, second = by_cause(results)
    assert (first.reason, first.checks, first.count) == (said.format("c5"), ("check_5", "check_2"), 2)
    assert second.reason == "another"


class WantsAWidth(ReferenceFusion):
    def __init__(self, tokens, spec, *, width: int):
        super().__init__(tokens, spec)
        self.width = width


def test_an_option_without_a_default_is_named_with_the_cure():
    found = failures(WantsAWidth)["it_can_be_built"]
    assert found.endswith("Give width a default, or say in example_options what the kit takes")
    assert "it_can_be_built" not in failures(Example(WantsAWidth, {"width": 3}))


def test_known_failures_are_declared_and_a_pass_is_reported():
    declared = Example(DrawsNumbers, expected_failures={"eval_leaves_global_state_alone": "draws for a reason"})
    assert failures(declared) == {}
    assert "draws for a reason" in summary(run_checks(declared))
    stale = Example(ReferenceHead, expected_failures={"eval_leaves_global_state_alone": "long repaired"})
    assert set(failures(stale)) == {"eval_leaves_global_state_alone"}


def test_known_failures_may_stand_on_the_class(monkeypatch):
    monkeypatch.setattr(DrawsNumbers, "known_failures", {"eval_leaves_global_state_alone": "why"}, raising=False)
    assert failures(DrawsNumbers) == {}


def test_the_summary_counts_checks_and_refuses_to_count_none():
    results = run_checks(ReferenceHead)
    assert f"ReferenceHead: {len(results)} checks ran, {len(results)} passed" in summary(results)
    assert "1 failed" in summary(run_checks(UndocumentedOption))
    with pytest.raises(PluginError, match="No check ran"):
        summary([])


def test_parametrisation_refuses_nothing_and_unknown_names():
    with pytest.raises(PluginError, match="no component"):
        parametrize_with_checks()
    with pytest.raises(PluginError, match="no check is called typo"):
        parametrize_with_checks(Example(ReferenceHead, expected_failures={"typo": "why"}))
    with pytest.raises(PluginError, match="is no component"):
        parametrize_with_checks(nn.Linear)


def test_parametrised_checks_run_in_every_accepted_setting_and_name_it():
    (values,) = [mark.values[0] for mark in parametrize_with_checks(OneClassTooMany).args[1] if "shapes" in mark.id]
    with pytest.raises(AssertionError, match=r"OneClassTooMany \(vector embedding\): logits has shape \(5, 5\)"):
        values()


def test_required_slots_are_filled_with_the_smallest_component():
    assert isinstance(Example(ImageEncoder).build(TWO_STAINS).backbone, ReferenceBackbone)


def test_failures_are_grouped_by_their_cause_and_the_way_to_say_no_is_shown():
    def result(name, setting, status="failed", reason="ValueError: no maps"):
        return CheckResult("Block", name, setting, status, "" if status == "passed" else reason)

    text = summary([
        result("a", "maps"), result("b", "maps"), result("b", "bags", "passed"), result("c", "maps", reason="other"),
    ])  # fmt: skip
    first, second, advice, last = text.splitlines()
    assert first == "failed: Block a, b (maps): ValueError: no maps [2 checks]" and second.endswith("c (maps): other")
    assert "fails in maps and passes in bags" in advice and "raise RecipeError" in advice
    assert last == "Block: 4 checks ran, 1 passed, 3 failed"
