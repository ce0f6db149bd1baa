"""The network's side: patches come in as bytes, features go out, and the device never waits for a copy."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pathfuse.core import Backbone
from pathfuse.errors import RecipeError, RunError
from pathfuse.extract.options import Autocast
from pathfuse.slides.resample import Pixels

CPU_BATCH = 32
GPU_BATCHES = (32, 64, 128, 256, 512, 1024)
WORTH = 1.05  # a larger batch has to be this much faster per patch
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Embedder:
    """A network on its device, fed with batches of bytes.

    Attributes:
        net: the encoder.
        device: where it computes.
        size_px: edge of the patches.
        autocast: type in which it computes.
        batch_size: patches per pass.
    """

    net: Backbone
    device: torch.device
    size_px: int
    autocast: Autocast = "none"
    batch_size: int = CPU_BATCH

    def __post_init__(self) -> None:
        self.net = self.net.to(self.device).to(memory_format=torch.channels_last)

    @property
    def dim(self) -> int:
        """Width D of the features."""
        return self.net.out_dim

    def features(self, parts: Iterable[Pixels]) -> Iterator[Tensor]:
        """Features (k, D) on the CPU, in the order of the patches (n, size_px, size_px, 3), batch after batch.

        While one batch computes the next is being filled, and its result is fetched only then.
        """
        pending: Tensor | None = None
        with self._mode():
            for batch in _batches(parts, [self._buffer(), self._buffer()]):
                result = self._forward(batch)
                if pending is not None:
                    yield pending.cpu()
                pending = result
            if pending is not None:
                yield pending.cpu()

    def probe(self, count: int = 1) -> None:
        """One pass over blank patches, so that what does not fit is known before a slide is read.

        Raises:
            RecipeError: if the network does not take this size of patch, or returns something else than (N, D).
        """
        try:
            with self._mode():
                result = self._forward(torch.zeros(count, self.size_px, self.size_px, 3, dtype=torch.uint8))
        except RecipeError as error:
            fixed = self.net.size_px
            ways = f"--encoder.img_size {self.size_px} or --patch-px {fixed}" if fixed else "change --patch-px"
            raise RecipeError(f"{error} For extraction: {ways}.") from error
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, AssertionError, ValueError) as error:
            text = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise RecipeError(
                f"the encoder takes no patches of {self.size_px} px ({text}). Change --patch-px."
            ) from error
        if tuple(result.shape) != (count, self.dim):
            raise RecipeError(
                f"the encoder returned {tuple(result.shape)} for {count} patches, not ({count}, {self.dim})."
            )

    def choose_batch_size(self) -> int:
        """The smallest batch that is about as fast per patch as any that fits; fixed on a CPU, where caches decide."""
        if self.device.type != "cuda":
            return CPU_BATCH
        best, rate = 1, 0.0
        for size in GPU_BATCHES:
            try:
                found = self._rate(size)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                break
            if found < rate * WORTH:
                break
            best, rate = size, found
        if not rate:
            raise RunError(f"the encoder does not fit the GPU with {GPU_BATCHES[0]} patches. Give --batch-size 1.")
        return best

    def _rate(self, size: int) -> float:
        self.probe(size)
        torch.cuda.synchronize(self.device)
        start = time.perf_counter()
        for _ in range(3):
            self.probe(size)
        torch.cuda.synchronize(self.device)
        return size / (time.perf_counter() - start)

    @contextmanager
    def _mode(self) -> Iterator[None]:
        kind = TYPES.get(self.autocast)
        cast: AbstractContextManager[object] = torch.autocast(self.device.type, kind) if kind else nullcontext()
        with torch.inference_mode(), cast:
            yield

    def _buffer(self) -> Tensor:
        shape = (self.batch_size, self.size_px, self.size_px, 3)
        return torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")

    def _forward(self, patches: Tensor) -> Tensor:
        moved = patches.to(self.device, non_blocking=True)  # (k, H, W, 3)
        # Bytes of an image are channels last as they lie; only the strides change.
        images = moved.permute(0, 3, 1, 2).float().div_(255)  # (k, 3, H, W)
        result: Tensor = self.net(images)
        return result.float()


def _batches(parts: Iterable[Pixels], buffers: list[Tensor]) -> Iterator[Tensor]:
    """Full batches and the rest, in turn in one of two buffers, so that a copy to the device may still be under way."""
    views = [buffer.numpy() for buffer in buffers]
    size, turn, filled = len(buffers[0]), 0, 0
    for part in parts:
        start = 0
        while start < len(part):
            count = min(size - filled, len(part) - start)
            np.copyto(views[turn][filled : filled + count], part[start : start + count])
            start, filled = start + count, filled + count
            if filled == size:
                yield buffers[turn]
                turn, filled = 1 - turn, 0
    if filled:
        yield buffers[turn][:filled]


def choose_device(name: str) -> torch.device:
    """`auto` is the first GPU, or the CPU where there is none.

    Raises:
        RunError: if the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RunError(
            f"--device {name} is not there ({str(error).splitlines()[0][:120]}). Use auto or cpu."
        ) from error
    return device
