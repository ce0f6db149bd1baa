"""Absence is a mask: what lies in an absent row cannot change what a run says."""

from pathlib import Path

import pytest
import torch

import pathfuse
from pathfuse.core import Batch
from pathfuse.core.subsets import availability_subsets, drop_at_random
from tests.training.conftest import Run


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = {name: torch.rand(6, 3, 32, 32, generator=generator) for name in ("he", "ihc")}
    present = {"he": torch.ones(6, dtype=torch.bool), "ihc": torch.tensor([True, False] * 3)}
    ids = tuple("abcdef")
    return Batch(images, present, torch.tensor([0, 1, 2, 3, 0, 1]), ids, ids)


@pytest.mark.parametrize("value", [0.0, 1e3, float("nan")])
def test_the_payload_of_an_absent_stain_changes_nothing(fit: Run, batch: Batch, value: float) -> None:
    model = pathfuse.load(fit("run"))
    clean = model(batch)
    noisy = model(batch.fill("ihc", value))
    assert torch.equal(clean.logits, noisy.logits)
    assert torch.equal(clean.confidence, noisy.confidence)


def test_a_case_is_predicted_alike_alone_and_in_company(fit: Run, batch: Batch) -> None:
    model = pathfuse.load(fit("run"))
    together = model(batch).logits
    alone = torch.cat([model(batch.select(torch.tensor([row]))).logits for row in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_dropping_at_random_keeps_the_last_stain(batch: Batch) -> None:
    torch.manual_seed(0)
    gone = drop_at_random(batch, {"he": 1.0, "ihc": 1.0})
    assert all(torch.equal(gone.present[name], batch.present[name]) for name in batch.present)
    some = drop_at_random(batch, {"ihc": 1.0})
    assert some.present["he"].all() and not some.present["ihc"].any()


def test_dropping_at_random_follows_the_probability() -> None:
    ones = torch.ones(4000, dtype=torch.bool)
    images = torch.zeros(4000, 1)
    ids = ("x",) * 4000
    batch = Batch({"he": images, "ihc": images}, {"he": ones, "ihc": ones}, torch.zeros(4000).long(), ids, ids)
    torch.manual_seed(1)
    share = drop_at_random(batch, {"ihc": 0.3}).present["ihc"].float().mean()
    assert float(share) == pytest.approx(0.7, abs=0.03)


def test_every_combination_of_stains_is_tested_small_ones_first() -> None:
    assert availability_subsets(("he", "ihc")) == [("he",), ("ihc",), ("he", "ihc")]
    assert len(availability_subsets(("a", "b", "c"))) == 7


def test_a_run_without_an_optimiser_gets_adamw(fit: Run) -> None:
    assert "torch.optim.AdamW" in (Path(fit("run")) / "config.yaml").read_text()
