"""Names of tensors: weights as DINOv2 and PEFT write them, under the names that timm has."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

LORA_SCALE = 2.0  # alpha 16 over rank 8: CRISP's, the one LoRA of the table
_PEFT = "base_model.model."
_CHUNKED = re.compile(r"^blocks\.\d+\.(\d+\.)")
_GATED = ((".mlp.w12.", ".mlp.fc1."), (".mlp.w3.", ".mlp.fc2."))


def in_timm_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of a vision transformer under timm's names; one that has them already stays as it is.

    Args:
        state: as timm, DINOv2 (whole or in chunks of blocks, with or without registers) or PEFT writes it.

    Source: Oquab et al. 2023, arXiv:2304.07193 (names of the released DINOv2 weights); Hu et al. 2021,
        arXiv:2106.09685, eq. 3 (W + scale B A).
    """
    merged = _merged(state) if any(key.startswith(_PEFT) for key in state) else dict(state)
    registers = merged.pop("register_tokens", None)
    named = {_timm_name(key): value for key, value in merged.items() if key != "mask_token"}
    for layer in ("head.weight", "head.bias"):  # a classifier, which an encoder has no use for
        named.pop(layer, None)
    if registers is not None:
        # timm adds no position to prefix tokens here, so the class token's is added once and for all.
        positions = named["pos_embed"]
        named |= {"reg_token": registers, "pos_embed": positions[:, 1:]}
        named["cls_token"] = named["cls_token"] + positions[:, :1]
    return named


def _timm_name(key: str) -> str:
    key = _CHUNKED.sub(r"blocks.\1", key)
    for theirs, ours in _GATED:
        key = key.replace(theirs, ours)
    return key


def _merged(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    plain: dict[str, Tensor] = {}
    for key, value in state.items():
        name = key.removeprefix(_PEFT)
        if ".lora_" in name:
            continue
        layer, adapted, kind = name.partition(".base_layer.")
        if adapted and kind == "weight":
            down, up = (state[f"{_PEFT}{layer}.lora_{side}.default.weight"] for side in "AB")
            value = value + LORA_SCALE * (up @ down)
        plain[f"{layer}.{kind}" if adapted else name] = value
    return plain
