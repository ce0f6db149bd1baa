"""Every command and every Python block of the documentation runs, page by page, in the order of the page.

A page says what a reader would type. What would take hours, or the network, is made small by the tables below and by
nothing else; a command that no rule covers fails its page.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from importlib.metadata import version
from itertools import count
from pathlib import Path

import pytest
import timm

import pathfuse.cli
from benchmarks.trials.what_ihc_adds import TABLE, write_cohort
from pathfuse.cli import main
from pathfuse.demo import write_bci
from tests.conftest import PROJECT_ROOT
from tests.docs.pages import PAGES, Block, blocks
from tests.store.foreign import clam, features, grid, trident

# Options put behind the page's own, where the last one wins. They make the work smaller and change nothing else.
SMALL_DATA = [
    "--cohort.demo.patients=16",
    "--data.pictures.cases_per_patient=2",
    "--data.pictures.size_px=32",
    "--data.size_px=64",  # the least that leaves a map of more than one cell
    "--loading.num_workers=0",
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=2",
]
SMALL_BAGS = ["--cohort.demo.patients=16", "--data.pictures.grid=3", "--trainer.max_epochs=1"]
SMALL_SLIDES = [
    "--cohort.demo.patients=16",
    "--data.pictures.slide_px=128",
    "--data.size_px=32",
    "--trainer.max_epochs=1",
]
ONE_STAGE = ["--model.encoder.backbone.name=test_resnet", "--model.encoder.backbone.weights=random"]
TWO_STAGES = [
    "--correlate.trainer.max_epochs=1",
    "--correlate.model.encoder.weights=random",
    "--predict.trainer.max_epochs=1",
    "--predict.model.encoder.backbone.name=test_resnet",
    "--predict.model.encoder.backbone.weights=random",
]
TEACHES = [
    f"--{stage}.model.encoder.backbone.{option}"
    for stage in ("teach", "learn")
    for option in ("name=test_resnet", "weights=random")
]
SMALL_RUNS = [
    "--cohort.demo.patients=16",
    "--data.pictures.cases_per_patient=2",
    "--data.pictures.size_px=32",
    "--data.size_px=32",
    "--loading.num_workers=0",
    "--last.trainer.max_epochs=1",
    "--last.model.encoder.backbone.name=test_resnet",
]
SMALL_CROSSVAL = {"attention_mil": ["--trainer.max_epochs=1", "--trainer.callbacks=null"]}
SMALL_STUDY = {"demo": [*SMALL_RUNS, "--corranet.correlate.trainer.max_epochs=1"], "corranet_table1": []}
SMALLER = {
    "corranet": SMALL_DATA + TWO_STAGES,
    "corranet_released": SMALL_DATA + TWO_STAGES,
    "corranet_wide": SMALL_DATA + [word for word in TWO_STAGES if "correlate.model" not in word],
    "he_only": SMALL_DATA + ONE_STAGE,
    "ihc_only": SMALL_DATA + ONE_STAGE,
    "he_ihc": SMALL_DATA + ONE_STAGE,
    "ihc_teacher": SMALL_DATA + TEACHES,
    "ihc_teacher_bags": SMALL_BAGS,
    "stain_map_bags": SMALL_BAGS,
    "wsmcl": SMALL_BAGS,
    "attention_mil": SMALL_BAGS,
    "highres_mil": SMALL_BAGS,
    "lowres_convnext": SMALL_SLIDES,
    "attention_mil_end_to_end": SMALL_SLIDES,
    **dict.fromkeys(("abmil", "clam", "dsmil", "dtfd_mil", "transmil", "cross_attention_mil"), SMALL_BAGS),
    "he_her2net_like": SMALL_DATA + ONE_STAGE,
    "hahnet_like": SMALL_DATA + ONE_STAGE,
    "patch_pretrain": ["--cohort.demo.patients=12", "--data.pictures.cases_per_patient=1", "--trainer.max_epochs=1"],
    "my_net_fusion": SMALL_BAGS,  # of a new plug-in
    "mine": SMALL_DATA,  # recipes that a page writes itself
    "short": SMALL_DATA,
    "he_ihc_clinical": SMALL_BAGS,
    "steady": SMALL_DATA,
}
SMALL_LAYOUTS = {
    "cases": ["--patients=8", "--size_px=32"],
    "bci": ["--pairs=24", "--size_px=64"],
    "slides": ["--size_px=320"],
    "serial": ["--patients=6", "--size_px=896"],
}
ON_RAY = ["--address=local", "--encoders=1", "--gpus-per-encoder=0"]  # a cluster of this machine
# What Slurm sets in a job.
SLURM = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "8"}
# Lines of a shell that are not ours to run; the pages need them, and nothing of pathfuse is in them.
OTHERS = {
    "git clone": "the reader has no checkout yet; the test runs in one",
    "cd ": "every page has its own folder here",
    "pip install .": "the package under test is installed",
    "pip install --editable .": "the package under test is installed",
    "pip install '.[": "the extras of the package under test are installed",
    "python3 -m venv": "the test has an environment",
    "source .venv/bin/activate": "the test has an environment",
    "pytest": "pytest runs this",
    "python -m benchmarks.code.structure --against": "wants another checkout; tests/benchmarks runs it on two",
    "ray start": "a cluster; the lines that use it get a Ray of their own",
    "sbatch ": "Slurm; the lines of its script are run",
}
_number = count()
INSTALLED = "installed"
FOLDERS = ("BCI", "new_cases")
"""What a reader brings along; `bring` makes a small one of each."""
FEATURES = "trident_processed"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder of one page."""
    place = tmp_path / "page"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.delenv("PATHFUSE_RUN", raising=False)
    return place


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT_ROOT).as_posix())
def test_every_command_of_a_page_runs(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pathfuse.cli, "main", lambda words=None: main(smaller(list(words or []))))
    bring(folder, page)
    for block in blocks(page):
        place = f"{page.name} line {block.line}"
        if block.file is not None:
            (folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            run_python(block, place, f"cells_of_{page.stem}")
        elif block.language in ("bash", "console"):
            for command in block.commands():
                run_command(command, place, folder, monkeypatch)


def bring(folder: Path, page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if FEATURES in text:
        bring_features(folder)
    if TABLE in text:
        pytest.importorskip("openpyxl", reason="needs pathfuse[excel]")
        write_cohort(folder, patients=32)
    if any(re.search(rf"\b{name}\b", text) for name in FOLDERS):
        write_bci(folder / "BCI", 24, size_px=64)
        new = folder / "new_cases" / "HE"
        new.mkdir(parents=True)
        for number, image in enumerate(sorted((folder / "BCI" / "HE" / "test").iterdir())):
            shutil.copy(image, new / f"case_{number}.png")
        names = [file.name for file in (folder / "BCI" / "HE").rglob("*.png")]
        rows = [f"{name},slide{int(name[:5]) % 8}" for name in names]
        (folder / "groups.csv").write_text("\n".join(["file,group", *rows]))


def bring_features(folder: Path) -> None:
    """H&E as TRIDENT writes it, IHC as CLAM does, with labels and a clinical table, and CLAM's splits of them."""
    he = folder / FEATURES / "20x_256px_0px_overlap" / "features_uni_v1"
    cases = [f"A{number}" for number in range(24)]
    for number, case in enumerate(cases):
        trident(he / f"{case}.h5", features(12, 16, number), grid(12))
        clam(folder / "clam_features", case, features(9, 8, number), grid(9))
    rows = [f"{case},{case},{number % 2}" for number, case in enumerate(cases)]
    (folder / "labels.csv").write_text("\n".join(["case_id,slide_id,label", *rows]))
    ages = [f"{case},{50 + number},{number % 3}" for number, case in enumerate(cases)]
    (folder / "clinical.csv").write_text("\n".join(["case_id,age,copies", *ages]))
    (folder / "clam_splits").mkdir()
    for fold in range(2):
        parts = (
            {"train": cases[8:], "val": cases[4:8], "test": cases[:4]}
            if fold
            else {"train": cases[:16], "val": cases[16:20], "test": cases[20:]}
        )
        lines = [
            ",train,val,test",
            *(
                ",".join([str(row), *(parts[p][row] if row < len(parts[p]) else "" for p in parts)])
                for row in range(16)
            ),
        ]
        (folder / "clam_splits" / f"splits_{fold}.csv").write_text("\n".join(lines))


def run_command(command: str, place: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(re.sub(r"\$\{(\w+)\}", lambda match: SLURM[match[1]], command))
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        name, _, value = words.pop(0).partition("=")
        monkeypatch.syspath_prepend(value) if name == "PYTHONPATH" else monkeypatch.setenv(name, value)
    if words[0] == "pathfuse" and (folder / INSTALLED).is_dir():
        # A package that was just installed is seen by a new process, as it is for the reader.
        environment = {**os.environ, "PYTHONPATH": str(folder / INSTALLED)}
        line = [sys.executable, "-m", "pathfuse", *smaller(words[1:])]
        done = subprocess.run(line, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{place}: {command}: {done.stderr}"
    elif words[0] == "pathfuse":
        monkeypatch.delenv("PATHFUSE_RUN", raising=False)  # a process of its own has none yet
        assert main(smaller(words[1:])) == 0, f"{place}: {command}"
    elif words[0] == "make":
        make = subprocess.run(["make", "-n", *words[1:]], cwd=PROJECT_ROOT, capture_output=True, text=True)
        assert make.returncode == 0, f"{place}: {command}: {make.stderr}"
    elif words[:2] == ["pip", "install"] and (folder / words[-1] / "pyproject.toml").is_file():
        install(folder / words[-1], folder / INSTALLED)
    else:
        assert any(command.startswith(other) for other in OTHERS), f"{place}: no rule covers {command!r}"


def install(package: Path, target: Path) -> None:
    flags = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "install", *flags, "--target", str(target), str(package)]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def smaller(words: list[str]) -> list[str]:
    """The words of a command line, followed by those that make its work small."""
    if words[:1] == ["fit"] and "--recipe" in words:
        recipe = words[len(words) - words[::-1].index("--recipe")].removesuffix(".yaml")
        for name in (words[i + 1] for i, word in enumerate(words) if word.endswith("backbone.name")):
            assert timm.is_model(name), name
        extra = SMALLER[recipe]
        if any(word.endswith("encoder.backbone") for word in words):
            extra = [word for word in extra if ".backbone." not in word]
        if not {"--out", "--print_config", "--print_config=skip_default"} & set(words):
            extra = [*extra, f"--out=runs/{next(_number)}"]  # folders are named by the second, and a page takes less
        return words + extra
    if words[:1] == ["fit"] and "--resume" in words:
        # A run that is given more epochs gets one more than the small one has.
        return [*words, *(f"{word}=2" for word in words if word.endswith("trainer.max_epochs"))]
    if words[:1] == ["extract"] and "ray" in words:
        pytest.importorskip("ray", reason="needs pathfuse[ray]")
        return words + ON_RAY
    if words[:1] in (["study"], ["crossval"]) and "list" not in words:
        # Two folds instead of more, one seed, and a network of a few layers.
        recipe = words[words.index("--recipe") + 1] if "--recipe" in words else ""
        small = SMALL_CROSSVAL.get(recipe) or SMALL_STUDY.get(words[1], SMALL_RUNS)
        return [*words, "--folds=2", "--seeds=1", "--jobs=1", *small]
    if words[:1] == ["register"] and any(word.endswith("cases.csv") for word in words):
        # Six pairs take a minute to register; their known maps are read instead. Of the two slides that the page
        # registers next, the map is found, and tests/register finds others.
        return [*words, "--transform=serial/truth/points/{fixed}.csv"]
    if words[:2] == ["data", "demo"]:
        return words + SMALL_LAYOUTS.get(words[words.index("--layout") + 1] if "--layout" in words else "cases", [])
    return words


def run_python(block: Block, place: str, name: str) -> None:
    """Runs a block as a notebook cell: classes defined in it belong to a module that can be imported."""
    # It stays: jsonargparse looks at every subclass of a contract, and warns of one whose module is gone.
    cell = sys.modules.setdefault(name, types.ModuleType(name))
    exec(compile(block.text, place, "exec"), vars(cell))


def test_a_command_that_no_rule_covers_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="no rule covers"):
        run_command("curl example.org", "here", folder, monkeypatch)
    with pytest.raises(KeyError):
        smaller(["fit", "--recipe", "a_new_one"])


def test_the_version_in_the_changelog_is_the_one_that_is_built() -> None:
    text = (PROJECT_ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(version('pathfuse'))}\]", text, re.MULTILINE)
