"""The steps that are measured on a GPU, run on a CPU at sizes that only show that they run."""

import pytest
import torch

from benchmarks import bench_gpu
from benchmarks.measure.card import Card


def test_every_step_runs_at_tiny_sizes(capsys, monkeypatch):
    monkeypatch.setattr(bench_gpu, "ROUNDS", 1)
    assert bench_gpu.main(["--tiny", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    for title in ("correlate", "predict", "WSMCL", "gated attention", "vit_tiny"):
        assert title in said
    assert "left out" not in said and "out of memory" not in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_one_line_says_so(capsys):
    assert bench_gpu.main([]) == 0
    assert capsys.readouterr().out.startswith("no GPU")


def test_what_does_not_fit_is_a_row_and_no_end():
    def full():
        raise torch.OutOfMemoryError

    assert bench_gpu.row(Card(torch.device("cpu"), 8), full, 1) == ["out of memory"]
