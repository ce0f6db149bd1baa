"""Labels as people write them: which are unknown, and which spellings of a HER2 score or a word are one class."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

from pathfuse.cohort.labels import HER2
from pathfuse.cohort.sources.columns import plain
from pathfuse.errors import listed

UNKNOWN = frozenset(
    {"", "na", "n/a", "#n/a", "#na", "nan", "#n/v", "null", "none", "nil", "unknown", "unk", "not available", "missing",
     "not known", "?", "??", "#value!", "#ref!", "#div/0!", "nd", "n/d", "no data", "not done", "not determined",
     "not performed", "not assessed", "not evaluated", "not evaluable", "not tested", "not reported", "not applicable",
     "pending", "tbd", "tba", "to be determined", "unspecified", "<na>", "nat", "k.a.", "-9", "-99", "-999", "-9999",
     "empty", "blank", "no label", "unlabeled", "unlabelled"}
)  # fmt: skip
"""What is written where nothing is known; of a class that is called so, `cohort.classes` tells."""
_DASHES = frozenset({"-", "--", "\u2013", "\u2014"})
_SCORE = re.compile(r"(?:her-?2|ihc|score)?[\s:/_=-]*(?:\+\s*)?([0-3])(?:[.,]0+)?\s*\+?(?:\s*\(.*\))?", re.IGNORECASE)
_PLUSES = re.compile(r"(?:\+\s*){1,3}")
_WORD = re.compile(r"(?:her-?2(?:/neu)?|erbb2)[\s:_-]*(.+)", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?\d+[.,]0+")
_HER2_NAMES = re.compile(r"(her2|erbb2)(neu)?(?P<kind>\w*)")
_SAID = 4  # spellings in a note


def is_unknown(cell: str, keep: Collection[str] = ()) -> bool:
    """Whether a cell says that nothing is known; `keep` are classes that are called so."""
    word = " ".join(cell.casefold().split())
    return cell not in keep and (word in UNKNOWN or word.replace(".", "") in UNKNOWN - {""})


def clean_labels(
    cells: Sequence[str], *, column: str = "label", keep: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """The labels behind the cells of a column, empty where unknown, and what to know about them.

    HER2 scores are `0`, `1+`, `2+`, `3+`, however they are written, in a column that is called after HER2 or holds one
    of the last three. What is no score there stays as it is, for its reader to refuse. Numbers that a spreadsheet gave
    a point (`1.0`) lose it, and spellings that differ in capitals or blanks are one class.

    Args:
        cells: the column.
        column: its name.
        keep: labels that stay as they are written: the classes that somebody named.
    """
    texts = [" ".join(unicodedata.normalize("NFKC", cell).split()) for cell in cells]
    words = dict.fromkeys(texts)
    signs = any(text.startswith("+") and text.strip("+") == "" for text in words if text not in keep)
    gone = {text for text in words if is_unknown(text, keep) or (not signs and text in _DASHES and text not in keep)}
    known = [text for text in texts if text not in gone]
    becomes = {text: text for text in known}
    for rule in (_scores, _whole_numbers, _spellings):
        free = [becomes[text] for text in known if becomes[text] not in keep]
        mapping = rule(free, column)
        becomes = {text: new if new in keep else mapping.get(new, new) for text, new in becomes.items()}
    written = {plain(name): name for name in keep}
    becomes = {text: new if new in keep else written.get(plain(new) or "\0", new) for text, new in becomes.items()}
    return [becomes.get(text, "") for text in texts], _notes(texts, gone, becomes, column)


def _scores(labels: Sequence[str], column: str) -> dict[str, str]:
    """HER2 scores and HER2 words by how they are written; nothing where the column is about something else."""
    named = _HER2_NAMES.fullmatch(plain(column))
    scores = {text: _score(text) for text in dict.fromkeys(labels)}
    found = {score for score in scores.values() if score}
    plus = any(score in HER2[1:] and "+" in text and not _PLUSES.fullmatch(text) for text, score in scores.items())
    # 0 and 1 alone may be negative and positive.
    by_name = named is not None and named["kind"] != "status" and found - {"0", "1+"}
    pluses = named is not None and any(_PLUSES.fullmatch(text) and text.count("+") > 1 for text in scores)
    if plus or by_name or pluses:
        return {text: score for text, score in scores.items() if score}
    words = {text: match[1].strip() for text in scores if (match := _WORD.fullmatch(text))}
    return {text: {"+": "positive", "-": "negative"}.get(word, word.casefold()) for text, word in words.items()}


def _score(text: str) -> str:
    if _PLUSES.fullmatch(text):
        return HER2[text.count("+")]
    match = _SCORE.fullmatch(text)
    return HER2[int(match[1])] if match else ""


def _whole_numbers(labels: Sequence[str], column: str) -> dict[str, str]:
    """Numbers without the point that they got where a cell of the column was empty."""
    del column
    if not labels or not all(_WHOLE.fullmatch(text) or text.isdecimal() for text in labels):
        return {}
    return {text: str(int(re.split("[.,]", text)[0])) for text in labels if not text.isdecimal()}


def _spellings(labels: Sequence[str], column: str) -> dict[str, str]:
    """The most frequent spelling of each word; of equally frequent ones the first."""
    del column
    groups: dict[str, Counter[str]] = {}
    for text, count in Counter(labels).items():
        groups.setdefault(text.casefold(), Counter())[text] = count
    return {text: counts.most_common(1)[0][0] for counts in groups.values() for text in counts if len(counts) > 1}


def _notes(texts: Sequence[str], gone: Collection[str], becomes: dict[str, str], column: str) -> list[str]:
    notes = []
    counts = Counter(text for text in texts if text in gone)
    if counts:
        words = ", ".join(f"{text or 'empty'}: {count}" for text, count in counts.most_common(_SAID))
        notes.append(f"{sum(counts.values())} of {len(texts)} rows have no label in {column} ({words}).")
    changed = [f"{text} is {new}" for text, new in becomes.items() if text != new]
    if changed:
        notes.append(f"Labels in {column}: {listed(changed, _SAID)}.")
    return notes
