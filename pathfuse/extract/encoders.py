"""From the name of an encoder to a network with weights, and to a digest that tells two of them apart."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from pathfuse.core import Backbone
from pathfuse.errors import RecipeError, WeightsError
from pathfuse.extract.trained import names_run, trained_backbone
from pathfuse.nn.weights import backbone_state, read_state
from pathfuse.registry import BACKBONES, cards

SEED = 0  # random weights are the same in every run, or no run could be resumed
OWN = "own"


@dataclass(frozen=True)
class LoadedEncoder:
    """A network ready to extract.

    Attributes:
        net: in eval mode, on the CPU.
        name: as the user gave it; of a trained run its folder's name.
        digest: hash of its weights and transforms.
        random: whether its weights are random.
        note: what a user should know about it; empty where there is nothing.
    """

    net: Backbone
    name: str
    digest: str
    random: bool
    note: str = ""


def load_encoder(
    name: str, weights: str | None, options: Mapping[str, object] | None = None, *, modality: str = "he"
) -> LoadedEncoder:
    """Builds an encoder.

    Args:
        name: a registered backbone, `timm:NAME`, `local-dir:FOLDER`, or the path of a trained run or its checkpoint.
        weights: a file or folder, `hub`, `random`, or `own` for a backbone that brings its own.
        options: further options of the backbone.
        modality: stain of the patches, for a run that has a backbone for each stain.

    Raises:
        WeightsError: if there are no weights, or they do not fit.
        PluginError: if nobody registered the name.
        RecipeError: if the backbone does not take an option.
        RunError: if a run cannot be used.
    """
    if ":" not in name and names_run(name):
        return _of_run(name, weights, options, modality)
    kind, arguments, weights = _resolve(name, weights)
    if weights is None:
        raise WeightsError(
            f"--encoder {name} has no weights. Give --weights with the path of a file or folder, `hub` to download "
            "them, or `random` to try the pipeline."
        )
    arguments |= options or {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        net = _build(kind, name, arguments, weights).eval()
    _refuse_maps(net, name)
    card = cards().get(type(net).__name__)
    note = f"{card.name}: {card.terms}." if card is not None and weights != "random" else ""
    return LoadedEncoder(net, card.name if card else name, digest_of(net), weights == "random", note)


def _of_run(name: str, weights: str | None, options: Mapping[str, object] | None, modality: str) -> LoadedEncoder:
    if weights not in (None, OWN):
        raise WeightsError(f"--encoder {name} brings its own weights. Leave out --weights {weights}.")
    if options:
        raise RecipeError(f"--encoder {name} is built as it was trained. Leave out --encoder.{next(iter(options))}.")
    if (Path(name).expanduser() / "config.json").is_file():
        raise WeightsError(f"{name} is a folder of weights and no run. Write --encoder local-dir:{name}.")
    trained = trained_backbone(name, modality)
    _refuse_maps(trained.net, name)
    return LoadedEncoder(trained.net, trained.name, digest_of(trained.net), False, trained.note)


def _refuse_maps(net: Backbone, name: str) -> None:
    if net.layout != "vector":
        raise RecipeError(f"--encoder {name} returns maps. Give it an option that pools them, for example global_pool.")


def _resolve(name: str, weights: str | None) -> tuple[type[Backbone], dict[str, object], str | None]:
    prefix, colon, rest = name.partition(":")
    if colon and prefix == "timm":
        return _registered("TimmBackbone"), {"name": rest}, weights
    if colon and prefix == "local-dir":
        if weights not in (None, rest):
            raise WeightsError(f"--encoder {name} has its weights in that folder. Leave out --weights {weights}.")
        folder = Path(rest).expanduser()
        if not folder.is_dir():
            raise WeightsError(f"--encoder {name}: there is no such folder. Correct the path.")
        return _registered("TimmBackbone"), {"name": f"local-dir:{folder}"}, str(folder)
    return _registered(name), {}, weights


def _registered(name: str) -> type[Backbone]:
    return cast(type[Backbone], BACKBONES.component(name).load())


def _build(kind: type[Backbone], name: str, arguments: dict[str, object], weights: str) -> Backbone:
    known = inspect.signature(kind).parameters
    unknown = [key for key in arguments if key not in known]
    if unknown:
        raise RecipeError(f"--encoder {name} takes no option {unknown[0]!r}. `pathfuse plugins show` lists them.")
    # Its signature was read from the class; options are the user's.
    make = cast(Callable[..., Backbone], kind)
    if "weights" in known:
        if weights == OWN:
            raise WeightsError(f"--weights own: {name} takes weights. Give a path, `hub` or `random`.")
        return make(3, weights=weights, **arguments)
    net = make(3, **arguments)
    if weights in ("random", OWN):
        return net
    if weights == "hub":
        raise WeightsError(f"--weights hub: {name} knows no hub. Give a path, `random`, or `own` if it brings its own.")
    try:
        net.load_state_dict(backbone_state(read_state(Path(weights).expanduser())))
    except RuntimeError as error:
        last = str(error).strip().splitlines()[-1].strip()[:200]
        raise WeightsError(f"--weights {weights}: do not fit {name} ({last}).") from error
    return net


def digest_of(net: Backbone) -> str:
    """SHA-256 of the class, its options, every tensor (normalisation included) and what shapes the input, in hex.

    Options count as `Backbone.settings` has them: not all of them show in a tensor, for example how maps are pooled.
    """
    found = hashlib.sha256()
    facts: dict[str, Any] = {"class": f"{type(net).__module__}.{type(net).__qualname__}", "out_dim": net.out_dim}
    facts |= {"size_px": net.size_px, "in_chans": net.in_chans, "scaling": "uint8 / 255"}
    facts |= {f"option {key}": value for key, value in net.settings().items()}
    found.update(repr(sorted(facts.items())).encode())
    for name, tensor in sorted(net.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        found.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        found.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
