import numpy as np
import pytest

from pathfuse.errors import RunError
from pathfuse.evaluate.calibrate.diagrams import Measured
from pathfuse.evaluate.calibrate.file import ENOUGH, Calibrators
from pathfuse.evaluate.calibrate.metrics import equivocal_metrics, promise_metrics, trust_metrics
from pathfuse.evaluate.her2 import in_order
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.predictions import SubsetPredictions
from pathfuse.runs.rows import Rows

SCORES = ("0", "1+", "2+", "3+")


def cases(n, seed=0, part="val", learned=True, sharpen=1.0):
    generator = np.random.default_rng(seed)
    prob = generator.dirichlet(np.ones(4), n)
    target = (generator.random(n)[:, None] > prob.cumsum(1)).sum(1).clip(max=3)
    prob = prob**sharpen / (prob**sharpen).sum(1, keepdims=True)
    names = tuple(f"c{row}" for row in range(n))
    rows = Rows(prob, prob.argmax(1), target, generator.random(n) if learned else prob.max(1))
    return SubsetPredictions(names, tuple(f"p{row}" for row in range(n)), (part,) * n, rows, learned)


def made(subsets, classes=SCORES, **options):
    chosen = {"target_risk": 0.3, "miss": 0.2, "confidence": "softmax", **options}
    return Calibrators.fit(subsets, classes, "predict/best.ckpt", **chosen)


def test_a_subset_with_enough_patients_has_its_own_calibration_and_others_share_one():
    sharp = cases(ENOUGH, sharpen=3.0)
    found = made({"he": sharp, "ihc": cases(ENOUGH - 1, 1)})
    assert list(found.own) == ["he"]
    assert found.of("he") == made({"he": sharp}).pooled.calibrator
    assert found.of("ihc") == found.of("ki67") == found.pooled.calibrator != found.of("he")
    assert (found.pooled.cases, found.pooled.patients) == (2 * ENOUGH - 1, ENOUGH)
    assert found.of("he").temperature.value > found.pooled.calibrator.temperature.value > 1


def test_cases_of_the_test_part_are_refused():
    with pytest.raises(RunError, match="validation part alone, but got cases of test"):
        made({"he": cases(60), "ihc": cases(60, part="test")})
    with pytest.raises(RunError, match="no labelled case"):
        made({})


def test_the_file_is_read_back_for_the_checkpoint_and_classes_it_belongs_to(tmp_path):
    found = made({"he": cases(60)})
    found.write(RunFolder(tmp_path))
    best, last = (tmp_path / "checkpoints" / "predict" / name for name in ("best.ckpt", "last.ckpt"))
    assert Calibrators.of_checkpoint(best, SCORES) == found
    assert Calibrators.of_checkpoint(last, SCORES) is None
    assert Calibrators.of_checkpoint(best, SCORES[::-1]) is None
    assert Calibrators.of_checkpoint(tmp_path / "best.ckpt", SCORES) is None


@pytest.mark.parametrize(
    ("classes", "ordered"),
    [
        (SCORES, True),
        (("0", "low", "high"), True),
        (("0", "ultra-low", "low", "high"), True),
        (("negative", "positive"), True),
        (("3+", "2+", "1+", "0"), False),
        (("luminal", "basal"), False),
    ],
)
def test_sets_keep_the_order_of_scores_and_of_no_other_names(classes, ordered):
    assert in_order(classes) is ordered
    assert made({"he": cases(60)}, ("a", "b", "c", "d")).pooled.calibrator.sets.ordered is False


def test_a_learned_confidence_decides_if_it_is_asked_to():
    own = cases(60)
    found = made({"he": own}, confidence="learned").of("he")
    answer = found(own.rows.prob, own.rows.confidence)
    assert (answer.confidence == own.rows.confidence).all()
    assert (answer.abstain == (own.rows.confidence < found.abstention.threshold)).all()


def test_calibration_repairs_what_it_was_shown_and_metrics_say_so():
    val, test = cases(400, sharpen=3.0), cases(800, 1, part="test", sharpen=3.0)
    calibrator = made({"he": val}).of("he")
    rows = test.rows
    measured = Measured(rows.prob, rows.target, None, calibrator(rows.prob))
    found = trust_metrics(measured) | promise_metrics(measured, calibrator, test.patient_ids, SCORES)
    assert found["calibrated/ece"] < found["ece"] / 2 and found["calibrated/log_loss"] < found["log_loss"]
    assert found["temperature"] == pytest.approx(3, rel=0.2)
    assert found["set_coverage"] == pytest.approx(0.8, abs=0.06)
    assert found["set_coverage_low"] < found["set_coverage"] < found["set_coverage_high"]
    assert found["risk_kept"] < 0.36 < found["risk_abstained"] and 0 < found["abstained"] < 1
    assert "aurc_learned" not in found


def test_equivocal_cases_are_reported_for_her2_scores_only():
    rows = cases(50).rows
    measured = Measured(rows.prob, rows.target)
    found = equivocal_metrics(measured, SCORES)
    assert found["equivocal/n"] == (rows.target == 2).sum()
    assert sum(found[f"equivocal/called/{name}"] for name in SCORES) == found["equivocal/n"]
    assert sum(found[f"equivocal/are/{name}"] for name in SCORES) == found["equivocal/predicted"]
    for classes in (("a", "b", "c", "d"), ("0", "1+", "low", "2+")):
        assert equivocal_metrics(measured, classes) == {}


def test_without_a_case_every_number_is_undefined():
    empty = cases(0).rows
    calibrator = made({"he": cases(60)}).of("he")
    measured = Measured(empty.prob.reshape(0, 4), empty.target, None, calibrator(empty.prob.reshape(0, 4)))
    found = trust_metrics(measured) | promise_metrics(measured, calibrator, (), SCORES)
    assert all(np.isnan(value) for name, value in found.items() if name != "temperature")
