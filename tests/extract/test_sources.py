from pathlib import Path

import pytest

from pathfuse.errors import RecipeError
from pathfuse.extract.layout import Layout, folder_name, magnification_of
from pathfuse.extract.sources import find_slides
from pathfuse.slides.grid import PatchGrid
from pathfuse.system.shards import shard


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(words: list[object]) -> list[str]:
    return [source.slide_id for source in find_slides([str(word) for word in words], modality="he")]


def test_files_folders_and_patterns_mean_slides(tmp_path: Path) -> None:
    touch(tmp_path / "a.svs", tmp_path / "deep" / "b.ome.tif", tmp_path / "c.NDPI", tmp_path / "notes.txt")
    touch(tmp_path / ".hidden" / "d.svs", tmp_path / "dicom" / "1.dcm", tmp_path / "dicom" / "2.dcm")
    assert names([tmp_path]) == ["1", "a", "b", "c"]
    assert names([tmp_path / "*.svs", tmp_path / "a.svs"]) == ["a"]
    assert names([tmp_path / "**" / "*.tif"]) == ["b"]
    assert names([tmp_path / "absent.svs"]) == ["absent"]


def test_words_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for word, reason in [(tmp_path / "*.svs", "no file matches"), (tmp_path / "empty", "holds no slides")]:
        with pytest.raises(RecipeError, match=reason):
            names([word])


def test_two_slides_of_one_name_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "x.svs", tmp_path / "b" / "x.tiff")
    with pytest.raises(RecipeError, match=r"x\.svs and .*x\.tiff would both be written"):
        names([tmp_path])


@pytest.mark.parametrize("count", [1, 3, 7, 20])
def test_shards_are_a_partition(tmp_path: Path, count: int) -> None:
    touch(*(tmp_path / f"{number:02}.svs" for number in range(11)))
    slides = find_slides([str(tmp_path)], modality="he")
    parts = [shard(slides, f"{part}/{count}") for part in range(1, count + 1)]
    assert sorted((one for part in parts for one in part), key=lambda one: one.slide_id) == slides


@pytest.mark.parametrize("text", ["0/3", "4/3", "a/b", "1", "/", "-1/2"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="--shard"):
        shard([], text)


def test_folders_are_named_as_trident_names_them() -> None:
    layout = Layout(Path("out"), PatchGrid(), "timm:vit_base_patch16_224.augreg")
    assert str(layout.features("a")) == "out/20x_256px_0px_overlap/features_vit_base_patch16_224.augreg/a.h5"
    assert str(layout.patches("a")) == "out/20x_256px_0px_overlap/patches/a_patches.h5"
    assert [magnification_of(mpp) for mpp in (0.25, 0.5, 1.0, 0.97)] == [40, 20, 10, 10.3]


@pytest.mark.parametrize(
    ("encoder", "name"),
    [
        ("hf-hub:owner/net", "hf-hub_owner_net"),
        ("local-dir:/a/b/uni", "uni"),
        ("timm:../../etc", "etc"),
        ("..", "encoder"),
    ],
)
def test_an_encoder_cannot_name_a_folder_elsewhere(encoder: str, name: str) -> None:
    assert folder_name(encoder) == name
