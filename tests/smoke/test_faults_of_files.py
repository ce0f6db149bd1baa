"""Files that are no files, or whose headers lie: each ends in one line, and nobody waits."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from torch import nn

from pathfuse.cohort.sources.case_table import read_cases
from pathfuse.data.images.decode import decode
from pathfuse.errors import PathfuseError, StoreError
from pathfuse.inference.plan import load_weights
from pathfuse.recipes.plain_yaml import read_yaml
from pathfuse.register.files.metaimage import read_mha
from pathfuse.register.files.points import read_points
from pathfuse.runs.predictions import read_predictions
from pathfuse.slides.opening import open_slide as open_image
from pathfuse.store import open_slide
from pathfuse.store.index import FeatureIndex
from pathfuse.store.read import stores
from pathfuse.system.csv_table import read_csv
from tests.irregular import irregular
from tests.smoke.ending import patience, refused

READERS: dict[str, Callable[[Path], object]] = {
    "cases.csv": read_cases,
    "recipe.yaml": read_yaml,
    "predictions.csv": read_predictions,
    "table.csv": read_csv,
    "points.csv": read_points,
    "field.mha": read_mha,
    "features.h5": open_slide,
    "slide.tiff": open_image,
    "image.png": decode,
    "weights.ckpt": lambda path: load_weights(nn.Linear(1, 1), path),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    path = irregular(kind, tmp_path / name)
    with patience(), pytest.raises(PathfuseError, match=name):
        READERS[name](path)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_command_does_not_wait_for_a_table(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = irregular(kind, tmp_path / "cases.csv")
    assert "no regular file" in refused(capsys, "data", "check", path)


# Tag, its value, and its type where that changes.
HEADERS = {
    "a width of -1": (256, -1, 9),
    "a width of 0": (256, 0, None),
    "a width of a billion": (256, 1 << 30, None),
    "a height of 0": (257, 0, None),
    "a height of -1": (257, -1, 9),
    "a height of 4 billion": (257, (1 << 32) - 1, 4),
    "tiles 0 wide": (322, 0, None),
    "tiles 0 high": (323, 0, None),
    "tiles -1 wide": (322, -1, 9),
    "tiles of 4 billion": (322, (1 << 32) - 16, 4),
    "no samples": (277, 0, None),
    "an unknown compression": (259, 999, None),
}


def with_tag(content: bytes, tag: int, value: int, kind: int | None) -> bytes:
    """A classic TIFF with another value of a tag of its first directory."""
    changed = bytearray(content)
    start = struct.unpack("<I", content[4:8])[0]
    count = struct.unpack("<H", content[start : start + 2])[0]
    entries = [start + 2 + 12 * number for number in range(count)]
    (place,) = (entry for entry in entries if struct.unpack("<H", content[entry : entry + 2])[0] == tag)
    if kind is not None:
        changed[place + 2 : place + 4] = struct.pack("<H", kind)
    elif value > 0xFFFF:
        changed[place + 2 : place + 4] = struct.pack("<H", 4)
    changed[place + 8 : place + 12] = struct.pack("<i" if value < 0 else "<I", value)
    return bytes(changed)


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_cannot_be_is_refused_before_a_pixel_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / "slide.tiff"
    tifffile.imwrite(path, np.zeros((256, 256, 3), np.uint8), photometric="rgb", tile=(64, 64), metadata=None)
    with open_image(path):
        pass
    path.write_bytes(with_tag(path.read_bytes(), *HEADERS[name]))
    with patience(), pytest.raises(PathfuseError, match=r"slide\.tiff"):
        open_image(path).close()


class TestIndex:
    """Headers of feature files are remembered, and nothing else is believed of a file that changed."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        folder = tmp_path / "features"
        folder.mkdir()
        self.write(folder / "s.h5", 5)
        return folder / "s.h5"

    @staticmethod
    def write(path: Path, count: int) -> None:
        with h5py.File(path, "w") as file:
            file["features"] = np.arange(count * 3, dtype=np.float32).reshape(count, 3)
            file["coords"] = np.arange(count * 2).reshape(count, 2)
            file["coords"].attrs["patch_size_level0"] = 256

    def test_a_second_start_opens_no_file_and_reads_the_same(self, path: Path, tmp_path: Path) -> None:
        first = FeatureIndex(tmp_path / "cache")
        seen = first.open(path, mpp=0.5)
        first.save()
        again = FeatureIndex(tmp_path / "cache")
        known = again.open(path, mpp=0.5)
        assert (first.opened, again.opened) == (1, 0)
        assert known == seen
        assert np.array_equal(known.features.read().numpy(), np.arange(15).reshape(5, 3))

    @pytest.mark.parametrize("store", ["clam", "clam .pt", "eva", "tensor", "torchmil", "wsmcl"])
    def test_a_slide_of_several_files_is_known_while_none_of_them_changes(
        self, store: str, path: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "others"
        folder.mkdir()
        slide = stores()[store.partition(" ")[0]].example(folder, open_slide(path, mpp=0.5))
        assert slide is not None
        slide = next(folder.rglob("*.pt")) if store.endswith(".pt") else slide
        for opened in (1, 0):
            index = FeatureIndex(tmp_path / "cache")
            assert index.open(slide).source_format == store.partition(" ")[0] and len(index.open(slide)) == 5
            assert np.array_equal(index.open(slide).features.read().numpy(), np.arange(15).reshape(5, 3))
            assert index.opened == opened
            index.save()
        for other in [file for file in folder.rglob("*") if file.is_file() and file != slide and store != "clam"]:
            os.utime(other, ns=(1, 1))
            index = FeatureIndex(tmp_path / "cache")
            index.open(slide)
            assert index.opened == 1, other
            index.save()

    def test_a_tensor_is_of_clam_as_soon_as_it_has_a_twin(self, path: Path, tmp_path: Path) -> None:
        folder = tmp_path / "job"
        stores()["clam"].example(folder, open_slide(path, mpp=0.5))
        (twin,) = folder.glob("h5_files/*.h5")
        twin.rename(tmp_path / "kept.h5")
        index = FeatureIndex(tmp_path / "cache")
        (bare,) = folder.glob("pt_files/*.pt")
        assert index.open(bare).source_format == "tensor"
        (tmp_path / "kept.h5").rename(twin)
        assert index.open(bare).source_format == "clam"

    def test_a_file_that_changed_is_opened_again(self, path: Path, tmp_path: Path) -> None:
        first = FeatureIndex(tmp_path / "cache")
        first.open(path)
        first.save()
        self.write(path, 7)
        again = FeatureIndex(tmp_path / "cache")
        assert len(again.open(path)) == 7 and again.opened == 1

    @pytest.mark.parametrize("content", ["", "{}", "[]", "[1, 2]", "\0", "[" * 100_000, '[[], {"s.h5": 3}]'])
    def test_a_damaged_index_is_as_good_as_none(self, content: str, path: Path, tmp_path: Path) -> None:
        first = FeatureIndex(tmp_path / "cache")
        first.open(path)
        first.save()
        (file,) = (tmp_path / "cache" / "headers").iterdir()
        file.write_text(content)
        again = FeatureIndex(tmp_path / "cache")
        assert len(again.open(path)) == 5 and again.opened == 1

    def test_a_cache_that_cannot_be_written_costs_nothing_but_time(self, path: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("no folder")
        index = FeatureIndex(tmp_path / "file" / "cache")
        assert len(index.open(path)) == 5
        index.save()

    def test_a_file_that_is_gone_is_said_to_be(self, path: Path, tmp_path: Path) -> None:
        first = FeatureIndex(tmp_path / "cache")
        first.open(path)
        first.save()
        path.unlink()
        with pytest.raises(StoreError, match="does not exist"):
            FeatureIndex(tmp_path / "cache").open(path)
