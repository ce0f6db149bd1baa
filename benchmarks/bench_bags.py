"""Bags: contrast, WSMCL step, attention pooling, inference on a very large bag.

`python -m benchmarks.bench_bags` times (a) to (c), with one thread and with all; `--large 500000` adds (d), with a file
of 1 GB, in minutes.
"""

import json
import subprocess
import sys

import torch
from torchmil.nn.attention import AttentionPool

from benchmarks.measure.aims import Aim, Outcome, note
from benchmarks.measure.harness import compare, options
from benchmarks.peers.looped_wsmcl import looped_contrast, loss_of
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
ONE, PADDED = "torchmil, one by one", "torchmil, padded"
FLOOR = Aim("ours", 0.8, "floor")
LESS = Aim("ours", 1.0, "memory", ONE)
AIMS = {
    "contrast": [Aim("closed form", 10, "speed", "loop")],
    "wsmcl": [
        Aim("ours", 0.7, "floor"),
        Aim("ours, bf16", 0.6, "floor"),
        Aim("ours", 1.0, "memory", "direct"),
    ],
    "eight bags": [Aim("ours", 1.0, "speed", ONE), Aim("ours", 3.0, "speed", PADDED), FLOOR, LESS],
    "projected": [Aim("ours", 1.15, "speed", ONE), FLOOR, LESS],
    "small bags": [Aim("ours", 1.5, "speed", ONE), LESS],
    "large": {"times per patch of 10,000": 1.3, "GB": 3.0},
}
MIXED = "8 bags of 584 to 11,752 patches of width 1,024"
BAGS = {  # lengths, width, width after a projection, title
    "eight bags": (LENGTHS, 1024, None, f"gated attention, {MIXED}"),
    "projected": (LENGTHS, 1024, 512, "gated attention after a trainable projection to 512"),
    "small bags": ((100,) * 64, 1024, None, "gated attention, 64 bags of 100 patches of width 1,024"),
}


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
        aims=AIMS["contrast"],
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
        f"(b) WSMCL step, {patches} + {patches} patches of width {WIDTH}, {threads()}",
        variants,
        baseline="direct",
        rounds=rounds,
        check=check,
        products=True,
        aims=AIMS["wsmcl"],
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


def attention(rounds, markdown, which):
    """Forward and backward of gated attention: packed, padded, and one bag after another."""
    lengths, width, dim, title = BAGS[which]
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
        ONE: lambda: step(lambda: torch.cat([pool(through(bag)[None]) for bag in values.split(lengths)])),
        PADDED: lambda: step(lambda: pool(through(padded), mask)),
        "ours": lambda: step(lambda: fusion(encoder(batch)).embedding),
    }
    compare(
        f"(c) {title}, {threads()}",
        variants,
        baseline=ONE,
        rounds=rounds,
        check=lambda out: agree((out[ONE],), (out["ours"],), 1e-3),
        products=True,
        aims=AIMS[which],
        markdown=markdown,
    )


def large(patches, threads):
    """(d): time per patch and memory on a bag of 10,000 and on a large one, each in a process of its own."""
    for which in ("attention", "wsmcl"):
        found = {}
        for size in (10_000, patches):
            words = [sys.executable, "-m", "benchmarks.measure.large_bag", which, str(size)]
            words += [f"--threads={threads}"] if threads else []
            answer = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
            found[size] = answer
            print(
                f"(d) {which}, {size} x 1024 float16: {answer['seconds']:.1f} s, {answer['us']:.1f} us per patch "
                f"({answer['cpu_us']:.1f} us of processor time), anonymous memory +{answer['mb']:.0f} MB"
            )
        reached = {
            "times per patch of 10,000": found[patches]["us"] / found[10_000]["us"],
            "GB": found[patches]["mb"] / 1e3,
        }
        for what, most in AIMS["large"].items():
            note(Outcome(f"(d) {which}", f"at most {most:g} {what}", f"{reached[what]:.2f}", reached[what] <= most))


def threads():
    count = torch.get_num_threads()
    return f"{count} thread{'s' * (count > 1)}"


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
    chosen = parser.parse_args()
    for count in [chosen.threads] if chosen.threads else sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(count)
        torch.manual_seed(0)
        if "a" in chosen.only:
            contrast(chosen.rounds, chosen.markdown)
        if "b" in chosen.only:
            wsmcl_step(chosen.rounds, chosen.markdown, chosen.patches, chosen.full_score)
        if "c" in chosen.only:
            for which in BAGS:
                attention(chosen.rounds, chosen.markdown, which)
    if chosen.large:
        large(chosen.large, chosen.threads)


if __name__ == "__main__":
    main()
