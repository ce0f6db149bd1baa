"""Times explainers against a pass forward and backward, and the files of a slide of 100,000 patches.

python -m benchmarks.bench_explain [--patches 64] [--processor-time]
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.harness import compare, options
from pathfuse.core import Bags, Batch, DataSpec, ModalitySpec, Model, SlideInfo
from pathfuse.explain import explain_cases
from pathfuse_captum.attending import Attention
from pathfuse_captum.gradcam import GradCAM
from pathfuse_captum.gradients import IntegratedGradients
from pathfuse_heads.softmax import SoftmaxHead
from pathfuse_images.encoder import ImageEncoder
from pathfuse_images.fusion import MeanFusion
from pathfuse_images.inputs import Single
from pathfuse_mil.attention import AttentionFusion
from pathfuse_mil.encoder import BagEncoder
from pathfuse_timm.backbone import TimmBackbone

CLASSES = ("0", "1+", "2+", "3+")
PATCHES, EDGE_PX, STEPS = 64, 256, 16
LARGE, DIM = 100_000, 512


def image_model(network: str, patches: int) -> tuple[Model, Batch]:
    """A conv net on H&E, and random patches for it."""
    spec = DataSpec((ModalitySpec("he", "image", 3, EDGE_PX),), CLASSES, (1, 1, 1, 1))
    backbone = partial(TimmBackbone, name=network)
    encoder = ImageEncoder(spec, backbone=backbone, input=Single)
    fusion = MeanFusion(encoder.out, spec)
    model = Model(encoder, fusion, SoftmaxHead(fusion.out, spec), spec).eval()
    return model, Batch.of_images(spec, {"he": torch.rand(patches, 3, EDGE_PX, EDGE_PX)})


def forward_and_backward(model: Model, batch: Batch) -> None:
    """What the explainers are measured by."""
    logits = model(batch).logits
    assert logits is not None
    logits.sum().backward()  # type: ignore[no-untyped-call]
    model.zero_grad()


def large_slide(clock: Callable[[], float]) -> None:
    """Writes every file of a slide of 100,000 patches and prints time and memory."""
    spec = DataSpec((ModalitySpec("he", "features", DIM),), CLASSES, (1, 1, 1, 1))
    encoder = BagEncoder(spec)
    fusion = AttentionFusion(encoder.out, spec)
    model = Model(encoder, fusion, SoftmaxHead(fusion.out, spec), spec).eval()
    side = int(LARGE**0.5) + 1
    places = torch.stack([torch.arange(LARGE) % side, torch.arange(LARGE) // side], 1) * 256
    info = ((SlideInfo("slide", 0.5, 256.0),),)
    bags = Bags(torch.rand(LARGE, DIM), torch.tensor([LARGE]), torch.zeros(LARGE, dtype=torch.long), places, info)
    batch = Batch({"he": bags}, {"he": torch.tensor([True])}, torch.tensor([0]), ("case",), ("patient",))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        start = clock()
        explain_cases(model, [batch], {"Attention": Attention()}, Path(folder), classes=CLASSES)
        seconds = clock() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{LARGE:,} patches to every format: {seconds:.1f} s, {(after - before) / 1024:.0f} MB more at its peak")


def main() -> None:
    """Prints the tables."""
    parser = options(__doc__ or "")
    parser.set_defaults(rounds=3)
    parser.add_argument("--patches", type=int, default=PATCHES, help="images in the batch")
    parser.add_argument("--processor-time", action="store_true", help="count what this process computes, not the time")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.processor_time else time.perf_counter
    large_slide(clock)
    model, batch = image_model("resnext50_32x4d", arguments.patches)
    compare(
        f"{arguments.patches} patches of {EDGE_PX} px, ResNeXt-50",
        {
            "forward and backward": lambda: forward_and_backward(model, batch),
            "GradCAM": lambda: GradCAM().explain(model, batch)["he"].sum(),
            f"IntegratedGradients, {STEPS} steps": lambda: (
                IntegratedGradients(steps=STEPS).explain(model, batch)["he"].sum()
            ),
        },
        baseline="forward and backward",
        rounds=arguments.rounds,
        markdown=arguments.markdown,
        clock=clock,
    )


if __name__ == "__main__":
    main()
