"""Confinement of a recipe file: what it names writes into the run folder or the cache, and stays off the network.

Whoever types a path or a logger on the command line means it; a file may be a stranger's. Components of plug-ins are
not looked at here: whoever installed a plug-in trusts it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from pathlib import Path, PurePosixPath
from typing import Any

from jsonargparse import Namespace
from jsonargparse._util import import_object

from pathfuse.inference.parsing.trust import VARIABLE, trusted_by_user
from pathfuse.recipes.plain_yaml import Config
from pathfuse.system.cache_folder import default_cache

FOLDER = "further"
"""Below the run folder, where files of such callbacks and loggers go."""
CACHE = "pathfuse.cohort"
"""What a user trusts who lets recipe files say where the cache is."""
_KEYS = ("logger", "callbacks", "profiler", "strategy", "plugins", "accelerator")
_PLACE = re.compile(r"(^|_)(dir|dirpath|path|folder)$")
_LOCAL = ("CSVLogger", "TensorBoardLogger")
_REMOTE_WORDS = ("wandb",)


def reaches_out(config: Config) -> list[str]:
    """What a stage of a recipe file would write outside the run folder, or send over the network; a line each.

    Args:
        config: what files and layers say, without the words of the command line.
    """
    said = config.get("logger")
    words = said if isinstance(said, list) else [said]
    found = [
        f"logger: {word} sends to the network. Type it: --logger {word}"
        for word in words
        if word in _REMOTE_WORDS and not trusted_by_user("lightning.pytorch.loggers")
    ]
    cache = _said_cache(config)
    if cache is not None and _leaves_cache(cache):
        found.append(
            f"cohort.cache is {cache!r}, which leads out of your cache. Type it on the command line, or set "
            f"{VARIABLE}={CACHE}"
        )
    return found + [line for key, kind, options in _named(config) for line in _outside(key, kind, options)]


def confined_cache(cache: str | None, config: Config) -> str | None:
    """The cache of a stage, below the user's own where a file names it; that one itself where the file leads out of it.

    Args:
        cache: `cohort.cache` as it was parsed; a typed one stays.
        config: what files and layers say.
    """
    said = _said_cache(config)
    if said is None or cache != said:
        return cache
    return None if _leaves_cache(said) else str(default_cache() / said)


def _said_cache(config: Config) -> str | None:
    said = (config.get("cohort") or {}).get("cache")
    return said if isinstance(said, str) and not trusted_by_user(CACHE) else None


def _leaves_cache(said: str) -> bool:
    inside = ".." not in PurePosixPath(said).parts and Path(said).is_relative_to(default_cache())
    return _leads_out(said) and not inside


def confined(trainer: Namespace, config: Config, root: Path) -> Namespace:
    """The parsed `trainer` of a stage with what its file names inside the run folder; what reaches out is left away.

    Args:
        trainer: as it was parsed, typed words among it.
        config: what files and layers say.
        root: the run folder.
    """
    ours = [(kind.rpartition(".")[2], dict(options)) for _, kind, options in _named(config)]

    def inside(value: Any) -> Any:  # noqa: ANN401 - a tree of parsed values
        if isinstance(value, list):
            return [inside(one) for one in value if not _is_outside(one, ours)]
        if not isinstance(value, Namespace):
            return value
        if _is_outside(value, ours):
            return None
        return _moved(value, ours, root)

    made = trainer.clone()
    for key in _KEYS:
        if key in made:
            made[key] = inside(made[key])
            if key == "logger" and made[key] is None:
                made[key] = False  # None is Lightning's word for a logger of its choice
    return made


Named = list[tuple[str, dict[str, Any]]]


def _named(config: Config) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Key, class and options of everything of Lightning that a file names in its trainer."""
    trainer = config.get("trainer") or {}
    for key in _KEYS:
        value = trainer.get(key)
        for one in value if isinstance(value, list) else [value]:
            yield from _classes(f"trainer.{key}", one)


def _classes(key: str, value: object) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    if isinstance(value, str) and value[:1].isupper():
        yield key, value, {}
    if isinstance(value, Mapping):
        options = value.get("init_args") or {}
        if isinstance(value.get("class_path"), str) and isinstance(options, Mapping):
            yield key, value["class_path"], {**options, **(value.get("dict_kwargs") or {})}
        for name, inner in value.items():
            for one in inner if isinstance(inner, list) else [inner]:
                yield from _classes(f"{key}.{name}", one)


def _outside(key: str, kind: str, options: Mapping[str, Any]) -> list[str]:
    name = kind.rpartition(".")[2]
    if "." in kind and not kind.startswith("lightning."):
        return []
    if trusted_by_user(kind if "." in kind else f"lightning.pytorch.loggers.{kind}"):
        return []
    how = f"Type it on the command line, or set {VARIABLE}=lightning.pytorch"
    if name.endswith("Logger") and name not in _LOCAL:
        return [f"{key}: {name} sends to the network. {how}"]
    return [
        f"{key}: {option} of {name} is {value!r}, which leads out of the run folder. {how}"
        for option, value in options.items()
        if isinstance(value, str) and _leads_out(value)
    ]


def _leads_out(text: str) -> bool:
    parts = PurePosixPath(text.replace("\\", "/")).parts
    return text.startswith(("/", "\\", "~")) or "://" in text or ".." in parts or text[1:2] == ":"


def _is_outside(value: object, ours: Named) -> bool:
    found = _found(value, ours)
    return found is not None and bool(_outside("", str(value.class_path), found))  # type: ignore[attr-defined]


def _found(value: object, ours: Named) -> dict[str, Any] | None:
    """What the file says of a class that was parsed; None where it was typed."""
    if not isinstance(value, Namespace) or not isinstance(value.get("class_path"), str):
        return None
    name = value.class_path.rpartition(".")[2]
    given = value.get("init_args") or {}
    for kind, options in ours:
        if kind == name and all(given.get(key) == said for key, said in options.items() if isinstance(said, str)):
            return options
    return None


def _moved(value: Namespace, ours: Named, root: Path) -> Namespace:
    options = _found(value, ours)
    if options is None or not value.class_path.startswith("lightning.") or trusted_by_user(value.class_path):
        return value
    kind: Callable[..., object] = import_object(value.class_path)
    known = signature(kind).parameters
    made = value.clone()
    for key in known:
        # Without a place, a checkpoint of a callback may take that of ours.
        if _PLACE.search(key) and (isinstance(options.get(key), str) or key == "dirpath"):
            made["init_args"][key] = str(root / FOLDER / str(options.get(key) or ""))
    return made
