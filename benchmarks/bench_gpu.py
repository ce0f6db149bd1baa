"""Steps at the papers' sizes on a GPU, ours beside the plain form: `python -m benchmarks.bench_gpu`, `make bench-gpu`.

Correlate and predict steps of Corr-A-Net, WSMCL and gated attention at 10,000 to 100,000 patches, and a ViT-L of random
weights. `--tiny --device cpu` runs the same steps at sizes that say nothing, to see that they run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import timm
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torchmil.nn.attention import AttentionPool

from benchmarks.bench_correlate import WEIGHTS, components, pairs
from benchmarks.bench_explain import image_model
from benchmarks.measure.card import EDGE, Card, Step
from benchmarks.peers import plain_corrnet
from benchmarks.peers.looped_wsmcl import loss_of
from pathfuse.core import Bags, Batch, DataSpec, ModalitySpec, Model, SupervisedObjective, weighted_total
from pathfuse_corranet.objective import CorrelationObjective
from pathfuse_mil.attention import AttentionFusion
from pathfuse_mil.encoder import BagEncoder
from pathfuse_wsmcl.encoder import NystromEncoder
from pathfuse_wsmcl.heads import StainHeads
from pathfuse_wsmcl.macl import MACL

ROUNDS, LIMIT_S, WHOLE_S = 20, 4.0, 420.0  # of a step, of its rounds, and of everything
Steps = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Sizes:
    """What is computed: the papers' sizes, or tiny ones."""

    px: int = 256
    batch: int = 16
    width: int = 512
    patches: tuple[int, ...] = (10_000, 30_000, 100_000)
    k: int = 100
    images: int = 128
    network: str = "resnext50_32x4d"
    vit: str = "vit_large_patch16_224"
    compiled: bool = True


TINY = Sizes(32, 2, 16, (40,), 4, 2, "resnet10t", "vit_tiny_patch16_224", compiled=False)


def correlate(sizes: Sizes, device: torch.device) -> Steps:
    """The first stage of Corr-A-Net: forward and backward."""
    model, batch = components(16, sizes.px).train(), pairs(sizes.batch, sizes.px)
    plain = plain_corrnet.load(model).to(device)
    model, batch = model.to(device, memory_format=torch.channels_last), batch.to(device)
    objective = CorrelationObjective(correlation="channel", share_rows=True)
    x, y = batch.image("he"), batch.image("ihc")

    def ours() -> Tensor:
        return weighted_total(objective.losses(model, batch).terms, WEIGHTS)

    return {
        "plain, float32": lambda: plain_corrnet.loss(plain, x, y).backward(),
        **both(ours, device, sizes.compiled),
    }


def predict(sizes: Sizes, device: torch.device) -> Steps:
    """A classifier of patches: forward and backward."""
    model, batch = image_model(sizes.network, sizes.batch)
    model, batch = model.to(device, memory_format=torch.channels_last).train(), batch.to(device)

    def ours() -> Tensor:
        return sum(SupervisedObjective().losses(model, batch).terms.values(), torch.zeros((), device=device))

    return both(ours, device, sizes.compiled)


def wsmcl(sizes: Sizes, patches: int, device: torch.device) -> Steps:
    """One case of two stains: forward and backward."""
    spec = spec_of(sizes.width, "he", "ihc")
    encoder = NystromEncoder(spec, dropout=0.0)
    fusion = MACL(encoder.out, spec, k=sizes.k)
    model = Model(encoder, fusion, StainHeads(fusion.out, spec), spec).to(device)
    batch = case_of(patches, sizes.width, "he", "ihc").to(device)
    bags = {name: batch.bags(name)[0].values for name in batch.x}

    def ours() -> Tensor:
        return sum(SupervisedObjective().losses(model, batch).terms.values(), torch.zeros((), device=device))

    steps = both(ours, device, compiled=False)
    return {"plain, float32": lambda: loss_of(model, bags, batch.target, sizes.k)[0].backward(), **steps}


def attention(sizes: Sizes, patches: int, device: torch.device) -> Steps:
    """Gated attention after a projection: forward and backward."""
    spec = spec_of(2 * sizes.width, "he")
    encoder = BagEncoder(spec, dim=sizes.width).to(device)
    fusion = AttentionFusion(encoder.out, spec, gated=True).to(device)
    batch = case_of(patches, 2 * sizes.width, "he").to(device)
    project, pool = nn.Linear(2 * sizes.width, sizes.width), AttentionPool(sizes.width, 128, gated=True)
    project, pool = project.to(device), pool.to(device)
    values = batch.bags("he")[0].values
    return {
        "torchmil, float32": lambda: pool(torch.relu(project(values))[None]).sum().backward(),
        **both(lambda: fusion(encoder(batch)).embedding.sum(), device, compiled=False),
    }


def embed(sizes: Sizes, device: torch.device) -> Steps:
    """A foundation model's network over patches, without gradients."""
    net = timm.create_model(sizes.vit, num_classes=0).to(device).eval()
    images = torch.rand(sizes.images, 3, 224, 224, device=device)

    def run(do: Callable[[Tensor], Tensor], bf16: bool) -> Callable[[], Tensor]:
        def call() -> Tensor:
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                return do(images)

        return call

    steps: Steps = {"float32": run(net, bf16=False), "bfloat16": run(net, bf16=True)}
    if sizes.compiled:
        steps["bfloat16, compiled"] = run(torch.compile(net), bf16=True)
    return steps


def both(loss: Callable[[], Tensor], device: torch.device, compiled: bool) -> Steps:
    """Forward and backward of ours in float32 and bfloat16, and compiled."""

    def step(do: Callable[[], Tensor], bf16: bool) -> Callable[[], None]:
        def call() -> None:
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                value = do()
            value.backward()

        return call

    steps: Steps = {"ours, float32": step(loss, bf16=False), "ours, bfloat16": step(loss, bf16=True)}
    if compiled:
        steps["ours, bfloat16, compiled"] = step(torch.compile(loss), bf16=True)
    return steps


def spec_of(width: int, *names: str) -> DataSpec:
    return DataSpec(tuple(ModalitySpec(name, "features", width) for name in names), ("0", "1"), (1, 1))


def case_of(patches: int, width: int, *names: str) -> Batch:
    bags: dict[str, Tensor | Bags] = {n: Bags(torch.randn(patches, width), torch.tensor([patches])) for n in names}
    return Batch(bags, {name: torch.tensor([True]) for name in names}, torch.tensor([1]), ("case",), ("patient",))


def tables(sizes: Sizes, device: torch.device) -> Iterator[tuple[str, int, Steps]]:
    """Title, things per step and steps of every table, made one after another so that only one is in memory."""
    yield f"correlate, {sizes.batch} pairs of {sizes.px} px", sizes.batch, correlate(sizes, device)
    yield f"predict, {sizes.batch} patches, {sizes.network}", sizes.batch, predict(sizes, device)
    for patches in sizes.patches:
        yield f"WSMCL, {patches} + {patches} patches", 2 * patches, wsmcl(sizes, patches, device)
        yield f"gated attention, {patches} patches", patches, attention(sizes, patches, device)
    yield f"{sizes.vit}, {sizes.images} patches", sizes.images, embed(sizes, device)


def main(words: Sequence[str] | None = None) -> int:
    """Prints a table per step; says so where there is no GPU."""
    parser = argparse.ArgumentParser(description="Steps at the papers' sizes on a GPU.")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes that only show that everything runs")
    chosen = parser.parse_args(words)
    if chosen.device == "cuda" and not torch.cuda.is_available():
        print("no GPU: nothing was measured")
        return 0
    start, console = time.monotonic(), Console(width=120)
    torch.manual_seed(0)
    device = torch.device(chosen.device)
    card = Card(device, 64 if chosen.tiny else EDGE)
    console.print(str(card), highlight=False)
    for title, items, steps in tables(TINY if chosen.tiny else Sizes(), device):
        table = Table("variant", "ms", "per second", "share of the peak", "memory, MB", title=title)
        for name, call in steps.items():
            over = time.monotonic() - start > WHOLE_S
            table.add_row(name, *(["left out: out of time"] if over else row(card, call, items)))
        console.print(table, highlight=False)
    return 0


def row(card: Card, call: Callable[[], object], items: int) -> list[str]:
    try:
        found: Step = card.step(call, ROUNDS, LIMIT_S)
    except torch.OutOfMemoryError:
        return ["out of memory"]
    rate = items / found.seconds
    return [f"{found.seconds * 1e3:.1f}", f"{rate:,.0f}", f"{found.share:.2f}", f"{found.peak_mb:,.0f}"]


if __name__ == "__main__":
    raise SystemExit(main())
