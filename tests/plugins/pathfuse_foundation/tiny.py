"""Encoders of the table made small: the same layers and pooling, two blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from pathfuse_foundation.encoder import FoundationEncoder
from pathfuse_foundation.encoders import encoder_of
from pathfuse_foundation.table import Row, rows

DIM, BLOCKS, HEADS = 24, 2, 3
_SMALL = {
    "timm": {"embed_dim": DIM, "depth": BLOCKS, "num_heads": HEADS, "img_size": 56},
    "transformers": {"hidden_size": DIM, "num_hidden_layers": BLOCKS, "num_attention_heads": HEADS, "image_size": 56},
}


def small_row(name: str, **changes: object) -> Row:
    row = rows()[name]
    patch = row.arguments.get("patch_size", 14 if "14" in row.network else 16)
    edge = 4 * int(patch)
    small: dict[str, object] = {**_SMALL[row.library]}
    small |= {"img_size": edge} if row.library == "timm" else {"image_size": edge}
    if "intermediate_size" in row.arguments:
        small["intermediate_size"] = 2 * DIM
    if "projection_dim" in row.arguments:
        small["projection_dim"] = 8
    width = {"cls": DIM, "cls+mean": 2 * DIM, "projection": 8}[row.pooling]
    crop = row.resize_px != row.input_px
    return replace(
        row,
        arguments={**row.arguments, **small},
        out_dim=width,
        input_px=edge,
        resize_px=edge + 8 if crop else edge,
        **changes,
    )


def small_encoder(name: str, **changes: object) -> type[FoundationEncoder]:
    return encoder_of(small_row(name, **changes))


class SmallVirchow2(small_encoder("virchow2")):
    __doc__ = small_encoder("virchow2").__doc__


class SmallUni2(small_encoder("uni2_h")):
    __doc__ = small_encoder("uni2_h").__doc__


def shaken(net: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter at random: layer scales of 1e-5 and zero biases would hide mistakes."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.3)
    return net.eval()


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float = 1e-6) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) * weight + bias


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def gelu(x: np.ndarray) -> np.ndarray:
    from scipy.special import erf

    return x * 0.5 * (1 + erf(x / np.sqrt(2)))


def softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def tokens_by_hand(state: dict[str, torch.Tensor], image: np.ndarray, *, patch: int, heads: int = HEADS) -> np.ndarray:
    """The last tokens (T, D) of one normalised image (3, H, W), from the tensors of a state dict and numpy alone.

    Vision transformer of Dosovitskiy et al. 2020 with registers (Darcet et al. 2023) and, where the first layer of the
    MLP is twice as wide as the second, SwiGLU (Shazeer 2020).
    """
    w = {key: value.double().numpy() for key, value in state.items()}
    rows_, columns = image.shape[1] // patch, image.shape[2] // patch
    kernel = w["patch_embed.proj.weight"].reshape(len(w["patch_embed.proj.weight"]), -1)
    patches = [
        kernel @ image[:, r * patch : (r + 1) * patch, c * patch : (c + 1) * patch].reshape(-1)
        for r in range(rows_)
        for c in range(columns)
    ]
    x = np.stack(patches) + w["patch_embed.proj.bias"]
    prefix = [w["cls_token"][0], *([w["reg_token"][0]] if "reg_token" in w else [])]
    if w["pos_embed"].shape[1] == len(x):  # positions of the patches only
        x = np.concatenate([*prefix, x + w["pos_embed"][0]])
    else:
        x = np.concatenate([*prefix, x]) + w["pos_embed"][0]
    block = 0
    while f"blocks.{block}.norm1.weight" in w:
        x = _block(w, f"blocks.{block}.", x, heads)
        block += 1
    return layer_norm(x, w["norm.weight"], w["norm.bias"])


def _block(w: dict[str, np.ndarray], at: str, x: np.ndarray, heads: int) -> np.ndarray:
    dim = x.shape[1] // heads
    h = layer_norm(x, w[f"{at}norm1.weight"], w[f"{at}norm1.bias"])
    q, k, v = np.split(h @ w[f"{at}attn.qkv.weight"].T + w[f"{at}attn.qkv.bias"], 3, axis=1)
    parts = []
    for head in range(heads):
        own = slice(head * dim, (head + 1) * dim)
        parts.append(softmax(q[:, own] @ k[:, own].T / np.sqrt(dim)) @ v[:, own])
    h = np.concatenate(parts, axis=1) @ w[f"{at}attn.proj.weight"].T + w[f"{at}attn.proj.bias"]
    x = x + h * w.get(f"{at}ls1.gamma", 1.0)
    h = layer_norm(x, w[f"{at}norm2.weight"], w[f"{at}norm2.bias"])
    h = h @ w[f"{at}mlp.fc1.weight"].T + w[f"{at}mlp.fc1.bias"]
    if h.shape[1] == 2 * w[f"{at}mlp.fc2.weight"].shape[1]:
        gate, value = np.split(h, 2, axis=1)
        h = silu(gate) * value
    else:
        h = gelu(h)
    h = h @ w[f"{at}mlp.fc2.weight"].T + w[f"{at}mlp.fc2.bias"]
    return x + h * w.get(f"{at}ls2.gamma", 1.0)
