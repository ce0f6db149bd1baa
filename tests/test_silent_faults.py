"""Planted faults that would train a wrong model without a word: each ends in a line that names it.

`docs/silent_faults.md` lists them with their lines; a test holds the page to this file.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tifffile
from PIL import Image

from pathfuse.cli import main
from pathfuse.cohort import Cohort
from pathfuse.data.paired_bags import PairedBags
from pathfuse.data.paired_patches import PairedPatches
from pathfuse.errors import PathfuseError
from pathfuse.inference.asked.new_cases import check_cases
from pathfuse.slides import open_slide
from tests.cohort.natural import NAMES, stores, table
from tests.conftest import PROJECT_ROOT, write_cases
from tests.store.foreign import features, grid, trident

PAGE = (PROJECT_ROOT / "docs" / "silent_faults.md").read_text(encoding="utf-8")
Act = Callable[[Path], list[str] | None]
TWO = "{he: he, ihc: ihc}"


def other_label_column(folder: Path) -> None:
    path = table(folder / "t.csv", "case_id,ER", [plain(k, slide) for k, slide in enumerate(NAMES)])
    as_trained = {"columns": {"label": "HER2"}, "test_on": "all", "classes": ["normal", "tumour"]}
    who = Cohort(cases=str(path), stores={"he": str(folder / "he")}, **as_trained)  # type: ignore[arg-type]
    assert not any(case.label for case in who)
    print(*who.notes, sep="\n")


def other_order(folder: Path) -> None:
    data = bags(folder)
    check_cases(data, replace(data.spec(), classes=("tumour", "normal")))


def other_spacing(folder: Path) -> None:
    def seen(mpp: float) -> PairedPatches:
        return PairedPatches(Cohort(cases=str(pictures(folder)), mpp=mpp), size_px=24, normalise=[])

    check_cases(seen(0.25), seen(0.5).spec())


def new_features(folder: Path, **facts: object) -> None:
    """A run on the cohort's features, and new ones of the same width."""
    trained = bags(folder).spec()
    for path in (folder / "he").glob("*.h5"):
        trident(path, features(6, 8), grid(6), **{"mpp": 0.25, **facts})  # type: ignore[arg-type]
    if "encoder" not in facts:
        seen = replace(trained["he"], patch_um=trained["he"].patch_um or 128.0)
        trained = replace(trained, modalities=(seen, *trained.modalities[1:]))
    check_cases(bags(folder), trained)


def new_features_of_another_encoder(folder: Path) -> None:
    new_features(folder, encoder="conch_v1")


def new_patches_of_another_size(folder: Path) -> None:
    new_features(folder, patch_size_level0=1024)


def patches_of_two_sizes(folder: Path) -> None:
    for at, path in enumerate(sorted((folder / "he").glob("*.h5"))):
        trident(path, features(6, 8), grid(6), patch_size_level0=1024 if at else 512, mpp=0.25)
    print(*bags(folder).notes(), sep="\n")


class Fault(NamedTuple):
    """What is wrong, how it is planted and met, and what has to be said; a command is run by the test."""

    name: str
    act: Act
    line: str


def checked(
    header: str, row: Callable[[int, str], str], *words: str, more: Sequence[str] = (), name: str = "t.csv"
) -> Act:
    """A table over the twelve slides, looked at by `data check` with the store of H&E, unless words say another."""

    def act(folder: Path) -> list[str]:
        table(folder / name, header, [*(row(k, slide) for k, slide in enumerate(NAMES)), *more])
        given = words if "--stores" in words else ("--stores", "{he: he}", *words)
        return ["data", "check", name, *given]

    return act


def label(k: int) -> str:
    return "tumour" if k % 2 else "normal"


def plain(k: int, slide: str) -> str:
    return f"{slide},{label(k)}"


def of_class(*labels: str) -> Callable[[int, str], str]:
    return lambda k, slide: f"{slide},{labels[k % len(labels)]}"


def part(k: int) -> str:
    return "train" if k < 6 else "val" if k < 9 else "test"


def utf16(folder: Path) -> list[str]:
    text = "\n".join(["case_id\tlabel", *(f"{slide}\t{label(k)}" for k, slide in enumerate(NAMES))])
    (folder / "t.csv").write_text(text, encoding="utf-16")
    return ["data", "check", "t.csv", "--stores", "{he: he}"]


def copied(folder: Path) -> list[str]:
    shutil.copy(folder / "he" / "S00.h5", folder / "he" / "S09.h5")
    return checked("case_id,label,split", lambda k, s: f"{s},{label(k)},{part(k)}")(folder) or []


def unread_features(folder: Path) -> list[str]:
    np.savez(folder / "he" / "more.npz", features=np.zeros((2, 8)))
    return checked("case_id,label", plain)(folder) or []


def other_encoder(folder: Path) -> None:
    trident(folder / "he" / "S03.h5", features(6, 8), grid(6), encoder="conch_v1")
    bags(folder)


def other_width(folder: Path) -> None:
    trident(folder / "he" / "S03.h5", features(6, 9), grid(6))
    bags(folder)


def bags(folder: Path, **options: object) -> PairedBags:
    path = table(folder / "t.csv", "case_id,label", [plain(k, s) for k, s in enumerate(NAMES)])
    return PairedBags(Cohort(cases=str(path), stores={"he": str(folder / "he"), "ihc": str(folder / "ihc")}), **options)  # type: ignore[arg-type]


def recipe_insists(folder: Path) -> None:
    bags(folder, modalities=["he"])


def images_and_stores(folder: Path) -> None:
    PairedPatches(Cohort(cases=str(pictures(folder)), stores={"he": str(folder / "he")}))


def not_finite(value: float) -> Act:
    def act(folder: Path) -> list[str]:
        values = features(6, 8)
        values[2, 3] = value
        trident(folder / "he" / "S03.h5", values, grid(6))
        return ["store", "check", "he=he"]

    return act


def pictures(folder: Path) -> Path:
    place = folder / "pictures"
    place.mkdir(exist_ok=True)
    return write_cases(place, patients=8, size_px=48)


def near(folder: Path) -> list[str]:
    pictures(folder)
    edge = np.linspace(0, 9, 48)
    wave = 127 + 100 * np.sin(edge)[:, None] * np.cos(1.7 * edge)[None]
    for name, shift in (("he_000.png", 0), ("he_006.png", 3)):
        pixels = np.repeat(np.clip(wave + shift, 0, 255)[..., None], 3, 2).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / name)
    return ["data", "check", "pictures"]


def other_size(folder: Path) -> list[str]:
    pictures(folder)
    Image.new("RGB", (40, 48), "pink").save(folder / "pictures" / "ihc_001.png")
    return ["data", "check", "pictures"]


def pairs(folder: Path) -> Path:
    for stain in ("HE", "IHC"):
        for number in range(4):
            path = folder / "bci" / stain / "train" / f"{number:05d}_train_{number % 2}+.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
    return folder / "bci"


def lone(folder: Path) -> list[str]:
    next((pairs(folder) / "IHC" / "train").iterdir()).unlink()
    return ["data", "check", "bci"]


def beside_images(folder: Path) -> list[str]:
    (pairs(folder) / "HE" / "train" / "notes.webp").write_bytes(b"x")
    return ["data", "check", "bci"]


def no_patients(folder: Path) -> list[str]:
    pairs(folder)
    return ["data", "check", "bci"]


def dpi_as_spacing(folder: Path) -> None:
    pixels = np.full((64, 64, 3), 200, np.uint8)
    tifffile.imwrite(folder / "s.tif", pixels, photometric="rgb", tile=(32, 32), resolution=(72, 72), resolutionunit=2)
    with open_slide(folder / "s.tif") as slide:
        assert slide.mpp


def given_absurd(folder: Path) -> None:
    tifffile.imwrite(folder / "s.tif", np.full((64, 64, 3), 200, np.uint8), photometric="rgb", tile=(32, 32))
    with open_slide(folder / "s.tif", mpp=352.8):
        pass


def old_workbook(folder: Path) -> list[str]:
    (folder / "t.xls").write_bytes(b"\xd0\xcf")
    return ["data", "check", "t.xls"]


FAULTS = [
    Fault("a row as header", checked("S99,tumour", plain), "no column is known to name the case, patient or slide"),
    Fault(
        "no header, columns unknown",
        checked("S99,S99,x,tumour", lambda k, s: f"{s},{s},x,{label(k)}", "--header", "none"),
        "has no header and 4 columns. Say what they are",
    ),
    Fault(
        "two columns that may be the label",
        checked("Patient,HER2,ER", lambda k, s: f"{s},{k % 4},{label(k)}"),
        "the label may be HER2 or ER. Name one",
    ),
    Fault("a column twice", checked("case_id,label,label", lambda k, s: f"{s},{label(k)},x"), "'label' occurs twice"),
    Fault("semicolons", checked("case_id;label", lambda k, s: f"{s};{label(k)}"), "is separated by semicolons"),
    Fault("UTF-16", utf16, "is UTF-16"),
    Fault("an old workbook", old_workbook, "is a workbook of the kind .xls"),
    Fault(
        "running numbers in front",
        checked(",case_id,label", lambda k, s: f"{k},{s},{label(k)}"),
        "the first column has no name and counts the rows; it is not read",
    ),
    Fault("other names of columns", checked("Case ID,Diagnosis", plain), "case is Case ID, label is Diagnosis"),
    Fault(
        "NA as a class",
        checked("case_id,label", of_class("NA", "a", "b")),
        "4 of 12 rows have no label in label (NA: 4)",
    ),
    Fault(
        "pending as a class",
        checked("case_id,label", of_class("pending", "a", "b")),
        "rows have no label in label (pending: 4)",
    ),
    Fault(
        "a code for missing as a class",
        checked("case_id,label", of_class("-999", "0", "1")),
        "rows have no label in label (-999: 4)",
    ),
    Fault(
        "a class in two spellings",
        checked("case_id,label", of_class("Tumor", "tumor", "normal", "tumor")),
        "Tumor is tumor",
    ),
    Fault(
        "scores in several forms",
        checked("case_id,HER2", of_class("0", "+1", "2.0", "3 +")),
        "+1 is 1+, 2.0 is 2+, 3 + is 3+",
    ),
    Fault("scores as pluses", checked("case_id,HER2", of_class("0", "+", "++", "+++")), "+ is 1+, ++ is 2+, +++ is 3+"),
    Fault(
        "a word among scores",
        checked("case_id,HER2", of_class("0", "1+", "2+", "HER2-low")),
        "label 'HER2-low' is none of 0, 1+, 2+, 3+",
    ),
    Fault(
        "a measurement as classes",
        checked("case_id,label", lambda k, s: f"{s},{k * 1.37:.2f}"),
        "labels of 12 cases have 12 values",
    ),
    Fault(
        "one class alone",
        checked("case_id,label", of_class("tumour")),
        "every label is 'tumour', so there is nothing to tell apart",
    ),
    Fault(
        "one file in two parts",
        checked(
            "case_id,slide_id,label,split", lambda k, s: f"{s},{s},{label(k)},{part(k)}", more=["X,S00,normal,test"]
        ),
        "cases S00 and X have one file, S00.h5; one is in train, the other in test",
    ),
    Fault(
        "one file with two labels",
        checked("case_id,slide_id,label", lambda k, s: f"{s},{s},{label(k)}", more=["X,S00,tumour"]),
        "cases S00 and X have one file, S00.h5",
    ),
    Fault(
        "a copy of a file in two parts",
        copied,
        "cases S00 and S09 (train and test), labelled normal and tumour have equal files",
    ),
    Fault(
        "a patient in capitals and not",
        checked(
            "case_id,patient_id,label,split",
            lambda k, s: f"{s},{'p1' if k == 0 else 'P1' if k == 11 else s},{label(k)},{part(k)}",
        ),
        "patients 'p1' and 'P1' look like one; one is in train, the other in test",
    ),
    Fault(
        "a patient with zeros and not",
        checked(
            "case_id,patient_id,label,split",
            lambda k, s: f"{s},{'7' if k == 0 else '007' if k == 11 else s},{label(k)},{part(k)}",
        ),
        "patients '7' and '007' look like one",
    ),
    Fault(
        "a patient in two parts",
        checked(
            "case_id,patient_id,label,split", lambda k, s: f"{s},{'P' if k in (0, 11) else s},{label(k)},{part(k)}"
        ),
        "patient P",
    ),
    Fault(
        "a slide twice",
        checked("case_id,slide_id,label", lambda k, s: f"{s},{s},{label(k)}", more=["S03,S03,tumour"]),
        "names a slide twice and it counts once: S03 of case S03, line 14",
    ),
    Fault(
        "a case with two labels",
        checked("case_id,slide_id,label", lambda k, s: f"{s},{s},{label(k)}", more=["S03,S04,normal"]),
        "case S03 has label 'normal', but 'tumour' in line 5",
    ),
    Fault(
        "a patient with two labels",
        checked("case_id,patient_id,label", lambda k, s: f"{s},P{k // 2},{label(k)}"),
        "6 patients have cases with different labels, first P0 (normal, tumour)",
    ),
    Fault(
        "parts in a column of another name",
        checked("case_id,label,set", lambda k, s: f"{s},{label(k)},{'Training' if k < 8 else 'Testing'}"),
        "Parts: Training is train, Testing is test",
    ),
    Fault(
        "parts in two columns",
        checked("case_id,label,round1,round2", lambda k, s: f"{s},{label(k)},{part(k)},{part(11 - k)}"),
        "round1, round2 may say which part a case is in and is not read",
    ),
    Fault(
        "a spacing that is none",
        checked("slide,mpp,label", lambda k, s: f"{s},352.8,{label(k)}"),
        "mpp '352.8' is no number between 0.05 and 40",
    ),
    Fault(
        "a stain in several words",
        checked("case_id,slide_id,stain,label", lambda k, s: f"{s},{s},{('HE', 'H&E')[k % 2]},{label(k)}"),
        "HE is he, H&E is he",
    ),
    Fault(
        "slides without features",
        checked("case_id,label", plain, more=["S77,normal"]),
        "1 slides of t.csv have no features: S77",
    ),
    Fault(
        "features without a case",
        checked("case_id,label", lambda k, s: f"S{k % 6:02d},{label(k % 6)}"),
        "6 he files belong to no case",
    ),
    Fault(
        "a store that nothing is read of",
        checked("case_id,slide_id,label", lambda k, s: f"{s},{s},{label(k)}", "--stores", "{he: he, ihc: other}"),
        "no case has a file in other, the store of ihc",
    ),
    Fault(
        "a store that the recipe does not read", recipe_insists, "cohort.stores names 'ihc', but data.modalities is he"
    ),
    Fault("a store beside images", images_and_stores, "cohort.stores names features, and PairedPatches reads none"),
    Fault("features of another kind in the store", unread_features, "files that are not read here: 1 .npz"),
    Fault("two encoders in a store", other_encoder, "with conch_v1"),
    Fault("two widths in a store", other_width, "of width 9"),
    Fault("NaN in features", not_finite(float("nan")), "1 patches have NaN features"),
    Fault(
        "features that overflowed", not_finite(float("inf")), "1 patches have infinite features (float16 overflowed)"
    ),
    Fault(
        "nearly equal images in two parts", near, "nearly equal images lie on two sides: c000 (train) and c006 (test)"
    ),
    Fault("a partner of another size", other_size, "is 40 x 48 px, but its partner"),
    Fault("a pair without a partner", lone, "1 partners are missing"),
    Fault("other files among images", beside_images, "files that are not read here: 1 .webp"),
    Fault("patches without patients", no_patients, "No patient or slide is known"),
    Fault("the resolution of a printer as spacing", dpi_as_spacing, "um per pixel, which no scanner has"),
    Fault("a spacing that no microscope has", given_absurd, "mpp 352.8 is no spacing"),
    Fault(
        "new cases labelled in another column", other_label_column, "has no column 'HER2', the label of the training"
    ),
    Fault("new cases with the classes in another order", other_order, "but the run was trained on tumour, normal"),
    Fault("new images of another spacing", other_spacing, "seen at 0.5 um per pixel, and the model learned from 1"),
    Fault(
        "new features of another encoder",
        new_features_of_another_encoder,
        "the features are of conch_v1, and the model learned from those of uni_v1",
    ),
    Fault(
        "new patches of another size",
        new_patches_of_another_size,
        "the patches are 256 um wide, and the model learned from 128",
    ),
    Fault("patches of two sizes in a store", patches_of_two_sizes, "patches are from 128 to 256 um wide"),
]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    stores(folder)
    stores(folder / "elsewhere", [f"Z{number}" for number in range(3)])
    shutil.move(folder / "elsewhere" / "he", folder / "other")
    return folder


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_ends_in_a_line_that_names_it(
    fault: Fault, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "lab"
    shutil.copytree(cohort, folder)
    monkeypatch.chdir(folder)
    try:
        words = fault.act(folder)
        if words is not None:
            main(words)
        printed = capsys.readouterr()
        lines = [*printed.out.splitlines(), *printed.err.splitlines()]
    except PathfuseError as error:
        lines = str(error).splitlines()
        assert len(lines) == 1
    assert any(fault.line in line for line in lines), lines


def test_there_are_at_least_forty_and_the_page_lists_each_with_its_line() -> None:
    assert len(FAULTS) >= 40
    for fault in FAULTS:
        assert f"| {fault.name} | {fault.line.replace('|', chr(92) + '|')} |" in PAGE, fault.name
