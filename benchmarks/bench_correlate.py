"""One training step of the correlate stage against the plain form of the same network.

    python -m benchmarks.bench_correlate [--batch 16] [--size 256] [--dim 16]

A step is forward, backward and Adam. Both networks start from the same weights; their losses must agree to 1e-4 before
anything is timed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.measure.aims import Aim
from benchmarks.measure.harness import compare, options
from benchmarks.peers import plain_corrnet
from pathfuse.core import Batch, DataSpec, ModalitySpec, Model, weighted_total
from pathfuse_corranet.decoder import ReconstructionHead
from pathfuse_corranet.encoder import StainEncoder
from pathfuse_corranet.fusion import SEAttention
from pathfuse_corranet.objective import CorrelationObjective

WEIGHTS = {"joint": 1.0, "from_he": 1.0, "from_ihc": 1.0, "correlation": 1.5}
AIMS = [Aim("float32", 1.6, "speed", "plain float32"), Aim("bfloat16", 3.0, "speed", "plain float32")]


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


def agreement(losses: dict[str, float]) -> str:
    """In float32 the losses are those of the plain form."""
    plain = losses["plain float32"]
    for name, value in losses.items():
        if "bfloat16" not in name and abs(value - plain) > 1e-4:
            sys.exit(f"{name}: loss {value:.6f}, the plain form has {plain:.6f}")
    return "losses " + ", ".join(f"{name} {value:.6f}" for name, value in losses.items())


def main() -> None:
    parser = options("One training step of the correlate stage against the plain form of the same network.")
    for option, default in [("batch", 16), ("size", 256), ("dim", 16)]:
        parser.add_argument(f"--{option}", type=int, default=default)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads or torch.get_num_threads())
    runs = variants(pairs(chosen.batch, chosen.size), chosen.dim, chosen.size)
    compare(
        f"correlate step, batch {chosen.batch}, {chosen.size} px, d {chosen.dim}",
        runs,
        baseline="plain float32",
        rounds=chosen.rounds,
        check=agreement,
        products=True,
        aims=AIMS,
        markdown=chosen.markdown,
    )


if __name__ == "__main__":
    main()
