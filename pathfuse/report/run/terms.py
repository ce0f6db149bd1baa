"""Terms of the weights that a run builds on, and what they mean for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def terms_of_use(weights: Sequence[Mapping[str, object]]) -> list[str]:
    """A sentence where one of the licences does not allow commercial use; else nothing.

    Args:
        weights: the entries of `weights.json`.
    """
    bound = dict.fromkeys(str(one.get("network")) for one in weights if one.get("commercial") == "no")
    if not bound:
        return []
    return [f"NOT FOR COMMERCIAL USE: the run builds on weights whose licence does not allow it ({'; '.join(bound)})."]
