"""The model card of an exported run: what it is for, what it was measured on, under which terms it stands."""

from __future__ import annotations

from pathfuse.evaluate.names import given_name, stain_name
from pathfuse.report.run.methods import methods
from pathfuse.report.run.terms import terms_of_use
from pathfuse.runs.files import WEIGHTS
from pathfuse.runs.folder import RunFolder

SHOWN = {"balanced_accuracy": "balanced accuracy", "auroc": "AUC-ROC", "ece": "calibration error"}


def model_card(run: RunFolder, *, weights: str) -> str:
    """The text of the card, in Markdown.

    Args:
        run: the trained run.
        weights: where in the folder the tensors are.
    """
    spec = list(run.specs().values())[-1]
    stains = ", ".join(f"{stain_name(one.name)} ({one.kind})" for one in spec.modalities)
    paragraphs = [
        f"# {run.name}",
        f"A model of pathfuse that says {', '.join(spec.classes)} from {stains}. Its weights are in `{weights}`.",
        "## Use",
        '```python\nimport pathfuse\n\nmodel = pathfuse.load("FOLDER")\n```',
        "`pathfuse predict FOLDER --cases FILE` scores cases. "
        "Both need pathfuse and the plug-ins that `versions.json` names; no code is in this folder.",
        "## Intended use",
        "Research on cohorts like the one it was trained on. It is no medical device, and was not tested for decisions "
        "about patients. [Say for which tissue, stains, scanners and question it is meant, and for which it is not.]",
        "## Metrics on its test part",
        _metrics(run) or "It was not tested.",
        "## Licence",
        _licence(run),
        "## How it was made",
        methods(run).partition("\n\n")[2].strip(),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _metrics(run: RunFolder) -> str:
    if not run.metrics:
        return ""
    lines = [f"| given | cases (patients) | {' | '.join(SHOWN.values())} |", "|---|---|" + "---|" * len(SHOWN)]
    for given in run.shown.trained(run.metrics):
        values = run.metrics[given]
        cells = [_cell(values, name) for name in SHOWN]
        lines.append(
            f"| {given_name(given)} | {values.get('n_cases')} ({values.get('n_patients')}) | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def _cell(values: dict[str, float | None], name: str) -> str:
    value, low, high = (values.get(f"test/{name}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return "-"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.2f} to {high:.2f})"


def _licence(run: RunFolder) -> str:
    found = run.json(WEIGHTS).get("weights") or []
    lines = [f"- {one.get('network')}, {one.get('weights')}: {one.get('licence')}" for one in found]
    said = ["[Say under which licence you publish these weights.]"]
    if lines:
        said.append("It builds on:\n\n" + "\n".join(dict.fromkeys(lines)))
    return "\n\n".join([*said, *terms_of_use(found)])
