"""A methods paragraph from what a run folder says: data, model, training, statistics, versions, papers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pathfuse.errors import PluginError
from pathfuse.registry import components
from pathfuse.report.run.scores import DRAWS
from pathfuse.report.run.terms import terms_of_use
from pathfuse.runs.files import CALIBRATION, COHORT, METRICS, PREDICTIONS, WEIGHTS
from pathfuse.runs.folder import RunFolder

LOSS = "val/loss"
NO_TERMS = "needs none"  # what random numbers have for a licence
_SOURCE = re.compile(r"^Source: (.*?)(?=^\s*$|^\w+:|\Z)", re.MULTILINE | re.DOTALL)
_PAPER = re.compile(r"\b(19|20)\d\d\b")


class Paper(NamedTuple):
    """A paper that a component implements."""

    component: str
    source: str


class Part(NamedTuple):
    """A class of the recipe with its options."""

    name: str
    options: Mapping[str, Any]


def papers(config: Mapping[str, Any]) -> list[Paper]:
    """What the components of a recipe say they implement; only what is registered is imported."""
    known = {component.class_path: component for component in components()}
    found: dict[str, Paper] = {}
    for part in parts_of(config):
        component = known.get(part.name) or next((c for c in known.values() if c.name == part.name), None)
        if component is None or component.name in found:
            continue
        try:
            text = inspect.getdoc(component.load()) or ""
        except PluginError:  # a report needs no plug-in
            continue
        source = _SOURCE.search(text)
        if source and _PAPER.search(source[1]):
            found[component.name] = Paper(component.name, " ".join(source[1].split()).rstrip("."))
    return list(found.values())


def parts_of(value: object) -> Iterator[Part]:
    """Every class that a recipe names, from the outside in."""
    if isinstance(value, Mapping):
        if isinstance(value.get("class_path"), str):
            yield Part(value["class_path"], value.get("init_args") or {})
        for one in value.values():
            yield from parts_of(one)
    elif isinstance(value, list):
        for one in value:
            yield from parts_of(one)


def methods(run: RunFolder) -> str:
    """The text of `methods.md`: paragraphs to start from, with what only the authors know in square brackets."""
    paragraphs = [
        f"# Methods, from run {run.path.resolve().name}",
        "Written by pathfuse from the run folder. Check every sentence, and fill in what stands in [square brackets].",
        f"**Data.** {_data(run)}",
        f"**Model.** {_model(run)}",
        f"**Training.** {_training(run)}",
        f"**Statistics.** {_statistics(run)}",
        f"**Software.** {_software(run)}",
    ]
    cited = papers(run.config)
    if cited:
        paragraphs.append("**References of the components.**")
        paragraphs.append("\n".join(f"- {paper.component}: {paper.source}." for paper in cited))
    return "\n\n".join(paragraphs) + "\n"


def _data(run: RunFolder) -> str:
    rows = run.splits
    if rows:
        cases, patients = len(rows), len({row["patient_id"] for row in rows})
    else:  # a test on other cases
        owners = {k: v for s in run.test_cases.values() for k, v in zip(s.case_ids, s.patient_ids, strict=True)}
        cases, patients = len(owners), len(set(owners.values()))
    named = patients_named(run)
    whose = f" of {patients} patients" if named else ", whose patients are not named: every case counts as one"
    said = [f"The cohort has {cases} cases{whose} [who, where, when, ethics]."]
    flow = run.json(COHORT).get("flow") or []
    said += [f"{step['cases']} cases were {step['step']}." for step in flow if step["kind"] == "left out"]
    counts = [
        f"{name} {len(own)} cases" + (f" of {len({row['patient_id'] for row in own})} patients" if named else "")
        for part, name in (("train", "training"), ("val", "validation"), ("test", "test"))
        if (own := [row for row in rows if row["split"] == part])
    ]
    if counts:
        shared = "; no patient is in two parts" if _disjoint(rows) else "; SOME PATIENTS ARE IN TWO PARTS"
        shared = shared if named else "; whether a patient is in two parts is not known"
        fold = f" They are {run.fold}." if run.fold else ""
        said.append(f"Parts: {', '.join(counts)}{shared}.{fold}")
    classes = ", ".join(run.predictions.classes)
    notes = run.json(COHORT).get("notes") or []
    return " ".join([*said, f"Classes: {classes}.", *(note for note in notes if "generated" in note)])


def patients_named(run: RunFolder) -> bool:
    """Whether anything tells patients from cases; where it does not, the id of a case stands for its patient."""
    pairs = [(row["case_id"], row["patient_id"]) for row in run.splits]
    pairs += [pair for own in run.test_cases.values() for pair in zip(own.case_ids, own.patient_ids, strict=True)]
    return any(case != patient for case, patient in pairs)


def _disjoint(rows: list[dict[str, str]]) -> bool:
    placed: dict[str, set[str]] = {}
    for row in rows:
        placed.setdefault(row["patient_id"], set()).add(row["split"])
    return all(len(parts) == 1 for parts in placed.values())


def _model(run: RunFolder) -> str:
    stages = run.config.get("stages") or {}
    said = [] if stages else ["[The recipe is not in the folder.]"]
    for stage, own in stages.items():
        model = own.get("model") or {}
        slots = {slot: part for slot in ("encoder", "fusion", "head", "objective") if (part := _first(model.get(slot)))}
        inside = [part.name.rpartition(".")[2] for slot in slots for part in list(parts_of(model[slot]))[1:]]
        listed = ", ".join(f"{slot} {part.name.rpartition('.')[2]}" for slot, part in slots.items())
        built = f", built from {', '.join(dict.fromkeys(inside))}" if inside else ""
        said.append(f"Stage {stage}: {listed}{built}.")
    for one in run.json(WEIGHTS).get("weights") or []:
        terms = "" if one.get("licence") == NO_TERMS else f", licence: {one.get('licence')}"
        component, network, weights = (one.get(key) for key in ("component", "network", "weights"))
        if one.get("stage") == "features":  # which were made before, and are not trained here
            said.append(f"The {weights} that {component} reads are those of {network}{terms}.")
        else:
            said.append(f"The weights of {component} ({network}) began as {weights}{terms}.")
    said += terms_of_use(run.json(WEIGHTS).get("weights") or [])
    return " ".join(said)


def _training(run: RunFolder) -> str:
    config, said = run.config, list[str]()
    if not config:
        return "[How the model was trained is not in the folder.]"
    shared = config.get("trainer") or {}
    data = (config.get("data") or {}).get("init_args") or {}
    for stage, own in (config.get("stages") or {}).items():
        trainer = {**shared, **(own.get("trainer") or {})}
        optimiser = _first(own.get("optimizer") or config.get("optimizer"))
        epochs = len(run.curve(stage)) or trainer.get("max_epochs")
        how = f" with {optimiser.name.rpartition('.')[2]}" if optimiser else ""
        rate = f", learning rate {optimiser.options['lr']:g}" if optimiser and "lr" in optimiser.options else ""
        weights = (own.get("model") or {}).get("loss_weights") or {}
        loss = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
        steady = _steady({"steady": config.get("steady"), **own})
        ended = f"; loss: {loss}." if loss else "."
        said.append(f"Stage {stage} was trained for {epochs} epoch{'s' * (epochs != 1)}{how}{rate}{ended}{steady}")
    if data.get("batch_size"):
        said.append(f"Batches had {data['batch_size']} cases.")
    seeded = f"Seed {config['seed']}." if "seed" in config else ""
    return " ".join([*said, _selection(run), seeded]).strip()


def _selection(run: RunFolder) -> str:
    """By what the epoch was chosen, as `pathfuse fit` does it."""
    held_out = [row for row in run.splits if row["split"] == "val"]
    named = run.config.get("stages") or {}
    stages = list(named.values())
    earlier = "".join(f" Stage {stage} kept {_kept(run, stage)}." for stage in list(named)[:-1] if held_out)
    if not any(row["label"] for row in held_out):
        return f"The last epoch was taken.{earlier}"
    model = (stages[-1].get("model") or {}) if stages else {}
    given, by = model.get("select_on"), model.get("select_by", "balanced_accuracy")
    part = f"the validation part, given {given}," if given else "the validation part"
    best = {"balanced_accuracy": "highest balanced accuracy", "loss": "least loss"}.get(by, f"best {by}")
    return f"The epoch of {best} on {part} was taken; the test part was not looked at.{earlier}"


def _kept(run: RunFolder, stage: str) -> str:
    by = run.kept_by(stage)
    return "the epoch of least validation loss" if by in (None, LOSS) else f"the epoch of highest {by}"


def _steady(own: Mapping[str, Any]) -> str:
    """Which weights are meant, where they are not those of the last step."""
    steady = own.get("steady") or {}
    said = [
        text.format(steady[key])
        for key, text in (
            ("average", " Its weights are a moving average over the steps (decay {})."),
            ("statistics", " Batch statistics were recomputed from up to {} training batches."),
        )
        if steady.get(key) is not None
    ]
    return "".join(said)


def _statistics(run: RunFolder) -> str:
    said = []
    if run.test_cases:
        metrics = run.metrics.get(run.fullest, {})
        value = metrics.get("test/balanced_accuracy")
        low, high = metrics.get("test/balanced_accuracy_low"), metrics.get("test/balanced_accuracy_high")
        if value is not None:
            limits = "" if low is None or high is None else f" (95 % interval {low:.3f} to {high:.3f})"
            said.append(f"Balanced accuracy on the test part, given {run.fullest}, was {value:.3f}{limits}.")
    said.append(
        f"Intervals are percentiles of {DRAWS} cohorts of {'patients' if patients_named(run) else 'cases'} drawn with "
        "replacement. ROC and precision-recall "
        "areas are those of one class against the rest and, where one number is given, their plain mean."
    )
    if run.sealed_json(CALIBRATION):
        said.append(
            "Temperature, abstention threshold and prediction sets were chosen on the validation part alone (Guo et "
            "al. 2017; Geifman and El-Yaniv 2017)."
        )
    return " ".join(said)


def _software(run: RunFolder) -> str:
    own = run.versions
    listed = [f"{name} {own[name]}" for name in ("pathfuse", "torch", "lightning") if own.get(name)]
    listed += [f"{name} {version}" for name, version in own.get("plugins", {}).items() if name != "pathfuse"]
    listed += [f"Python {own['python']}"] if own.get("python") else []
    hashes = [
        f"{key.removesuffix('_sha256')} {str(own[key])[:16]}"
        for key in ("recipe_sha256", "cases_sha256", "split_sha256", "splits_sha256")
        if own.get(key)
    ]
    results = {"predictions": PREDICTIONS, "metrics": METRICS}
    hashes += [f"{word} {run.sha256(name)[:16]}" for word, name in results.items() if run.has(name)]
    said = f"{', '.join(listed)}." if listed else "[Versions are not in the folder.]"
    return said + (f" SHA-256, first 16 digits: {', '.join(hashes)}." if hashes else "")


def _first(value: object) -> Part | None:
    return next(parts_of(value), None)
