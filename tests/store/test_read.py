"""Every format is found by what is in the file, and what the file does not say is refused, not guessed."""

import io
import json
import os
import pickle
import shutil
import zipfile

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pathfuse.errors import PathfuseError, StoreError
from pathfuse.store import open_slide, stores
from pathfuse.store.folder import find_files
from tests.store import foreign

VALUES = foreign.features(9, 5)
COORDS = foreign.grid(9)


def test_nine_formats_are_registered():
    assert set(stores()) == {
        "clam", "eva", "madeleine", "pathfuse", "stamp", "tensor", "torchmil", "trident", "wsmcl",
    }  # fmt: skip


def test_trident_without_attributes_on_the_features_is_still_trident(tmp_path):
    path = foreign.trident(tmp_path / "anything.bin", VALUES, COORDS, encoder=None)
    slide = open_slide(path)
    assert slide.source_format == "trident" and slide.encoder is None
    assert torch.equal(slide.level0_coords(), torch.from_numpy(COORDS))
    assert slide.patch_size_level0 == 512


def test_a_text_none_means_none_and_a_text_number_is_a_number(tmp_path):
    slide = open_slide(foreign.trident(tmp_path / "a.h5", VALUES, COORDS, encoder="None", patch_size_level0="512"))
    assert slide.encoder is None and slide.patch_size_level0 == 512


def test_a_missing_patch_size_is_refused_by_name_when_it_is_needed(tmp_path):
    path = foreign.trident(tmp_path / "a.h5", VALUES, COORDS, patch_size_level0=...)
    slide = open_slide(path)
    with pytest.raises(StoreError, match=r"a\.h5 has no patch_size_level0 .*attribute patch_size_level0.*Give"):
        slide.need("patch_size_level0")
    open_slide(path, patch_size_level0=512).need("patch_size_level0")


def test_the_exact_mpp_of_trident_comes_from_its_state_files(tmp_path):
    path = foreign.trident(tmp_path / "20x_256px_0px_overlap" / "features_uni" / "a[1].h5", VALUES, COORDS)
    assert open_slide(path).mpp is None
    (tmp_path / "wsi_states").mkdir()
    state = tmp_path / "wsi_states" / "a[1]__0123456789ab.json"
    state.write_text(json.dumps({"meta": {"mpp": 0.2527}}))
    assert open_slide(path, mpp=0.5).mpp == 0.2527
    for text in ("{", '{"meta": 3}', '{"meta": {"mpp": "None"}}', "[" * 100_000):
        state.write_text(text)
        assert open_slide(path).mpp is None


@pytest.mark.parametrize("shape", [(0, 5), (0,)])
def test_an_empty_trident_slide_is_a_bag_of_length_0(tmp_path, shape):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"] = np.empty(shape, np.float32)
        file["features"].attrs["encoder"] = "uni"
        file["coords"] = np.empty((0, 2), np.int64)
    slide = open_slide(tmp_path / "a.h5")
    assert len(slide) == 0 and slide.features.read().shape[0] == 0 and slide.level0_coords().shape == (0, 2)


def test_squeezed_coordinates_of_one_patch_are_read(tmp_path):
    slide = open_slide(foreign.trident(tmp_path / "a.h5", VALUES[:1], COORDS[:1]))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["features"] = VALUES[:1]
        file["features"].attrs["encoder"] = "uni"
        file["coords"] = COORDS[0]
    assert torch.equal(open_slide(tmp_path / "b.h5").level0_coords(), slide.level0_coords())


def test_a_slide_embedding_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"] = VALUES[0].astype(np.float32)
        file["features"].attrs["encoder"] = "titan"
        file["coords"] = COORDS
    with pytest.raises(StoreError, match="one vector of a whole slide"):
        open_slide(tmp_path / "a.h5")


@pytest.mark.parametrize("level", ["slide", "patient"])
def test_a_stamp_file_of_another_level_is_refused(tmp_path, level):
    with pytest.raises(StoreError, match=f"features of a {level}, not of tiles"):
        open_slide(foreign.stamp(tmp_path / "a.h5", VALUES, COORDS, feat_type=level))


def test_stamp_is_micrometres_until_mpp_is_known(tmp_path):
    path = foreign.stamp(tmp_path / "a.h5", VALUES, COORDS * foreign.MPP)
    slide = open_slide(path)
    assert slide.coords_level0_px is None and slide.level0_coords() is None and slide.patch_size_um == 128
    with pytest.raises(StoreError, match=r"a\.h5 has no mpp .*micrometres.*Give mpp"):
        slide.need("coords")
    slide = open_slide(path, mpp=foreign.MPP)
    assert torch.equal(slide.level0_coords(), torch.from_numpy(COORDS)) and slide.level0_patch_size == 512


def test_older_stamp_files_are_read(tmp_path):
    bare = {
        name: ... for name in ("stamp_version", "tile_size_px", "tile_size_um", "code_hash", "feat_type", "extractor")
    }
    renamed = foreign.stamp(tmp_path / "tile_size.h5", VALUES, COORDS * 0.25, tile_size=128.0, **bare)
    assert open_slide(renamed, mpp=0.25).level0_patch_size == 512
    strides = np.stack(np.meshgrid(np.arange(3), np.arange(3)), -1).reshape(9, 2) * 224
    oldest = open_slide(foreign.stamp(tmp_path / "oldest.h5", VALUES, strides, unit=..., **bare), mpp=0.5)
    assert oldest.patch_size_um == 256
    assert torch.equal(oldest.um_coords(), torch.from_numpy(strides / 224 * 256.0))
    unknown = open_slide(foreign.stamp(tmp_path / "unknown.h5", VALUES, strides * 2, unit=..., **bare), mpp=0.5)
    with pytest.raises(StoreError, match="attribute unit"):
        unknown.need("coords")
    with h5py.File(tmp_path / "multiplex.h5", "w") as file:
        file["patch_embeddings"] = VALUES
    multiplex = open_slide(tmp_path / "multiplex.h5")
    assert multiplex.source_format == "stamp" and len(multiplex) == 9 and multiplex.coords_um is None


def test_clam_takes_the_patch_size_from_its_patching(tmp_path):
    path = foreign.clam(tmp_path, "a", VALUES, COORDS)
    assert open_slide(path).patch_size_level0 == 512
    assert open_slide(tmp_path / "pt_files" / "a.pt").patch_size_level0 == 512
    with h5py.File(tmp_path / "patches" / "a.h5", "r+") as file:
        file["coords"].attrs["downsample"] = np.array([2.0003, 2.0003])
        file["coords"].attrs["custom_downsample"] = 2
    assert open_slide(path).patch_size_level0 == 1024
    shutil.rmtree(tmp_path / "patches")
    with pytest.raises(StoreError, match=r"patches/a\.h5"):
        open_slide(path).need("patch_size_level0")


@pytest.mark.parametrize("suffix", ["_features", "_feature"])
def test_both_suffixes_of_wsmcl_are_read_and_the_found_one_is_said(tmp_path, suffix):
    slide = open_slide(foreign.wsmcl(tmp_path, "case 1", VALUES, COORDS, suffix))
    assert slide.slide_id == "case 1" and slide.facts["suffix"] == suffix
    assert torch.equal(slide.level0_coords(), torch.from_numpy(COORDS))


@pytest.mark.parametrize("stored", [VALUES, VALUES[None], VALUES[0]])
def test_madeleine_has_three_shapes(tmp_path, stored):
    slide = open_slide(foreign.madeleine(tmp_path / "a_HE.h5", stored))
    assert slide.source_format == "madeleine"
    assert torch.equal(slide.features.read(), torch.from_numpy(stored.reshape(-1, 5)))


@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_torchmil_is_known_by_its_sister_folder(tmp_path, suffix):
    path = foreign.torchmil(tmp_path, "a", VALUES, COORDS, suffix)
    assert open_slide(path).source_format == "torchmil"
    foreign.torchmil(tmp_path, "a", VALUES, COORDS[:4], suffix)
    foreign.torchmil(tmp_path / "other", "a", VALUES, COORDS, suffix)
    shutil.copy(tmp_path / "other" / "features" / f"a{suffix}", path)
    with pytest.raises(StoreError, match="9 rows of features, but 4 of coordinates"):
        open_slide(path)


@pytest.mark.parametrize("count", [0, 8])
def test_features_and_coordinates_of_different_lengths_are_refused(tmp_path, count):
    with pytest.raises(StoreError, match=f"9 rows of features, but {count} of coordinates"):
        open_slide(foreign.trident(tmp_path / "a.h5", VALUES, COORDS[:count]))


def test_coordinates_alone_say_what_is_missing(tmp_path):
    with h5py.File(tmp_path / "a_patches.h5", "w") as file:
        file["coords"] = COORDS
    with pytest.raises(StoreError, match="coordinates only; give the file with features"):
        open_slide(tmp_path / "a_patches.h5")


@pytest.mark.parametrize("stain", ["Ü Żółć 染色.h5", "a b'c\"d.h5", "[x]*?.h5"])
def test_any_file_name_is_read(tmp_path, stain):
    assert len(open_slide(foreign.trident(tmp_path / stain, VALUES, COORDS))) == 9


# Hostile and damaged files.


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def bombs(folder, mark):
    torch.save({"features": torch.ones(3, 4), "x": Bomb(mark)}, folder / "zip.pt")
    torch.save([Bomb(mark)], folder / "old.pth", _use_new_zipfile_serialization=False)
    (folder / "plain.pt").write_bytes(pickle.dumps(Bomb(mark)))
    (folder / "protocol0.pt").write_bytes(pickle.dumps(Bomb(mark), protocol=0))
    np.save(folder / "object.npy", np.array([Bomb(mark)], dtype=object))
    torch.save(np.ones((3, 4), np.float32), folder / "numpy.pt")
    return sorted(file.name for file in folder.iterdir())


def test_no_bomb_goes_off(tmp_path):
    mark = tmp_path / "it ran"
    folder = tmp_path / "files"
    folder.mkdir()
    for name in bombs(folder, mark):
        with pytest.raises(StoreError) as caught:
            open_slide(folder / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
        assert not mark.exists()


def test_a_numpy_array_in_a_torch_file_is_refused_with_a_way_out(tmp_path):
    torch.save(np.ones((3, 4), np.float32), tmp_path / "a.pt")
    with pytest.raises(StoreError, match="convert it once where it was made"):
        open_slide(tmp_path / "a.pt")


def test_a_file_cut_anywhere_is_one_line(tmp_path):
    whole = {
        "t.h5": foreign.trident(tmp_path / "t.h5", VALUES, COORDS).read_bytes(),
        "s.h5": foreign.stamp(tmp_path / "s.h5", VALUES, COORDS).read_bytes(),
    }
    torch.save(torch.from_numpy(VALUES), tmp_path / "a.pt")
    np.save(tmp_path / "a.npy", VALUES)
    whole |= {name: (tmp_path / name).read_bytes() for name in ("a.pt", "a.npy")}
    for name, data in whole.items():
        for end in (0, 1, 7, 100, len(data) // 2, len(data) - 1):
            (tmp_path / name).write_bytes(data[:end])
            with pytest.raises(StoreError) as caught:
                open_slide(tmp_path / name).features.read()
            assert name in str(caught.value) and "\n" not in str(caught.value)


def test_links_out_of_the_file_are_ignored(tmp_path):
    foreign.trident(tmp_path / "secret.h5", VALUES, COORDS)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"] = h5py.ExternalLink("secret.h5", "/features")
        file["soft"] = h5py.SoftLink("/features")
        file["coords"] = COORDS
    with pytest.raises(StoreError, match="features: a link that may lead out of the file, ignored"):
        open_slide(tmp_path / "a.h5")


def test_data_that_lie_in_another_file_are_ignored(tmp_path):
    (tmp_path / "secret.bin").write_bytes(VALUES.tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        outside = [(str(tmp_path / "secret.bin"), 0, VALUES.nbytes)]
        file.create_dataset("features", VALUES.shape, VALUES.dtype, external=outside)
    foreign.madeleine(tmp_path / "secret.h5", VALUES)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        layout = h5py.VirtualLayout(VALUES.shape, VALUES.dtype)
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "features", VALUES.shape)
        file.create_virtual_dataset("features", layout)
    for name in ("a.h5", "b.h5"):
        with pytest.raises(StoreError, match="its data lie in another file"):
            open_slide(tmp_path / name)


def test_a_shape_that_claims_more_than_the_file_holds_is_refused_before_it_is_allocated(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("features", (10**9, 1536), "f2", chunks=(1, 1536))
    torch.save(torch.zeros(1).expand(10**9, 1536), tmp_path / "a.pt")
    for name in ("a.h5", "a.pt"):
        with pytest.raises(StoreError, match="claims"):
            open_slide(tmp_path / name)


def test_rows_without_numbers_and_compressed_archives_are_refused(tmp_path):
    torch.save(torch.empty(10**9, 0), tmp_path / "wide.pt")
    torch.save([torch.empty(0)] * 9, tmp_path / "list.pt")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("features", (10**9, 0), "f2")
    torch.save(torch.zeros(2**20, 4), tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, zipfile.ZipFile(tmp_path / "bomb.pt", "w") as bomb:
        for entry in plain.infolist():
            bomb.writestr(entry.filename, plain.read(entry), zipfile.ZIP_DEFLATED)
    os.mkfifo(tmp_path / "pipe.h5")
    for name in ("wide.pt", "list.pt", "a.h5", "bomb.pt", "pipe.h5"):
        with pytest.raises(StoreError, match=name):
            open_slide(tmp_path / name)


def test_an_attribute_stays_text(tmp_path):
    text = "__import__('os').mkdir('/tmp/never')"
    slide = open_slide(foreign.trident(tmp_path / "a.h5", VALUES, COORDS, encoder=text, patch_size_level0=text))
    assert slide.encoder == text and slide.patch_size_level0 is None


def test_other_contents_are_one_line(tmp_path):
    (tmp_path / "empty.h5").write_bytes(b"")
    (tmp_path / "text.pt").write_text("features")
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("a.txt", "x")
    torch.save({"weight": torch.ones(3)}, tmp_path / "state.pt")
    torch.save(3, tmp_path / "number.pt")
    torch.save(torch.eye(3).to_sparse(), tmp_path / "sparse.pt")
    np.save(tmp_path / "text.npy", np.array(["a"]))
    np.save(tmp_path / "four.npy", np.ones((2, 2, 2, 2)))
    with h5py.File(tmp_path / "group.h5", "w") as file:
        file.create_group("features")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(StoreError) as caught:
            open_slide(path)
        assert path.name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="does not exist"):
        open_slide(tmp_path / "none.h5")


def samples():
    """Bytes of one file of every kind."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("features", data=VALUES, chunks=(2, 5)).attrs["encoder"] = "uni"
        file["coords"] = COORDS
    found = {"h5": buffer.getvalue()}
    for name, zipped in (("pt", True), ("old", False)):
        buffer = io.BytesIO()
        torch.save(torch.from_numpy(VALUES), buffer, _use_new_zipfile_serialization=zipped)
        found[name] = buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, VALUES)
    return {**found, "npy": buffer.getvalue()}


SAMPLES = samples()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(SAMPLES)),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_a_damaged_file_is_read_or_refused_but_nothing_else(tmp_path, kind, flips):
    data = bytearray(SAMPLES[kind])
    for place, value in flips:
        data[int(place * len(data))] = value
    path = tmp_path / f"a.{kind}"
    path.write_bytes(data)
    try:
        slide = open_slide(path)
        values = slide.features.read()
    except PathfuseError as error:
        assert "\n" not in str(error)
    else:
        assert values.shape == slide.features.shape


def test_npz_is_named_and_what_is_read_instead(tmp_path):
    np.savez(tmp_path / "a.npz", features=np.zeros((3, 4)))
    with pytest.raises(
        StoreError, match=r"a.npz is a .npz, which is not read. Save its features as \.npy, \.pt or \.h5"
    ):
        open_slide(tmp_path / "a.npz")
    with pytest.raises(StoreError, match=r"1 \.npz files, which are not read"):
        find_files(tmp_path)
