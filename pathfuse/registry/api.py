"""The version of what a plug-in sees of pathfuse, and which one a distribution was made for.

A distribution says it in its metadata, so that it is known before anything of it is imported:

```toml
[project.entry-points."pathfuse.api"]
"1.0" = "its_package"
```
"""

from __future__ import annotations

import re
from functools import cache

from pathfuse.registry.metadata import stated

API = (1, 0)
"""Major and minor. The first number rises when a plug-in has to change, the second when something is added."""

GROUP = "pathfuse.api"
_VERSION = re.compile(r"(\d+)\.(\d+)")


@cache
def api_versions() -> dict[str, tuple[str, ...]]:
    """Distribution to the versions that it says it was made for; those that say none are not there."""
    found: dict[str, tuple[str, ...]] = {}
    for entry, owner in stated(GROUP):
        found[owner] = (*found.get(owner, ()), entry.name)
    return found


def misfit(name: str, distribution: str, versions: tuple[str, ...]) -> str:
    """One line on why a component cannot be used with this pathfuse; empty if it fits, or if nobody says.

    Args:
        name: of the component.
        distribution: that offers it.
        versions: of the API that the distribution was made for; one that fits is enough.
    """
    ours = f"{API[0]}.{API[1]}"
    for version in versions:
        found = _VERSION.fullmatch(version)
        if found is None:
            return (
                f"{name} of {distribution} names an API version {version!r} that is none. Write it as {ours!r} in "
                f"the entry points {GROUP} of {distribution}."
            )
        if int(found[1]) == API[0] and int(found[2]) <= API[1]:
            return ""
    if not versions:
        return ""
    return (
        f"{name} of {distribution} was made for version {' or '.join(versions)} of pathfuse's API, and this pathfuse "
        f"has {ours}. Install another release of {distribution}, or of pathfuse."
    )
