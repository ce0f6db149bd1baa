"""What runs at work are doing, read from their folders."""

import json
import threading

import pytest

import pathfuse.study.watch
from pathfuse.runs.files import PROGRESS
from pathfuse.study.watch import doing, watching

AT = {"stage": "train", "epoch": 1, "epochs": 20, "batch": 1, "batches": 12}


def test_a_run_says_where_it_is_from_its_first_batch(tmp_path):
    assert doing("he fold 0", tmp_path) == ""
    (tmp_path / PROGRESS).write_text(json.dumps(AT))
    assert doing("he fold 0", tmp_path) == "he fold 0: train, epoch 1 of 20, batch 1 of 12"
    (tmp_path / PROGRESS).write_text("half a fi")
    assert doing("he fold 0", tmp_path) == ""


def test_it_is_told_once_while_nothing_changes(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pathfuse.study.watch, "EVERY_S", 0.01)
    (tmp_path / PROGRESS).write_text(json.dumps(AT))
    job = type("Run", (), {"name": "he", "folder": tmp_path})
    told, twice = [], threading.Event()

    def say(text: str) -> None:
        told.append(text)
        if len(told) == 2:
            twice.set()
        else:
            (tmp_path / PROGRESS).write_text(json.dumps({**AT, "batch": 2}))

    with watching([job], say):
        assert twice.wait(60)
    assert told == [f"he: train, epoch 1 of 20, batch {batch} of 12" for batch in (1, 2)]
