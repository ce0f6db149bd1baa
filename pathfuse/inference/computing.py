"""Device and precision of predictions: the few options of a recipe's `trainer` that a trained model still needs."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from pathfuse.errors import RecipeError

WHOLE = ("16-true", "bf16-true", "64-true", "64", "transformer-engine", "transformer-engine-float16")
"""Precisions in which nothing stays in single precision, labels and probabilities among it."""
_MIXED = {"bf16": torch.bfloat16, "bf16-mixed": torch.bfloat16, "16": torch.half, "16-mixed": torch.half}
_PLAIN = ("None", "32", "32-true")


@dataclass(frozen=True)
class Computing:
    """Where a trained model computes, and how exactly. One process and one device predict.

    Args:
        accelerator: `cpu`, `gpu`, `cuda` or `mps`; `auto` takes a GPU where there is one.
        devices: how many devices trained, or their numbers; the first one predicts.
        precision: `32-true`, `bf16-mixed` or `16-mixed`.
    """

    accelerator: str = "auto"
    devices: list[int] | int | str = "auto"
    precision: int | str | None = None

    def device(self) -> torch.device:
        """The device.

        Raises:
            RecipeError: if there is none of that kind.
        """
        there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        wanted = {"auto": tuple(there), "gpu": ("cuda", "mps")}.get(self.accelerator, (self.accelerator,))
        kind = next((one for one in wanted if there.get(one)), None)
        if kind is None:
            known = ", ".join(one for one, is_there in there.items() if is_there)
            raise RecipeError(f"trainer.accelerator is {self.accelerator!r}; here are {known}. Choose one, or auto.")
        return torch.device(kind, self._number()) if kind == "cuda" else torch.device(kind)

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The precision as a block, as Lightning makes it in training.

        Raises:
            RecipeError: if it is not known, or converts everything.
        """
        word = str(self.precision)
        refuse_whole(word)
        if word in _PLAIN:
            return nullcontext()
        if word not in _MIXED:
            raise RecipeError(f"trainer.precision is {word!r}. Use 32-true, bf16-mixed or 16-mixed.")
        half = torch.bfloat16 if device.type == "cpu" else _MIXED[word]  # a CPU has no 16-mixed
        return torch.autocast(device.type, dtype=half)

    def _number(self) -> int:
        if isinstance(self.devices, list):
            return self.devices[0] if self.devices else 0
        first, comma, _ = str(self.devices).partition(",")
        return int(first) if comma and first.strip().isdecimal() else 0


def refuse_whole(precision: str) -> None:
    """Refuses a precision in which nothing stays in single precision.

    Raises:
        RecipeError: naming those that can be taken.
    """
    if precision in WHOLE:
        raise RecipeError(
            f"trainer.precision {precision} converts data and losses as well. Use 32-true, bf16-mixed or 16-mixed."
        )
