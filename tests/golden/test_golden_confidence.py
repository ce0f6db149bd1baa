import pytest
import torch

from pathfuse.core import Batch, DataSpec, FusedSpec, Prediction
from pathfuse_heads.budget import next_factor, two_level_factor
from pathfuse_heads.confidence import ConfidenceHead
from pathfuse_heads.hints import asking_price, cross_entropy, focal, hinted_confidence, hinted_probability
from pathfuse_heads.weighting import class_weights, weighted_mean
from tests.golden.vectors import DTYPES, assert_near, golden

VARIANTS = {
    "unweighted_mean": ("none", "cases"),
    "weighted_mean_n": ("inverse", "cases"),
    "weighted_mean_w": ("inverse", "weights"),
}


@pytest.fixture
def vectors():
    return golden("confidence")


def inputs(vectors, dtype):
    logits = torch.tensor(vectors["logits"], dtype=dtype, requires_grad=True)
    trust = torch.tensor(vectors["conf_logit"], dtype=dtype, requires_grad=True)
    return logits, trust, torch.tensor(vectors["y"])


def head(vectors, dtype, **options):
    counts = tuple(int(count) for count in vectors["class_counts"])
    spec = DataSpec((), tuple(str(index) for index in range(len(counts))), counts)
    options = {"start": float(vectors["lam"]), "budget": float(vectors["budget"]), **options}
    return ConfidenceHead(FusedSpec(3, "vector"), spec, **options).to(dtype)


def losses(head, logits, trust, target, may_ask, monkeypatch):
    """The head's own terms, with the hints of the vectors in place of drawn ones."""
    monkeypatch.setattr("pathfuse_heads.confidence.draw_hints", lambda confidence, _: may_ask.to(confidence.dtype))
    present = torch.ones_like(target, dtype=torch.bool)
    prediction = Prediction(present, logits, trust.sigmoid(), extra={"confidence_logit": trust})
    cases = tuple(str(row) for row in range(len(target)))
    return head.loss(prediction, Batch({}, {}, target, cases, cases))


def test_class_weights_are_the_inverse_counts(vectors):
    weight = class_weights(tuple(int(count) for count in vectors["class_counts"]), "inverse")
    assert_near(weight, vectors["class_weight"], torch.float32)


@DTYPES
@pytest.mark.parametrize("variant", VARIANTS)
def test_terms_and_gradients_of_the_head(vectors, dtype, variant, monkeypatch):
    logits, trust, target = inputs(vectors, dtype)
    class_weight, divisor = VARIANTS[variant]
    component = head(vectors, dtype, class_weight=class_weight, divisor=divisor)
    if class_weight == "inverse":
        component.class_weight.copy_(torch.tensor(vectors["class_weight"]))
    component.factor.fill_(float(vectors["lam"]))
    terms = losses(component, logits, trust, target, torch.tensor(vectors["b"]), monkeypatch)
    total = terms["classification"] + terms["confidence"]
    total.backward()
    assert_near(terms["classification"], vectors[f"{variant}/cls"], dtype)
    assert_near(terms["confidence"] / float(vectors["lam"]), vectors[f"{variant}/conf"], dtype)
    assert_near(total, vectors[f"{variant}/total"], dtype)
    assert_near(logits.grad, vectors[f"{variant}/grad_logits"], dtype)
    assert_near(trust.grad, vectors[f"{variant}/grad_conf_logit"], dtype)


@DTYPES
@pytest.mark.parametrize("variant", VARIANTS)
def test_hinted_probability_of_every_case(vectors, dtype, variant):
    logits, trust, target = inputs(vectors, dtype)
    confidence = trust.sigmoid()
    kept = hinted_confidence(confidence, torch.tensor(vectors["b"], dtype=dtype))
    assert_near(logits.softmax(1), vectors[f"{variant}/p"], dtype)
    assert_near(confidence, vectors[f"{variant}/c"], dtype)
    assert_near(kept, vectors[f"{variant}/c_hint"], dtype)
    assert_near(hinted_probability(logits.softmax(1), kept, target), vectors[f"{variant}/p_new"], dtype)


@DTYPES
@pytest.mark.parametrize(("name", "asking"), [("no_hints", 0.0), ("all_hints", 1.0)])
def test_nobody_and_everybody_may_ask(vectors, dtype, name, asking, monkeypatch):
    logits, trust, target = inputs(vectors, dtype)
    component = head(vectors, dtype, class_weight="none", divisor="cases")
    component.factor.fill_(float(vectors["lam"]))
    terms = losses(component, logits, trust, target, torch.full_like(trust, asking), monkeypatch)
    assert_near(terms["classification"], vectors[f"{name}/cls"], dtype)
    assert_near(terms["classification"] + terms["confidence"], vectors[f"{name}/total"], dtype)


@DTYPES
def test_factor_after_one_step_and_after_a_sequence(vectors, dtype):
    factor, budget = torch.tensor(vectors["lam"], dtype=dtype), float(vectors["budget"])
    spent = torch.tensor(vectors["unweighted_mean/conf"], dtype=dtype)
    assert_near(next_factor(factor, spent, budget), vectors["lambda_next_devries"], dtype)
    sequence = []
    # A tie with the budget is part of the vectors; float32 would break it.
    for price in vectors["lambda_sequence_conf"]:
        factor = next_factor(factor, torch.tensor(price), budget)
        sequence.append(factor)
    assert_near(torch.stack(sequence), vectors["lambda_sequence"], dtype)


@DTYPES
def test_released_form_is_focal_with_two_levels(vectors, dtype, monkeypatch):
    logits, trust, target = inputs(vectors, dtype)
    component = head(vectors, dtype, rule="released", task="focal", divisor="cases")
    component.class_weight.copy_(torch.tensor(vectors["class_weight"]))
    terms = losses(component, logits, trust, target, torch.tensor(vectors["b"]), monkeypatch)
    lam = float(vectors["released_focal/lam"])
    assert_near(terms["classification"], vectors["released_focal/task"], dtype)
    assert_near(terms["confidence"] / lam, vectors["released_focal/conf"], dtype)
    assert_near(terms["classification"] + terms["confidence"], vectors["released_focal/total"], dtype)


@DTYPES
def test_released_task_and_price_as_functions(vectors, dtype):
    logits, trust, target = inputs(vectors, dtype)
    kept = hinted_confidence(trust.sigmoid(), torch.tensor(vectors["b"], dtype=dtype))
    hinted = hinted_probability(logits.softmax(1), kept, target)
    weight = torch.tensor(vectors["class_weight"], dtype=dtype)
    assert_near(weighted_mean(focal(hinted, target), target, weight, "cases"), vectors["released_focal/task"], dtype)
    assert_near(asking_price(trust.sigmoid()).mean(), vectors["released_focal/conf"], dtype)
    plain = weighted_mean(cross_entropy(hinted, target), target, weight, "weights")
    assert_near(plain, vectors["weighted_mean_w/cls"], dtype)


def test_two_levels_at_and_above_the_border(vectors):
    high, low = torch.tensor(0.31, dtype=torch.float64), torch.tensor(0.30, dtype=torch.float64)
    assert_near(two_level_factor(high, 0.3), vectors["lambda_released_high"], torch.float64)
    assert_near(two_level_factor(low, 0.3), vectors["lambda_released_low"], torch.float64)
