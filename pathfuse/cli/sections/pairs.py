"""`pathfuse pairs DIR`."""

from __future__ import annotations

from pathlib import Path

from pathfuse.cli.sections.patch_size import patch_px
from pathfuse.cli.text import print_help
from pathfuse.cli.values import number, one_of, whole
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError

HELP = """
DIR                what `pathfuse register` wrote
--out DIR          HE/ and IHC/ with pairs of equal names, as BCI lays them out, and cases.csv: patient, slide, place,
                   local error, similarity and measured stain of every pair
--patch-px N       edge of a patch in pixels (1024)
--mpp V            micrometres per pixel (0.46)
--overlap-px N     pixels that neighbouring patches share (0)
--min-tissue V     share of a patch that has to be tissue, on both slides (0.5)
--max-error-um V   largest local error within a patch (15)
--min-similarity V least similarity of a patch; 0.5 is chance (0.6)
--review WHAT      use or leave: pairs of slides that are to be looked at (leave)

Patches that are left out are counted by reason, and named in left_out.csv."""


def pairs(words: list[str]) -> int:
    """Cuts pairs of patches from registered slides."""
    line = Words.split(words)
    if line.has("help") or not words:
        return print_help("pairs", HELP)
    line.options = [(key.replace("_", "-"), value) for key, value in line.options]
    out = line.take("out")
    places, line.positional = line.positional, []
    if not out or len(places) != 1:
        raise RecipeError("name the folder of registrations and --out, the folder of the pairs.")
    size = patch_px(line, 1024)
    mpp = number("mpp", line.take("mpp") or "0.46", lambda value: value > 0, "a number above 0")
    overlap = whole("overlap-px", line.take("overlap-px") or "0")
    tissue, error, similarity = (
        number(key, line.take(key) or default)
        for key, default in (("min-tissue", "0.5"), ("max-error-um", "15"), ("min-similarity", "0.6"))
    )
    review = one_of("review", line.take("review") or "leave", ("use", "leave")) == "use"
    line.finish()
    from pathfuse.pairs.job import PairsJob, cut_all
    from pathfuse.pairs.options import PairCut

    cut = PairCut(
        patch_px=size,
        mpp=mpp,
        overlap_px=overlap,
        min_tissue=tissue,
        max_error_um=error,
        min_similarity=similarity,
        review=review,
    )
    cut_all(PairsJob(registrations=Path(places[0]), out=Path(out), cut=cut))
    return 0
