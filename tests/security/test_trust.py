"""`PATHFUSE_TRUST` widens the allow-list; nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonargparse import _common as settings

from pathfuse.cli import main
from pathfuse.errors import TrustError
from pathfuse.inference.parsing.trust import trusted_imports
from tests.security.conftest import Refuse, put

HEAD = """
import pathfuse_heads.softmax

class LocalHead(pathfuse_heads.softmax.SoftmaxHead):
    pass

def build(fused, spec):
    return LocalHead(fused, spec)
"""


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: dict[str, Any]) -> dict[str, Any]:
    """A recipe with a head from a module that nobody registered."""
    (tmp_path / "local_head.py").write_text(HEAD)
    monkeypatch.syspath_prepend(str(tmp_path))
    return put(plain, "model/head", {"class_path": "local_head.LocalHead"})


def trained(recipe: dict[str, Any], tmp_path: Path) -> int:
    (tmp_path / "local.yaml").write_text(yaml.safe_dump(recipe))
    return main(["fit", "--recipe", str(tmp_path / "local.yaml"), "--out", str(tmp_path / "run")])


def test_a_module_named_in_the_environment_is_trusted(
    local: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATHFUSE_TRUST", "some.other, local_head ,")
    assert trained(local, tmp_path) == 0
    assert "local_head.LocalHead" in (tmp_path / "run" / "config.yaml").read_text()


def test_without_it_the_module_is_not_even_imported(local: dict[str, Any], refuse_recipe: Refuse) -> None:
    assert "PATHFUSE_TRUST" in refuse_recipe(local)


def test_trusting_one_module_trusts_no_other(
    local: dict[str, Any], monkeypatch: pytest.MonkeyPatch, refuse_recipe: Refuse
) -> None:
    monkeypatch.setenv("PATHFUSE_TRUST", "local_head")
    refuse_recipe(put(local, "model/head", {"class_path": "os.system"}))
    refuse_recipe(put(local, "model/head", {"class_path": "local_head.pathfuse_heads.softmax.torch.load"}))


def test_a_trusted_function_is_still_no_class(
    local: dict[str, Any], monkeypatch: pytest.MonkeyPatch, refuse_recipe: Refuse
) -> None:
    monkeypatch.setenv("PATHFUSE_TRUST", "local_head")
    refuse_recipe(put(local, "model/head", {"class_path": "local_head.build"}))


@pytest.mark.parametrize("key", ["PATHFUSE_TRUST", "trust", "environment", "env", "import_path_allowlist"])
def test_a_recipe_cannot_widen_its_own_trust(key: str, local: dict[str, Any], refuse_recipe: Refuse) -> None:
    refuse_recipe({**local, key: "local_head"})
    refuse_recipe(local, f"--{key}=local_head")
    refuse_recipe(local, f"--train.{key}=local_head")


def test_the_settings_are_put_back_after_an_error() -> None:
    before = dict(settings.parsing_settings)
    with pytest.raises(TrustError), trusted_imports():
        assert settings.parsing_settings != before
        raise TrustError("x")
    assert settings.parsing_settings == before
