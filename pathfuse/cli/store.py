"""`pathfuse store`: look at, convert, repack and check feature files."""

from __future__ import annotations

from collections.abc import Callable

from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError

USAGE = """usage: pathfuse store inspect FILE|FOLDER ...
       pathfuse store check CASES.csv | STAIN=FOLDER ... [--labels_table CSV]
       pathfuse store repack FILE|FOLDER ... --out DIR | --overwrite
       pathfuse store convert FILE|FOLDER ... --to clam|eva|stamp|trident --out DIR
                      [--mpp UM] [--patch_size_level0 PX] [--cases CASES.csv] [--overwrite]

inspect: what a feature file is and says about itself
check: names wrong units, missing mpp, mixed encoders, overflow, duplicates, empty slides, missing files
repack: the same HDF5 files with contiguous data, which read many times as fast
convert: TRIDENT, CLAM, STAMP, eva, WSMCL, MADELEINE, torchmil or plain tensors as one of the first four

Formats of installed plug-ins are read and written in the same way, by the name of their store."""


def store(words: list[str]) -> int:
    """Runs one of the verbs; the exit status is 1 if a file failed or an error was found."""
    line = Words.split(words)
    if line.has("help") or not line.positional:
        print(USAGE)
        return 0
    verb = line.positional.pop(0)
    # h5py and torch are imported only now, so that help is quick.
    from pathfuse.cli import store_verbs

    verbs: dict[str, Callable[[Words], int]] = {
        "inspect": store_verbs.inspect,
        "check": store_verbs.check,
        "repack": store_verbs.repack,
        "convert": store_verbs.convert,
    }
    if verb not in verbs:
        raise RecipeError(f"`pathfuse store {verb}` is not understood. There are {', '.join(verbs)}.")
    return verbs[verb](line)
