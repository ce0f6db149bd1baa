"""Feature files as other tools leave them on disk, written from their layout rules alone, never by our writers."""

from pathlib import Path

import h5py
import numpy as np
import torch

MPP = 0.25
LEVEL0 = 512  # a 40x slide cut at 20x in patches of 256 px


def grid(count: int) -> np.ndarray:
    """Top-left corners in level-0 pixels, row by row."""
    side = max(1, int(np.ceil(np.sqrt(count))))
    y, x = np.divmod(np.arange(count), side)
    return np.stack([1024 + x * LEVEL0, 2048 + y * LEVEL0], 1).astype(np.int64)


def features(count: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float16)


def trident(path: Path, values: np.ndarray, coords: np.ndarray, encoder: str | None = "uni_v1", **attributes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "patch_size": 256, "patch_size_level0": LEVEL0, "level0_magnification": 40, "target_magnification": 20,
        "overlap": 0, "name": path.stem, "savetodir": "/job/20x_256px_0px_overlap/patches", "level0_width": 100_000,
        "level0_height": 80_000,
    }  # fmt: skip
    with h5py.File(path, "w") as file:
        data = file.create_dataset("features", data=values, chunks=(1, values.shape[1]) if len(values) else None)
        data.attrs["name"] = path.stem
        data.attrs["savetodir"] = "/job/20x_256px_0px_overlap/features"
        if encoder is not None:
            data.attrs["encoder"] = encoder
        places = file.create_dataset("coords", data=coords, chunks=(1, 2) if len(coords) else None)
        for name, value in {**facts, **attributes}.items():
            if value is not ...:
                places.attrs[name] = value
    return path


def clam(root: Path, slide: str, values: np.ndarray, coords: np.ndarray) -> Path:
    """`h5_files` and `pt_files` as CLAM's extraction writes them, `patches` as its patching does; returns the h5."""
    for name in ("h5_files", "pt_files", "patches"):
        (root / name).mkdir(parents=True, exist_ok=True)
    values = values.astype(np.float32)
    path = root / "h5_files" / f"{slide}.h5"
    with h5py.File(path, "w") as file:
        for name, data in (("features", values), ("coords", coords.astype(np.int32))):
            file.create_dataset(name, data=data, maxshape=(None, *data.shape[1:]), chunks=(32, *data.shape[1:]))
    torch.save(torch.from_numpy(values), root / "pt_files" / f"{slide}.pt")
    with h5py.File(root / "patches" / f"{slide}.h5", "w") as file:
        places = file.create_dataset("coords", data=coords, maxshape=(None, 2), chunks=(1, 2))
        places.attrs["patch_size"] = 256
        places.attrs["patch_level"] = 1
        places.attrs["downsample"] = np.array([2.0, 2.0])
        places.attrs["name"] = slide
        places.attrs["save_path"] = str(root / "patches")
    return path


def stamp(path: Path, values: np.ndarray, coords_um: np.ndarray, **attributes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "stamp_version": "2.5.0", "extractor": "uni_v1", "unit": "um", "tile_size_um": LEVEL0 * MPP,
        "tile_size_px": 224, "code_hash": "0" * 64, "feat_type": "tile",
    }  # fmt: skip
    with h5py.File(path, "w") as file:
        file["coords"] = coords_um.astype(np.float32)
        file["feats"] = values.astype(np.float16)
        for name, value in {**facts, **attributes}.items():
            if value is not ...:
                file.attrs[name] = value
    return path


def eva(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save([torch.from_numpy(row.copy()) for row in values], path)
    return path


def wsmcl(folder: Path, case: str, values: np.ndarray, coords: np.ndarray, suffix: str = "_features") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case}{suffix}.pth"
    torch.save(torch.from_numpy(values), path)
    torch.save(torch.from_numpy(coords[:, ::-1].copy()), folder / f"{case}_coordinates.pth")
    return path


def madeleine(path: Path, values: np.ndarray, lead: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["features"] = values[None] if lead else values
    return path


def torchmil(root: Path, bag: str, values: np.ndarray, coords: np.ndarray, suffix: str = ".npy") -> Path:
    for name, data in (("features", values), ("coords", coords)):
        (root / name).mkdir(parents=True, exist_ok=True)
        path = root / name / f"{bag}{suffix}"
        if suffix == ".npy":
            np.save(path, data)
        else:
            with h5py.File(path, "w") as file:
                file[name] = data
    return root / "features" / f"{bag}{suffix}"
