"""Weights from a file that a user names."""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from pathfuse.core import WeightsNote
from pathfuse.errors import WeightsError
from pathfuse.nn.saved import load_saved

_OF_BACKBONE = re.compile(r"model\.encoder\.(backbone|backbones\.\d+)\.")


TORCHVISION = "BSD-3-Clause (torchvision); trained on ImageNet, which has terms of its own"
NOT_KNOWN = "not known"


def weights_note(network: str, weights: str, published: str) -> WeightsNote:
    """The note of a component whose option is `random`, `hub` or a path.

    Args:
        network: its name.
        weights: the option.
        published: licence of the weights that `hub` fetches; empty where it is not known.
    """
    if weights == "random":
        return WeightsNote(network, "random numbers", "needs none")
    if weights == "hub":
        return WeightsNote(network, "those published under this name", published or NOT_KNOWN)
    return WeightsNote(network, f"the file {Path(weights).name}", "that of the file, which does not say")


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a state dict saved by torch; never runs code from it.

    Raises:
        WeightsError: if the file is not there, is neither, or is damaged.
    """
    if not path.is_file():
        raise WeightsError(f"weights {path}: there is no such file. Correct the path, or use `hub` or `random`.")
    try:
        state = _read(path)
    except Exception as error:  # a damaged file can raise anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise WeightsError(f"weights {path}: cannot be read as a state dict ({reason}). Save it again.") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"weights {path}: holds no plain state dict. Save model.state_dict() alone.")
    return state


def backbone_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the backbone, where they are those of a run's checkpoint; others are handed back as they are.

    Args:
        state: as `read_state` returns it.

    Raises:
        WeightsError: if the run had a backbone for each of several modalities.
    """
    found = [(_OF_BACKBONE.match(key), value) for key, value in state.items()]
    own = {(match[1], key): value for match, value in found if match and (key := match.string[match.end() :])}
    if len({place for place, _ in own}) > 1:
        raise WeightsError("the weights are those of several backbones, one for each modality. Train on one of them.")
    return {key: value for (_, key), value in own.items()} or state


def _read(path: Path) -> object:
    if path.suffix != ".safetensors":
        with path.open("rb") as file:
            return load_saved(file)
    from safetensors.torch import load_file

    return load_file(path)
