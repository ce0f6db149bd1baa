"""Damage to bytes, by a fixed seed: cut, flipped, doubled, swapped, and words that parsers stumble over."""

from __future__ import annotations

import random

WORDS = (
    b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"'", b";", b",", b"\t", b"\n", b"\r", b"{", b"}", b"[", b"]", b":",
    b"-1", b"0", b"1e999", b"nan", b"inf", b"9" * 30, b"9" * 5000, b"2020-13-45", b"!!int ''", b"*a", b"&a [*a]",
    b"null", b"None", b"../../etc/passwd", b"\xc3\x28", "e\u0301".encode(), "\u202e".encode(), b"=1+1", b"NaN",
    b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"a" * 5000, b"%s%n", b"true", b"0x", b"[" * 500,
)  # fmt: skip


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The content with one to three faults."""
    for _ in range(chance.randint(1, 3)):
        content = _once(content, chance)
    return content


def _once(content: bytes, chance: random.Random) -> bytes:
    start = chance.randint(0, len(content))
    end = min(len(content), start + chance.choice((1, 4, 16, 200)))
    kind = chance.choice(("cut", "flip", "word", "word", "drop", "double", "over"))
    if kind == "cut":
        return content[:start]
    if kind == "flip" and content:
        place = min(start, len(content) - 1)
        return content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :]
    if kind == "drop":
        return content[:start] + content[end:]
    if kind == "double":
        return content[:end] + content[start:end] + content[end:]
    word = chance.choice(WORDS)
    return content[:start] + word + (content[end:] if kind == "over" else content[start:])
