"""A pathology encoder: its own transform and statistics, its network, and the pooling it was published with."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from pathfuse.core import Backbone, CamLayer, skips_pretrained
from pathfuse.errors import RecipeError
from pathfuse.nn import NOT_KNOWN, WeightsNote
from pathfuse_foundation.networks import build
from pathfuse_foundation.table import Row
from pathfuse_foundation.transform import resize_and_crop, statistics
from pathfuse_foundation.weights import read_weights


class FoundationEncoder(Backbone):
    """What all encoders of the table have in common; each is a class of its own, made from its row.

    Args:
        in_chans: channels of the images; always 3.
        weights: `random`, `hub` to download, or the path of a folder or of a .safetensors, .pth, .pt or .bin file;
            `local-dir:` before the path changes nothing.
        resize: bring images to the size, and by the interpolation, that the encoder was published with; false takes
            them as they are, in any size that is a multiple of its patch.
        pooled: return one vector per image; false returns the map of its patch tokens.
        revision: commit on the hub; empty takes the pinned one of the table.
    """

    row: ClassVar[Row]
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        in_chans: int,
        *,
        weights: str = "random",
        resize: bool = True,
        pooled: bool = True,
        revision: str = "",
    ) -> None:
        super().__init__()
        row = self.row
        self._check(in_chans, resize, pooled)
        skipped = weights == "random" or skips_pretrained()
        self.network = build(row, None if skipped else read_weights(row, weights, revision))
        self.in_chans = in_chans
        self.resize = resize
        self.pooled = pooled
        self.layout = "vector" if pooled else "map"
        self.out_dim = row.out_dim if pooled else self.network.width
        self.size_px = None  # it brings images to its own size, or takes any
        self.mpp = row.mpp[0] if len(row.mpp) == 1 else None
        mean, std = statistics(row.mean, row.std)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self._seen: tuple[int, int] = (0, 0)

    @classmethod
    def shared_options(cls) -> str:
        """The `Args:` of every encoder."""
        found = re.search(r"^Args:\n(?:[ ]+.*\n?)+", inspect.getdoc(FoundationEncoder) or "", re.MULTILINE)
        return found[0].rstrip() if found else ""

    @classmethod
    def weights_note(cls, options: Mapping[str, object]) -> WeightsNote:
        """Which weights these options begin with, and their terms."""
        row, weights = cls.row, str(options.get("weights", "random"))
        network = f"{row.name}, {row.published}"
        if weights == "random":
            return WeightsNote(network, "random numbers", "needs none")
        licence = row.licence or NOT_KNOWN
        if weights == "hub":
            at = str(options.get("revision") or row.revision)
            origin = f"those published under this name, revision {at[:12] or 'of the day'}"
            return WeightsNote(network, origin, licence, row.commercial)
        origin = f"the file {weights.rstrip('/').rpartition('/')[2]}"
        return WeightsNote(network, origin, f"{licence}, if they are the published ones", row.commercial)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to vectors (N, D), or maps (N, D, h, w) with `pooled: false`.

        Raises:
            RecipeError: if images are taken as they are and their edges are no multiple of the patch.
        """
        row, net = self.row, self.network
        self._seen = (images.shape[-2], images.shape[-1])
        if self.resize:
            images = resize_and_crop(
                images, resize_px=row.resize_px, crop_px=row.input_px, interpolation=row.interpolation
            )
        self._check_edges(images.shape[-2], images.shape[-1])
        tokens = net((images - self.mean) / self.std)  # (N, prefix + h * w, D)
        if not self.pooled:
            return self._to_map(tokens)  # (N, D, h, w)
        first = tokens[:, 0]  # (N, D)
        if row.pooling == "cls+mean":
            return torch.cat([first, tokens[:, net.prefix :].mean(1)], dim=1)  # (N, 2 D)
        return net.project(first)  # (N, D)

    def cam_layer(self) -> CamLayer | None:
        """What enters the last attention; None where the transform cuts off a margin, which no map could show.

        Source: Selvaraju et al. 2017, arXiv:1610.02391. After the last attention of a transformer that is pooled by
        its class token the patch tokens get no gradient, so the map is read before it.
        """
        if self.resize and self.row.resize_px != self.row.input_px:
            return None
        return CamLayer(self.network.before_attention, (), on_input=True, to_map=self._to_map)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """The embedding, the blocks one by one, and the last norm."""
        blocks = [list(block.parameters()) for block in self.network.blocks]
        inside = {id(parameter) for group in blocks for parameter in group}
        everything = list(self.parameters())
        start = next(index for index, parameter in enumerate(everything) if id(parameter) in inside)
        after = [parameter for parameter in everything[start:] if id(parameter) not in inside]
        return [everything[:start], *blocks, *([after] if after else [])]

    def _to_map(self, tokens: Tensor) -> Tensor:
        patches = tokens[:, self.network.prefix :]  # (N, h * w, D)
        height, width = self._seen
        if self.resize:
            if height != width:
                raise RecipeError(
                    f"{self.row.name}: a map of {height} x {width} images would lack their margins. Set resize: false."
                )
            rows = columns = self.row.input_px // self.network.patch_px
        else:
            rows, columns = height // self.network.patch_px, width // self.network.patch_px
        return patches.transpose(1, 2).reshape(len(patches), -1, rows, columns)  # (N, D, h, w)

    def _check(self, in_chans: int, resize: bool, pooled: bool) -> None:
        name = self.row.name
        if in_chans != 3:
            raise RecipeError(
                f"{name} takes images of 3 channels and got {in_chans}. Give each stain its own encoder: "
                "PerStainImageEncoder, or the input Single."
            )
        if resize and not pooled and self.row.resize_px != self.row.input_px:
            raise RecipeError(
                f"{name}: its transform cuts off a margin, which a map would lack. Set resize: false beside "
                "pooled: false."
            )

    def _check_edges(self, height: int, width: int) -> None:
        patch = self.network.patch_px
        if height % patch or width % patch or not (height and width):
            raise RecipeError(
                f"{self.row.name}: images of {height} x {width} px do not divide into patches of {patch} px. Use "
                f"{max(height // patch, 1) * patch} px, or resize: true."
            )
