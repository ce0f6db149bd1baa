"""What we write has the keys, types, attributes and units that its tool expects, and reads back equal."""

import csv

import h5py
import numpy as np
import pytest
import torch

from pathfuse.errors import StoreError
from pathfuse.store import WrittenSlide, open_slide
from pathfuse.store.convert import writer, writers
from pathfuse.store.formats.trident_write import trident_writer, write_trident
from pathfuse.system.files import replacing
from tests.store import foreign

VALUES = foreign.features(9, 5)
COORDS = foreign.grid(9)


@pytest.fixture
def slide(tmp_path):
    return open_slide(foreign.trident(tmp_path / "in" / "s 1.h5", VALUES, COORDS), mpp=foreign.MPP)


def test_trident_layout(slide, tmp_path):
    path = writer("trident").write(slide, tmp_path / "out")
    with h5py.File(path) as file:
        assert file["features"].dtype == np.float16 and file["coords"].dtype == np.int64
        assert np.array_equal(file["features"][:], VALUES) and np.array_equal(file["coords"][:], COORDS)
        assert file["features"].chunks is None and file["coords"].chunks is None
        places = dict(file["coords"].attrs)
        assert int(places["patch_size_level0"]) == 512 and places["patch_size"] == 256 and places["overlap"] == 0
        assert places["level0_magnification"] == 40 and places["level0_width"] == 100_000
        assert file["features"].attrs["encoder"] == "uni_v1"
        assert file.attrs["mpp"] == foreign.MPP and file.attrs["pathfuse_version"]
    again = open_slide(path)
    assert again.source_format == "pathfuse" and again.mpp == foreign.MPP and again.patch_size_level0 == 512


def test_clam_layout(slide, tmp_path):
    writer("clam").write(slide, tmp_path)
    with h5py.File(tmp_path / "h5_files" / "s 1.h5") as file:
        assert set(file) == {"features", "coords"} and not file.attrs
        assert file["features"].dtype == np.float32 and file["coords"].dtype == np.int32
        assert not file["features"].attrs and not file["coords"].attrs
        assert np.array_equal(file["features"][:], VALUES.astype(np.float32))
    tensor = torch.load(tmp_path / "pt_files" / "s 1.pt", weights_only=True)
    assert tensor.dtype == torch.float32 and torch.equal(tensor, torch.from_numpy(VALUES).float())
    with h5py.File(tmp_path / "patches" / "s 1.h5") as file:
        facts = file["coords"].attrs
        assert int(facts["patch_size"]) * int(facts["downsample"][0]) == 512
    assert open_slide(tmp_path / "h5_files" / "s 1.h5").patch_size_level0 == 512


def test_stamp_layout(slide, tmp_path):
    path = writer("stamp").write(slide, tmp_path)
    with h5py.File(path) as file:
        facts = dict(file.attrs)
        assert facts["unit"] == "um" and facts["feat_type"] == "tile" and facts["extractor"] == "uni_v1"
        assert facts["tile_size_um"] == 128.0 and int(facts["tile_size_px"]) == 256
        assert tuple(int(part) for part in facts["stamp_version"].split(".")) <= (2, 5, 0)
        assert file["feats"].dtype == np.float16 and file["coords"].dtype == np.float32
        assert file["feats"].chunks is None
        assert np.array_equal(file["coords"][:], (COORDS * foreign.MPP).astype(np.float32))


def test_stamp_without_mpp_is_refused(tmp_path):
    unknown = open_slide(foreign.trident(tmp_path / "a.h5", VALUES, COORDS))
    with pytest.raises(StoreError, match=r"a\.h5 has no mpp .*Give mpp"):
        writer("stamp").write(unknown, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_eva_layout(slide, tmp_path):
    path = writer("eva").write(slide, tmp_path / "out")
    assert torch.equal(torch.load(path, weights_only=True), torch.from_numpy(VALUES))
    rows = [WrittenSlide(tmp_path / "in" / "s 1.svs", path, 1, "train")]
    writer("eva").write_table(tmp_path / "out", rows)
    with (tmp_path / "out" / "manifest.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {"origin": "s 1.svs", "embeddings": "s 1.pt", "target": "1", "split": "train", "wsi_id": "s 1"}
    with pytest.raises(StoreError, match="exists already"):
        writer("eva").write_table(tmp_path / "out", rows)


@pytest.mark.parametrize("target", writers())
@pytest.mark.parametrize("count", [1, 9])
def test_every_way_there_keeps_the_features(tmp_path, target, count):
    start = foreign.trident(tmp_path / "a.h5", VALUES[:count], COORDS[:count])
    path = writer(target).write(open_slide(start, mpp=foreign.MPP), tmp_path / "out")
    back = open_slide(path, mpp=foreign.MPP)
    assert torch.equal(back.features.read().half(), torch.from_numpy(VALUES[:count]))
    if target != "eva":
        assert torch.equal(back.level0_coords(), torch.from_numpy(COORDS[:count]))
        assert back.level0_patch_size == 512


def test_an_empty_slide_is_written_where_the_tool_has_a_file_for_it(tmp_path):
    empty = open_slide(foreign.trident(tmp_path / "a.h5", VALUES[:0], COORDS[:0]), mpp=foreign.MPP)
    for target in ("trident", "stamp", "eva"):
        assert len(open_slide(writer(target).write(empty, tmp_path / target))) == 0
    writer("clam").write(empty, tmp_path / "clam")
    assert not (tmp_path / "clam").exists()


def test_a_value_that_overflows_float16_is_refused_and_leaves_nothing(tmp_path):
    large = np.full((9, 5), 1e5, np.float32)
    slide = open_slide(foreign.trident(tmp_path / "a.h5", large, COORDS), mpp=foreign.MPP)
    with pytest.raises(StoreError, match="overflow float16"):
        writer("stamp").write(slide, tmp_path / "out")
    assert not list((tmp_path).glob("out/*"))


def test_a_slide_can_be_written_in_parts(tmp_path):
    path = tmp_path / "features_x" / "a.h5"
    with trident_writer(path, torch.from_numpy(COORDS), 5, encoder="x", attributes={"modality": "ihc"}) as writer:
        for start in (0, 4, 8):
            writer.write(torch.from_numpy(VALUES[start : start + 4]))
        assert not path.exists()
    slide = open_slide(path)
    assert torch.equal(slide.features.read(), torch.from_numpy(VALUES))
    assert slide.modality == "ihc" and slide.encoder == "x" and slide.patch_size_level0 is None


@pytest.mark.parametrize("rows", [0, 4, 10])
def test_too_few_or_too_many_rows_leave_no_file(tmp_path, rows):
    with (
        pytest.raises(StoreError, match="coordinates"),
        trident_writer(tmp_path / "a.h5", torch.from_numpy(COORDS), 5) as writer,
    ):
        writer.write(torch.zeros(rows, 5))
    assert not list(tmp_path.iterdir())


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path, error=StoreError) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_trident(tmp_path / "file" / "a.h5", torch.zeros(9, 5), torch.from_numpy(COORDS))


def test_torchmil_reads_our_files_and_we_read_what_it_reads(tmp_path):
    processed = pytest.importorskip("torchmil.datasets.processed_mil_dataset")
    for name in ("a", "b"):
        foreign.torchmil(tmp_path / "bags", name, VALUES, COORDS, ".h5")
        write_trident(tmp_path / "ours" / f"{name}.h5", torch.from_numpy(VALUES), torch.from_numpy(COORDS))
    options = {"bag_keys": ["X", "coords"], "file_ext": ".h5", "verbose": False}
    theirs = processed.ProcessedMILDataset(
        features_path=f"{tmp_path}/bags/features/", coords_path=f"{tmp_path}/bags/coords/", **options
    )
    ours = processed.ProcessedMILDataset(features_path=f"{tmp_path}/ours/", coords_path=f"{tmp_path}/ours/", **options)
    for data in (theirs, ours):
        assert len(data) == 2
        assert torch.equal(data[0]["X"].half(), torch.from_numpy(VALUES))
        assert torch.equal(data[0]["coords"].long(), torch.from_numpy(COORDS))
    mine = open_slide(tmp_path / "bags" / "features" / "a.h5")
    assert torch.equal(theirs[0]["X"].half(), mine.features.read())
