"""A third party's slide reader, tissue rule, normaliser, store and registration: used by name, named, checked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from pathfuse.cli import main
from pathfuse.errors import ImageError, PluginError, RecipeError, StoreError
from pathfuse.extract.sources import find_slides
from pathfuse.register.mapping import map_points
from pathfuse.register.transform import apply
from pathfuse.registry import NORMALISERS, READERS, TISSUES, Registry, build, forget_installed
from pathfuse.slides import Tissue, open_slide, tissue_rule
from pathfuse.store import open_slide as open_features
from pathfuse.template import KINDS, write_plugin
from pathfuse.testing.sections import MPP, known_map, points, write_sections
from tests.extract.small import run
from tests.slides.drawing import section
from tests.template.distribution import install as lay_down

OFFERED = {
    "reader": "LabReader",
    "tissue": "DarkTissue",
    "normaliser": "ShiftNormaliser",
    "store": "LabStore",
    "registration": "AxisRegistration",
}
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution onto the path: metadata as pip writes it, and the package."""
    site = tmp_path / "foreign_lab"
    write_plugin(site, list(OFFERED), list(OFFERED.values()))
    monkeypatch.syspath_prepend(str(site))

    def distribution(api: str | None = "1.0") -> None:
        lay_down(site, api, version="2.3")
        forget_installed()

    yield distribution
    forget_installed()
    for name in [name for name in sys.modules if name.partition(".")[0] == "foreign_lab"]:
        del sys.modules[name]


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """Two slides of the laboratory's camera, in one folder with notes."""
    folder = tmp_path / "slides"
    folder.mkdir()
    for number in range(2):
        pixels = section(520, seed=number)
        start = b"LABSLIDE" + np.array(pixels.shape[1::-1], "<u4").tobytes()
        (folder / f"s{number}.lab").write_bytes(start + pixels.tobytes())
    (folder / "notes.txt").write_text("no slide")
    return folder


def extract(slides: Path, out: Path, **options: object) -> Path:
    """Extracts with everything that the laboratory offers; returns the folder of the features."""
    chosen = {"slide_mpp": 2.0, "tissue": "dark", "normaliser": "ShiftNormaliser", **options}
    statuses, shown = run([str(slides)], out, **chosen)
    assert {status.status for status in statuses.values()} == {"done"}, shown
    return next(out.glob("*/features_*"))


def test_each_is_small() -> None:
    for slot in OFFERED:
        assert len(KINDS[slot].source.read_text().splitlines()) < 45


def test_all_are_listed_shown_and_checked(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install()
    assert main(["plugins", "list"]) == 0
    listed = [line.split() for line in capsys.readouterr().out.splitlines()]
    for slot, name in OFFERED.items():
        assert [slot, name, "foreign-lab", "2.3", "1.0", "Apache-2.0"] in listed
        assert f"foreign_lab.{slot}" not in sys.modules, "listing imports nothing"
        assert main(["plugins", "show", name]) == 0
        assert f"foreign_lab.{slot}.{name}" in capsys.readouterr().out
        assert main(["plugins", "check", name]) == 0
        assert f"{name}: " in capsys.readouterr().out


def test_a_whole_distribution_is_checked_and_told_to_programs(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install()
    assert main(["plugins", "check", "foreign-lab", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["failed"] == 0 and said["causes"] == [] and said["ran"] == len(said["results"])
    assert {result["component"] for result in said["results"]} == set(OFFERED.values())
    quiet = [result["status"] for result in said["results"] if result["name"] == "its_import_is_quiet"]
    assert quiet == ["passed"] * len(OFFERED)
    assert main(["plugins", "list", "--json"]) == 0
    listed = {row["component"]: row for row in json.loads(capsys.readouterr().out)["components"]}
    assert listed["LabReader"]["distribution"] == "foreign-lab" and listed["LabReader"]["network"] == ""
    assert "huggingface_hub" in listed["uni2_h"]["network"] and listed["uni2_h"]["api"] == "1.0"
    assert listed["hibou_b"]["note"].startswith("not built: its authors publish it as remote code")


def test_slides_are_opened_by_the_reader_that_knows_them(install: Install, slides: Path) -> None:
    with pytest.raises(ImageError, match=r"s0\.lab is no slide of a known format"):
        open_slide(slides / "s0.lab")
    install()
    with open_slide(slides / "s0.lab", mpp=2.0) as slide:
        assert slide.reader == "LabReader" and np.array_equal(slide.read_level(0, 0, 0, 520, 520), section(520, seed=0))
    with open_slide(slides / "s0.lab", reader="lab") as slide, pytest.raises(ImageError, match="a camera's file"):
        _ = slide.mpp
    with pytest.raises(PluginError, match=r"no reader is called 'lob'\. Did you mean lab\?"):
        open_slide(slides / "s0.lab", reader="lob")


def test_extraction_uses_all_of_them_and_says_so(install: Install, slides: Path, tmp_path: Path) -> None:
    install()
    features = extract(slides, tmp_path / "out")
    with h5py.File(features / "s0.h5") as file:
        values, coords = file["features"][:], file["coords"][:]
        settings = json.loads(file.attrs["pathfuse_settings"])
        assert file.attrs["plugins"] == "foreign-lab 2.3: DarkTissue, LabReader, ShiftNormaliser"
    assert settings["tissue"] == {"name": "DarkTissue", "limit": 225.0, "version": 1}
    assert settings["normaliser"]["name"] == "ShiftNormaliser"
    versions = json.loads((features / "versions.json").read_text())
    assert versions["plugins"]["foreign-lab"] == "2.3" and versions["torch"] and versions["pathfuse"]
    assert versions["components"] == {"foreign-lab": ["DarkTissue", "LabReader", "ShiftNormaliser"]}
    # By hand: patches that are at least half darker than 225, shifted to the mean colour, quarter by quarter.
    whole = section(520, seed=0).astype(float)
    for row, (x, y) in zip(values, coords.tolist(), strict=True):
        patch = whole[y : y + 64, x : x + 64]
        shifted = (patch + ([200, 150, 190] - patch.mean((0, 1)))).round().clip(0, 255) / 255
        means = [shifted[r : r + 32, c : c + 32].mean((0, 1)) for r in (0, 32) for c in (0, 32)]
        assert np.allclose(np.stack(means, 1).ravel(), row, atol=1e-3)


def test_reading_processes_find_them_too(install: Install, slides: Path, tmp_path: Path) -> None:
    install()
    here, there = (extract(slides, tmp_path / str(workers), workers=workers) for workers in (0, 1))
    for name in ("s0.h5", "s1.h5"):
        with h5py.File(here / name) as one, h5py.File(there / name) as other:
            assert np.array_equal(one["features"][:], other["features"][:])


def test_other_options_are_other_features(install: Install, slides: Path, tmp_path: Path) -> None:
    install()
    features = extract(slides, tmp_path / "out")
    again = [str(slides), "--encoder", "QuadrantMeans", "--weights", "own", "--mpp", "2", "--patch-px", "64"]
    again += [
        "--workers",
        "0",
        "--device",
        "cpu",
        "--dtype",
        "float32",
        "--slide-mpp",
        "2",
        "--out",
        str(tmp_path / "out"),
    ]
    named = ["--tissue", "DarkTissue", "--normaliser", "shift"]
    before = (features / "s0.h5").stat().st_mtime_ns
    assert main(["extract", *again, *named]) == 0
    assert (features / "s0.h5").stat().st_mtime_ns == before, "the same components by other words are the same work"
    for changed in ["--tissue.limit", "200"], ["--normaliser.mean", "[9, 9, 9]"], ["--reader", "lab"]:
        assert main(["extract", *again, *named, *changed]) == 2
        assert main(["extract", *again, *named, *changed, "--overwrite"]) == 0
        assert main(["extract", *again, *named, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--tissue", "darc"], r"no tissue is called 'darc'\. Did you mean dark\?"),
        (
            ["--tissue", "dark", "--tissue.limmit", "3"],
            r"--tissue dark takes no option 'limmit'\. Did you mean limit\?",
        ),
        (["--tissue", "dark", "--tissue.limit", "grey"], "--tissue dark: option limit is 'grey', and has to be float"),
        (["--tissue", "dark", "--tissue.limit", "true"], "option limit is True, and has to be float"),
        (["--normaliser", "shift", "--normaliser.mean", "red"], r"option mean is 'red', and has to be tuple\[float"),
        (["--tissue", "dark", "--drop-pen", "true"], r"--tissue dark takes no option 'drop_pen'"),
        (["--normaliser", "macenco"], r"no normaliser is called 'macenco'\. Did you mean Macenko\?"),
        (["--normaliser", "macenko", "--modality", "ihc"], r"the usual reference is for H&E .* in --normaliser-target"),
        (["--normaliser-target", "a.png"], r"--normaliser-target is of no use without --normaliser"),
        (["--reader", "lap"], r"no reader is called 'lap'\. Did you mean lab\?"),
    ],
)
def test_a_word_that_means_nothing_is_one_line(
    words: list[str], reason: str, install: Install, slides: Path, tmp_path: Path
) -> None:
    from pathfuse.cli.extract import extract as command

    install()
    line = [str(slides), "--encoder", "QuadrantMeans", "--weights", "own", "--out", str(tmp_path / "out"), *words]
    with pytest.raises((PluginError, RecipeError), match=reason):
        command(line)
    assert not (tmp_path / "out").exists()


def test_features_are_written_found_and_checked_in_the_foreign_format(
    install: Install, slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install()
    features = extract(slides, tmp_path / "out")
    (features / "status.csv").unlink()
    assert main(["store", "convert", str(features), "--to", "lab", "--out", str(tmp_path / "lab")]) == 0
    one, other = open_features(features / "s0.h5"), open_features(tmp_path / "lab" / "s0.tsv")
    assert other.source_format == "lab" and np.allclose(one.features.read(), other.features.read())
    assert np.array_equal(one.level0_coords(), other.level0_coords())
    capsys.readouterr()
    assert main(["store", "inspect", str(tmp_path / "lab")]) == 0
    lines = [line.split()[:4] for line in capsys.readouterr().out.splitlines()]
    assert ["s0.tsv", "lab", str(len(one)), "12"] in lines and ["s1.tsv", "lab"] == lines[2][:2]
    assert main(["store", "check", f"he={tmp_path / 'lab'}"]) == 0
    assert main(["store", "convert", str(tmp_path / "lab"), "--to", "eva", "--out", str(tmp_path / "eva")]) == 2
    assert "a folder of eva holds target and split" in capsys.readouterr().err


RECIPE = """
cohort: {cases: LABELS, stores: {he: STORE}}
data: {class_path: PairedBags, init_args: {modalities: [he]}}
loading: {batch_size: 4, num_workers: 0}
stages:
  train:
    model:
      encoder: {class_path: BagEncoder, init_args: {dim: 4}}
      fusion: {class_path: MeanPool}
      head: {class_path: SoftmaxHead}
      loss_weights: {classification: 1.0}
    optimizer: {class_path: Adam, init_args: {lr: 1.0e-3}}
    trainer: {max_epochs: 1}
"""


def test_a_run_names_the_store_that_read_its_features(install: Install, tmp_path: Path) -> None:
    """No recipe names it: it was found by looking at the files."""
    install()
    store, rows = tmp_path / "lab", ["case_id,label,split"]
    store.mkdir()
    for number in range(12):
        table = np.random.default_rng(number).normal(number % 2, 1, (5, 6))
        np.savetxt(store / f"c{number}.tsv", table, header="lab x y", comments="#")
        rows.append(f"c{number},{number % 2},{('train', 'train', 'train', 'val', 'test', 'test')[number // 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    recipe = RECIPE.replace("LABELS", str(tmp_path / "labels.csv")).replace("STORE", str(store))
    (tmp_path / "lab.yaml").write_text(recipe)
    assert main(["fit", "--recipe", str(tmp_path / "lab.yaml"), "--out", str(tmp_path / "run")]) == 0
    versions = json.loads((tmp_path / "run" / "versions.json").read_text())
    assert versions["plugins"]["foreign-lab"] == "2.3"
    assert versions["components"] == {"foreign-lab": ["LabStore"]}
    assert "foreign" not in yaml.safe_dump(yaml.safe_load((tmp_path / "run" / "config.yaml").read_text()))


def test_slides_are_registered_by_the_foreign_method_and_measured_as_any(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install()
    he, ihc = write_sections(tmp_path)
    line = ["register", str(he), str(ihc), "--slide-mpp", str(MPP), "--out", str(tmp_path / "reg")]
    assert main([*line, "--method", "axis", "--method.look_um", "12"]) == 0
    document = json.loads((tmp_path / "reg" / "he-ihc" / "transform.json").read_text())
    assert document["method"] == "AxisRegistration" and document["settings"]["options"] == {"look_um": 12}
    assert document["software"]["components"] == {"foreign-lab": ["AxisRegistration"]}
    assert document["software"]["plugins"]["foreign-lab"] == "2.3"
    assert document["quality"]["similarity"] > 0.7
    found = map_points(tmp_path / "reg", points() / MPP) * MPP
    assert np.median(np.hypot(*(found - apply(known_map(), points())).T)) < 60
    capsys.readouterr()
    assert main([*line, "--method", "axes"]) == 2
    assert "Did you mean axis?" in capsys.readouterr().err
    assert main([*line, "--method", "axis", "--method.look", "12"]) == 2
    assert "takes no option 'look'. Did you mean look_um?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("api", "reason"),
    [
        ("2.0", "was made for version 2.0 of pathfuse's API, and this pathfuse has 1.0"),
        ("1.7", "was made for version 1.7 of pathfuse's API"),
        ("soon", "names an API version 'soon' that is none"),
    ],
)
def test_a_plug_in_for_another_api_is_one_line_when_it_is_used_and_a_warning_when_listed(
    api: str, reason: str, install: Install, slides: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(api=api)
    with pytest.raises(PluginError, match=reason):
        tissue_rule("dark")
    assert main(["plugins", "check", "LabStore"]) == 2
    assert main(["plugins"]) == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert len(warned) == len(OFFERED) and all(reason in line for line in warned)
    with pytest.raises(ImageError, match=r"These readers do not work: LabReader of foreign-lab"):
        open_slide(slides / "s0.lab")
    assert "foreign_lab" not in sys.modules


def test_a_plug_in_that_states_no_api_is_used(install: Install) -> None:
    install(api=None)
    assert tissue_rule("dark", {"limit": 3}).settings()["limit"] == 3


@pytest.mark.parametrize(
    ("slot", "right", "wrong", "said"),
    [
        ("reader", "return MemorySlide(", "return (", r"LabReader\.open returns a tuple, and has to return a Slide"),
        ("reader", 'frozenset({".lab"})', '".lab"', r"suffixes of LabReader is one text\. Put '\.lab' into a tuple"),
        ("reader", "def match(", "def matches(", "LabReader of foreign-lab lacks match"),
    ],
)
def test_a_reader_that_breaks_its_contract_is_named(
    slot: str, right: str, wrong: str, said: str, install: Install, slides: Path, tmp_path: Path
) -> None:
    rewrite(tmp_path, slot, right, wrong)
    install()
    with pytest.raises((ImageError, PluginError), match=said):
        open_slide(slides / "s0.lab", mpp=2.0)
    if "lacks" in said:
        with pytest.raises(RecipeError, match=rf"holds no slides .* These readers do not work: {said}"):
            find_slides([str(slides)], modality="he")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("return SlideFeatures(", "return (", r"LabStore\.read returns a tuple, and has to return SlideFeatures"),
        ('source_format, suffixes = "lab", (".tsv",)', 'suffixes = (".tsv",)', "LabStore does not set source_format"),
        ('(".tsv",)', '".tsv"', r"suffixes of LabStore is one text"),
        ("(Store)", "", "LabStore of foreign-lab is registered as store and is no Store"),
    ],
)
def test_a_store_that_breaks_its_contract_is_named(
    right: str, wrong: str, said: str, install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(tmp_path, "store", right, wrong)
    install()
    file = tmp_path / "s0.tsv"
    file.write_text("#lab x y\n0 0 1.5\n")
    with pytest.raises((StoreError, PluginError), match=said):
        open_features(file)
    if "registered" in said:
        assert main(["store", "convert", str(file), "--to", "lob", "--out", str(tmp_path / "out")]) == 2
        assert (
            f"nobody writes the format 'lob'. There are clam, eva, stamp, trident. These stores do not work: {said}"
            in (capsys.readouterr().err)
        )


def rewrite(folder: Path, slot: str, right: str, wrong: str) -> None:
    """Makes a mistake in the generated source."""
    file = folder / "foreign_lab" / "foreign_lab" / f"{slot}.py"
    text = file.read_text()
    assert text.count(right) == 1
    file.write_text(text.replace(right, wrong))


def test_a_class_in_the_wrong_slot_is_refused(install: Install) -> None:
    install()
    wrong: Registry[object] = Registry("store")
    with pytest.raises(PluginError, match="is no Tissue"):
        build(wrong, "lab", {}, Tissue, "--tissue")


def test_short_words_are_nobody_s_privilege() -> None:
    assert [TISSUES.component(word).name for word in ("he", "HETissue", "IHC")] == ["HETissue", "HETissue", "IHCTissue"]
    assert TISSUES.component("h_e").name == "HETissue", "as `plugins new` writes the words of a longer name"
    assert NORMALISERS.component("macenko").name == "Macenko" and READERS.component("tiff").name == "TiffReader"


def test_a_data_module_names_rule_and_normaliser_too(install: Install, slides: Path, tmp_path: Path) -> None:
    from pathfuse import Cohort
    from pathfuse.data.slide_thumbnails import SlideThumbnails

    table = tmp_path / "cases.csv"
    rows = [f"s{number},s{number},he,slides/s{number}.lab,{number},train" for number in range(2)]
    table.write_text("\n".join(["case_id,patient_id,modality,path,label,split", *rows]) + "\n")
    cohort = Cohort(cases=str(table), mpp=2.0, cache=str(tmp_path / "cache"))
    options = {"modalities": ["he"], "size_px": 32, "read_mpp": 4.0}
    with pytest.raises(PluginError, match=r"no tissue is called 'dark'"):
        SlideThumbnails(cohort, tissue={"he": "dark"}, **options)
    install()
    named = SlideThumbnails(cohort, tissue={"he": "dark"}, normalise=["he"], normaliser="ShiftNormaliser", **options)
    shown = named.picture("s0")["he"]
    assert np.allclose(shown.mean((0, 1)), [200, 150, 190], atol=12), "the laboratory's mean colour"
    plain = SlideThumbnails(cohort, **options).picture("s0")["he"]
    assert not np.array_equal(shown, plain)
    with pytest.raises(RecipeError, match=r"data\.tissue names 'ihc', but the stains are he"):
        SlideThumbnails(cohort, tissue={"ihc": "dark"}, **options)
