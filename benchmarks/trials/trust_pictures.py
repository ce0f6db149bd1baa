"""Draws the pictures of docs/trust_a_map.md: maps of bags beside the planted signal and a random map.

    pathfuse explain RUN --case_ids A,B --out MAPS
    python -m benchmarks.trials.trust_pictures MAPS COHORT --out docs/images

MAPS holds the attention of a run on the generated cohort in the folder COHORT, which says where the signal is.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata  # type: ignore[import-untyped]
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from pathfuse.charts.style import styled
from pathfuse.evaluate.names import stain_name
from pathfuse.explain import patch_truth_beside
from pathfuse.explain.faith.patch_truth import PatchTruth

DPI = 80
Numbers = NDArray[np.floating[Any]]


@styled()
def draw_case(entry: Mapping[str, Any], maps: Path, truth: PatchTruth, explainer: str) -> Figure:
    """A row per stain: where the signal is, the map, and a random map; under each map its AUC.

    Args:
        entry: the case in `explain.json`.
        maps: the folder of that file.
        truth: which patches carry the signal.
        explainer: whose map it is.
    """
    stains = list(entry["raw"])
    figure = Figure(figsize=(6.4, 2.35 * len(stains)), layout="constrained", facecolor="white")
    axes = figure.subplots(len(stains), 3, squeeze=False)
    for row, stain in zip(axes, stains, strict=True):
        with h5py.File(maps / entry["raw"][stain]) as file:
            score = file[f"scores/{explainer}"][:]
            places, slides = file["coords"][:], [str(file.attrs["slides"][number]) for number in file["slide"][:]]
        known = truth[entry["case_id"], stain]
        signal = np.array([known[slide, x, y] for slide, (x, y) in zip(slides, places.tolist(), strict=True)])
        chance = np.random.default_rng(0).random(len(score))
        share = entry["shares"][stain]
        hardly = ", hardly used" if stain in entry["hardly_used"] else ""
        row[0].set_ylabel(f"{stain_name(stain)}: {100 * share:.0f} %{hardly}")
        columns = (("planted signal", signal.astype(float)), (explainer, score), ("random map", chance))
        for axis, (name, values) in zip(row, columns, strict=True):
            shown = values if name == "planted signal" else rankdata(values)
            axis.imshow(_grid(shown, places, slides), cmap="viridis", interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.grid(visible=False)
            auc = "" if name == "planted signal" else f", AUC {roc_auc_score(signal, values):.2f}"
            axis.set_title(f"{name}{auc}", fontsize=9)
    figure.suptitle(
        f"case {entry['case_id']}: true {entry['target']}, explained {entry['explained']} "
        f"({entry['probability']:.2f}); share of each stain on the left",
        fontsize=9,
    )
    return figure


def _grid(values: Numbers, places: NDArray[np.int64], slides: list[str]) -> Numbers:
    """The patches of every slide at their places, slide beside slide."""
    parts = []
    for slide in dict.fromkeys(slides):
        mine = np.array([name == slide for name in slides])
        across, down = (np.unique(places[mine, axis], return_inverse=True)[1] for axis in (0, 1))
        part = np.full((down.max() + 1, across.max() + 1), np.nan)
        part[down, across] = values[mine]
        parts += [part, np.full((len(part), 1), np.nan)]
    return np.concatenate(parts[:-1], axis=1)


def main() -> None:
    """Draws every case that has files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("maps", type=Path)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--explainer", default="Attention")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    truth = patch_truth_beside(arguments.cohort / "cases.csv")
    if truth is None:
        raise SystemExit(f"{arguments.cohort} does not say where the signal is.")
    summary = json.loads((arguments.maps / "explain.json").read_text(encoding="utf-8"))
    for entry in (case for case in summary["cases"] if "raw" in case):
        path = arguments.out / f"trust_{entry['case_id']}.png"
        draw_case(entry, arguments.maps, truth, arguments.explainer).savefig(path, dpi=DPI)
        print(path)


if __name__ == "__main__":
    main()
