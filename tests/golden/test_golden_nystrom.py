import json

import pytest
import torch
from torch import nn

from pathfuse_wsmcl.attention import NystromAttention
from pathfuse_wsmcl.pseudo_inverse import pseudo_inverse
from tests.golden.vectors import DTYPES, assert_near, golden

FLOAT32 = 1e-4


@pytest.fixture
def vectors():
    return golden("nystrom")


@pytest.fixture
def config(vectors):
    return json.loads(str(vectors["config"]))


def component(vectors, config, dtype):
    kernel = vectors["param/res_conv.weight"].shape[2]
    attention = NystromAttention(
        vectors["param/to_qkv.weight"].shape[1],
        heads=config["heads"],
        dim_head=config["dim_head"],
        landmarks=config["landmarks"],
        inverse_steps=config["pinv_iterations"],
        kernel=kernel,
    ).to(dtype)
    state = {key.removeprefix("param/"): torch.tensor(value) for key, value in vectors.items() if "param/" in key}
    state["value_conv.weight"] = state.pop("res_conv.weight")
    attention.load_state_dict(state)
    return attention


@DTYPES
def test_output_and_score_at_every_length(vectors, config, dtype):
    attention = component(vectors, config, dtype)
    for n in config["ns"]:
        out, score = attention(torch.tensor(vectors[f"n{n}/x"], dtype=dtype), torch.tensor([n]))
        assert_near(out, vectors[f"n{n}/out"], dtype, FLOAT32)
        assert_near(score, vectors[f"n{n}/score"], dtype, FLOAT32)


@DTYPES
def test_all_lengths_packed_as_one_batch(vectors, config, dtype):
    packed = torch.cat([torch.tensor(vectors[f"n{n}/x"], dtype=dtype) for n in config["ns"]])
    out, score = component(vectors, config, dtype)(packed, torch.tensor(config["ns"]))
    for n, own_out, own_score in zip(config["ns"], out.split(config["ns"]), score.split(config["ns"]), strict=True):
        assert_near(own_out, vectors[f"n{n}/out"], dtype, FLOAT32)
        assert_near(own_score, vectors[f"n{n}/score"], dtype, FLOAT32)


@DTYPES
def test_output_without_the_value_convolution(vectors, config, dtype):
    attention = component(vectors, config, dtype)
    attention.value_conv = None
    for n in config["ns"]:
        out, _ = attention(torch.tensor(vectors[f"n{n}/x"], dtype=dtype), torch.tensor([n]))
        assert_near(out, vectors[f"n{n}/out_no_value_conv"], dtype, FLOAT32)


@DTYPES
def test_landmarks_and_both_attentions(vectors, config, dtype):
    attention = component(vectors, config, dtype)
    for n in config["ns"]:
        padding = attention.padding(n)
        values = nn.functional.pad(torch.tensor(vectors[f"n{n}/x"], dtype=dtype), (0, 0, padding, 0))
        segments = values.unflatten(0, (config["landmarks"], -1)).mean(1)
        queries, keys, inverse = attention.landmarks_of(segments)
        q, k, _ = attention.to_qkv(values).unflatten(1, (3, config["heads"], -1)).permute(1, 2, 0, 3)
        assert_near((q @ keys.mT).softmax(-1), vectors[f"n{n}/attn1"], dtype, FLOAT32)
        assert_near((queries @ k.mT).softmax(-1), vectors[f"n{n}/attn3"], dtype, FLOAT32)
        assert_near((queries @ keys.mT / attention.scale).softmax(-1), vectors[f"n{n}/attn2"], dtype, FLOAT32)
        assert_near(inverse, vectors[f"n{n}/attn2_inv"], dtype, FLOAT32)


@DTYPES
def test_pseudo_inverse_of_the_stored_attention(vectors, config, dtype):
    for n in config["ns"]:
        inverse = pseudo_inverse(torch.tensor(vectors[f"n{n}/attn2"], dtype=dtype), config["pinv_iterations"])
        assert_near(inverse, vectors[f"n{n}/attn2_inv"], dtype, FLOAT32)
