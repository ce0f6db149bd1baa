"""Bags: contrast, WSMCL step, attention pooling, inference on a very large bag.

`python -m benchmarks.bench_bags` times (a) to (c); `--large` adds (d), which writes a file of 1 GB and takes minutes.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import torch
from torchmil.nn.attention import AttentionPool

from benchmarks.harness import compare, options
from benchmarks.looped_wsmcl import looped_contrast, loss_of
from pathfuse.core import Bags, Batch, DataSpec, ModalitySpec, Model, SupervisedObjective
from pathfuse_mil.attention import AttentionFusion
from pathfuse_mil.encoder import BagEncoder
from pathfuse_wsmcl.contrast import contrast_terms
from pathfuse_wsmcl.encoder import NystromEncoder
from pathfuse_wsmcl.heads import StainHeads
from pathfuse_wsmcl.macl import MACL
from pathfuse_wsmcl.selection import Groups, extremes

LENGTHS = (584, 1320, 2104, 3217, 4800, 6511, 9030, 11752)
K, WIDTH = 100, 512


def contrast(rounds, markdown):
    rows = [torch.randn(2 * K, WIDTH, requires_grad=True) for _ in range(2)]
    scale = torch.tensor(1 / 0.07, requires_grad=True)
    groups = Groups(torch.arange(K), torch.arange(K, 2 * K))

    def step(loss):
        value = loss()
        return value.detach(), *torch.autograd.grad(value, [*rows, scale])

    compare(
        f"(a) contrast, k = {K}, width {WIDTH}, forward and backward",
        {
            "loop": lambda: step(lambda: looped_contrast(*rows, K, scale)),
            "closed form": lambda: step(lambda: contrast_terms(tuple(rows), (groups, groups), scale).mean()),
        },
        baseline="loop",
        rounds=rounds,
        check=lambda out: agree(out["loop"], out["closed form"], 1e-4),
        markdown=markdown,
    )


def wsmcl_step(rounds, markdown, patches, full_score):
    model, batch = wsmcl(WIDTH), pair_of_bags(patches)
    bags = {name: bag.values for name, bag in batch.x.items()}
    objective = SupervisedObjective()
    parameters = list(model.parameters())

    def ours(dtype=None):
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is not None):
            terms = objective.losses(model, batch).terms
        return finish(sum(terms.values()))

    def finish(loss):
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        return loss.detach(), *(parameter.grad for parameter in parameters)

    def check(out):
        note = agree(out["direct"], out["ours"], 1e-3)
        overlap = min(selection_overlap(model, batch))
        assert overlap >= 0.99, f"bf16 selects other patches: overlap {overlap}"
        return f"{note}; patches selected in bf16 and in float32: overlap {overlap:.3f}"

    variants = {"direct": lambda: finish(loss_of(model, bags, batch.target, K)[0]), "ours": ours}
    variants["ours, bf16"] = lambda: ours(torch.bfloat16)
    if full_score:
        variants["direct, A1 z A3 formed"] = lambda: finish(loss_of(model, bags, batch.target, K, full_score=True)[0])
    compare(
        f"(b) WSMCL step, {patches} + {patches} patches of width {WIDTH}",
        variants,
        baseline="direct",
        rounds=rounds,
        check=check,
        markdown=markdown,
    )


def selection_overlap(model, batch):
    with torch.no_grad():
        exact = model.encoder(batch)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.encoder(batch)
    for name, token in exact.items():
        for one, two in zip(extremes(token.score, K), extremes(mixed[name].score, K), strict=True):
            yield len(set(one.tolist()) & set(two.tolist())) / K


def attention(rounds, markdown, lengths, width, dim, title):
    """Forward and backward of gated attention: packed, padded, and one bag after another."""
    spec = spec_of({"he": width})
    encoder = BagEncoder(spec, dim=dim)
    fusion = AttentionFusion(encoder.out, spec, gated=True)
    pool = AttentionPool(dim or width, 128, gated=True)
    own = fusion.attentions["he"]
    for theirs, ours in ((pool.fc1, own.value), (pool.fc_gated, own.gate)):
        theirs.module.load_state_dict(ours.state_dict())
    pool.fc2.weight.data.copy_(own.weight.weight.data)
    project = encoder.projections["he"].linear if dim else None
    values = torch.randn(sum(lengths), width)
    bags = Bags(values, torch.tensor(lengths))
    here = torch.ones(len(lengths), dtype=torch.bool)
    batch = Batch({"he": bags}, {"he": here}, torch.zeros(len(lengths), dtype=torch.long), ("",), ("",))
    padded = torch.nn.utils.rnn.pad_sequence(values.split(lengths), batch_first=True)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    direction = torch.randn(len(lengths), dim or width)

    def through(features):
        return torch.relu(project(features)) if project else features

    def step(embedding):
        for module in (encoder, fusion, pool):
            module.zero_grad()
        (embedding() * direction).sum().backward()
        weight = own.value.weight.grad if own.value.weight.grad is not None else pool.fc1.module.weight.grad
        return weight

    variants = {
        "torchmil, one by one": lambda: step(
            lambda: torch.cat([pool(through(bag)[None]) for bag in values.split(lengths)])
        ),
        "torchmil, padded": lambda: step(lambda: pool(through(padded), mask)),
        "ours": lambda: step(lambda: fusion(encoder(batch)).embedding),
    }
    compare(
        title,
        variants,
        baseline="torchmil, one by one",
        rounds=rounds,
        check=lambda out: agree((out["torchmil, one by one"],), (out["ours"],), 1e-3),
        markdown=markdown,
    )


def large(patches, width, which):
    """Inference on one memory-mapped float16 bag, in this process: prints time per patch and the memory it took."""
    spec = spec_of({"he": width})
    if which == "wsmcl":
        encoder = NystromEncoder(spec)
        fusion = MACL(encoder.out, spec)
    else:
        encoder = BagEncoder(spec, dim=512)
        fusion = AttentionFusion(encoder.out, spec, gated=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bag.bin"
        with path.open("wb") as file:
            for _ in range(0, patches, 10_000):
                file.write(torch.randn(10_000, width).half().numpy().tobytes())
        values = torch.from_file(str(path), shared=False, size=patches * width, dtype=torch.float16)
        batch = Batch(
            {"he": Bags(values.view(patches, width), torch.tensor([patches]))},
            {"he": torch.tensor([True])},
            torch.tensor([0]),
            ("case",),
            ("patient",),
        )
        encoder.eval(), fusion.eval()
        few = Bags(torch.randn(9000, width), torch.tensor([9000]))
        with torch.no_grad():
            fusion(encoder(replace(batch, x={"he": few})))  # the warm-up
        before, peak = anonymous_mb(), Peak()
        start, cpu = time.perf_counter(), time.process_time()
        with torch.no_grad(), peak:
            fusion(encoder(batch))
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(
        f"(d) {which}, {patches} x {width} float16: {seconds:.1f} s, {seconds / patches * 1e6:.1f} us per patch "
        f"({cpu / patches * 1e6:.1f} us of processor time), "
        f"anonymous memory +{peak.highest - before:.0f} MB"
    )


class Peak:
    """Highest anonymous memory of this process while the block runs, sampled every 20 ms."""

    def __enter__(self):
        self.highest, self.running = 0.0, True
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while self.running:
            self.highest = max(self.highest, anonymous_mb())
            time.sleep(0.02)

    def __exit__(self, *_):
        self.running = False
        self.thread.join()


def anonymous_mb():
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon"))) / 1024


def wsmcl(width):
    torch.manual_seed(0)
    spec = spec_of({"he": width, "ihc": width})
    encoder = NystromEncoder(spec, dropout=0.0)
    fusion = MACL(encoder.out, spec, k=K)
    return Model(encoder, fusion, StainHeads(fusion.out, spec), spec)


def spec_of(widths):
    modalities = tuple(ModalitySpec(name, "features", width) for name, width in widths.items())
    return DataSpec(modalities, ("0", "1", "2", "3"), (1, 1, 1, 1))


def pair_of_bags(patches):
    torch.manual_seed(1)
    bags = {name: Bags(torch.randn(patches, WIDTH), torch.tensor([patches])) for name in ("he", "ihc")}
    return Batch(bags, {name: torch.tensor([True]) for name in bags}, torch.tensor([2]), ("case",), ("patient",))


def agree(one, two, allowed):
    error = max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-12)) for a, b in zip(one, two, strict=True))
    assert error <= allowed, f"outputs differ by {error:.1e}"
    return f"largest relative difference of losses and gradients {error:.1e}"


def main():
    parser = options(__doc__)
    parser.add_argument("--only", default="abc", help="which of a, b, c")
    parser.add_argument("--patches", type=int, default=10_000, help="patches per stain in (b)")
    parser.add_argument("--full-score", action="store_true", help="in (b), also form A1 z A3: 3 GB per stain")
    parser.add_argument("--large", type=int, default=0, help="(d) with this many patches of 1,024; 500000 in the issue")
    parser.add_argument("--which", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    if chosen.which:
        large(chosen.large, 1024, chosen.which)
        return
    if "a" in chosen.only:
        contrast(chosen.rounds, chosen.markdown)
    if "b" in chosen.only:
        wsmcl_step(chosen.rounds, chosen.markdown, chosen.patches, chosen.full_score)
    if "c" in chosen.only:
        cases = (
            (LENGTHS, 1024, None, "(c) gated attention, 8 bags of 584 to 11,752 patches of width 1,024"),
            (LENGTHS, 1024, 512, "(c) the same after a trainable projection to 512"),
            ((100,) * 64, 1024, None, "(c) 64 bags of 100 patches of width 1,024"),
        )
        for lengths, width, dim, title in cases:
            attention(chosen.rounds, chosen.markdown, lengths, width, dim, title)
    for which in ("attention", "wsmcl") if chosen.large else ():
        for patches in (10_000, chosen.large):
            # A process each: memory that a former run gave back would hide what this one takes.
            subprocess.run(
                [sys.executable, "-m", "benchmarks.bench_bags", "--which", which, "--large", str(patches)], check=True
            )


if __name__ == "__main__":
    main()
