"""What a user gets: the wheel, alone in an environment of its own, and a third party's distribution beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from pathfuse.registry import table as registry
from tests.conftest import PROJECT_ROOT

PLUGINS = sorted(path.name for path in (PROJECT_ROOT / "plugins").glob("pathfuse_*"))
TINY = (
    "--cohort.demo.patients=12",
    "--data.pictures.cases_per_patient=1",
    "--data.size_px=32",
    "--loading.num_workers=0",
)


def run(*words: str, folder: Path) -> str:
    """The output of a program outside the checkout, with nothing of this process's path."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PATHFUSE", "PIP_"))}
    environment = {**clean, "XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def pip(*words: str, folder: Path) -> None:
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *words, folder=folder)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(folder), str(PROJECT_ROOT), folder=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a new environment with the wheel and, behind it, the packages of this one."""
    home = tmp_path_factory.mktemp("home")
    run(sys.executable, "-m", "venv", "--without-pip", str(home / "venv"), folder=home)
    python = home / "venv" / "bin" / "python"
    pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel), folder=home)
    packages = Path(
        run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=home).strip()
    )
    # A folder named in a .pth file comes last, and its own .pth files, an editable pathfuse's among them, are not read.
    (packages / "test-environment.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home


def test_the_wheel_holds_recipes_and_plug_ins_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"pathfuse", *PLUGINS}
    for kind in ("recipes", "studies"):
        shipped = {Path(name).name for name in names if name.startswith(f"pathfuse/{kind}/") and name.endswith(".yaml")}
        assert shipped == {path.name for path in (PROJECT_ROOT / kind).glob("*.yaml")}
    assert "pathfuse/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "test_" in name or name.endswith((".pyc", ".png"))]


def test_the_wheel_works_outside_the_checkout(installed: Path) -> None:
    pathfuse = str(installed / "venv" / "bin" / "pathfuse")
    where = "import pathfuse, pathfuse_heads; print(pathfuse.__file__, pathfuse_heads.__file__)"
    files = run(str(installed / "venv" / "bin" / "python"), "-c", where, folder=installed).split()
    assert all(Path(file).is_relative_to(installed) for file in files)
    assert "corranet" in run(pathfuse, "recipes", folder=installed)
    listed = run(pathfuse, "plugins", folder=installed)
    assert "SEAttention" in listed and "GradCAM" in listed
    words = ("fit", "--recipe", "he_only", "--trainer.max_epochs=1", *TINY, "--out", "run")
    assert "run folder: run" in run(pathfuse, *words, folder=installed)
    assert (installed / "run" / "predictions.csv").is_file()
    assert (installed / "run" / "report.html").is_file(), "its templates are part of the wheel"


def test_a_third_party_s_recipe_trains_by_name(installed: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    made = str(tmp_path / "lab_net")
    run(str(installed / "venv" / "bin" / "pathfuse"), "plugins", "new", made, "--kind", "backbone", folder=tmp_path)
    pip("install", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(target), made, folder=tmp_path)
    python = str(installed / "venv" / "bin" / "python")
    # As the console script does, with the folder of the other distribution on the path.
    start = f"import sys; sys.path.append({str(target)!r}); from pathfuse.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ("fit", "--recipe", "lab_net_backbone", "--trainer.max_epochs=1", *TINY, "--out", "run")
    assert "run folder: run" in run(python, "-c", start, *words, folder=tmp_path)
    assert "lab_net.backbone.LabNetBackbone" in (tmp_path / "run" / "config.yaml").read_text()
    assert "lab-net" in (tmp_path / "run" / "versions.json").read_text()

    assert "LabNetBackbone" not in registry.BACKBONES.names(), "nothing of it is part of this environment"
