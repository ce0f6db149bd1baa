"""Bags: contrast, WSMCL step, attention pooling, inference on a very large bag.

`python -m benchmarks.bench_bags` times (a) to (c); `--large 500000` adds (d), with a file of 1 GB, in minutes.
"""

import json
import subprocess
import sys

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

    timings = compare(
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
    aims(timings, ("closed form", "loop", 10))


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
    timings = compare(
        f"(b) WSMCL step, {patches} + {patches} patches of width {WIDTH}",
        variants,
        baseline="direct",
        rounds=rounds,
        check=check,
        markdown=markdown,
    )
    aims(timings, ("ours", "direct", 2), ("ours, bf16", "direct", 3.5))


def selection_overlap(model, batch):
    with torch.no_grad():
        exact = model.encoder(batch)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.encoder(batch)
    for name, token in exact.items():
        for one, two in zip(extremes(token.score, K), extremes(mixed[name].score, K), strict=True):
            yield len(set(one.tolist()) & set(two.tolist())) / K


def attention(rounds, markdown, lengths, width, dim, title, least):
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
    timings = compare(
        title,
        variants,
        baseline="torchmil, one by one",
        rounds=rounds,
        check=lambda out: agree((out["torchmil, one by one"],), (out["ours"],), 1e-3),
        markdown=markdown,
    )
    aims(timings, *(("ours", peer, factor) for peer, factor in least.items()))


def large(patches, threads):
    """(d): time per patch and memory on a bag of 10,000 and on a large one, each in a process of its own."""
    for which in ("attention", "wsmcl"):
        found = {}
        for size in (10_000, patches):
            words = [sys.executable, "-m", "benchmarks.large_bag", which, str(size)]
            words += [f"--threads={threads}"] if threads else []
            answer = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
            found[size] = answer
            print(
                f"(d) {which}, {size} x 1024 float16: {answer['seconds']:.1f} s, {answer['us']:.1f} us per patch "
                f"({answer['cpu_us']:.1f} us of processor time), anonymous memory +{answer['mb']:.0f} MB"
            )
        slower, gigabytes = found[patches]["us"] / found[10_000]["us"], found[patches]["mb"] / 1e3
        print(f"    aim: at most 1.3 times the time per patch of 10,000: {slower:.2f}, {verdict(slower <= 1.3)}")
        print(f"    aim: anonymous memory below 3 GB: {gigabytes:.2f}, {verdict(gigabytes < 3)}")


def aims(timings, *wanted):
    """Says of every (variant, peer, factor) whether the variant is so many times as fast as the peer."""
    for name, peer, least in wanted:
        speed = timings[peer].median_s / timings[name].median_s
        print(f"    aim: {name} at least {least} times {peer}: {speed:.2f}, {verdict(speed >= least)}")


def verdict(reached):
    return "reached" if reached else "MISSED"


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
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    if "a" in chosen.only:
        contrast(chosen.rounds, chosen.markdown)
    if "b" in chosen.only:
        wsmcl_step(chosen.rounds, chosen.markdown, chosen.patches, chosen.full_score)
    if "c" in chosen.only:
        one, padded = "torchmil, one by one", "torchmil, padded"
        mixed = "8 bags of 584 to 11,752 patches of width 1,024"
        cases = (
            (LENGTHS, 1024, None, f"(c) gated attention, {mixed}", {padded: 3, one: 0.95}),
            (LENGTHS, 1024, 512, "(c) the same after a trainable projection to 512", {one: 1.3}),
            ((100,) * 64, 1024, None, "(c) 64 bags of 100 patches of width 1,024", {one: 1.2}),
        )
        for lengths, width, dim, title, least in cases:
            attention(chosen.rounds, chosen.markdown, lengths, width, dim, title, least)
    if chosen.large:
        large(chosen.large, chosen.threads)


if __name__ == "__main__":
    main()
