"""Sources of pretrained weights: the hub, a file, a folder, or none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread
from typing import TypeVar
from urllib.parse import urlsplit

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.utils import get_session  # type: ignore[attr-defined]
from torch import Tensor

from pathfuse.core import skips_pretrained
from pathfuse.errors import WeightsError

T = TypeVar("T")

# A name server that never answers blocks its caller for minutes, whatever timeout the request carries.
PATIENCE_S = 5.0
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True)
class Source:
    """What timm is asked for.

    Attributes:
        name: the name that timm knows the network by.
        pretrained: whether weights are loaded at all.
        overlay: entries of timm's pretrained configuration to replace.
    """

    name: str
    pretrained: bool
    overlay: dict[str, object] = field(default_factory=dict)


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
        return Source(f"local-dir:{path}", False) if skips_pretrained() else _from_folder(path)
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
        state = timm.models.load_state_dict(str(path), weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        raise WeightsError(
            f"weights {path}: cannot be read as a state dict ({_first_line(error)}). "
            "Save it with torch.save(model.state_dict()) or as .safetensors, or use `hub` or `random`."
        ) from error
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"weights {path}: holds no plain state dict. Save model.state_dict() alone.")
    return dict(state)


def _from_folder(folder: Path) -> Source:
    config, candidates = folder / "config.json", [folder / name for name in HUB_FILES]
    candidates += sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    found = next((path for path in candidates if path.is_file()), None)
    if found is None or not config.is_file():
        raise WeightsError(
            f"weights {folder}: a folder needs config.json and model.safetensors as timm writes them. "
            "Give the path of a state dict, or use `hub` or `random`."
        )
    try:
        architecture = str(json.loads(config.read_text(encoding="utf-8"))["architecture"])
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"weights {config}: names no architecture. Save the folder with timm again.") from error
    return Source(f"local-dir:{folder}", True, {"source": "", **_strict(read_state(found), architecture)})


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
    def ask() -> int:
        return int(get_session().head(url, timeout=PATIENCE_S).status_code)

    try:
        status = within(PATIENCE_S, ask)
    except Exception as error:  # every transport library has errors of its own
        raise offline(name, error) from error
    if status in (403, 407) or status >= 500:
        raise offline(name, ConnectionError(f"HTTP {status}"))


def offline(name: str, error: Exception) -> WeightsError:
    """The one line for a hub that does not answer."""
    return WeightsError(
        f"weights 'hub': {name} cannot be downloaded ({_first_line(error)}). Check the network, or set `weights` to "
        "the path of a .safetensors or .pth file, or to `random`."
    )


def within(seconds: float, call: Callable[[], T]) -> T:
    """The result of a call that may hang where no timeout reaches it, as in a name lookup.

    Raises:
        TimeoutError: if it has not answered in time; its thread is left behind and does not hold up the exit.
    """
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except Exception as error:  # noqa: BLE001 - handed on to whoever waits
            answer.set_exception(error)

    Thread(target=work, daemon=True, name="pathfuse-hub").start()
    try:
        return answer.result(seconds)
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"no answer in {seconds:g} s") from error


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200]}" if text else type(error).__name__
