"""Encoders as they are, channels last, in bfloat16 and compiled: what each form gains, on one core.

    python -m benchmarks.trials.encoder_forms

Random weights; images of 224 px. The first call of a compiled network, in which it is compiled, is timed by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import timm
import torch
from rich.console import Console
from rich.table import Table

NETWORKS = {"vit_small_patch16_224": 8, "vit_large_patch16_224": 2, "resnet50": 8, "convnext_tiny": 8}
"""Name in timm to images of a batch."""


def seconds(call: Callable[[], object], rounds: int = 3) -> float:
    """The shortest time of the processor, after a call that is not counted."""
    call()
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return min(taken)


@torch.inference_mode()
def row(name: str, images: int) -> list[str]:
    """One network: seconds as it is, and how many times as fast the other forms are."""
    net, batch = timm.create_model(name, num_classes=0).eval(), torch.rand(images, 3, 224, 224)
    plain = seconds(lambda: net(batch))
    net, batch = net.to(memory_format=torch.channels_last), batch.to(memory_format=torch.channels_last)
    last = seconds(lambda: net(batch))
    with torch.autocast("cpu", torch.bfloat16):
        half = seconds(lambda: net(batch))
    compiled = torch.compile(net)
    began = time.perf_counter()
    compiled(batch)
    first = time.perf_counter() - began
    both = seconds(lambda: compiled(batch))
    return [name, f"{plain:.2f}", *(f"{plain / other:.2f}" for other in (last, half, both)), f"{first:.0f}"]


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    table = Table("network", "plain, s", "channels last", "and bfloat16", "channels last, compiled", "first call, s")
    for name, images in NETWORKS.items():
        table.add_row(*row(name, images))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
