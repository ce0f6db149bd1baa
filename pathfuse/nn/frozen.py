"""Encoders of which a part stays as it was loaded."""

from __future__ import annotations

from typing import Self

from torch import nn

from pathfuse.core import Encoder


class PartlyFrozen(Encoder):
    """An encoder that can keep a part of itself as it was loaded, batch statistics included."""

    def keep_frozen(self, part: nn.Module) -> None:
        """Trains the weights of a part no more, and leaves it in eval mode."""
        part.requires_grad_(False)
        # In a list, so that it is not registered a second time.
        self._frozen = [part]

    def train(self, mode: bool = True) -> Self:
        """Training mode, except for the frozen part."""
        super().train(mode)
        for part in getattr(self, "_frozen", ()):
            part.eval()
        return self
