"""Pairs of patches that are read from registered slides when a batch wants them; no pixel is written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pathfuse.cohort.table import Case, CaseFile, CaseTable
from pathfuse.data.images.prepare import Preparation
from pathfuse.errors import RegistrationError
from pathfuse.pairs.cut import moved_patch
from pathfuse.pairs.options import PairCut
from pathfuse.pairs.places import places
from pathfuse.register.contract import Section
from pathfuse.register.files.record import FILE, Record, find_record, read_record, record_folders
from pathfuse.slides.resample import Pixels
from pathfuse.slides.slide import Slide
from pathfuse.store.handles import Handles
from pathfuse.system.reading import read_whole

KEPT = 4  # open slides of a process and stain


@dataclass(frozen=True)
class Patch:
    """One patch of one stain.

    Attributes:
        folder: of the registration.
        fixed: whether it lies on the fixed slide.
        corner: left and top in level-0 pixels of the fixed slide.
        size_level0: its edge there.
    """

    folder: Path
    fixed: bool
    corner: tuple[int, int]
    size_level0: int


@dataclass(frozen=True)
class RegisteredTable:
    """Patches as cases, and where each lies.

    Attributes:
        table: a case per patch of the fixed slides; a stain that is not trusted there is absent.
        patches: per stain, the patches of the cases that have it, in table order.
        digest: SHA-256 over the registrations.
    """

    table: CaseTable
    patches: Mapping[str, Sequence[Patch]]
    digest: str


def registered_table(table: CaseTable, modalities: Sequence[str], folder: Path, cut: PairCut) -> RegisteredTable:
    """The trusted pairs of all cases of slides.

    Args:
        table: cases whose files are slides.
        modalities: stains to read.
        folder: what `pathfuse register` wrote.
        cut: size and spacing of the patches, and which pairs are trusted.

    Raises:
        RegistrationError: if there is no registration, one is of other slides, or not one pair is left.
    """
    records = [(one, read_record(one)) for one in record_folders(folder) or [find_record(folder)]]
    cases: list[Case] = []
    patches: dict[str, list[Patch]] = {stain: [] for stain in modalities}
    unused: list[str] = []
    for case in table.cases:
        own = [
            (path, record)
            for path, record in records
            if record.pair.case_id == case.case_id and {record.fixed.stain, record.moving.stain} <= set(modalities)
        ]
        used = [(path, record) for path, record in own if cut.uses(record.verdict)]
        found = _of_case(case, used, cut)
        if not found:
            unused.append(f"{case.case_id} ({', '.join(r.verdict for _, r in own) or 'not registered'})")
        for (x, y), by_stain in sorted(found.items(), key=lambda item: item[0][::-1]):
            files = {stain: case.files[stain] for stain in modalities if stain in by_stain}
            new = replace(case, case_id=f"{case.case_id}-{x}-{y}", files=_spaced(files, cut.mpp), row=len(cases))
            cases.append(new)
            for stain in files:
                patches[stain].append(by_stain[stain])
    if not cases:
        raise RegistrationError(
            f"{folder}: no pair is left ({'; '.join(unused[:3]) or 'no case'}). See `pathfuse pairs`."
        )
    digest = hashlib.sha256(b"".join(read_whole(path / FILE) for path, _ in records)).hexdigest()
    notes = [f"{len(cases)} patches are read from registered slides, {cut.patch_px} px at {cut.mpp:g} um."]
    if unused:
        notes.append(f"{len(unused)} cases give no pair: {', '.join(unused[:5])}.")
    kept = replace(table, cases=tuple(cases), modalities=tuple(modalities), notes=(*table.notes, *notes), flow=())
    return RegisteredTable(kept, patches, digest)


def _spaced(files: Mapping[str, Sequence[CaseFile]], mpp: float) -> dict[str, tuple[CaseFile, ...]]:
    """One file per stain, with the spacing of the patches instead of that of the slide."""
    return {stain: (replace(own[0], mpp=mpp),) for stain, own in files.items()}


def _of_case(case: Case, used: Sequence[tuple[Path, Record]], cut: PairCut) -> dict[tuple[int, int], dict[str, Patch]]:
    """Per place of the fixed slide, the stains that can be trusted there."""
    found: dict[tuple[int, int], dict[str, Patch]] = {}
    for folder, record in used:
        for facts in (record.fixed, record.moving):
            if Path(facts.path) not in [file.path.absolute() for file in case.files.get(facts.stain, ())]:
                raise RegistrationError(
                    f"{folder} is a registration of {facts.path}, which is no {facts.stain} slide of case "
                    f"{case.case_id}. Name the case table that was registered."
                )
        with record.fixed.open() as ours, record.moving.open() as theirs:
            sections = Section(ours, record.fixed.stain), Section(theirs, record.moving.stain)
            size = cut.grid.size_level0(ours)
            for place in places(record, *sections, cut):
                if not place.why_not:
                    at = (place.x, place.y)
                    here = found.setdefault(at, {record.fixed.stain: Patch(folder, True, at, size)})
                    here[record.moving.stain] = Patch(folder, False, at, size)
    return found


class RegisteredImages:
    """The patches of one stain, read and prepared one at a time; opens its own slides in each process.

    Args:
        patches: which.
        size_px: edge of a patch as it is read.
        preparation: what is done to it then.
    """

    def __init__(self, patches: Sequence[Patch], size_px: int, preparation: Preparation) -> None:
        self.patches = patches
        self.size_px = size_px
        self.preparation = preparation
        self._opened = Handles(_open, _close, kept=KEPT)

    def __getitem__(self, row: int) -> Pixels:
        """One image, (3, H, W)."""
        patch = self.patches[row]
        record, slide = self._opened.get(f"{'fixed' if patch.fixed else 'moving'}:{patch.folder}")
        if patch.fixed:
            pixels = slide.read(*patch.corner, patch.size_level0, self.size_px)
        else:
            pixels = moved_patch(record, slide, patch.corner, patch.size_level0, self.size_px)
        return self.preparation.of(pixels)

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in self.__dict__.items() if key != "_opened"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._opened = Handles(_open, _close, kept=KEPT)


def _open(which: str) -> tuple[Record, Slide]:
    kind, _, folder = which.partition(":")
    record = read_record(Path(folder))
    return record, (record.fixed if kind == "fixed" else record.moving).open()


def _close(opened: tuple[Record, Slide]) -> None:
    opened[1].close()
