"""Types and sizes that a component promised, held against what it returned, in one line that names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from pathfuse.core.components import Backbone, Encoder, Fusion, Head, ImageInput
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


def check_set(component: object) -> None:
    """Whether a component sets the attributes that its contract names and gives no default.

    Raises:
        PluginError: naming the component and the attributes.
    """
    if isinstance(component, nn.Module) and "_modules" not in vars(component):
        name = type(component).__name__
        raise PluginError(f"{name} does not call super().__init__() in its constructor. Call it first of all.")
    contracts = [kind for kind in type(component).__mro__ if kind.__module__.startswith("pathfuse.core.")]
    names = [name for kind in contracts for name in vars(kind).get("__annotations__", {})]
    if missing := sorted({name for name in names if not hasattr(component, name)}):
        name = type(component).__name__
        raise PluginError(
            f"{name} does not set {', '.join(missing)}, which every {contracts[0].__name__} has to. Set it in the "
            f"class or its constructor; `pathfuse plugins check {name}` shows more."
        )


def check_images(images: ImageInput, returned: object, cases: int) -> None:
    """Whether an input returned images of its `channels`, and which of them are real.

    Raises:
        PluginError: naming the input and what it returned.
    """
    if not (
        isinstance(returned, tuple | list) and len(returned) == 2 and all(isinstance(one, Tensor) for one in returned)
    ):
        raise _broken(images, f"returns {_kind(returned)}, and has to return the images and their presence")
    found, wanted = tuple(returned[0].shape), f"({cases}, {images.channels}, height, width)"
    if len(found) != 4 or found[:2] != (cases, images.channels):
        raise _broken(images, f"returns images of {found}, and promised {wanted}", "channels")


def check_features(backbone: Backbone, features: object, images: int) -> None:
    """Whether a backbone returned features of its `out_dim` and `layout`.

    Raises:
        PluginError: naming the backbone and both sizes.
    """
    if not isinstance(features, Tensor):
        raise _broken(backbone, f"returns {_kind(features)}, and has to return a tensor")
    _check(backbone, "features", features, backbone.out_dim, backbone.layout, images, "out_dim")


def check_terms(component: nn.Module, terms: object) -> None:
    """Whether a component gave its loss terms as scalars by name.

    Raises:
        PluginError: naming the component and the term.
    """
    _check_named(component, terms, _is_scalar, "loss term", "scalars", "a scalar")


def check_figures(component: nn.Module, figures: object) -> None:
    """Whether a component gave what is logged of a step as numbers by name.

    Raises:
        PluginError: naming the component and the figure.
    """
    _check_named(component, figures, _is_number, "metric", "numbers", "one number")


def _is_scalar(value: object) -> bool:
    return isinstance(value, Tensor) and not value.dim()


def _is_number(value: object) -> bool:
    return value.numel() == 1 if isinstance(value, Tensor) else isinstance(value, int | float)


def _check_named(
    component: nn.Module, values: object, fits: Callable[[object], bool], what: str, several: str, one: str
) -> None:
    name = type(component).__name__
    if not isinstance(values, Mapping):
        raise PluginError(f"{name} returns {_kind(values)} for {what}s, and has to return {several} by name.")
    for key, value in values.items():
        if not fits(value):
            found = f"of {tuple(value.shape)}" if isinstance(value, Tensor) else f"that is {_kind(value)}"
            raise PluginError(f"{name} returns a {what} {key!r} {found}, and has to return {one}.")


def _kind(found: object) -> str:
    """What something is, for a message."""
    if isinstance(found, Mapping):
        kinds = sorted({type(one).__name__ for one in found.values()})
        return f"a {type(found).__name__} of {', '.join(kinds) or 'nothing'}"
    return f"a {type(found).__name__}"


def _check(
    component: nn.Module, what: str, values: Tensor, dim: int, layout: str, cases: int, promise: str = "out"
) -> None:
    found = tuple(values.shape)
    counted = layout == "packed" or found[:1] == (cases,)
    if len(found) == _DIMS[layout] and found[1] == dim and counted:
        return
    rows = "patches" if layout == "packed" else str(cases)
    wanted = f"({rows}, {dim}{', height, width' if layout == 'map' else ''})"
    raise _broken(component, f"returns {what} of {found}, and promised {wanted}", promise)


def _broken(component: nn.Module, problem: str, promise: str = "out") -> PluginError:
    name = type(component).__name__
    promises = "" if isinstance(component, ImageInput) and promise == "out" else f"`{promise}` or "
    return PluginError(f"{name} {problem}. Correct {promises}`forward`; `pathfuse plugins check {name}` shows more.")


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "none"
