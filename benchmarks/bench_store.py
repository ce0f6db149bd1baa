"""A bag of 15,000 x 1,536 float16 read whole and by 512 rows: from TRIDENT's chunks, CLAM's, repacked and .npy.

The baseline reads TRIDENT's file with h5py, as its users do. The floor is a copy of the bytes in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch

from benchmarks.measure.aims import Aim
from benchmarks.measure.harness import compare, options
from pathfuse.store import open_slide
from pathfuse.store.repack import repack

PATCHES, DIM, DRAWN = 15_000, 1_536, 512
PEER, OURS = "TRIDENT chunks, h5py", "repacked, pathfuse"
AIMS = {"whole": [Aim(OURS, 8, "speed", PEER)], "rows": [Aim(OURS, 40, "speed", PEER)]}


def write(folder: Path) -> dict[str, Path]:
    """The same bag in every layout."""
    values = np.random.default_rng(0).normal(size=(PATCHES, DIM)).astype(np.float16)
    coords = np.stack(np.divmod(np.arange(PATCHES), 128), 1).astype(np.int64) * 512
    files = {}
    for name, rows in (("TRIDENT chunks", 1), ("CLAM chunks", 32)):
        files[name] = folder / f"{name}.h5"
        with h5py.File(files[name], "w") as file:
            file.create_dataset("features", data=values, chunks=(rows, DIM)).attrs["encoder"] = "uni_v1"
            file.create_dataset("coords", data=coords, chunks=(rows, 2)).attrs["patch_size_level0"] = 512
    files["repacked"] = folder / "repacked.h5"
    repack(files["TRIDENT chunks"], files["repacked"])
    files["npy"] = folder / "a.npy"
    np.save(files["npy"], values)
    return files


def with_h5py(path: Path, rows: np.ndarray | None) -> Callable[[], torch.Tensor]:
    def read() -> torch.Tensor:
        with h5py.File(path, "r") as file:
            return torch.from_numpy(file["features"][()] if rows is None else file["features"][rows])

    return read


def with_pathfuse(path: Path, rows: np.ndarray | None) -> Callable[[], torch.Tensor]:
    # The header is read once per run, as PairedBags does.
    features = open_slide(path).features
    return lambda: features.read(rows)


def same(outputs: dict[str, object]) -> str:
    first, *others = outputs.values()
    assert isinstance(first, torch.Tensor)
    assert all(isinstance(other, torch.Tensor) and torch.equal(first, other) for other in others)
    return "all variants return the same bytes; files in the page cache"


def main() -> None:
    arguments = options(__doc__ or "").parse_args()
    torch.set_num_threads(arguments.threads or 1)
    drawn = np.sort(np.random.default_rng(1).choice(PATCHES, DRAWN, replace=False)).astype(np.int64)
    with tempfile.TemporaryDirectory() as folder:
        files = write(Path(folder))
        titles = {"whole": f"{PATCHES:,} x {DIM:,} float16 whole", "rows": f"{DRAWN} rows of it"}
        for which, rows in (("whole", None), ("rows", drawn)):
            variants = {
                PEER: with_h5py(files["TRIDENT chunks"], rows),
                **{f"{name}, pathfuse": with_pathfuse(path, rows) for name, path in files.items()},
                "repacked, h5py": with_h5py(files["repacked"], rows),
            }
            compare(
                titles[which],
                variants,
                baseline=PEER,
                rounds=arguments.rounds,
                check=same,
                bytes_moved=2 * 2 * DIM * (PATCHES if rows is None else DRAWN),  # float16, read and written
                aims=AIMS[which],
                markdown=arguments.markdown,
            )


if __name__ == "__main__":
    main()
