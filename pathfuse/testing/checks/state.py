"""Determinism, saving, copying and number types."""

from __future__ import annotations

import copy
import io
import os
import pickle
import random
from typing import Any

import numpy as np
import torch

from pathfuse.testing.answer import Answer, assert_finite, assert_same
from pathfuse.testing.feed import Feed
from pathfuse.testing.trial import Subject, Trial


def eval_is_deterministic(trial: Trial) -> None:
    """In eval mode the same cases get the same answer twice, bit by bit."""
    subject, feed = trial.build(), trial.feed(absent=True)
    assert_same(_eval(trial, subject, feed), _eval(trial, subject, feed), "on the second call", 0.0)


def eval_leaves_global_state_alone(trial: Trial) -> None:
    """Building and calling in eval mode touch no random generator beyond weights, and neither environment nor dtype."""
    subject, feed = trial.build(), trial.feed()
    before = _global_state()
    _eval(trial, subject, feed)
    after = _global_state()
    changed = [name for name, value in before.items() if value != after[name]]
    assert not changed, f"a call in eval mode changes {', '.join(changed)}"


def state_dict_round_trips(trial: Trial) -> None:
    """After a training step the state dict, saved and loaded without pickled code, restores every answer."""
    trained, feed = trial.build(), trial.feed(absent=True)
    trial.ask(trained.train(), feed)
    trained.eval()
    file = io.BytesIO()
    torch.save(trained.state_dict(), file)
    file.seek(0)
    other = trial.build(seed=1)
    other.load_state_dict(torch.load(file, weights_only=True))
    restored = _eval(trial, other, feed)
    assert_same(restored, _eval(trial, trained, feed), "after state_dict was saved and loaded", 1e-6)


def copies_answer_alike(trial: Trial) -> None:
    """A deep copy and a pickled copy, as worker processes get it, give the same answers."""
    subject, feed = trial.build(), trial.feed(absent=True)
    expected = _eval(trial, subject, feed)
    assert_same(_eval(trial, copy.deepcopy(subject), feed), expected, "in a deep copy", 1e-6)
    assert_same(_eval(trial, pickle.loads(pickle.dumps(subject)), feed), expected, "in a pickled copy", 1e-6)


def number_types_work(trial: Trial) -> None:
    """float64 stays float64 and agrees with float32; bfloat16 gives finite answers."""
    feed = trial.feed(absent=True)
    answers = {
        dtype: _eval(trial, trial.build().to(dtype), feed.cast(dtype))
        for dtype in (torch.float32, torch.float64, torch.bfloat16)
    }
    for dtype, answer in answers.items():
        assert_finite(answer, f"in {dtype}")
    for name, value in answers[torch.float64].tensors().items():
        assert value.dtype == torch.float64, f"{name} is {value.dtype} for float64 input"
    assert_same(answers[torch.float32], answers[torch.float64], "in float32 instead of float64", 1e-3)


def the_model_is_left_alone(trial: Trial) -> None:
    """Explaining changes no weight, gradient, mode, hook or flag of the model."""
    subject = trial.build()
    before = _model_state(subject)
    trial.ask(subject, trial.feed())
    changed = [name for name, value in _model_state(subject).items() if value != before[name]]
    assert not changed, f"explaining changes {', '.join(changed)} of the model"


def _eval(trial: Trial, subject: Subject, feed: Feed) -> Answer:
    with torch.no_grad():
        return trial.ask(subject, feed)


def _global_state() -> dict[str, object]:
    name, keys, *rest = np.random.get_state()
    return {
        "torch's random generator": torch.get_rng_state().numpy().tobytes(),
        "Python's random generator": random.getstate(),
        "numpy's random generator": (name, np.asarray(keys).tobytes(), rest),
        "the environment": dict(os.environ),
        "the default dtype": torch.get_default_dtype(),
        "gradient mode": torch.is_grad_enabled(),
    }


def _model_state(subject: Subject) -> dict[str, object]:
    model: Any = subject.model
    return {
        "weights": [weight.detach().numpy().tobytes() for weight in model.state_dict().values()],
        "gradients": [weight.grad is None for weight in model.parameters()],
        "gradient flags": [weight.requires_grad for weight in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()],
    }
