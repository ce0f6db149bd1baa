"""`pathfuse register` and `pathfuse register map`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathfuse.cli.text import print_help
from pathfuse.cli.values import number, one_of
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError

if TYPE_CHECKING:
    from pathfuse.register.pair import SlidePair

VERDICTS = {"refused": "was refused, and its points mean nothing", "review": "is to be looked at first"}

HELP = """
CASES              a case table; every slide of --moving is registered onto the slide of --fixed of its case
HE IHC             or two slides, the fixed one first; PNG and JPEG are slides too
--out DIR          where everything is written: a folder per pair, status.csv, register.html
--fixed STAIN      the stain that stays where it is (he)
--moving STAIN     the stain that is registered onto it; several with commas (ihc)
--slide-mpp V      micrometres per level-0 pixel of all slides, instead of what their files or the table say
--method NAME      how: a component of the slot registration, its options as --method.KEY VALUE (SerialSections)
--transform FILE   take a transform made elsewhere: an affine 3 x 3 in level-0 pixels (.npy, .json) or landmarks
                   (.csv); {fixed} and {moving} stand for the names of the slides. identity: both lie in one frame
--landmarks FILE   CSV with fixed_x, fixed_y, moving_x, moving_y, or two CSV with x, y as FIXED,MOVING; {case} stands
                   for the case. They only score: status.csv gets median and 90th percentile of the target error
--shard i/n        every n-th pair from the i-th on, for job arrays
--overwrite        do pairs again that are there
--engine NAME      local, or ray: an existing Ray cluster does it (local)
--address WHERE    of the cluster: HOST:PORT of its head, or auto

Quality is measured without landmarks. status.csv says accepted, review (look at it), refused (below the limits) or
failed; the exit status is 1 if a pair was refused or failed. The same line goes on with a run that was stopped.

pathfuse register map DIR POINTS.csv --out MAPPED.csv [--inverse] [--pair NAME]
                   carries points (columns x, y in level-0 pixels) from the fixed to the moving slide, or back"""


def register(words: list[str]) -> int:
    """Registers slides; the exit status is 1 if a pair was refused or failed."""
    if words[:1] == ["map"]:
        return _map(words[1:])
    line = Words.split(words)
    if line.has("help") or not words:
        return print_help("register", HELP)
    line.options = [(key if "." in key else key.replace("_", "-"), value) for key, value in line.options]
    out = line.take("out")
    if not out:
        raise RecipeError("--out is missing: the folder that gets the registrations.")
    mpp = line.take("slide-mpp")
    stains = line.take("fixed") or "he", (line.take("moving") or "ihc").split(",")
    method, options = _method(line)
    overwrite = line.take("overwrite") is not None
    landmarks, part, address = line.take("landmarks"), line.take("shard"), line.take("address")
    engine = one_of("engine", line.take("engine") or "local", ("local", "ray"))
    places, line.positional = line.positional, []
    line.finish()
    from pathfuse.register.job import RegisterJob, run_job
    from pathfuse.report.registration_page import write_registration_page
    from pathfuse.system.shards import shard

    spacing = None if mpp is None else number("slide-mpp", mpp, lambda value: value > 0, "a number above 0")
    pairs = _pairs(places, *stains, spacing)
    pairs = shard(pairs, part) if part else pairs
    job = RegisterJob(out=Path(out), method=method, options=options, landmarks=landmarks, overwrite=overwrite)
    on_ray = engine == "ray"
    if address and not on_ray:
        raise RecipeError(f"--address {address}: is for --engine ray only. Add it, or leave this out.")
    statuses = run_job(job, pairs, engine="ray" if on_ray else "local", address=address)
    write_registration_page(job.out)
    print(f"{job.out}/status.csv and register.html say more")
    return 1 if any(status.status in ("refused", "failed") for status in statuses) else 0


def _method(line: Words) -> tuple[str, dict[str, Any]]:
    import yaml

    from pathfuse.recipes.plain_yaml import plain_yaml

    name, given = line.take("method"), line.take("transform")
    keys = dict.fromkeys(key for key, _ in line.options if key.startswith("method."))
    try:
        options = {key.removeprefix("method."): plain_yaml(line.take(key) or "") for key in keys}
    except yaml.YAMLError as error:
        raise RecipeError(f"an option of --method cannot be read ({str(error).splitlines()[0]}).") from error
    if given is None:
        return name or "SerialSections", options
    if name or options:
        raise RecipeError("--transform is a method of its own: leave out --method.")
    return "GivenTransform", {"file": given}


def _pairs(places: list[str], fixed: str, moving: list[str], mpp: float | None) -> list[SlidePair]:
    from pathfuse.register.pair import of_table, two_slides

    if len(places) == 1 and places[0].lower().endswith(".csv"):
        return of_table(Path(places[0]), fixed, moving, mpp)
    if len(places) == 2 and len(moving) == 1:
        return [two_slides(Path(places[0]), Path(places[1]), (fixed, moving[0]), mpp)]
    raise RecipeError("name a case table (.csv), or two slides, the fixed one first.")


def _map(words: list[str]) -> int:
    line = Words.split(words)
    out, pair = line.take("out"), line.take("pair")
    inverse = line.take("inverse") is not None
    places, line.positional = line.positional, []
    line.finish()
    if len(places) != 2 or not out:
        raise RecipeError("write: pathfuse register map DIR POINTS.csv --out MAPPED.csv [--inverse] [--pair NAME].")
    from pathfuse.register.mapping import map_table

    carried = map_table(Path(places[0]), Path(places[1]), Path(out), inverse=inverse, pair=pair)
    doubt = f"; {carried.beyond} of them lie beyond their slide, and go on as the nearest tissue does"
    print(f"{carried.points} points written to {out}{doubt if carried.beyond else ''}")
    if said := VERDICTS.get(carried.verdict):
        print(f"warning: {places[0]}: this registration {said}; register.html shows why.", file=sys.stderr)
    return 0
