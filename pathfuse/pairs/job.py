"""One call from registrations to a folder of pairs; what `pathfuse pairs` does, for scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from pathfuse.errors import PathfuseError, RegistrationError, RunError
from pathfuse.pairs.cut import moved_patch
from pathfuse.pairs.options import PairCut
from pathfuse.pairs.places import Place, places
from pathfuse.register.contract import Section
from pathfuse.register.files.record import Record, find_record, read_record, record_folders
from pathfuse.slides.resample import Pixels
from pathfuse.slides.stain_amounts import amounts
from pathfuse.system.csv_writing import CsvRecordWriter, CsvWriter
from pathfuse.system.files import atomic_text, replacing

TABLE, LEFT_OUT = "cases.csv", "left_out.csv"
MEASURED = ("error_um", "similarity", "dab_area", "dab_od")
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class PairsJob:
    """What to cut.

    Attributes:
        registrations: folder that `pathfuse register` wrote.
        out: folder of the pairs; it must be absent or empty.
        cut: size and spacing of the patches, and which pairs are trusted.
    """

    registrations: Path
    out: Path
    cut: PairCut = field(default_factory=PairCut)


@dataclass(frozen=True, eq=False)
class CutPair:
    """One pair of patches.

    Attributes:
        record: the registration it comes from.
        place: where on the fixed slide.
        fixed: pixels of the fixed slide, (N, N, 3).
        moving: pixels of the moving slide at the same tissue, (N, N, 3).
    """

    record: Record
    place: Place
    fixed: Pixels
    moving: Pixels


def cut_all(job: PairsJob, say: Say = print) -> int:
    """Cuts all pairs that are trusted into `<STAIN>/[<part>/]NNNNN[_<part>_<label>].png`, with a case table.

    Returns:
        How many pairs there are.

    Raises:
        RegistrationError: if the folder holds no registration, or not one pair is left.
        RunError: if `out` is taken or cannot be written.
    """
    folders = record_folders(job.registrations) or [find_record(job.registrations)]
    if job.out.exists() and (not job.out.is_dir() or any(job.out.iterdir())):
        raise RunError(f"{job.out} exists already. Choose another --out, or remove it.")
    rows: list[dict[str, object]] = []
    left: list[tuple[str, str, str, str]] = []
    for folder in folders:
        record = read_record(folder)
        if not job.cut.uses(record.verdict):
            left.append((record.pair.name, "", "", f"slide {record.verdict}"))
            continue
        try:
            for pair in pairs_of(record, job.cut, left):
                rows.append(_written(job, pair, len(rows)))
        except PathfuseError as error:
            left.append((record.pair.name, "", "", f"failed: {error}"))
    _write_tables(job.out, rows, left)
    said = _counted([reason for *_, reason in left])
    if not rows:
        px, mpp = job.cut.patch_px, job.cut.mpp
        why = said or f"no patch of {px} px at {mpp:g} um per pixel lies on tissue. Try a smaller --patch-px"
        raise RegistrationError(f"{job.registrations}: no pair is left: {why}. {job.out / LEFT_OUT} has every one.")
    say(f"{len(rows)} pairs written to {job.out}" + (f". {said}" if said else ""))
    return len(rows)


def _counted(reasons: Sequence[str]) -> str:
    """How many were left out for which reason; of slides that failed, why the first did."""
    counts = Counter(reason.partition(":")[0] for reason in reasons)
    said = "; ".join(f"{count} left out: {reason}" for reason, count in sorted(counts.items()))
    first = next((reason.partition(": ")[2] for reason in reasons if reason.startswith("failed: ")), "")
    return said + (f" ({first.rstrip('.')})" if first else "")


def pairs_of(record: Record, cut: PairCut, left: list[tuple[str, str, str, str]] | None = None) -> Iterator[CutPair]:
    """The trusted pairs of one registration, one at a time.

    Args:
        record: the registration.
        cut: size and spacing of the patches, and which pairs are trusted.
        left: gets a row (pair, x, y, reason) for every patch that is left out.
    """
    with record.fixed.open() as ours, record.moving.open() as theirs:
        fixed, moving = Section(ours, record.fixed.stain), Section(theirs, record.moving.stain)
        size = cut.grid.size_level0(ours)
        for place in places(record, fixed, moving, cut):
            if not place.why_not:
                moved = moved_patch(record, theirs, (place.x, place.y), size, cut.patch_px)
                yield CutPair(record, place, ours.read(place.x, place.y, size, cut.patch_px), moved)
            elif left is not None:
                left.append((record.pair.name, str(place.x), str(place.y), place.why_not))


def _written(job: PairsJob, cut: CutPair, number: int) -> dict[str, object]:
    pair, place = cut.record.pair, cut.place
    name = f"{number:05d}" + (f"_{pair.split}_{pair.label}" if pair.split and pair.label else "")
    row: dict[str, object] = {
        "case_id": f"{pair.name}-{place.x}-{place.y}",
        "patient_id": pair.patient_id or pair.case_id,
    }
    for facts, pixels in ((cut.record.fixed, cut.fixed), (cut.record.moving, cut.moving)):
        path = Path(facts.stain.upper(), pair.split, f"{name}.png")
        with replacing(job.out / path) as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG", compress_level=1)
        row[facts.stain] = path.as_posix()
    row |= {"label": pair.label, "split": pair.split, "site": pair.site}
    row |= {"mpp": f"{job.cut.mpp:g}", "slide": pair.name, "x": place.x, "y": place.y}
    row |= {"error_um": f"{place.error_um:.1f}", "similarity": f"{place.similarity:.3f}"}
    stained = amounts(cut.moving)
    return row | {"dab_area": f"{stained.positive_area:.4f}", "dab_od": f"{stained.dab_od:.4f}"}


def _write_tables(out: Path, rows: Sequence[dict[str, object]], left: Sequence[tuple[str, str, str, str]]) -> None:
    with atomic_text(out / LEFT_OUT) as file:
        CsvWriter(file).writerows([("slide", "x", "y", "reason"), *left])
    if rows:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        with atomic_text(out / TABLE) as file:
            writer = CsvRecordWriter(file, columns)
            writer.writerows(rows)
