"""The changelog names every renamed key, and the error that a user gets says the same."""

from __future__ import annotations

import re

from pathfuse.recipes.renamed import GONE, RENAMED
from tests.conftest import PROJECT_ROOT

ROW = re.compile(r"^\| `((?:data|cohort)\.[\w.]+)` \| (.+) \|$", re.MULTILINE)


def test_every_renamed_key_is_there_with_its_new_name_and_no_other() -> None:
    text = (PROJECT_ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    rows = [(old, new.replace("`", "")) for old, new in ROW.findall(text)]
    assert len(rows) == len(dict(rows))
    assert dict(rows) == {**RENAMED, **{old: f"gone: {how}" for old, how in GONE.items()}}
