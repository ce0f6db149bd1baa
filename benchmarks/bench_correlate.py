"""One training step of the correlate stage against the plain form of the same network.

    python benchmarks/bench_correlate.py [--batch 16] [--size 256] [--dim 16] [--repeats 5] [--threads 2] [--json FILE]

A step is forward, backward and Adam. Both networks start from the same weights; their losses must agree to 1e-4 before
anything is timed. Variants take turns, and the shortest of the repeats counts: noise only ever adds. The ratio that
counts is wall time on an idle machine; processor time is printed for busy ones.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from benchmarks import plain_corrnet  # noqa: E402
from pathfuse.core import Batch, DataSpec, ModalitySpec, Model, weighted_total  # noqa: E402
from pathfuse_corranet.decoder import ReconstructionHead  # noqa: E402
from pathfuse_corranet.encoder import StainEncoder  # noqa: E402
from pathfuse_corranet.fusion import SEAttention  # noqa: E402
from pathfuse_corranet.objective import CorrelationObjective  # noqa: E402

WEIGHTS = {"joint": 1.0, "from_he": 1.0, "from_ihc": 1.0, "correlation": 1.5}
WANTED = {"float32": 1.6, "bfloat16": 3.0}


def components(dim: int, size: int) -> Model:
    spec = DataSpec(tuple(ModalitySpec(m, "image", 3, size) for m in ("he", "ihc")), ("0", "1"), (1, 1))
    encoder = StainEncoder(spec, dim=dim, stem="none")
    fusion = SEAttention(encoder.out, spec)
    return Model(encoder, fusion, ReconstructionHead(fusion.out, spec))


def pairs(batch: int, size: int) -> Batch:
    """Smooth random images, like tissue: SSIM has structure to compare, and no pixel is special."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, batch, 3, size // 8, size // 8, generator=generator)
    he, ihc = (torch.nn.functional.interpolate(c, size=size, mode="bilinear") for c in coarse)
    there, names = torch.ones(batch, dtype=torch.bool), tuple(str(i) for i in range(batch))
    return Batch({"he": he, "ihc": ihc}, {"he": there, "ihc": there}, torch.zeros(batch).long(), names, names)


def step(parameters: list[Tensor], loss: Callable[[], Tensor], *, bf16: bool) -> Callable[[], float]:
    optimiser = torch.optim.Adam(parameters, 1e-4)

    def run() -> float:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            value = loss()
        value.backward()
        optimiser.step()
        return float(value.detach())

    return run


def variants(batch: Batch, dim: int, size: int) -> dict[str, Callable[[], float]]:
    x, y = batch.image("he"), batch.image("ihc")
    runs = {}
    for name, share, bf16 in [
        ("plain float32", None, False),
        ("float32, stacked", False, False),
        ("float32", True, False),
        ("bfloat16", True, True),
    ]:
        torch.manual_seed(0)
        model = components(dim, size).train()
        if share is None:
            plain = plain_corrnet.load(model)
            loss = lambda plain=plain: plain_corrnet.loss(plain, x, y)  # noqa: E731
            runs[name] = step(list(plain.parameters()), loss, bf16=bf16)
        else:
            objective = CorrelationObjective(correlation="channel", share_rows=share)
            loss = lambda m=model, o=objective: weighted_total(o.losses(m, batch).terms, WEIGHTS)  # noqa: E731
            runs[name] = step(list(model.parameters()), loss, bf16=bf16)
    return runs


def measure(runs: dict[str, Callable[[], float]], repeats: int) -> dict[str, tuple[float, float]]:
    """Per variant, the shortest wall time and processor time in seconds."""
    best = dict.fromkeys(runs, (float("inf"), float("inf")))
    for _ in range(repeats):
        for name, run in runs.items():
            wall, busy = time.perf_counter(), time.process_time()
            run()
            spent = (time.perf_counter() - wall, time.process_time() - busy)
            best[name] = (min(best[name][0], spent[0]), min(best[name][1], spent[1]))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, default in [("batch", 16), ("size", 256), ("dim", 16), ("repeats", 5), ("threads", 2)]:
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    runs = variants(pairs(options.batch, options.size), options.dim, options.size)
    losses = {name: run() for name, run in runs.items()}  # also the warm-up
    plain = losses["plain float32"]
    for name, value in losses.items():
        if "bfloat16" not in name and abs(value - plain) > 1e-4:
            sys.exit(f"{name}: loss {value:.6f}, the plain form has {plain:.6f}")
    seconds = measure(runs, options.repeats)
    sizes = f"batch {options.batch}, {options.size} px, d {options.dim}"
    print(f"{sizes}, {options.threads} threads, torch {torch.__version__}")
    plain_wall, plain_busy = seconds["plain float32"]
    for name, (wall, busy) in seconds.items():
        wanted = f"  (wanted {WANTED[name]}x)" if name in WANTED else ""
        times = (
            f"{wall * 1e3:7.0f} ms {plain_wall / wall:5.2f}x   processor {busy * 1e3:7.0f} ms {plain_busy / busy:5.2f}x"
        )
        print(f"{name:18s} {times}   loss {losses[name]:.6f}{wanted}")
    if options.json:
        record = {"machine": platform.processor(), "options": {**vars(options), "json": None}, "seconds": seconds}
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
