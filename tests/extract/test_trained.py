"""Labelled patches to a trained encoder to features of slides, through the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

import pathfuse
from pathfuse.cli import main
from pathfuse.core import Backbone
from pathfuse.errors import PathfuseError, RecipeError, RunError, WeightsError
from pathfuse.extract.encoders import load_encoder
from tests.conftest import PROJECT_ROOT, write_cases
from tests.slides.drawing import section, write_pyramid

RECIPE = str(PROJECT_ROOT / "recipes" / "patch_pretrain.yaml")
SMALL = ["--layer", "demo", "--trainer.max_epochs=1", "--loading.num_workers=0"]


def write_patches(root: Path) -> Path:
    """Dark and bright patches in folders of their class."""
    rng = np.random.default_rng(0)
    for part in ("train", "val", "test"):
        for label, level in (("dark", 60), ("bright", 200)):
            (root / part / label).mkdir(parents=True)
            for number in range(4):
                pixels = np.clip(rng.normal(level, 20, (48, 48, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / part / label / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrain")
    patches = str(write_patches(folder / "patches"))
    out = folder / "shades"
    assert main(["fit", "--recipe", RECIPE, *SMALL, "--cohort.cases", patches, "--out", str(out)]) == 0
    return out


def features_of(folder: Path, encoder: str) -> h5py.File:
    return h5py.File(folder / "5x_64px_0px_overlap" / f"features_{encoder}" / "s.h5")


def test_a_trained_run_describes_slides_as_its_own_network_does(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = section(520, seed=1)
    slide = write_pyramid(tmp_path / "s.tiff", pixels, mpp=2.0)
    out = tmp_path / "job"
    words = ["--mpp", "2", "--patch-px", "64", "--dtype", "float32", "--workers", "0", "--device", "cpu"]
    assert main(["extract", str(slide), "--encoder", str(run), "--out", str(out), *words]) == 0
    assert "shades: AlexNet, trained on he of 64 px" in capsys.readouterr().err
    net = pathfuse.load(run).encoder.backbones[0]
    with features_of(out, "shades") as file:
        coords, features = file["coords"][:], file["features"][:]
        digest = file.attrs["encoder_digest"]
    assert len(coords) > 3 and digest == load_encoder(str(run), None).digest
    images = np.stack([pixels[y : y + 64, x : x + 64] for x, y in coords.tolist()])
    with torch.no_grad():
        expected = net(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    assert torch.allclose(torch.from_numpy(features).reshape(expected.shape), expected, atol=1e-3)
    folder = str(out / "5x_64px_0px_overlap" / "features_shades")
    assert main(["store", "inspect", folder]) == 0
    assert "shades" in capsys.readouterr().out


def test_a_run_its_checkpoint_and_the_network_with_its_weights_are_one_encoder(run: Path, tmp_path: Path) -> None:
    best, last = (run / "checkpoints" / "train" / f"{name}.ckpt" for name in ("best", "last"))
    encoder = load_encoder(str(run), None)
    assert load_encoder(f"{run}/", "own").name == encoder.name == "shades" and not encoder.random
    assert load_encoder(str(best), None).digest == encoder.digest
    assert load_encoder(str(best), None).name == "shades"
    assert load_encoder(str(last), None).name == "shades_last"
    shutil.copy(best, tmp_path / "alone.ckpt")
    named = load_encoder("AlexNet", str(tmp_path / "alone.ckpt"), {"layer": "conv"})
    assert named.digest == encoder.digest
    assert load_encoder("AlexNet", "random", {"layer": "conv"}).digest != encoder.digest
    with pytest.raises(RunError, match=r"as --encoder and this file as --weights"):
        load_encoder(str(tmp_path / "alone.ckpt"), None)


def test_what_a_run_does_not_leave_open_is_refused(run: Path, tmp_path: Path) -> None:
    cases: list[tuple[type[PathfuseError], str, tuple[str, str | None, dict[str, object] | None]]] = [
        (WeightsError, "Leave out --weights hub", (str(run), "hub", None)),
        (RecipeError, "Leave out --encoder.layer", (str(run), None, {"layer": "fc6"})),
        (RunError, "no such run folder", (str(tmp_path / "absent"), None, None)),
        (RunError, "no such run folder", (str(tmp_path / "absent.ckpt"), None, None)),
        (RunError, "is no run folder", (str(tmp_path), None, None)),
        (WeightsError, "Write --encoder local-dir:", (str(tmp_path / "weights"), None, None)),
    ]
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "config.json").write_text("{}")
    for error, reason, words in cases:
        with pytest.raises(error, match=reason):
            load_encoder(*words)


def test_a_checkpoint_that_holds_more_than_tensors_is_not_executed(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    for name in ("best.ckpt", "last.ckpt"):
        torch.save({"state_dict": {}, "extra": Path("x").resolve}, copy / "checkpoints" / "train" / name)
    with pytest.raises(RunError, match="is not the file that the run wrote"):
        load_encoder(str(copy), None)
    (copy / "seal.json").unlink()  # who can write the folder can
    with pytest.raises(RunError, match="cannot be loaded"):
        load_encoder(str(copy), None)


def test_a_recipe_of_a_stranger_names_no_code_of_his_own(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace("pathfuse_torchvision.alexnet.AlexNet", "subprocess.Popen"))
    with pytest.raises(PathfuseError, match=r"subprocess"):
        load_encoder(str(copy), None)


def test_each_stain_of_a_run_has_its_own_backbone(tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    recipe = tmp_path / "two.yaml"
    recipe.write_text(TWO.replace("CASES", str(write_cases(cohort))))
    assert main(["fit", "--recipe", str(recipe), "--out", str(tmp_path / "two")]) == 0
    nets = [net for net in pathfuse.load(tmp_path / "two").encoder.modules() if isinstance(net, Backbone)]
    found = [load_encoder(str(tmp_path / "two"), None, modality=stain) for stain in ("he", "ihc")]
    for net, encoder in zip(nets, found, strict=True):
        own = encoder.net.state_dict()
        assert all(torch.equal(value, own[key]) for key, value in net.state_dict().items())
    assert found[0].digest != found[1].digest
    with pytest.raises(RunError, match="a backbone for each of he, ihc"):
        load_encoder(str(tmp_path / "two"), None, modality="ki67")


TWO = """
cohort: {cases: CASES}
data: {class_path: PairedPatches, init_args: {size_px: 32, normalise: []}}
loading: {num_workers: 0}
model:
  encoder:
    class_path: PerStainImageEncoder
    init_args: {backbone: {class_path: TimmBackbone, init_args: {name: test_resnet}}}
  fusion: {class_path: MeanFusion}
  head: {class_path: SoftmaxHead}
  loss_weights: {classification: 1.0}
trainer: {max_epochs: 1}
"""
