"""Types and sizes that a component promised, held against what it returned, in one line that names it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from pathfuse.core.components import Encoder, Fusion, Head
from pathfuse.core.spec import DataSpec
from pathfuse.core.tokens import Fused, Prediction, Tokens
from pathfuse.errors import PluginError

_DIMS = {"vector": 2, "map": 4, "packed": 2}


def check_tokens(encoder: Encoder, tokens: Mapping[str, Tokens], cases: int) -> None:
    """Whether an encoder returned the tokens of its `out`.

    Raises:
        PluginError: naming the encoder, the token, and both sizes.
    """
    if not isinstance(tokens, Mapping) or not all(isinstance(token, Tokens) for token in tokens.values()):
        raise _broken(encoder, f"returns {_kind(tokens)}, and has to return Tokens by name")
    if set(tokens) != set(encoder.out):
        raise _broken(encoder, f"returns the tokens {_listed(tokens)}, and its `out` says {_listed(encoder.out)}")
    for name, spec in encoder.out.items():
        _check(encoder, f"a token {name!r}", tokens[name].values, spec.dim, spec.layout, cases)


def check_fused(fusion: Fusion, fused: Fused, cases: int) -> None:
    """Whether a fusion block returned an embedding of the size of its `out`.

    Raises:
        PluginError: naming the block and both sizes.
    """
    if not isinstance(fused, Fused):
        raise _broken(fusion, f"returns {_kind(fused)}, and has to return Fused")
    _check(fusion, "an embedding", fused.embedding, fusion.out.dim, fusion.out.layout, cases)


def check_prediction(head: Head, prediction: Prediction, cases: int, spec: DataSpec | None) -> None:
    """Whether a head returned a score for every case and class.

    Raises:
        PluginError: naming the head and both sizes.
    """
    if not isinstance(prediction, Prediction):
        raise _broken(head, f"returns {_kind(prediction)}, and has to return a Prediction")
    if prediction.logits is not None and spec is not None:
        _check(head, "scores", prediction.logits, len(spec.classes), "vector", cases)


def check_out(component: Encoder | Fusion) -> None:
    """Whether a component says what it returns, which the next one is built for.

    Raises:
        PluginError: naming the component.
    """
    if not hasattr(component, "out"):
        raise _broken(component, "does not set `out` in its constructor, the size of what it returns")


def _kind(found: object) -> str:
    """What something is, for a message."""
    if isinstance(found, Mapping):
        kinds = sorted({type(one).__name__ for one in found.values()})
        return f"a {type(found).__name__} of {', '.join(kinds) or 'nothing'}"
    return f"a {type(found).__name__}"


def _check(component: nn.Module, what: str, values: Tensor, dim: int, layout: str, cases: int) -> None:
    found = tuple(values.shape)
    counted = layout == "packed" or found[:1] == (cases,)
    if len(found) == _DIMS[layout] and found[1] == dim and counted:
        return
    rows = "patches" if layout == "packed" else str(cases)
    wanted = f"({rows}, {dim}{', height, width' if layout == 'map' else ''})"
    raise _broken(component, f"returns {what} of {found}, and promised {wanted}")


def _broken(component: nn.Module, problem: str) -> PluginError:
    name = type(component).__name__
    return PluginError(f"{name} {problem}. Correct `out` or `forward`; `pathfuse plugins check {name}` shows more.")


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "none"
