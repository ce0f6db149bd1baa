import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from pathfuse.cli.splits import split
from pathfuse.cli.words import Words
from pathfuse.cohort.folds.duplicates import across_sides, close_pairs, near_duplicates, perceptual_hash
from pathfuse.cohort.folds.file import FoldRow
from pathfuse.cohort.sources.case_table import write_cases
from pathfuse.cohort.table import Case, CaseFile
from pathfuse.demo import DemoCohort, PatchPictures, write_patches


def texture(seed, size=96):
    """Blobs of tissue on glass."""
    noise = np.random.default_rng(seed).normal(size=(12, 12, 3)) * 45 + (190, 120, 170)
    return Image.fromarray(noise.clip(0, 255).astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)


def cohort(tmp_path, images):
    cases = []
    for name, image in images.items():
        image.save(tmp_path / f"{name}.png")
        cases.append(Case(name, f"p_{name}", "ab"[len(cases) % 2], files={"he": (CaseFile(tmp_path / f"{name}.png"),)}))
    return cases


def pairs(cases, **options):
    return {(pair.first, pair.second) for pair in near_duplicates(cases, threads=1, **options)}


def test_copies_that_were_scaled_compressed_or_recoloured_are_found(tmp_path):
    original = texture(0)
    original.save(tmp_path / "small.jpg", quality=60)
    variants = {
        "copy": original,
        "scaled": original.resize((70, 70), Image.Resampling.LANCZOS),
        "compressed": Image.open(tmp_path / "small.jpg").copy(),
        "recoloured": ImageEnhance.Brightness(ImageEnhance.Contrast(original).enhance(1.2)).enhance(0.9),
    }
    cases = cohort(tmp_path, {"original": original, **variants, **{f"other{k}": texture(k) for k in range(1, 9)}})
    assert {("original", name) for name in variants} <= pairs(cases)
    assert not any("other" in name for pair in pairs(cases) for name in pair)


def test_unrelated_tissue_of_the_demo_cohort_is_not_a_pair(tmp_path):
    from pathfuse.cohort.sources.case_table import read_cases

    write_patches(tmp_path / "demo", DemoCohort(patients=24), PatchPictures(size_px=64))
    assert pairs(read_cases(tmp_path / "demo" / "cases.csv").cases) == set()


def test_other_stains_glass_slides_and_broken_files_are_passed_over(tmp_path):
    texture(0).save(tmp_path / "same.png")
    Image.new("RGB", (64, 64), "white").save(tmp_path / "glass.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert perceptual_hash(tmp_path / "glass.png") is None and perceptual_hash(tmp_path / "broken.png") is None
    cases = [
        Case("1", "p1", files={"he": (CaseFile(tmp_path / "same.png"),)}),
        Case("2", "p2", files={"ihc": (CaseFile(tmp_path / "same.png"),)}),
        Case("3", "p3", files={"he": (CaseFile(tmp_path / "glass.png"), CaseFile(tmp_path / "broken.png"))}),
        Case("4", "p4", files={"he": (CaseFile(tmp_path / "glass.png"), CaseFile(tmp_path / "slide.svs"))}),
    ]
    assert pairs(cases) == set()


@settings(max_examples=60)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12), st.integers(0, 8), st.integers(0, 99))
def test_bands_find_what_the_loop_over_all_pairs_finds(values, distance, seed):
    generator = np.random.default_rng(seed)
    draws = [generator.integers(0, 64, generator.integers(0, 9)) for _ in values]
    flips = [sum({1 << int(bit) for bit in drawn}) for drawn in draws]  # a bit drawn twice is one bit
    bits = np.array([*values, *(v ^ f for v, f in zip(values, flips, strict=True))], dtype=np.uint64)
    numbers = [int(value) for value in bits]
    loop = [
        (a, b, (numbers[a] ^ numbers[b]).bit_count())
        for a in range(len(numbers))
        for b in range(a + 1, len(numbers))
        if (numbers[a] ^ numbers[b]).bit_count() <= distance
    ]
    assert list(close_pairs(bits, distance)) == loop


def test_only_pairs_on_two_sides_leak(tmp_path):
    cases = cohort(tmp_path, {"a": texture(0), "b": texture(0), "c": texture(1)})
    found = near_duplicates(cases, threads=1)
    together = [
        FoldRow(0, 0, name, f"p_{name}", part) for name, part in zip("abc", ("train", "train", "test"), strict=True)
    ]
    apart = [FoldRow(0, 1, name, f"p_{name}", part) for name, part in zip("abc", ("train", "test", "val"), strict=True)]
    assert across_sides(found, together) == []
    (leak,) = across_sides(found, [*together, *apart])
    assert (leak.splits, leak.parts) == (1, ("train", "test"))
    assert str(leak) == "a (train) and b (test): he images a.png and b.png differ in 0 of 64 bits"


def test_the_command_warns_with_the_pairs(tmp_path, capsys):
    images = {f"c{k:02d}": texture(k) for k in range(20)}
    images["copy_of_c03"] = texture(3)
    write_cases(tmp_path / "cases.csv", cohort(tmp_path, images))
    words = ["--folds", "5", "--seed", "1", "--out", str(tmp_path / "splits.csv")]
    split(tmp_path / "cases.csv", Words.split(words))
    text = capsys.readouterr().out
    assert "WARNING: 1 pair of nearly equal images lies on two sides of a split:" in text
    assert "c03" in text and "copy_of_c03" in text
    split(tmp_path / "cases.csv", Words.split([*words, "--duplicates", "off"]))
    assert "nearly equal" not in capsys.readouterr().out


@pytest.mark.parametrize("seed", range(3))
def test_the_hash_is_the_sign_of_the_cosine_transform(tmp_path, seed):
    from scipy.fft import dctn

    texture(seed).save(tmp_path / "x.png")
    grey = np.asarray(Image.open(tmp_path / "x.png").convert("L").resize((32, 32), Image.Resampling.BOX), dtype=float)
    signs = (dctn(grey)[:8, 1:9] > 0).ravel()
    assert perceptual_hash(tmp_path / "x.png") == int("".join(map(str, signs.astype(int))), 2)
