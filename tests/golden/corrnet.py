"""The components of Corr-A-Net with the options and parameters of `corrnet_forward`."""

from __future__ import annotations

import json

import torch

from pathfuse.core import Batch, DataSpec, ModalitySpec, Model
from pathfuse_corranet.decoder import ReconstructionHead
from pathfuse_corranet.encoder import StainEncoder
from pathfuse_corranet.fusion import SEAttention
from pathfuse_corranet.norm import NormAct

STAINS = {"he": "x", "ihc": "y"}


def config_of(arrays):
    return json.loads(str(arrays["config"]))


def corrnet(arrays, options, dtype):
    """The model in eval mode, `options` being one of the option sets of the configuration."""
    config, dim = config_of(arrays), int(arrays["hidden"])
    width = arrays["x"].shape[1]
    spec = DataSpec(tuple(ModalitySpec(m, "image", width) for m in STAINS), ("0", "1"), (1, 1))
    slope = config["leaky_slope"]
    encoder = StainEncoder(spec, dim=dim, stem="none", activation=options["activation"], leaky_slope=slope)
    fusion = SEAttention(
        encoder.out,
        spec,
        use_se=options["use_se"],
        reduction=dim // arrays["param/se_x3.fc1.weight"].shape[0],
        relu_in_gate=options["se_relu"],
        activation=options["fuse_act"],
        leaky_slope=slope,
    )
    head = ReconstructionHead(
        fusion.out,
        spec,
        decoders="per_view" if options["two_decoders"] else "shared",
        activation=options["activation"],
        output_activation=options["out_act"],
        leaky_slope=slope,
    )
    model = Model(encoder, fusion, head).to(dtype)
    model.load_state_dict(_state(arrays, model), strict=True)
    for module in model.modules():
        if isinstance(module, NormAct):
            module.eps = config["bn_eps"]
    return model.eval()


def pair(arrays, dtype, *, ihc=True):
    """The two images; without IHC its row holds what nobody may read."""
    x, y = (torch.tensor(arrays[key], dtype=dtype) for key in ("x", "y"))
    there = torch.ones(len(x), dtype=torch.bool)
    names = tuple(str(i) for i in range(len(x)))
    present = {"he": there, "ihc": there if ihc else ~there}
    return Batch({"he": x, "ihc": y}, present, torch.zeros(len(x), dtype=torch.long), names, names)


def _state(arrays, model):
    """The golden parameters under the names of the components."""
    own = {}
    for key in model.state_dict():
        if key.endswith("num_batches_tracked"):
            own[key] = model.state_dict()[key]
            continue
        own[key] = torch.tensor(arrays["param/" + _golden_name(key)])
    return own


def _golden_name(key):
    part, *path = key.split(".")
    if part == "encoder":  # encoder.branches.he.convs.0.weight
        _, stain, kind, layer, leaf = path
        return f"{kind[:-1].replace('norm', 'bn')}_{STAINS[stain]}{int(layer) + 1}.{leaf}"
    if part == "fusion" and path[0] == "conv":
        return f"concat_conv.{path[1]}"
    if part == "fusion":  # fusion.gates.he.fc1.weight
        _, stain, layer, leaf = path
        return f"se_{STAINS[stain]}3.{layer}.{leaf}"
    _, view, *inner = path  # head.decoders.he.layers.convs.0.weight or head.decoders.he.last.weight
    stain = STAINS.get(view, "x")
    if inner[0] == "last":
        return f"conv_out_{stain}3.{inner[1]}"
    _, kind, layer, leaf = inner
    return f"{kind[:-1].replace('norm', 'bn')}_out_{stain}{int(layer) + 1}.{leaf}"
