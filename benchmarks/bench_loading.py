"""Pairs per second of the deterministic part of loading: decode, Macenko on H&E, 256 px, [0, 1]; cold and from cache.

Peer: MONAI's PersistentDataset with MONAI's own transforms, over the same BCI-shaped folder, behind the same kind of
loader. `python -m benchmarks.bench_loading`
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch
from monai.apps.pathology.transforms.stain.dictionary import NormalizeHEStainsd
from monai.data import DataLoader, PersistentDataset, PILReader, list_data_collate
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Resized, ScaleIntensityRanged, ToNumpyd

from benchmarks.measure.aims import Aim
from benchmarks.measure.harness import compare, options
from pathfuse.cohort import Cohort
from pathfuse.core import Batch
from pathfuse.data.loading.options import Loading
from pathfuse.data.paired_patches import PairedPatches
from pathfuse.demo import write_bci

SIZE_PX = 256
STAINS = ("he", "ihc")
BATCH = 16
PEER = "MONAI PersistentDataset"
AIMS = {name: [Aim("pathfuse", least, "speed", PEER)] for name, least in {"cold": 1.5, "cache": 3.0}.items()}


def monai_pairs(root: Path) -> list[dict[str, str]]:
    return [
        {"he": str(path), "ihc": str(path).replace("/HE/", "/IHC/")} for path in sorted((root / "HE").rglob("*.png"))
    ]


Loader = Iterable[Mapping[str, torch.Tensor] | Batch]


def monai_loader(root: Path, cache: Path, workers: int) -> Loader:
    steps = Compose(
        [
            # A transposing reader would swap the axes, so `reverse_indexing` is off.
            LoadImaged(STAINS, reader=PILReader(reverse_indexing=False), image_only=True, dtype=np.uint8),
            ToNumpyd(STAINS),
            NormalizeHEStainsd(["he"]),
            EnsureChannelFirstd(STAINS, channel_dim=-1),
            Resized(STAINS, (SIZE_PX, SIZE_PX), mode="area"),
            ScaleIntensityRanged(STAINS, 0, 255, 0, 1),
        ]
    )
    data = PersistentDataset(monai_pairs(root), steps, cache_dir=cache)
    return DataLoader(
        data,
        batch_size=BATCH,
        num_workers=workers,
        collate_fn=list_data_collate,
        persistent_workers=workers > 0,
    )


def our_loader(root: Path, cache: Path, workers: int) -> Loader:
    patches = PairedPatches(
        Cohort(cases=str(root), cache=str(cache), val_fraction=0.0, split="drawn", test_fraction=0.0),
        size_px=SIZE_PX,
        augment=None,
    )
    patches.loading = Loading(batch_size=BATCH, num_workers=workers)
    return patches.train_dataloader()


def one_pass(loader: Loader) -> int:
    """Goes through all batches as a training loop would; returns the number of pairs."""
    return sum(len(batch) if isinstance(batch, Batch) else len(batch["he"]) for batch in loader)


def grey(loader: Loader) -> torch.Tensor:
    """Mean grey level of every IHC image, sorted: the readers shuffle differently."""
    ihc = [batch.image("ihc") if isinstance(batch, Batch) else torch.as_tensor(batch["ihc"]) for batch in loader]
    return torch.cat([images.mean((1, 2, 3)) for images in ihc]).sort().values


def check_pictures(ours: Loader, theirs: Loader) -> None:
    """IHC is not normalised, so both readers must deliver the same pictures."""
    worst = (grey(ours) - grey(theirs)).abs().max().item()
    if worst > 1 / 255:
        raise AssertionError(f"mean grey levels differ by {255 * worst:.2f} of 255")


def fresh(folder: Path, load: Callable[[Path, Path, int], Loader], root: Path) -> Callable[[], int]:
    """A pass that finds an empty cache each time."""
    number = count()
    return lambda: one_pass(load(root, folder / f"{load.__name__}-{next(number)}", 0))


def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=256, help="pairs read from the cache")
    parser.add_argument("--cold", type=int, default=8, help="pairs prepared from files")
    parser.add_argument("--px", type=int, default=1024, help="edge of the files")
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        few = write_bci(folder / "few", asked.cold, size_px=asked.px)
        many = write_bci(folder / "many", asked.pairs, size_px=asked.px)
        # Cold in one process: ours starts processes of its own for many files, MONAI's would with loader workers.
        compare(
            f"Cold: {asked.cold} pairs of {asked.px} px, one process",
            {PEER: fresh(folder, monai_loader, few), "pathfuse": fresh(folder, our_loader, few)},
            baseline=PEER,
            rounds=min(asked.rounds, 3),
            items=asked.cold,
            aims=AIMS["cold"],
            markdown=asked.markdown,
        )
        theirs = {workers: monai_loader(many, folder / "theirs", workers) for workers in (0, 2)}
        ours = our_loader(many, folder / "ours", 0)
        check_pictures(ours, theirs[0])
        compare(
            f"From cache: {asked.pairs} pairs, batches of {BATCH}",
            {PEER: partial(one_pass, theirs[0]), "pathfuse": partial(one_pass, ours)},
            baseline=PEER,
            aims=AIMS["cache"],
            rounds=asked.rounds,
            items=asked.pairs,
            markdown=asked.markdown,
        )
        # In a table of its own: processes that come and go disturb whoever is timed next.
        compare(
            "From cache, the peer with and without workers",
            {PEER: partial(one_pass, theirs[0]), "MONAI, 2 loader workers": partial(one_pass, theirs[2])},
            baseline=PEER,
            rounds=asked.rounds,
            items=asked.pairs,
            markdown=asked.markdown,
        )


if __name__ == "__main__":
    main()
