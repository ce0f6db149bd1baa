"""Types and shapes of what a component returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from pathfuse.core import (
    Backbone,
    Encoder,
    Explainer,
    Fused,
    Fusion,
    Head,
    ImageInput,
    Objective,
    Outcome,
    Prediction,
    Tokens,
    TokenSpec,
)
from pathfuse.core.explainer import scored_size
from pathfuse.testing.answer import assert_finite
from pathfuse.testing.feed import Feed
from pathfuse.testing.trial import Subject, Trial


def outputs_have_the_promised_shapes(trial: Trial) -> None:
    """Types, sizes and finite values of everything that is returned, as the contract and the attributes say."""
    subject, feed = trial.build(), trial.feed()
    with torch.no_grad():
        _SHAPES[trial.slot](subject, feed)
    assert_finite(trial.answer(feed), "for ordinary input")


def loss_terms_are_scalars(trial: Trial) -> None:
    """Every loss term is a finite scalar attached to the graph, also for a batch without a label."""
    for feed in (trial.feed(), trial.feed().unlabelled(list(range(5)))):
        subject = trial.build(training=True)
        answer = trial.ask(subject, feed)
        for name, term in answer.terms.items():
            assert isinstance(term, Tensor) and term.dim() == 0, f"loss term {name} is no scalar tensor"
            assert torch.isfinite(term), f"loss term {name} is not finite"
            learns = any(weight.requires_grad for weight in subject.parameters())
            assert term.requires_grad or not learns, f"loss term {name} is cut off from the graph"


def _sized(what: str, value: Tensor, expected: tuple[int | None, ...]) -> None:
    assert isinstance(value, Tensor), f"{what} is a {type(value).__name__}, not a tensor"
    fits = value.dim() == len(expected) and all(
        want in (None, have) for want, have in zip(expected, value.shape, strict=False)
    )
    assert fits, (
        f"{what} has shape {tuple(value.shape)}, promised is {tuple('?' if n is None else n for n in expected)}"
    )


def _flags(what: str, value: Tensor, cases: int) -> None:
    _sized(f"present of {what}", value, (cases,))
    assert value.dtype == torch.bool, f"present of {what} is {value.dtype}, not bool"


def _by_layout(cases: int, spec: TokenSpec) -> tuple[int | None, ...]:
    shapes: dict[str, tuple[int | None, ...]] = {
        "vector": (cases, spec.dim),
        "map": (cases, spec.dim, None, None),
        "packed": (None, spec.dim),
    }
    return shapes[spec.layout]


def _backbone(subject: Subject, feed: Feed) -> None:
    backbone = cast(Backbone, subject.component)
    images = feed.batch.image(feed.batch.modalities[0])
    assert backbone.in_chans == images.shape[1], f"in_chans is {backbone.in_chans}, built for {images.shape[1]}"
    _sized("output", backbone(images), _by_layout(len(feed), TokenSpec(backbone.out_dim, backbone.layout)))


def _input(subject: Subject, feed: Feed) -> None:
    chooser = cast(ImageInput, subject.component)
    images, present = chooser(feed.batch)
    _sized("images", images, (len(feed), chooser.channels, None, None))
    _flags("images", present, len(feed))
    assert isinstance(chooser.name, str) and chooser.name, "name is empty"
    _reads(chooser.reads, feed)


def _reads(reads: tuple[str, ...], feed: Feed) -> None:
    unknown = set(reads) - set(feed.batch.modalities)
    assert reads and not unknown, f"reads is {reads}, and the data has {feed.batch.modalities}"


def _encoder(subject: Subject, feed: Feed) -> None:
    encoder = cast(Encoder, subject.component)
    tokens = encoder(feed.batch)
    assert set(tokens) == set(encoder.out), f"returns tokens {sorted(tokens)}, and out promises {sorted(encoder.out)}"
    for name, spec in encoder.out.items():
        _token(name, tokens[name], spec, len(feed))
    _reads(encoder.reads, feed)


def _token(name: str, token: Tokens, spec: TokenSpec, cases: int) -> None:
    assert isinstance(token, Tokens), f"token {name} is a {type(token).__name__}, not Tokens"
    _sized(f"token {name}", token.values, _by_layout(cases, spec))
    _flags(f"token {name}", token.present, cases)
    packed = spec.layout == "packed"
    assert (token.lengths is not None) == packed, (
        f"token {name} is {spec.layout}: lengths {'missing' if packed else 'given'}"
    )
    if token.lengths is not None:
        _sized(f"lengths of token {name}", token.lengths, (cases,))
        assert int(token.lengths.sum()) == len(token.values), f"lengths of token {name} do not sum to its patches"


def _fusion(subject: Subject, feed: Feed) -> None:
    fusion = cast(Fusion, subject.component)
    fused = fusion(feed.tokens)
    assert isinstance(fused, Fused), f"returns a {type(fused).__name__}, not Fused"
    _sized("embedding", fused.embedding, _by_layout(len(feed), TokenSpec(fusion.out.dim, fusion.out.layout)))
    _flags("embedding", fused.present, len(feed))
    for name, spec in fusion.out.by_modality.items():
        assert name in fused.by_modality, f"out promises an embedding of {name}, and none is returned"
        _sized(f"embedding of {name}", fused.by_modality[name], _by_layout(len(feed), spec))


def _head(subject: Subject, feed: Feed) -> None:
    assert feed.fused is not None
    prediction = cast(Head, subject.component)(feed.fused)
    assert isinstance(prediction, Prediction), f"returns a {type(prediction).__name__}, not Prediction"
    _flags("prediction", prediction.present, len(feed))
    classes = 4
    if prediction.logits is not None:
        _sized("logits", prediction.logits, (len(feed), classes))
    if prediction.confidence is not None:
        _sized("confidence", prediction.confidence, (len(feed),))
        assert ((prediction.confidence >= 0) & (prediction.confidence <= 1)).all(), "confidence leaves [0, 1]"
    for name, logits in prediction.modality_logits.items():
        _sized(f"logits of {name}", logits, (len(feed), classes))
    for name, view in prediction.reconstructions.items():
        _sized(f"reconstruction of {name}", view, (len(feed), None, None, None))


def _objective(subject: Subject, feed: Feed) -> None:
    assert subject.model is not None
    outcome = cast(Objective, subject.component).losses(subject.model, feed.batch)
    assert isinstance(outcome, Outcome), f"returns a {type(outcome).__name__}, not Outcome"
    assert outcome.terms, "there is no loss term"
    _flags("prediction", outcome.prediction.present, len(feed))
    for name, value in outcome.metrics.items():
        _sized(f"metric {name}", value, ())


def _explainer(subject: Subject, feed: Feed) -> None:
    assert subject.model is not None
    with torch.enable_grad():
        maps = cast(Explainer, subject.component).explain(subject.model, feed.batch)
    assert isinstance(maps, dict), f"returns a {type(maps).__name__}, not scores by modality"
    assert maps, "there are no scores"
    for name, values in maps.items():
        assert name in feed.batch.modalities, f"scores of {name}, and the data has {feed.batch.modalities}"
        _sized(f"scores of {name}", values, scored_size(feed.batch.x[name]))


_SHAPES: dict[str, Callable[[Subject, Feed], None]] = {
    "backbone": _backbone,
    "input": _input,
    "encoder": _encoder,
    "fusion": _fusion,
    "head": _head,
    "objective": _objective,
    "explainer": _explainer,
}
