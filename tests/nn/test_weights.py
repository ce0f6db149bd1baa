from pathlib import Path

import pytest
import torch

from pathfuse.errors import WeightsError
from pathfuse.nn.weights import backbone_state, read_state

STATE = {"a.weight": torch.arange(3.0), "b": torch.ones(())}


class Ran:
    """A pickle that would say that it was executed."""

    happened = False

    def __reduce__(self):
        return (setattr, (Ran, "happened", True))


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_state_dicts_are_read_bare_in_a_checkpoint_and_as_safetensors(tmp_path: Path):
    from safetensors.torch import save_file

    torch.save(STATE, tmp_path / "bare.pth")
    torch.save({"state_dict": STATE, "epoch": 3}, tmp_path / "whole.ckpt")
    save_file(STATE, tmp_path / "safe.safetensors")
    for name in ("bare.pth", "whole.ckpt", "safe.safetensors"):
        assert same(read_state(tmp_path / name), STATE)


def test_what_is_no_state_dict_is_refused_in_one_line_and_never_executed(tmp_path: Path):
    torch.save(Ran(), tmp_path / "object.pth")
    torch.save({"a": 1}, tmp_path / "numbers.pth")
    (tmp_path / "text.safetensors").write_text("no tensors")
    torch.save({}, tmp_path / "empty.pth")
    for name in ("object.pth", "numbers.pth", "text.safetensors", "empty.pth", "absent.pth"):
        with pytest.raises(WeightsError, match=name) as caught:
            read_state(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert not Ran.happened


@pytest.mark.parametrize("place", ["backbone", "backbones.0"])
def test_the_backbone_of_a_checkpoint_is_found(place: str):
    inside = {f"model.encoder.{place}.{key}": value for key, value in STATE.items()}
    assert same(backbone_state({**inside, "model.head.weight": torch.zeros(2)}), STATE)


def test_other_states_are_left_as_they_are_and_several_backbones_are_refused():
    assert backbone_state(STATE) is STATE
    several = {f"model.encoder.backbones.{n}.weight": torch.zeros(1) for n in range(2)}
    with pytest.raises(WeightsError, match="several backbones"):
        backbone_state(several)
