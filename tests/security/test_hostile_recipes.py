"""A recipe is text from a stranger: whatever class it names, and wherever, nothing outside the allow-list runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pathfuse.cli import main
from tests.security.conftest import Refuse, put

CALLBACK = "lightning.pytorch.callbacks.LambdaCallback"
ENCODER = "model/encoder/init_args"

# Slot of a recipe, and what goes around the hostile class there.
SLOTS: dict[str, Any] = {
    "data": None,
    "model/encoder": None,
    f"{ENCODER}/backbone": None,
    f"{ENCODER}/input": None,
    "model/fusion": None,
    "model/head": None,
    "model/objective": None,
    "optimizer": None,
    "lr_scheduler": None,
    "trainer/logger": None,
    "trainer/strategy": None,
    "trainer/profiler": None,
    "trainer/plugins": None,
    "trainer/accelerator": None,
    "trainer/callbacks": lambda it: [it],
}

# Options of trusted classes, and plain values, that a class could be smuggled into.
ARGUMENTS: dict[str, Any] = {
    "callback": ("trainer/callbacks", lambda it: [{"class_path": CALLBACK, "init_args": {"on_fit_start": it}}]),
    "checkpoint": (
        "trainer/callbacks",
        lambda it: [{"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": {"dirpath": it}}],
    ),
    "logger": (
        "trainer/logger",
        lambda it: {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": it}},
    ),
    "logger with any": (
        "trainer/logger",
        lambda it: [{"class_path": "lightning.pytorch.loggers.MLFlowLogger", "init_args": {"tags": it}}],
    ),
    "strategy": (
        "trainer/strategy",
        lambda it: {
            "class_path": "lightning.pytorch.strategies.FSDPStrategy",
            "init_args": {"auto_wrap_policy": it},
        },
    ),
    "optimiser": ("optimizer", lambda it: {"class_path": "Adam", "init_args": {"lr": it}}),
    "optimiser parameters": ("optimizer", lambda it: {"class_path": "Adam", "init_args": {"params": it}}),
    "schedule": (
        "lr_scheduler",
        lambda it: {"class_path": "torch.optim.lr_scheduler.LambdaLR", "init_args": {"lr_lambda": it}},
    ),
    "data option": ("data/init_args/cases", lambda it: it),
    "data further option": ("data/dict_kwargs", lambda it: {"x": it}),
    "head further option": ("model/head", lambda it: {"class_path": "SoftmaxHead", "dict_kwargs": {"x": it}}),
    "weight": ("model/loss_weights", lambda it: {"classification": it}),
    "given": ("model/given", lambda it: [it]),
    "dropout": ("model/modality_dropout", lambda it: {"he": it}),
    "name of a network": (f"{ENCODER}/backbone/init_args/name", lambda it: it),
    "seed": ("seed", lambda it: it),
    "epochs": ("trainer/max_epochs", lambda it: it),
    "unknown key": ("model/slots", lambda it: it),
}

PATHS = (
    "os.system",
    "posix.system",
    "subprocess.Popen",
    "builtins.eval",
    "builtins.exec",
    "importlib.import_module",
    "pickle.loads",
    "torch.load",
    "torch.hub.load",
    "torch.hub.load_state_dict_from_url",
    "timm.create_model",
    "lightning.pytorch.cli.LightningCLI",
    "jsonargparse.CLI",
    "evil.Head",
    "evil.call",
)

# Each begins in a trusted module, and ends at something that was defined elsewhere.
DETOURS = (
    "pathfuse.recipes.find.os.system",
    "pathfuse.cli.sys.modules",
    "pathfuse.training.stage.Trainer",
    "pathfuse.inference.plan.torch.load",
    "pathfuse_timm.backbone.timm.create_model",
    "torch.nn.modules.module.torch.load",
    "torch.optim.optimizer.torch.load",
    "torch.optim.optimizer.functools.partial",
    "torchmetrics.metric.functools.partial",
    "lightning.pytorch.callbacks.model_checkpoint.shutil.rmtree",
    "lightning.pytorch.loggers.csv_logs.os.system",
)

# Functions of trusted modules that would do as they are told.
FUNCTIONS: dict[str, dict[str, Any]] = {
    "pathfuse.system.files.write_text": {"path": "CANARY", "text": "x"},
    "pathfuse.system.files.atomic_text": {"path": "CANARY"},
    "pathfuse.cli.main": {"argv": ["recipes", "copy", "corranet", "CANARY"]},
    "pathfuse.cli.run": {"name": "recipes", "words": ["copy", "corranet", "CANARY"]},
    "pathfuse.demo.write_patches": {"folder": "CANARY"},
    "pathfuse.runs.folder.RunFolder.create": {"path": "CANARY"},
    "pathfuse.load": {"run": "CANARY"},
    "torch.nn.functional.relu": {"input": 1},
}


@pytest.fixture
def hostile(canary: Path) -> dict[str, Any]:
    return {"class_path": "os.system", "init_args": {"command": f"touch {canary}"}}


def test_the_recipe_trains_before_it_is_spoilt(plain: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(plain))
    assert main(["fit", "--recipe", str(tmp_path / "plain.yaml"), "--out", str(tmp_path / "run")]) == 0


def test_the_canary_sings(canary: Path) -> None:
    import evil  # noqa: F401 - importing it is what makes the file

    assert canary.exists()


@pytest.mark.parametrize("slot", SLOTS)
def test_no_slot_takes_a_class_from_outside(
    slot: str, plain: dict[str, Any], hostile: Any, refuse_recipe: Refuse
) -> None:
    around = SLOTS[slot] or (lambda it: it)
    error = refuse_recipe(put(plain, slot, around(hostile)))
    assert "os.system may not be named" in error and "PATHFUSE_TRUST" in error
    assert slot.rpartition("/")[2] in error or slot.startswith(ENCODER)


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("shape", ["class", "word"])
def test_no_option_of_a_trusted_class_calls_another(
    name: str, shape: str, plain: dict[str, Any], hostile: Any, refuse_recipe: Refuse
) -> None:
    key, around = ARGUMENTS[name]
    if shape == "word" and name in ("checkpoint", "logger", "given", "data option", "name of a network"):
        pytest.skip("a word is a plain file name or name there")
    refuse_recipe(put(plain, key, around(hostile if shape == "class" else "os.system")))


@pytest.mark.parametrize("path", [*PATHS, *DETOURS])
def test_no_path_leads_out_of_the_allow_list(path: str, plain: dict[str, Any], refuse_recipe: Refuse) -> None:
    error = refuse_recipe(put(plain, "model/head", {"class_path": path}))
    assert "may not be named" in error or "is not a known component" in error or "no class" in error


@pytest.mark.parametrize("path", FUNCTIONS)
@pytest.mark.parametrize("slot", ["model/head", "optimizer", "trainer/callbacks"])
def test_functions_of_trusted_modules_are_not_called(
    path: str, slot: str, plain: dict[str, Any], canary: Path, refuse_recipe: Refuse
) -> None:
    text = yaml.safe_dump({"class_path": path, "init_args": FUNCTIONS[path]}).replace("CANARY", str(canary))
    block = yaml.safe_load(text)
    if slot == "trainer/callbacks":
        block = [{"class_path": CALLBACK, "init_args": {"on_fit_start": block}}]
    refuse_recipe(put(plain, slot, block))


@pytest.mark.parametrize("path", ["pathfuse.cli.main", "pathfuse.load", "torch.nn.functional.relu", "torch.nn.Linear"])
@pytest.mark.parametrize("name", ["callback", "schedule", "strategy"])
def test_a_plain_word_for_something_to_call_is_refused(
    name: str, path: str, plain: dict[str, Any], refuse_recipe: Refuse
) -> None:
    key, around = ARGUMENTS[name]
    refuse_recipe(put(plain, key, around(path)))


@pytest.mark.parametrize(
    "path",
    ["", "os", ".os.system", "os..system", "os.system\n", "/tmp/x.py", "x;y", "__import__('os')", 3, None, ["a"]],
)
def test_what_is_no_class_path_is_refused(path: object, plain: dict[str, Any], refuse_recipe: Refuse) -> None:
    refuse_recipe(put(plain, "model/head", {"class_path": path}))


@pytest.mark.parametrize(
    "words",
    [
        "--model.head=os.system",
        "--model.head.class_path=os.system",
        '--model.head={"class_path": "os.system", "init_args": {"command": "touch CANARY"}}',
        '--model.head={"class_path": "pathfuse.system.files.write_text", "init_args": {"path": "CANARY", "text": "x"}}',
        "--model.encoder.backbone=subprocess.Popen",
        "--model.objective=builtins.eval",
        "--model.head.help=evil.Head",
        "--data=evil.Head",
        "--data.help=evil.Head",
        "--optimizer=torch.load",
        "--lr_scheduler=torch.hub.load",
        "--trainer.callbacks+=evil.Head",
        "--trainer.callbacks=[{class_path: os.system, init_args: {command: touch CANARY}}]",
        "--trainer.logger=evil.Head",
        "--trainer.strategy=evil.Head",
        "--trainer.profiler=evil.Head",
        "--trainer.plugins=evil.Head",
        "--train.model.head=os.system",
        "--train.config=CANARY",
        "--train.print_config=",
        "--config=/nowhere/x.yaml",
        "--seed=!!python/object/apply:os.system [touch CANARY]",
        '--trainer.max_epochs=!!python/object/apply:os.system ["touch CANARY"]',
    ],
)
def test_the_command_line_takes_no_class_from_outside(words: str, plain: dict[str, Any], refuse_recipe: Refuse) -> None:
    refuse_recipe(plain, words)


@pytest.mark.parametrize(
    "source",
    ["http://127.0.0.1:9/x.yaml", "https://127.0.0.1:9/x", "s3://bucket/x.yaml", "file:///x.yaml", "memory://x"],
)
class TestRemote:
    @pytest.fixture(autouse=True)
    def no_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def connect(*args: object) -> None:
            raise AssertionError("a connection was opened")

        monkeypatch.setattr("socket.socket.connect", connect)
        monkeypatch.setattr("socket.getaddrinfo", connect)

    def test_a_recipe_is_not_fetched(self, source: str, refuse: Refuse) -> None:
        assert "no recipe is called" in refuse("fit", "--recipe", source)

    @pytest.mark.parametrize(
        "key", ["data", "cohort", "loading", "model", "trainer", "model.head", "optimizer", "trainer.callbacks"]
    )
    def test_a_part_of_a_recipe_is_not_fetched(
        self, source: str, key: str, plain: dict[str, Any], refuse_recipe: Refuse
    ) -> None:
        refuse_recipe(plain, f"--{key}={source}")
        refuse_recipe(put(plain, key.replace(".", "/"), source))


@pytest.mark.parametrize(
    "key", ["data", "cohort", "loading", "model", "trainer", "model/head", "model/encoder", "optimizer", "seed"]
)
def test_a_recipe_is_one_file(
    key: str, plain: dict[str, Any], hostile: Any, tmp_path: Path, refuse_recipe: Refuse
) -> None:
    (tmp_path / "part.yaml").write_text(yaml.safe_dump(hostile))
    refuse_recipe(put(plain, key, str(tmp_path / "part.yaml")))


@pytest.mark.parametrize(
    "text",
    [
        '!!python/object/apply:os.system ["touch CANARY"]',
        'data: !!python/object/apply:os.system ["touch CANARY"]',
        'data: !!python/object/new:os.system ["touch CANARY"]',
        "data: !!python/name:os.system",
        "data: !!python/module:evil",
        "data: !evil x",
        "x: " + "[" * 5000,
        "a: &a [*a]\ndata: *a",
        "data: &x {class_path: PairedPatches}\nmodel: *x",
        "",
        "3",
        "[1]",
        "a: b: c",
        "\0",
        "? {a: b}\n: c",
        "1: 2",
        "null: 3",
        "stages: 3",
        "stages: {}",
        "stages: {a: 3}",
        "layers: 3\nstages: {a: {}}",
        "trainer: 3",
        "trainer: [1]",
        "model: x",
    ],
)
def test_yaml_that_is_no_recipe_ends_in_one_line(text: str, canary: Path, refuse_recipe: Refuse) -> None:
    assert "hostile.yaml" in refuse_recipe(text.replace("CANARY", str(canary)))


@pytest.mark.parametrize("kind", ["list", "mapping"])
def test_a_yaml_bomb_does_not_go_off(kind: str, refuse_recipe: Refuse) -> None:
    lines = ["a0: &a0 [x]" if kind == "list" else "a0: &a0 {x: y}"]
    for level in range(1, 30):
        parts = [f"*a{level - 1}"] * 10 if kind == "list" else [f"k{k}: *a{level - 1}" for k in range(10)]
        inner = ", ".join(parts)
        lines.append(f"a{level}: &a{level} " + (f"[{inner}]" if kind == "list" else f"{{{inner}}}"))
    assert "aliases" in refuse_recipe("\n".join(lines))


def test_a_recipe_that_is_no_text_ends_in_one_line(tmp_path: Path, refuse: Refuse) -> None:
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    assert "binary.yaml" in refuse("fit", "--recipe", str(tmp_path / "binary.yaml"))


@pytest.mark.parametrize("name", ["..", "../../x", "a/b", "/tmp/x", "a b", "", "model", "data", "trainer", "optimizer"])
def test_a_stage_name_cannot_leave_the_run_folder(name: str, plain: dict[str, Any], refuse_recipe: Refuse) -> None:
    stage = {key: plain.pop(key) for key in ("model", "optimizer")}
    assert repr(name) in refuse_recipe({**plain, "stages": {name: stage}})


@pytest.mark.parametrize("layer", [3, "x", [1], {"model": {"head": {"class_path": "os.system"}}}])
def test_a_layer_is_as_untrusted_as_the_rest(layer: object, plain: dict[str, Any], refuse_recipe: Refuse) -> None:
    refuse_recipe({**plain, "layers": {"big": layer}}, "--layer", "big")


def test_a_stage_of_several_is_as_untrusted_as_the_first(small: Path, hostile: Any, refuse_recipe: Refuse) -> None:
    recipe = yaml.safe_load(small.read_text())
    assert "stage predict" in refuse_recipe(put(recipe, "stages/predict/model/head", hostile))
