"""An encoder for each modality, so that bags, images and vectors meet in one model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from torch import nn

from pathfuse.core import AttentionStep, Batch, CamLayer, DataSpec, Encoder, Tokens, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.nn import modality_of


class ByModality(Encoder):
    """Reads every modality with an encoder of its own.

    Each encoder is built as if its modality were the only one in the data, so none needs to be told what to read.
    The tokens go on as they are: bags as bags, and a table as a vector. Fusion blocks that average (`MeanFusion`,
    `ConcatFusion`, `TailFusion`) take any mixture. Those that pool bags (`AttentionFusion`, `MeanPool`, `CLAM` and the
    like) pool the bags and join a vector beside them; with `join: mean` all widths are equal, with `join: concat` not.
    `explain` takes the explainer that all its encoders name; where they differ, the usual one.

    Args:
        spec: sizes of the data.
        encoders: per modality, its encoder; modalities that are not named are not read.
    """

    def __init__(self, spec: DataSpec, *, encoders: dict[str, Callable[[DataSpec], Encoder]]) -> None:
        super().__init__()
        if not encoders:
            raise RecipeError(f"ByModality.encoders is empty; name an encoder for {', '.join(spec.names)}.")
        self.encoders = nn.ModuleDict()
        self.out: dict[str, TokenSpec] = {}
        chosen = {modality_of(spec, name, "ByModality.encoders").name for name in encoders}
        # In the order of the data: that of a recipe does not survive being written down.
        self.reads = tuple(name for name in spec.names if name in chosen)
        wanted: set[str | None] = set()
        for name in self.reads:
            encoder = encoders[name](replace(spec, modalities=(spec[name],)))
            twice = set(self.out) & set(encoder.out)
            if twice:
                raise RecipeError(
                    f"ByModality.encoders: {' and '.join(encoders)} both make a token called {twice.pop()}. "
                    "Leave one of them out."
                )
            self.encoders[name] = encoder
            self.out |= encoder.out
            wanted.add(encoder.explained_by)
        self.explained_by = wanted.pop() if len(wanted) == 1 else None

    def forward(self, batch: Batch) -> dict[str, Tokens]:
        """The tokens of all encoders."""
        tokens: dict[str, Tokens] = {}
        for encoder in self.encoders.values():
            tokens |= encoder(batch)
        return tokens

    def cam_layers(self) -> dict[str, CamLayer]:
        """The layers of all encoders."""
        layers: dict[str, CamLayer] = {}
        for encoder in self.encoders.values():
            assert isinstance(encoder, Encoder)
            layers |= encoder.cam_layers()
        return layers

    @contextmanager
    def watched(self) -> Iterator[dict[str, list[AttentionStep]]]:
        """The attention of all encoders."""
        with ExitStack() as stack:
            seen: dict[str, list[AttentionStep]] = {}
            for encoder in self.encoders.values():
                assert isinstance(encoder, Encoder)
                seen |= stack.enter_context(encoder.watched())
            yield seen
