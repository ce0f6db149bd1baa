"""Distillation by hand, what the teacher sees and what it may not change, for images and for bags."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from pathfuse.core import Model, stage_loader, weighted_total
from pathfuse.errors import RecipeError
from pathfuse.testing import TWO_BAGS, TWO_STAINS, synthetic_batch
from pathfuse.testing.reference import tiny_model
from pathfuse_corranet.decoder import ReconstructionHead
from pathfuse_corranet.encoder import StainEncoder
from pathfuse_corranet.fusion import SEAttention
from pathfuse_heads.softmax import SoftmaxHead
from pathfuse_mil.encoder import BagEncoder
from pathfuse_mil.pool import MeanPool
from pathfuse_teach.distillation import DistillationObjective, best_temperature


def of_images(seed):
    """Batch norm inside, so that a teacher in training mode would show."""
    torch.manual_seed(seed)
    encoder = StainEncoder(TWO_STAINS, dim=8, stem="none")
    fusion = SEAttention(encoder.out, TWO_STAINS)
    return decided(Model(encoder, fusion, SoftmaxHead(fusion.out, TWO_STAINS), TWO_STAINS))


def of_bags(seed):
    torch.manual_seed(seed)
    encoder = BagEncoder(TWO_BAGS, dim=8, dropout=0.5)
    fusion = MeanPool(encoder.out, TWO_BAGS)
    return decided(Model(encoder, fusion, SoftmaxHead(fusion.out, TWO_BAGS), TWO_BAGS))


def decided(model):
    """The model with scores that differ by more than rounding."""
    for weights in model.head.parameters():
        weights.data *= 20
    return model


KINDS = [pytest.param(of_images, TWO_STAINS, id="images"), pytest.param(of_bags, TWO_BAGS, id="bags")]
both_kinds = pytest.mark.parametrize(("make", "spec"), KINDS)


def taught_by(teacher, **options):
    with stage_loader(lambda _: teacher):
        return DistillationObjective(teacher="stage:teach", **options)


def some_cases(spec, labels=(0, -1, 2, -1, 3)):
    return replace(synthetic_batch(spec, 5), target=torch.tensor(labels))


@both_kinds
@pytest.mark.parametrize("doubt", ["entropy", "none"])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_term_is_the_divergence_of_soft_scores_case_by_case(make, spec, doubt, temperature):
    student, teacher, batch = make(0).eval(), make(1).eval(), some_cases(spec)
    shown = batch.keep("he")
    said, heard = teacher(batch).logits.tolist(), student(shown).logits.tolist()

    def soft(logits, t):
        powers = [math.exp(value / t) for value in logits]
        return [power / sum(powers) for power in powers]

    total = 0.0
    for own, other in zip(said, heard, strict=True):
        q, p, sharp = soft(own, temperature), soft(other, temperature), soft(own, 1.0)
        certainty = 1 + sum(x * math.log(x) for x in sharp) / math.log(4) if doubt == "entropy" else 1.0
        total += certainty * temperature**2 * sum(a * math.log(a / b) for a, b in zip(q, p, strict=True))
    objective = taught_by(teacher, temperature=temperature, doubt=doubt).eval()
    outcome = objective.step(student, shown, batch)
    assert outcome.terms["distillation"].item() == pytest.approx(total / 5, rel=1e-4)


@both_kinds
def test_a_label_counts_once_per_case_of_the_batch(make, spec):
    student, objective, batch = make(0).eval(), taught_by(make(1)).eval(), some_cases(spec)  # 3 of 5 have a label
    shown = batch.keep("he")
    known = shown.select(torch.tensor([0, 2, 4]))
    alone = student.head.loss(student(known), known)["classification"]  # the mean over the labelled cases
    assert_close(objective.step(student, shown, batch).terms["classification"], alone * 3 / 5)
    labelled = replace(batch, target=torch.tensor([0, 1, 2, 2, 3]))
    terms = objective.step(student, labelled.keep("he"), labelled).terms
    assert_close(terms["classification"], student.head.loss(student(shown), labelled.keep("he"))["classification"])


@both_kinds
def test_a_teacher_that_sees_nothing_new_changes_nothing(make, spec):
    student, batch = make(0).eval(), some_cases(spec)
    objective = taught_by(copy.deepcopy(student), sees=["he"]).eval()
    outcome = objective.step(student, batch.keep("he"), batch)
    assert_close(outcome.terms["distillation"], torch.tensor(0.0), atol=1e-6, rtol=0)
    outcome.terms["distillation"].backward()
    for weights in student.parameters():
        assert weights.grad is None or weights.grad.abs().max() < 1e-6


@both_kinds
def test_the_teacher_sees_what_is_hidden_from_the_student(make, spec):
    student, objective, batch = make(0).eval(), taught_by(make(1)).eval(), some_cases(spec)
    shown, other = (
        batch.keep("he"),
        replace(batch, x={**batch.x, "ihc": batch.select(torch.arange(4, -1, -1)).x["ihc"]}),
    )
    before, after = objective.step(student, shown, batch), objective.step(student, shown, other)
    assert_close(after.prediction.logits, before.prediction.logits)
    assert not torch.isclose(after.terms["distillation"], before.terms["distillation"])
    alone = taught_by(objective.teacher, sees=["he"]).eval()
    assert_close(
        alone.step(student, shown, other).terms["distillation"], alone.step(student, shown, batch).terms["distillation"]
    )


@both_kinds
def test_the_teacher_stays_as_it_was_trained(make, spec):
    student, teacher, batch = make(0), make(1), some_cases(spec)
    before = copy.deepcopy(teacher.state_dict())
    objective = taught_by(teacher).train()
    student.train()
    first, second = (objective.step(student.eval(), batch.keep("he"), batch).terms["distillation"] for _ in range(2))
    assert_close(first, second)  # no dropout, no batch statistics
    outcome = objective.step(student.train(), batch.keep("he"), batch)
    weighted_total(outcome.terms, dict.fromkeys(outcome.terms, 1.0)).backward()
    assert all(value.equal(before[name]) for name, value in teacher.state_dict().items())
    assert all(weights.grad is None for weights in teacher.parameters())
    assert any(weights.grad is not None and weights.grad.abs().sum() > 0 for weights in student.parameters())


def test_cases_without_labels_are_taught():
    student, objective = of_images(0), taught_by(of_images(1))
    batch = some_cases(TWO_STAINS, labels=(-1,) * 5)
    terms = objective.step(student, batch.keep("he"), batch).terms
    assert terms["classification"] == 0 and terms["distillation"] > 0


def test_a_case_that_lacks_a_stain_is_taught_only_if_said():
    student, teacher, batch = of_images(0).eval(), of_images(1).eval(), some_cases(TWO_STAINS)
    lacks = replace(batch, present={**batch.present, "ihc": torch.tensor([True, True, False, False, False])})
    whole, some = taught_by(teacher).eval(), taught_by(teacher, complete=False).eval()
    pairs = lacks.select(torch.tensor([0, 1]))
    expected = whole.step(student, pairs.keep("he"), pairs).terms["distillation"]
    assert_close(whole.step(student, lacks.keep("he"), lacks).terms["distillation"], expected)
    assert not torch.isclose(some.step(student, lacks.keep("he"), lacks).terms["distillation"], expected)
    none = batch.keep("he")
    assert whole.step(student, none, none).terms["distillation"] == 0


def test_a_teacher_in_doubt_teaches_nothing_by_entropy():
    student, sure = of_images(0).eval(), of_images(1).eval()
    doubtful = copy.deepcopy(sure)
    for weights in doubtful.head.parameters():
        torch.nn.init.zeros_(weights)
    batch = some_cases(TWO_STAINS)
    outcome = taught_by(doubtful, doubt="entropy").eval().step(student, batch.keep("he"), batch)
    assert_close(outcome.terms["distillation"], torch.tensor(0.0), atol=1e-6, rtol=0)
    assert_close(outcome.metrics["teacher_doubt"], torch.tensor(1.0))
    assert taught_by(doubtful).eval().step(student, batch.keep("he"), batch).terms["distillation"] > 0


def test_what_cannot_teach_is_refused():
    with pytest.raises(RecipeError, match="temperature is 0"):
        taught_by(of_images(0), temperature=0.0)
    with pytest.raises(RecipeError, match="sees names 'ki67', but stage:teach reads he, ihc"):
        taught_by(of_images(0), sees=["ki67"])
    with pytest.raises(RecipeError, match="sees names nothing"):
        taught_by(of_images(0), sees=[])
    with pytest.raises(RecipeError, match="can only be resolved inside a recipe"):
        DistillationObjective(teacher="stage:teach")
    batch = some_cases(TWO_STAINS)
    other = replace(TWO_STAINS, classes=("low", "high"), class_counts=(3, 4))
    teacher = tiny_model(other)
    teacher.spec = other
    with pytest.raises(RecipeError, match="teacher scores low, high, and this stage 0, 1"):
        taught_by(teacher).losses(of_images(0), batch)
    blind = of_images(1)
    blind.head = ReconstructionHead(blind.fusion.out, TWO_STAINS)
    with pytest.raises(RecipeError, match="head of the teacher gives none"):
        taught_by(blind).losses(of_images(0), batch)


def test_the_teacher_is_calibrated_on_labelled_validation_cases_alone():
    teacher = of_bags(2)
    objective = taught_by(teacher)
    right = teacher.eval()(some_cases(TWO_BAGS)).logits.argmax(1).tolist()
    # It errs in one of four, so that neither certainty nor doubt without end is best.
    batch = some_cases(TWO_BAGS, labels=(*right[:3], (right[3] + 1) % 4, -1))
    objective.prepare([batch.select(torch.tensor([0, 1])), batch.select(torch.tensor([2, 3, 4]))])
    logits = teacher.eval()(batch).logits[:4]
    losses = [
        torch.nn.functional.cross_entropy(logits / (objective.sharpness * factor), batch.target[:4]).item()
        for factor in (1.0, 0.9, 1.1)
    ]
    assert objective.sharpness != 1 and losses[0] == min(losses)
    model = of_bags(3)
    before = taught_by(teacher, calibrate=False)
    before.prepare([batch])
    assert before.sharpness == 1
    softer = objective.losses(model, batch).terms["distillation"]
    assert not torch.isclose(softer, before.losses(model, batch).terms["distillation"])


def test_a_teacher_without_an_error_keeps_its_scores():
    logits = torch.tensor([[3.0, 0.0], [0.0, 0.1]])
    assert best_temperature(logits, torch.tensor([0, 1])) == 1
    # One of four wrong at equal distance: the odds that fit are those of three in four.
    even = torch.tensor([[2.0, 0.0]] * 4)
    found = best_temperature(even, torch.tensor([0, 0, 0, 1]))
    assert_close(found, torch.tensor(2 / math.log(3)), rtol=1e-3, atol=0)
