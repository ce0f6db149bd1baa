"""The smallest components that attend: a transformer of one layer, and a pool of bags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn import functional as F

from pathfuse.core import (
    AttentionStep,
    Backbone,
    Batch,
    CamLayer,
    DataSpec,
    Encoder,
    Fused,
    FusedSpec,
    Head,
    Model,
    Prediction,
    Tokens,
    TokenSpec,
)
from pathfuse.core.bags import Bags
from pathfuse.nn import Bag, Pooled, PoolFusion, cleared, segment_softmax, segment_sum, watched_weights


class ReferenceTransformer(Backbone):
    """Patches of 8 pixels that attend to each other once, averaged.

    Args:
        in_chans: channels of the images.
    """

    def __init__(self, in_chans: int) -> None:
        super().__init__()
        self.in_chans, self.out_dim = in_chans, 8
        self.conv = nn.Conv2d(in_chans, 8, 8, stride=8)
        self.query_key = nn.Linear(8, 16)
        self.seen = nn.Identity()
        self.grid = (1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, D)."""
        maps = self.conv(images - 0.5)  # (N, D, h, w)
        self.grid = (maps.shape[2], maps.shape[3])
        tokens = maps.flatten(2).mT  # (N, n, D)
        query, key = self.query_key(tokens).chunk(2, 2)
        attention = self.seen((query @ key.mT).softmax(2)[:, None])  # (N, 1, n, n)
        mixed: Tensor = tokens + attention[:, 0] @ tokens
        return mixed.relu().mean(1)

    def cam_layer(self) -> CamLayer:
        """The convolution."""
        return CamLayer(self.conv, ())

    @contextmanager
    def watched(self) -> Iterator[list[AttentionStep]]:
        """The one attention."""
        steps: list[AttentionStep] = []

        def keep(_: nn.Module, __: tuple[Tensor, ...], weight: Tensor) -> None:
            tokens = weight.shape[-1]
            read = weight.new_full((tokens,), 1 / tokens)
            steps.append(AttentionStep((weight,), read, lambda row: row.view(-1, *self.grid)))

        handle = self.seen.register_forward_hook(keep)
        try:
            yield steps
        finally:
            handle.remove()


class _BagEncoder(Encoder):
    """A linear layer on patches and vectors."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.reads = spec.names
        self.nets = nn.ModuleDict({m.name: nn.Linear(m.width, 8) for m in spec.modalities})
        self.out = {m.name: TokenSpec(8, "packed" if m.in_bags else "vector") for m in spec.modalities}

    def forward(self, batch: Batch) -> dict[str, Tokens]:
        found = {}
        for name, net in self.nets.items():
            value, present = batch.x[name], batch.present[name]
            if isinstance(value, Bags):
                rows = net(cleared(value.values, present[value.owner])).tanh()
                found[name] = Tokens(rows, present & (value.lengths > 0), value.lengths)
            else:
                found[name] = Tokens(net(cleared(value, present)), present)
        return found


class ReferencePool(PoolFusion):
    """A linear score per patch, a softmax over the bag, and the weighted sum.

    Args:
        tokens: sizes of the tokens.
        spec: the data.
    """

    def __init__(self, tokens: dict[str, TokenSpec], spec: DataSpec) -> None:
        super().__init__(tokens, spec)
        self.score = nn.ModuleDict({n: nn.Linear(t.dim, 1) for n, t in tokens.items() if t.layout == "packed"})
        self.seen = nn.ModuleDict({name: nn.Identity() for name in self.score})

    def pool(self, name: str, bag: Bag) -> Pooled:
        """The weighted sum."""
        weight = self.seen[name](segment_softmax(self.score[name](bag.values), bag.lengths))  # (T', 1)
        return Pooled(segment_sum(weight, bag.values, bag.lengths).flatten(1), weight[:, 0])

    @contextmanager
    def watched(self) -> Iterator[dict[str, list[AttentionStep]]]:
        """The weights of the patches."""
        with watched_weights(self.seen) as steps:
            yield steps


class _Linear(Head):
    """One linear layer after a curve, so that integrated gradients have something to integrate."""

    def __init__(self, fused: FusedSpec, spec: DataSpec) -> None:
        super().__init__()
        self.classify = nn.Linear(fused.dim, len(spec.classes))

    def forward(self, fused: Fused) -> Prediction:
        return Prediction(fused.present, self.classify(F.gelu(cleared(fused.embedding, fused.present))))


def tiny_bag_model(spec: DataSpec) -> Model:
    """The smallest model of bags of features, with vectors beside them.

    Args:
        spec: the data.
    """
    encoder = _BagEncoder(spec)
    fusion = ReferencePool(encoder.out, spec)
    return Model(encoder, fusion, _Linear(fusion.out, spec))
