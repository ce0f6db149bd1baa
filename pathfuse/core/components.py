"""The slots of a recipe. Third parties subclass these and name the class in an entry point of their package.

A slot is filled in a fixed order, and each constructor gets the sizes it needs as leading positional arguments:
`encoder(spec)`, `fusion(encoder.out, spec)`, `head(fusion.out, spec)`, `backbone(in_chans)`, `input(spec)`. Everything
after them is an option of the recipe: keyword-only, with a default, described in `Args:`.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from pathfuse.core.attention import AttentionStep
from pathfuse.core.batch import Batch
from pathfuse.core.tokens import Fused, FusedSpec, Layout, Prediction, Tokens, TokenSpec
from pathfuse.core.weights import Weighted


def _as_is(activation: Tensor) -> Tensor:
    return activation


@dataclass(frozen=True)
class CamLayer:
    """Where class-activation maps are read.

    Attributes:
        layer: the module whose output, or input, holds the activation.
        reads: the modalities that the map may be laid over.
        on_input: take the activation that enters the layer instead of the one that leaves it.
        to_map: turns the activation into a map (B, D, h, w); for a transformer it drops prefix tokens and reshapes.
    """

    layer: nn.Module
    reads: tuple[str, ...]
    on_input: bool = False
    to_map: Callable[[Tensor], Tensor] = _as_is


class Backbone(Weighted, nn.Module, ABC):
    """A network that turns images in [0, 1] into features and normalises its input itself.

    A subclass takes `in_chans` first and sets the attributes before its constructor returns.

    Attributes:
        in_chans: channels of the images it takes.
        out_dim: width D of its output.
        layout: `vector` if it returns (N, D), `map` if it returns (N, D, h, w).
        size_px: edge in pixels it was trained on; None if any size will do.
        mpp: micrometres per pixel it was trained on; None if unknown.
    """

    in_chans: int
    out_dim: int
    layout: Layout = "vector"
    size_px: int | None = None
    mpp: float | None = None

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] to features (N, D) or maps (N, D, h, w)."""

    def settings(self) -> dict[str, str | int | float]:
        """The options that are not at their defaults, for the digest that tells two encoders apart.

        Not every option shows in a tensor, for example how maps are pooled. These are the options that are kept as
        public attributes of the same name; where they come from and what the weights are shows in the tensors.
        """
        found: dict[str, str | int | float] = {}
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name, None)
            changed = name not in ("weights", "in_chans") and value != parameter.default
            if changed and isinstance(value, str | int | float):
                found[name] = value
        return found

    def cam_layer(self) -> CamLayer | None:
        """The layer for class-activation maps; its `reads` is filled in by the encoder. None if there is none."""
        return None

    @contextmanager
    def watched(self) -> Iterator[list[AttentionStep]]:
        """Within the block every pass leaves its attention in the list, layer by layer; nothing if there is none."""
        yield []

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """The parameters from the input to the output, for learning rates that differ by depth; one group if unsaid."""
        return [list(self.parameters())]


class ImageInput(Weighted, nn.Module, ABC):
    """Chooses what an image encoder looks at: one stain, several stacked, or a learned representation.

    A subclass takes the `DataSpec` first.

    Attributes:
        reads: the modalities it looks at.
        channels: channels C of the images it returns.
        name: key of the token that is made from it.
        explained_by: the explainer that `explain` takes where nobody names one; None takes Grad-CAM.
    """

    reads: tuple[str, ...]
    channels: int
    name: str
    explained_by: ClassVar[str | None] = None

    @abstractmethod
    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The images (B, C, H, W) in [0, 1], and (B,) bool which of them are real."""


class Encoder(Weighted, nn.Module, ABC):
    """Turns the modalities of a batch into tokens. A subclass takes the `DataSpec` first.

    Attributes:
        reads: the modalities it looks at; the others may be missing from a case altogether.
        out: the token streams it returns, by name.
        order_free: whether the order of patches in a bag changes nothing. The conformance kit reads it.
        explained_by: the explainer that `explain` takes where neither a user nor the fusion block names one; None takes
            that of what is read.
    """

    reads: tuple[str, ...]
    out: dict[str, TokenSpec]
    order_free: ClassVar[bool] = False
    explained_by: str | None = None

    @abstractmethod
    def forward(self, batch: Batch) -> dict[str, Tokens]:
        """Tokens by name; absent rows are not read."""

    def cam_layers(self) -> dict[str, CamLayer]:
        """Per token, the layer for class-activation maps; empty if there is none."""
        return {}

    @contextmanager
    def watched(self) -> Iterator[dict[str, list[AttentionStep]]]:
        """Within the block a pass leaves its attention per modality, layer by layer; nothing if there is none."""
        yield {}


class Fusion(Weighted, nn.Module, ABC):
    """Joins the tokens of a case. A subclass takes `encoder.out` and the `DataSpec` first.

    Attributes:
        out: size of what it returns.
        exactly: number of token streams it needs; None takes any number. The conformance kit reads it.
        order_free: whether the order of patches in a bag changes nothing. The conformance kit reads it.
        explained_by: the explainer that `explain` takes where nobody names one; None leaves it to the encoder.
    """

    out: FusedSpec
    exactly: ClassVar[int | None] = None
    order_free: ClassVar[bool] = False
    explained_by: ClassVar[str | None] = None

    @abstractmethod
    def forward(self, tokens: dict[str, Tokens]) -> Fused:
        """The tokens of B cases as one embedding each; absent rows are not read."""

    @contextmanager
    def watched(self) -> Iterator[dict[str, list[AttentionStep]]]:
        """Within the block a pass leaves its attention per token, layer by layer; nothing if there is none."""
        yield {}

    def loss(self, fused: Fused, batch: Batch) -> dict[str, Tensor]:
        """Own loss terms, for example a contrast between modalities. Every term is a scalar to be minimised."""
        return {}


class Head(Weighted, nn.Module, ABC):
    """Says something about a case. A subclass takes `fusion.out` and the `DataSpec` first.

    Attributes:
        needs_labels: whether its loss learns from labels; then training cases without one are left out.
    """

    needs_labels: ClassVar[bool] = True

    @classmethod
    def learns_from_all(cls, options: Mapping[str, object]) -> bool:
        """Whether with these options cases without a label teach too, and stay in training.

        Args:
            options: those of the recipe.
        """
        return not cls.needs_labels

    @abstractmethod
    def forward(self, fused: Fused) -> Prediction:
        """The prediction for B cases."""

    def loss(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Own loss terms. Every term is a scalar to be minimised; cases with target -1 do not count."""
        return {}
