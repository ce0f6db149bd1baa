"""Sources of pretrained weights: the hub, a file, a folder, or none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache
from timm.layers.mlp import SwiGLUPacked
from torch import Tensor, nn

from pathfuse.core import skips_pretrained
from pathfuse.errors import WeightsError
from pathfuse.nn import refuse_more_than_it_holds
from pathfuse.nn.hub import ask, first_line

HUB_FILES = ("model.safetensors", "pytorch_model.bin")
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True)
class Source:
    """What timm is asked for.

    Attributes:
        name: the name that timm knows the network by.
        pretrained: whether weights are loaded at all.
        overlay: entries of timm's pretrained configuration to replace.
        layers: arguments that are classes, which no config.json can carry.
    """

    name: str
    pretrained: bool
    overlay: dict[str, object] = field(default_factory=dict)
    layers: dict[str, Callable[..., nn.Module]] = field(default_factory=dict)


def find_weights(name: str, weights: str) -> Source:
    """Finds the weights of a network; touches the network for `hub` only, and not if a checkpoint follows.

    Args:
        name: a timm name, with or without a tag; `hf-hub:OWNER/MODEL` and `local-dir:FOLDER` too.
        weights: `random`, `hub`, or the path of a file or folder.

    Raises:
        WeightsError: if the weights are not there; the line names the other sources.
    """
    if weights == "random":
        if name.startswith("hf-hub:"):
            raise WeightsError(f"weights 'random': {name} is described on the hub only. Use `hub`, or a folder of it.")
        return Source(name, False)
    if weights == "hub":
        return _without(name) if skips_pretrained() else _from_hub(name)
    path = Path(weights.removeprefix("local-dir:")).expanduser()
    if path.is_dir():
        return _without_its_weights(path) if skips_pretrained() else _from_folder(path)
    if skips_pretrained():
        return Source(name, False)
    if path.is_file():
        return Source(name, True, _strict(read_state(path), name))
    raise WeightsError(
        f"weights {weights!r}: there is no such file or folder. Correct the path, or use `hub` or `random`."
    )


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a state dict saved by torch; never runs code from it.

    Raises:
        WeightsError: if the file is neither, or damaged.
    """
    try:
        if path.suffix != ".safetensors":
            with path.open("rb") as file:
                refuse_more_than_it_holds(file)
        state = timm.models.load_state_dict(str(path), weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        raise WeightsError(
            f"weights {path}: cannot be read as a state dict ({first_line(error)}). "
            "Save it with torch.save(model.state_dict()) or as .safetensors, or use `hub` or `random`."
        ) from error
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"weights {path}: holds no plain state dict. Save model.state_dict() alone.")
    return dict(state)


def _file_in(folder: Path) -> Path | None:
    candidates = [folder / name for name in HUB_FILES]
    candidates += sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def _from_folder(folder: Path) -> Source:
    config, found = folder / "config.json", _file_in(folder)
    if found is None or not config.is_file():
        raise WeightsError(
            f"weights {folder}: a folder needs config.json and model.safetensors as timm writes them. "
            "Give the path of a state dict, or use `hub` or `random`."
        )
    try:
        architecture = str(json.loads(config.read_text(encoding="utf-8"))["architecture"])
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"weights {config}: names no architecture. Save the folder with timm again.") from error
    state = read_state(found)
    return Source(f"local-dir:{folder}", True, {"source": "", **_strict(state, architecture)}, _layers(state))


def _without_its_weights(folder: Path) -> Source:
    # A checkpoint follows, and the weights may be gone; while they are there they tell what config.json cannot.
    found = _file_in(folder)
    return Source(f"local-dir:{folder}", False, layers=_layers(read_state(found)) if found else {})


def _layers(state: Mapping[str, Tensor]) -> dict[str, Callable[..., nn.Module]]:
    """The gated MLP of UNI2-h, Virchow and others: its first layer is twice as wide as its second."""
    first, second = (state.get(f"blocks.0.mlp.{layer}.weight") for layer in ("fc1", "fc2"))
    if first is None or second is None or first.shape[0] != 2 * second.shape[1]:
        return {}
    return {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU}


def _strict(state: Mapping[str, Tensor], name: str) -> dict[str, object]:
    # timm forgives every missing key as soon as the classifier is dropped. With the classifier taken out here and
    # no classes on either side it compares all keys, so a checkpoint of another network cannot pass for loaded.
    known = timm.models.get_pretrained_cfg(name)
    classifier = (known.classifier if known is not None else None) or ()
    layers = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    kept = {key: value for key, value in state.items() if key.rpartition(".")[0] not in layers}
    return {"state_dict": kept, "num_classes": 0, "label_offset": 0, "custom_load": False}


def _from_hub(name: str) -> Source:
    if name.startswith("hf-hub:"):
        repo = name.removeprefix("hf-hub:")
        config = _cached(repo, ("config.json",))
        if config is not None and _cached(repo, HUB_FILES) is not None:
            return Source(f"local-dir:{config.parent}", True)
        _need_network(name, constants.ENDPOINT)
        return Source(name, True)
    known = timm.models.get_pretrained_cfg(name)
    if known is None or not known.has_weights:
        raise WeightsError(f"weights 'hub': nobody published weights for {name}. Give a path, or use `random`.")
    files = (known.hf_hub_filename,) if known.hf_hub_filename else HUB_FILES
    url = known.url if isinstance(known.url, str) else ""
    cached = _cached(known.hf_hub_id, files) if known.hf_hub_id else _downloaded(url)
    if cached is not None and not known.custom_load:
        return Source(name, True, {"file": str(cached)})
    _need_network(name, constants.ENDPOINT if known.hf_hub_id else url)
    return Source(name, True)


def _without(name: str) -> Source:
    # What the hub alone describes has to be asked for there, if only for its layers.
    return replace(_from_hub(name), pretrained=False) if name.startswith("hf-hub:") else Source(name, False)


def _cached(repo: str, files: tuple[str, ...]) -> Path | None:
    for file in files:
        found = try_to_load_from_cache(repo, file)
        if isinstance(found, str):
            return Path(found)
    return None


def _downloaded(url: str) -> Path | None:
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
    return path if path.is_file() else None


def _need_network(name: str, url: str) -> None:
    try:
        ask(url)
    except Exception as error:  # every transport library has errors of its own
        raise offline(name, error) from error


def offline(name: str, error: Exception) -> WeightsError:
    """The one line for a hub that does not answer."""
    return WeightsError(
        f"weights 'hub': {name} cannot be downloaded ({first_line(error)}). Check the network, or set `weights` to "
        "the path of a .safetensors or .pth file, or to `random`."
    )
