"""Inference on one memory-mapped float16 bag in a process of its own: prints time and memory as one JSON object.

    python -m benchmarks.measure.large_bag wsmcl 500000

A process each: memory that a former run gave back would hide what this one takes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import torch

from pathfuse.core import Bags, Batch, DataSpec, Encoder, Fusion, ModalitySpec
from pathfuse_mil.attention import AttentionFusion
from pathfuse_mil.encoder import BagEncoder
from pathfuse_wsmcl.encoder import NystromEncoder
from pathfuse_wsmcl.macl import MACL

WIDTH, ROWS = 1024, 10_000


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=["attention", "wsmcl"])
    parser.add_argument("patches", type=int, help="of width 1,024; a multiple of 10,000")
    parser.add_argument("--threads", type=int, default=None)
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    encoder, fusion = built(chosen.model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bag.bin"
        with path.open("wb") as file:
            for _ in range(0, chosen.patches, ROWS):
                file.write(torch.randn(ROWS, WIDTH).half().numpy().tobytes())
        values = torch.from_file(str(path), shared=False, size=chosen.patches * WIDTH, dtype=torch.float16)
        batch = one_case(Bags(values.view(chosen.patches, WIDTH), torch.tensor([chosen.patches])))
        with torch.no_grad():
            few = Bags(torch.randn(9000, WIDTH), torch.tensor([9000]))
            fusion(encoder(replace(batch, x={"he": few})))  # the warm-up
            before, peak = anonymous_mb(), Peak()
            start, cpu = time.perf_counter(), time.process_time()
            with peak:
                fusion(encoder(batch))
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    each = 1e6 / chosen.patches
    print(json.dumps({"us": seconds * each, "cpu_us": cpu * each, "mb": peak.highest - before, "seconds": seconds}))


def built(model: str) -> tuple[Encoder, Fusion]:
    """Encoder and fusion in eval mode."""
    spec = DataSpec((ModalitySpec("he", "features", WIDTH),), ("0", "1", "2", "3"), (1, 1, 1, 1))
    encoder: Encoder = NystromEncoder(spec) if model == "wsmcl" else BagEncoder(spec, dim=512)
    fusion = MACL(encoder.out, spec) if model == "wsmcl" else AttentionFusion(encoder.out, spec, gated=True)
    return encoder.eval(), fusion.eval()


def one_case(bags: Bags) -> Batch:
    """A batch of one case with H&E."""
    return Batch({"he": bags}, {"he": torch.tensor([True])}, torch.tensor([0]), ("case",), ("patient",))


class Peak:
    """Highest anonymous memory of this process while the block runs, sampled every 20 ms."""

    def __enter__(self) -> Peak:
        """Starts to look."""
        self.highest, self.running = 0.0, True
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self) -> None:
        """Looks until told to stop."""
        while self.running:
            self.highest = max(self.highest, anonymous_mb())
            time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops."""
        self.running = False
        self.thread.join()


def anonymous_mb() -> float:
    """RssAnon: pages of nobody else and of no file."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon"))) / 1024


if __name__ == "__main__":
    main()
