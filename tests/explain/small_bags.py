"""Three cases with bags of two stains on several slides, and a small model of them."""

import torch

from pathfuse.core import Bags, Batch, DataSpec, ModalitySpec, Model, SlideInfo
from pathfuse_mil.attention import AttentionFusion
from pathfuse_mil.encoder import BagEncoder
from tests.explain.small import CLASSES, LinearHead

DIM, EDGE = 5, 64
SPEC = DataSpec(tuple(ModalitySpec(stain, "features", DIM) for stain in ("he", "ihc")), CLASSES, (1, 1, 1, 1))
# Per case and stain, the slides with their numbers of patches.
CASES = {"a": {"he": [4, 3], "ihc": [5]}, "b": {"he": [2], "ihc": []}, "c": {"he": [], "ihc": [3, 2]}}


def make_bags(stain, coords=True, edge=EDGE, seed=0):
    draw = torch.Generator().manual_seed(seed)
    counts = [case[stain] for case in CASES.values()]
    total = sum(map(sum, counts))
    slides = tuple(
        tuple(SlideInfo(f"{case}{number}", 0.5, edge) for number in range(len(own[stain])))
        for case, own in CASES.items()
    )
    # Every slide has a corner of its own, so that a place says which slide it is of.
    places = [
        torch.stack([torch.arange(n) * EDGE + 1000 * (10 * row + slide), torch.full((n,), 7)], 1)
        for row, own in enumerate(counts)
        for slide, n in enumerate(own)
    ]
    return Bags(
        torch.randn(total, DIM, generator=draw),
        torch.tensor([sum(own) for own in counts]),
        torch.cat([torch.full((n,), slide) for own in counts for slide, n in enumerate(own)]),
        torch.cat(places) if coords else None,
        slides,
    )


def make_batch(**options):
    x = {stain: make_bags(stain, seed=seed, **options) for seed, stain in enumerate(SPEC.names)}
    present = {stain: own.lengths > 0 for stain, own in x.items()}
    return Batch({**x}, present, torch.tensor([0, 1, -1]), tuple(CASES), tuple(CASES))


def make_model(fusion=AttentionFusion):
    torch.manual_seed(0)
    encoder = BagEncoder(SPEC)
    made = fusion(encoder.out, SPEC)
    return Model(encoder, made, LinearHead(made.out, SPEC), SPEC).eval()
