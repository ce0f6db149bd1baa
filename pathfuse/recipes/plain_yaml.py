"""YAML as a recipe may use it: a mapping of plain data, written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pathfuse.errors import RecipeError
from pathfuse.system.reading import WIDEST, read_whole_text

Config = dict[str, Any]
MOST = 16 << 20  # bytes; the longest recipe has some hundred lines


class OddScalar(yaml.constructor.ConstructorError):
    """A value that looks like a number or a date and is none, such as `2020-13-45`."""


class TwiceError(yaml.constructor.ConstructorError):
    """A key that a mapping has twice."""


class PlainLoader(yaml.SafeLoader):
    """YAML without aliases, of which a few nested ones stand for a billion nodes, and without a key twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuses aliases (`*name`)."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not used in recipes; write it out", mark)
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401 - any plain data
        """Says where a value stands that its own type refuses: PyYAML passes on whatever Python raises."""
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and value.bit_length() > WIDEST:
                raise ValueError(f"it has more than {WIDEST} bits")
            if isinstance(value, str):
                value.encode()  # half of a sign of two cannot be written again
            return value
        except (ValueError, LookupError, AttributeError, ArithmeticError) as error:
            shown = str(getattr(node, "value", ""))[:40]
            kind = node.tag.rpartition(":")[2]
            raise OddScalar(None, None, f"{shown!r} is no {kind}; quote it, or correct it", node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuses a key that stands twice, of which one would not count."""
        seen = set[tuple[str, str]]()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise TwiceError(None, None, f"{key.value[:40]!r} stands twice; take one out", key.start_mark)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def plain_yaml(text: str) -> object:
    """The value in a text.

    Raises:
        yaml.YAMLError: if it is no YAML of plain data.
    """
    value: object = yaml.load(text, Loader=PlainLoader)
    return value


def read_yaml(path: Path) -> Config:
    """The mapping in a YAML file.

    Raises:
        RecipeError: with file, line and column if it is no YAML mapping, or cannot be read at all.
    """
    try:
        text = read_whole_text(path, most=MOST)
    except OSError as error:
        raise RecipeError(f"{path} cannot be read ({error.strerror}). Choose another file.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not readable as YAML ({error}).") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, place: str) -> Config:
    """The mapping in a text; `place` is the file that it comes from.

    Raises:
        RecipeError: with file, line and column if it is no YAML mapping.
    """
    try:
        config = plain_yaml(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1} column {mark.column + 1}" if mark else ""
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        raise RecipeError(f"{place}{where}: not readable as YAML ({reason}).") from error
    if not isinstance(config, dict):
        raise RecipeError(
            f"{place}: a recipe is a mapping of keys; `pathfuse recipes show corranet` prints an example."
        )
    return config
