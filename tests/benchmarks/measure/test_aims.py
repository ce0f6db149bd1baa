"""What benchmarks are judged by, on figures that are made up and on products that can be counted by hand."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks import every
from benchmarks.measure.aims import KEPT_IN, Aim, Outcome, judge, noted
from benchmarks.measure.floor import floors, products
from pathfuse.nn import add_product, product
from pathfuse.nn.products import _onednn

FOUND = {
    "ours": SimpleNamespace(min_s=2.0, floor_s=1.5, peak_mb=50.0),
    "peer": SimpleNamespace(min_s=3.0, floor_s=1.5, peak_mb=40.0),
}


@pytest.mark.parametrize(
    ("aim", "reached", "met"),
    [
        (Aim("ours", 1.4, "speed", "peer"), "1.50", True),
        (Aim("ours", 0.8, "floor"), "0.75", False),
        (Aim("ours", 1.0, "memory", "peer"), "0.80", False),
    ],
)
def test_an_aim_is_a_ratio_to_a_peer_or_a_share_of_the_floor(aim, reached, met, monkeypatch, tmp_path):
    monkeypatch.setenv(KEPT_IN, str(tmp_path / "kept"))
    (outcome,) = judge("table", [aim], FOUND)
    assert (outcome.reached, outcome.met, outcome.share) == (reached, met, 0.75)
    assert noted(tmp_path / "kept") == [outcome]


def test_the_last_table_fails_where_an_aim_is_missed(capsys, monkeypatch):
    monkeypatch.setattr(every, "rates", lambda: "")
    rows = [("bench_a", Outcome("t", "x: 2", "2.10", met=True, share=0.8))]
    assert every.shown(rows) == 0
    assert every.shown([*rows, ("bench_b", Outcome("u", "y: 3", "1.00", met=False))]) == 1
    assert "MISSED" in capsys.readouterr().out


def test_a_benchmark_that_ends_badly_is_a_missed_aim(monkeypatch, tmp_path):
    monkeypatch.setattr("subprocess.run", lambda *args, **kwargs: SimpleNamespace(returncode=3))
    (outcome,) = every.outcomes("bench_none", Path(tmp_path / "kept"))
    assert not outcome.met and outcome.reached == "3"


@pytest.mark.parametrize("way", ["private", "public"])
def test_products_are_counted_by_precision_forward_and_backward(way, monkeypatch):
    monkeypatch.setattr("pathfuse.nn.products._ONEDNN", _onednn() if way == "private" else None)
    monkeypatch.setattr("pathfuse.nn.products.SMALLEST", 1)
    a, b = torch.randn(5, 7, requires_grad=True), torch.randn(7, 3)

    def call():
        (a @ b).sum().backward()
        product(a.detach(), b)
        add_product(torch.zeros(5, 3), a.detach(), b)
        return product(a.detach().bfloat16(), b.bfloat16())

    counted = products(call)
    assert counted.operations == {torch.float32: 4 * 2 * 5 * 7 * 3, torch.bfloat16: 2 * 5 * 7 * 3}
    assert counted.seconds > 0
    assert products(lambda: torch.ones(3) + 1).seconds == 0


def test_the_variant_with_the_fewest_products_sets_the_floor(monkeypatch):
    monkeypatch.setattr(
        "benchmarks.measure.floor.product_rate", lambda dtype: {torch.float32: 10.0, torch.bfloat16: 40.0}[dtype]
    )
    monkeypatch.setattr("benchmarks.measure.floor.bandwidth", lambda: 100.0)
    counted = {
        "plain": {torch.float32: 100},
        "twice": {torch.float32: 200},
        "mixed": {torch.float32: 100, torch.bfloat16: 100},
        "none": {},
    }
    assert floors(counted) == {"plain": 10.0, "twice": 10.0, "mixed": 6.25, "none": 0.0}
    assert floors(counted, bytes_moved=800)["mixed"] == 8.0
