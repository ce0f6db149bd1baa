"""The report at the end of a run, and what it needs of the data: the cohort, the weights, pictures of some cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from PIL import Image
from rich.console import Console

from pathfuse.core.subsets import Shown
from pathfuse.core.weights import Weighted, WeightsNote
from pathfuse.data.images.decode import Pixels
from pathfuse.evaluate.metrics.strata import BORDERS
from pathfuse.inference.plan import Plan
from pathfuse.inference.speaking import print_note
from pathfuse.nn.weights import NOT_KNOWN
from pathfuse.registry import card_of, components
from pathfuse.runs.files import COHORT, EXAMPLES, WEIGHTS
from pathfuse.runs.folder import RunFolder
from pathfuse.system.files import replacing
from pathfuse.training.reported.by_case import write_by_case

EACH = 4  # cases of a kind
SURE = BORDERS[0]  # confidence from which a case may stand for what the model is sure of
EDGE_PX = 256
QUALITY = 85

Row = Mapping[str, str]


def report_run(plan: Plan, run: RunFolder, console: Console, *, all_subsets: bool = False) -> None:
    """Writes what a report needs of the data, then the report; never fails the run, whose numbers are on disk already.

    Args:
        plan: what was trained.
        run: its folder, with the predictions of the test.
        console: gets a note with the reason where something cannot be written.
        all_subsets: show also the combinations of stains that the model was never trained to be given.
    """
    try:
        write_cohort(plan, run)
        write_weights(plan, run)
        write_examples(plan, run)
        write_by_case(plan, run)
        page = draw_page(run, all_subsets)
    except Exception as error:  # noqa: BLE001 - whatever it is, the run is complete without its report
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        print_note(f"there is no report ({reason}). Try again with: pathfuse report {run.path}", console)
        return
    console.print(f"report: {page}", highlight=False, soft_wrap=True)


def draw_page(run: RunFolder, all_subsets: bool) -> Path:
    """Draws the page of a run whose folder holds all that it shows."""
    # Drawing is slow to import, and most of what a run does needs none of it.
    from pathfuse.report.write import write_run_report

    return write_run_report(run, all_subsets=all_subsets)[0]


def write_cohort(plan: Plan, run: RunFolder) -> None:
    """Writes `cohort.json`: where the cases come from, how many were left at every step, and what to know of them."""
    data = plan.data_of(plan.last)
    content = {
        "origin": data.cohort.origin.name,
        "data": type(data).__name__,
        "flow": [asdict(step) for step in data.flow()],
        # A note may name a file that is called by no text.
        "notes": [
            said.encode(errors="replace").decode() for said in dict.fromkeys([*plan.recipe.notes, *data.notes()])
        ],
    }
    run.write_json(COHORT, content)


def write_weights(plan: Plan, run: RunFolder) -> None:
    """Writes `weights.json`: what the components of a recipe begin with, and which networks made stored features."""
    found = [
        {"stage": stage, "component": name, **note._asdict()}
        for stage, own in (run.config.get("stages") or {}).items()
        for name, note in _weights_notes(own.get("model"))
    ]
    data = plan.data_of(plan.last)
    found += [
        {"stage": "features", "component": type(data).__name__, **_features_note(modality, name)._asdict()}
        for modality, name in data.encoders().items()
    ]
    run.write_json(WEIGHTS, {"weights": found})


def _features_note(modality: str, name: str) -> WeightsNote:
    card = card_of(name)
    origin = f"{modality} features"
    if card is None:
        return WeightsNote(name, origin, NOT_KNOWN)
    return WeightsNote(card.name, origin, card.licence or NOT_KNOWN, card.commercial)


def write_examples(plan: Plan, run: RunFolder) -> None:
    """Writes `examples/*.jpg` and `examples.csv`: test cases that are right, wrong and left to a person.

    Args:
        plan: gives the data; only cases that are shown are read.
        run: a run with predictions.
    """
    data = plan.data_of(plan.last)
    found = [
        (kind, row, pictures)
        for kind, row in example_cases(run.predictions.lines, run.shown)
        if (pictures := data.picture(row["case_id"]))
    ]
    stains = list(dict.fromkeys(stain for _, _, pictures in found for stain in pictures))
    shown = ["case_id", "patient_id", "subset", "target", "predicted", "confidence"]
    lines = []
    for number, (kind, row, pictures) in enumerate(found):
        names = {stain: f"{number:02d}_{position}.jpg" for position, stain in enumerate(stains)}
        for stain, pixels in pictures.items():
            _save(pixels, run.path / EXAMPLES / names[stain])
        files = [names[stain] if stain in pictures else "" for stain in stains]
        lines.append([kind, *(_confidence(row) if key == "confidence" else row[key] for key in shown), *files])
    run.write_lines(f"{EXAMPLES}.csv", ["kind", *shown, *(f"file_{stain}" for stain in stains)], lines)


def example_cases(rows: list[dict[str, str]], shown: Shown | None = None) -> Iterator[tuple[str, Row]]:
    """The cases to show and why, each under one heading, of different patients where there are enough.

    Args:
        rows: of `predictions.csv`.
        shown: what the model was given in training; None where nobody says.
    """
    tested = [row for row in rows if row["target"] and row["split"] in ("test", "")]
    if not tested:
        return
    subset = (shown or Shown()).fullest(row["subset"] for row in tested)
    # The surest first; the order of equal ones is that of their names, on every machine.
    cases = sorted(
        (row for row in tested if row["subset"] == subset), key=lambda row: (-float(_confidence(row)), row["case_id"])
    )
    kinds: dict[str, list[Row]] = {kind: [] for kind in ("right", "wrong", "abstained", "unsure")}
    for row in cases:
        kinds[_kind(row)].append(row)
    kinds["unsure"].reverse()
    for kind, own in kinds.items():
        yield from ((kind, row) for row in _some(own))


def _kind(row: Row) -> str:
    """The one heading that a case may stand under."""
    if row.get("abstain") == "1":
        return "abstained"
    if float(_confidence(row)) < SURE:
        return "unsure"
    return "right" if row["target"] == row["predicted"] else "wrong"


def _some(rows: Iterable[Row]) -> list[Row]:
    """The first of every patient, then further ones, as many as are shown."""
    first: list[Row] = []
    further: list[Row] = []
    seen: set[str] = set()
    for row in rows:
        (further if row["patient_id"] in seen else first).append(row)
        seen.add(row["patient_id"])
    return [*first, *further][:EACH]


def _confidence(row: Row) -> str:
    # Compared as numbers: as text 9e-06 comes after 0.99.
    return row["confidence"] or max((value for key, value in row.items() if key.startswith("p_")), key=float)


def _save(pixels: Pixels, path: Path) -> None:
    image = Image.fromarray(pixels)
    image.thumbnail((EDGE_PX, EDGE_PX))
    with replacing(path) as temporary:
        image.convert("RGB").save(temporary, format="JPEG", quality=QUALITY)


def _weights_notes(value: object) -> Iterator[tuple[str, WeightsNote]]:
    if isinstance(value, list):
        for one in value:
            yield from _weights_notes(one)
    if not isinstance(value, dict):
        return
    component = next((c for c in components() if c.class_path == value.get("class_path")), None)
    if component is not None:
        kind = component.load()
        note = kind.weights_note(value.get("init_args") or {}) if issubclass(kind, Weighted) else None
        if note is not None:
            yield component.name, note
    for one in value.values():
        yield from _weights_notes(one)
