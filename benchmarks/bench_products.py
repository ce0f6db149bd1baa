"""The library that `pathfuse.nn.product` asks, beside the other: `python -m benchmarks.bench_products`.

The rule goes by the maker of the processor and by size; here both libraries compute the shapes of our models.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.measure.aims import Aim
from benchmarks.measure.harness import compare, options
from pathfuse.nn import product, products

SHAPES = {  # rows, inner, columns
    "gates of a block": (2048, 1024, 256),
    "projection of a block": (2048, 1024, 512),
    "attention to landmarks": (2048, 64, 256),
    "weights of gates": (256, 2048, 1024),
    "between landmarks": (256, 256, 256),
    "small": (64, 64, 64),
}
AIMS = [Aim("as pathfuse chooses", 0.9, "speed", peer) for peer in ("torch", "oneDNN, private")]
SMALL = [Aim("as pathfuse chooses", 0.7, "speed", "torch")]  # the call itself takes a microsecond of its five


def main() -> None:
    arguments = options(__doc__ or "").parse_args()
    found = products._onednn()
    if found is None:
        sys.exit("this torch offers no private call of oneDNN, so there is nothing to choose")
    private: Callable[..., Tensor] = found
    for threads in [arguments.threads] if arguments.threads else sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(threads)
        for what, (rows, inner, columns) in SHAPES.items():
            a, b = torch.randn(rows, inner), torch.randn(columns, inner).mT
            compare(
                f"{what}: {rows} x {inner} x {columns}, {threads} threads",
                {
                    "torch": lambda a=a, b=b: a @ b,
                    "oneDNN, private": lambda a=a, b=b: private(a, b.mT, None, "none", [], ""),
                    "as pathfuse chooses": lambda a=a, b=b: product(a, b),
                },
                baseline="torch",
                rounds=arguments.rounds,
                products=True,
                aims=SMALL if what == "small" else AIMS,
                markdown=arguments.markdown,
            )


if __name__ == "__main__":
    main()
