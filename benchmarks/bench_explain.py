"""Times explainers against a pass forward and backward, and the files of a slide of 100,000 patches.

python -m benchmarks.bench_explain [--patches 64]
"""

from __future__ import annotations

import resource
import tempfile
from functools import partial
from pathlib import Path

import torch

from benchmarks.measure.aims import Aim, Outcome, note
from benchmarks.measure.harness import compare, options
from benchmarks.measure.machine import now
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
PEER = "forward and backward"
GRADIENTS = f"IntegratedGradients, {STEPS} steps"
AIMS = [Aim("GradCAM", 1 / 3, "speed", PEER), Aim(GRADIENTS, 1 / 20, "speed", PEER)]
WITHIN_S, WITHIN_MB = 10.0, 500.0


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


def large_slide() -> None:
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
        start = now()
        explain_cases(model, [batch], {"Attention": Attention()}, Path(folder), classes=CLASSES)
        seconds = now() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    more_mb, what = (after - before) / 1024, f"{LARGE:,} patches to every format"
    note(
        Outcome(what, f"under {WITHIN_S:g} s", f"{seconds:.1f} s", seconds < WITHIN_S),
        Outcome(what, f"under {WITHIN_MB:g} MB more", f"{more_mb:.0f} MB", more_mb < WITHIN_MB),
    )


def main() -> None:
    """Prints the tables."""
    parser = options(__doc__ or "")
    parser.set_defaults(rounds=1)  # integrated gradients of 64 images take minutes
    parser.add_argument("--patches", type=int, default=PATCHES, help="images in the batch")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    large_slide()
    model, batch = image_model("resnext50_32x4d", arguments.patches)
    compare(
        f"{arguments.patches} patches of {EDGE_PX} px, ResNeXt-50",
        {
            PEER: lambda: forward_and_backward(model, batch),
            "GradCAM": lambda: GradCAM().explain(model, batch)["he"].sum(),
            GRADIENTS: lambda: IntegratedGradients(steps=STEPS).explain(model, batch)["he"].sum(),
        },
        baseline=PEER,
        rounds=arguments.rounds,
        markdown=arguments.markdown,
        aims=AIMS,
    )


if __name__ == "__main__":
    main()
