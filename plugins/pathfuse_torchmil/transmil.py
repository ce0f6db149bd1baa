"""TransMIL of torchmil: Nystrom self-attention with a class token and convolutions over a square of patches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pathfuse.core import AttentionStep, DataSpec, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.nn import How, NestedFusion, check_counts, check_shares
from pathfuse_torchmil.bagwise import BagwiseFusion, OneBag
from pathfuse_torchmil.library import torchmil_class


class TransMIL(BagwiseFusion):
    """Nystrom self-attention over the patches of a bag; the embedding is that of the class token.

    Patches should keep a fixed order, such as the raster of the slide: they are laid into a square and convolved.
    Outside of training `attention` is what the class token pays to each patch in the last layer; the approximation
    can make it negative, which is cut off, and it sums to one.

    Args:
        tokens: sizes of the encoder's tokens.
        spec: sizes of the data.
        dim: width of the patches after a linear layer, and of the embedding.
        layers: layers of attention, at least 2; the convolutions stand after the first.
        heads: attention heads; they divide `dim`.
        landmarks: patches that stand for all others in the attention; null is half of `dim`.
        inverse_steps: iterations of the pseudo-inverse.
        mlp: two layers after each attention.
        dropout: in those layers.
        fusion: joins the pooled modalities; null joins them as `join` says.
        join: without a fusion, `mean` over the modalities that a case has, or `concat` with zeros for an absent one.

    Source: Shao et al. 2021, arXiv:2106.00908; torchmil's `TransMIL`.
    Departs: of torchmil, our heads instead of one binary logit. torchmil's attention itself departs from the released
        code: no convolution of the values, no output projection, no dropout on it, and the first linear layer has no
        ReLU; `BagEncoder` with `dim` puts one before it.
    """

    explained_by: ClassVar[str] = "AttentionRollout"  # found the planted signal; the last layer alone did not
    example_options: ClassVar[dict[str, object]] = {"dim": 16, "heads": 2, "landmarks": 4}

    def __init__(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        *,
        dim: int = 512,
        layers: int = 2,
        heads: int = 8,
        landmarks: int | None = None,
        inverse_steps: int = 6,
        mlp: bool = False,
        dropout: float = 0.0,
        fusion: NestedFusion | None = None,
        join: How = "mean",
    ) -> None:
        counts = {"dim": dim, "heads": heads, "landmarks": landmarks, "inverse_steps": inverse_steps}
        check_counts("TransMIL", counts)
        check_shares("TransMIL", {"dropout": dropout})
        if layers < 2 or dim % heads:
            raise RecipeError(
                f"TransMIL: needs 2 layers or more and heads that divide dim, got {layers}, {heads}, {dim}."
            )
        transmil = torchmil_class("models", "TransMIL")

        def network(width: int) -> nn.Module:
            made: Any = transmil((width,), dim, layers, heads, landmarks, inverse_steps, dropout, mlp)
            made.classifier = nn.Flatten(1)  # hands on the class token
            for layer in made.layers:
                if not mlp:
                    layer.norm2 = nn.Identity()  # built, and never used
            return made  # type: ignore[no-any-return]

        super().__init__(tokens, spec, network, fusion, join, dict.fromkeys(tokens, dim))

    def pool_bag(self, network: nn.Module, bag: Tensor) -> OneBag:
        """The class token and, outside of training, what it pays to every patch."""
        if self.training:
            return OneBag(self._class_token(network, bag), None)
        layers: Any = network.get_submodule("layers")
        watched = layers[-1].att_module
        seen: list[Tensor] = []
        handle = watched.qkv_nn.register_forward_hook(lambda _module, _inputs, output: seen.append(output.detach()))
        try:
            embedding = self._class_token(network, bag)
        finally:
            handle.remove()
        return OneBag(embedding, class_attention(watched, seen[0][0], len(bag)))

    @contextmanager
    def watched(self) -> Iterator[dict[str, list[AttentionStep]]]:
        """Per stain, the attention of every layer as its three thin factors; the convolutions between are not in it."""
        with ExitStack() as stack:
            yield {name: stack.enter_context(_watched_layers(network)) for name, network in self.networks.items()}

    def _class_token(self, network: nn.Module, bag: Tensor) -> Tensor:
        # torchmil's pseudo-inverse multiplies by an identity in float32, which half precision refuses.
        half = bag.dtype.itemsize < 4
        with torch.autocast(bag.device.type, dtype=bag.dtype) if half else nullcontext():
            embedding: Tensor = network(bag[None])[0]  # (D,)
        return embedding


@torch.no_grad()
def class_attention(attention: Any, qkv: Tensor, patches: int) -> Tensor:  # noqa: ANN401
    """What the class token pays to each patch (n,): one row of the attention, which torchmil only makes as a whole.

    Args:
        attention: torchmil's `NystromAttention`.
        qkv: (padding + 1 + square, 3 D) queries, keys and values; the padding stands in front.
        patches: n, patches of the bag; the rest of the square repeats them.
    """
    first = _class_row(len(qkv), patches)
    to_marks, inverse, from_marks = nystrom_factors(attention, qkv, slice(first, first + 1))
    row = (to_marks @ inverse @ from_marks).mean(0)[0, first + 1 : first + 1 + patches].clamp(min=0)  # (n,)
    total = row.sum()
    return row / total if total > 0 else torch.full_like(row, 1 / patches)


def nystrom_factors(attention: Any, qkv: Tensor, rows: slice = slice(None)) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ANN401
    """Some rows of the attention as factors (heads, rows, m), (heads, m, m) and (heads, m, n').

    Args:
        attention: torchmil's `NystromAttention`.
        qkv: (n', 3 D) queries, keys and values.
        rows: of the queries.
    """
    qkv = qkv.float() if qkv.dtype.itemsize < 4 else qkv
    heads, marks = attention.n_heads, attention.n_landmarks
    query, key, _ = qkv.view(len(qkv), 3, heads, -1).permute(1, 2, 0, 3)  # (heads, n', d)
    query = query * attention.scale_factor
    marked_query, marked_key = (part.unflatten(1, (marks, -1)).mean(2) for part in (query, key))  # (heads, m, d)
    to_marks = (query[:, rows] @ marked_key.mT).softmax(-1)
    inverse = torchmil_class("nn.attention.nystrom_attention", "moore_penrose_iter_pinv")(
        (marked_query @ marked_key.mT).softmax(-1), attention.pinv_iterations
    )
    return to_marks, inverse, (marked_query @ key.mT).softmax(-1)


def _class_row(tokens: int, patches: int) -> int:
    """Where the class token stands among padded tokens: before the square of patches, which ends the row."""
    square = 1
    while square * square < patches:
        square += 1
    return tokens - square * square - 1


@contextmanager
def _watched_layers(network: nn.Module) -> Iterator[list[AttentionStep]]:
    """Within the block the network leaves the attention of every layer, bag by bag."""
    steps: list[AttentionStep] = []
    size: list[int] = []
    parts: list[Tensor] = []
    layers: Any = network.get_submodule("layers")

    def keep(attention: Any, mixed: Tensor) -> None:  # noqa: ANN401
        patches, qkv = size[-1], parts.pop()
        first = _class_row(len(qkv), patches)
        read = qkv.new_zeros(len(qkv))
        read[first] = 1
        factors = tuple(factor[None] for factor in nystrom_factors(attention, qkv))
        values = qkv.chunk(3, 1)[2].reshape(len(qkv), attention.n_heads, -1).transpose(0, 1)[None]  # (1, heads, n', d)
        places = slice(first + 1, first + 1 + patches)
        steps.append(AttentionStep(factors, read, lambda row: row[0, places], values, mixed))

    handles = [network.register_forward_pre_hook(lambda _module, inputs: size.append(inputs[0].shape[1]))]
    for layer in layers:
        inner = layer.att_module
        handles.append(inner.qkv_nn.register_forward_hook(lambda _module, _inputs, output: parts.append(output[0])))
        handles.append(inner.register_forward_hook(lambda module, _inputs, output: keep(module, output)))
    try:
        yield steps
    finally:
        for handle in handles:
            handle.remove()
