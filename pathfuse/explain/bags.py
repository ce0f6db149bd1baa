"""Scores of bags: tables, heat maps, tiles for QuPath, and areas under the ROC curve where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pathfuse.explain.entries import file_name, finite, said_of
from pathfuse.explain.faith.patch_truth import PatchTruth, patch_auc
from pathfuse.explain.faith.truth import mean_score
from pathfuse.explain.heat_map import Tissue, write_heat_map
from pathfuse.explain.places import SlideScores
from pathfuse.explain.qupath import write_tiles
from pathfuse.explain.raw import RawScores
from pathfuse.explain.tables import write_table

QUPATH, RAW = "qupath", "raw"
NO_PLACES = (
    "say not where their patches lie, so they have no picture, and x and y of their table are empty; extract features "
    "with coordinates"
)
NO_EDGE = (
    "say not how large a patch is: the pictures take the smallest step between patches, and there is no GeoJSON; "
    "set data.patch_size_level0"
)
Scored = Mapping[str, tuple[SlideScores, ...]]
"""Explainer to the slides of one case and stain."""


@dataclass
class BagFiles:
    """Writes what there is to see of bags, and keeps the figures.

    Attributes:
        out: the folder.
        truth: which patches carry the signal; None where that is not known.
        seed: of the random scores beside the scores.
        tissue: gives the picture of a region of a slide; None where no slide is at hand.
    """

    out: Path
    truth: PatchTruth | None
    seed: int
    tissue: Tissue | None = None
    files: set[str] = field(default_factory=set)
    scores: dict[str, dict[str, list[tuple[float, float]]]] = field(default_factory=dict)
    lacks: dict[str, list[str]] = field(default_factory=dict)

    def add(self, entry: dict[str, Any], scored: Scored, *, shown: bool) -> None:
        """Keeps the figures of one stain of a case and, if it is shown, writes its files."""
        for name, slides in scored.items():
            self._score(entry, name, slides)
        if not shown:
            return
        stain = next(iter(scored.values()))[0].stain
        for name, slides in scored.items():
            table = file_name(entry["case_id"], stain, self.files, "csv", name)
            write_table(self.out / table, slides)
            entry.setdefault("tables", {}).setdefault(name, {})[stain] = table
            for one in slides:
                self._draw(entry, name, one)
        raw = file_name(entry["case_id"], stain, self.files, "h5", RAW)
        RawScores(self.out / raw, entry["case_id"], stain, entry["explained"]).write_slides(scored)
        entry.setdefault("raw", {})[stain] = raw
        for number in range(len(next(iter(scored.values())))):
            self._tiles(entry, {f"{n}, {entry['explained']}": slides[number] for n, slides in scored.items()})

    def _score(self, entry: dict[str, Any], name: str, slides: Sequence[SlideScores]) -> None:
        score = None if self.truth is None else patch_auc(slides, self.truth, self.seed)
        if score is not None:
            stain = slides[0].stain
            self.scores.setdefault(name, {}).setdefault(stain, []).append(score)
            entry.setdefault("truth_auc", {}).setdefault(name, {})[stain] = score[0]

    def _draw(self, entry: dict[str, Any], name: str, one: SlideScores) -> None:
        if one.places is None:
            self._lack(NO_PLACES, one)
            return
        file = file_name(one.slide.slide_id, one.stain, self.files, folder=name)
        caption = f"{said_of(entry)}, {len(one.score):,} patches"
        write_heat_map(self.out / file, one, caption, self.tissue, what=name)
        entry["pictures"].setdefault(name, {}).setdefault(one.stain, []).append(file)

    def _tiles(self, entry: dict[str, Any], measured: Mapping[str, SlideScores]) -> None:
        one = next(iter(measured.values()))
        if one.places is None:
            return
        if one.slide.patch_size_level0 is None:
            self._lack(NO_EDGE, one)
            return
        stem = file_name(one.slide.slide_id, one.stain, self.files, "geojson", QUPATH).removesuffix(".geojson")
        paths = write_tiles(self.out / QUPATH, stem.removeprefix(f"{QUPATH}/"), measured)
        entry.setdefault(QUPATH, []).extend(f"{QUPATH}/{path.name}" for path in paths)

    def _lack(self, why: str, one: SlideScores) -> None:
        named = self.lacks.setdefault(why, [])
        if (what := f"{one.slide.slide_id}, {one.stain}") not in named:
            named.append(what)

    def truth_of(self, name: str) -> dict[str, Any]:
        """Areas under the ROC curve of an explainer, by stain."""
        return {stain: finite(asdict(mean_score(own))) for stain, own in self.scores.get(name, {}).items()}

    def notes(self) -> list[str]:
        """A line per thing that slides lack."""
        return [f"{len(names)} slides (first {names[0]}) {why}." for why, names in self.lacks.items()]
