"""The step `explain` of a study: which runs are explained, by what, and what its figures may show of it."""

from __future__ import annotations

import fnmatch
from dataclasses import asdict, dataclass

from pathfuse.errors import RecipeError
from pathfuse.runs.files import EXPLANATION, PREDICTIONS
from pathfuse.runs.folder import RunFolder
from pathfuse.study.definition.report import Report
from pathfuse.study.definition.strict import mapping, refuse_unknown, words

KEYS = ("explainers", "options", "target", "variants", "faithfulness")
ASKED = "explain/asked.json"
PREDICTED = "predicted"
MAPS = "explain"


@dataclass(frozen=True)
class ExplainStep:
    """What is explained of which variants; the test cases of every run, with pictures of one per class.

    Attributes:
        explainers: components; empty takes Grad-CAM for images, and the attention of models of bags.
        options: of the explainers, by name.
        target: the class that is explained: `predicted`, `label`, or its name.
        variants: names, with stars.
        faithfulness: whether to measure how far the maps can be believed.
    """

    explainers: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    target: str = PREDICTED
    variants: tuple[str, ...] = ("*",)
    faithfulness: bool = False

    def reaches(self, variant: str) -> bool:
        """Whether runs of a variant are explained."""
        return any(fnmatch.fnmatchcase(variant, pattern) for pattern in self.variants)

    def done(self, run: RunFolder) -> bool:
        """Whether a run is explained as it is asked here, as it was tested last, and the figures are unchanged."""
        return run.holds_sealed(EXPLANATION) and run.json(ASKED) == self.asked(run)

    def asked(self, run: RunFolder) -> dict[str, object]:
        """What the explanation of a run depends on."""
        own = {key: value for key, value in asdict(self).items() if key != "variants"}
        options = {"options": dict(self.options), "explainers": list(self.explainers)}
        return {**own, **options, PREDICTIONS: run.seal.of(PREDICTIONS)}


def read_explain(value: object, place: str) -> ExplainStep | None:
    """The part `explain` of a study; None where there is none.

    Raises:
        RecipeError: naming the place and the nearest known word.
    """
    if value is None:
        return None
    found = mapping(value, place)
    refuse_unknown(found, KEYS, place, "key of explain")
    options = tuple((str(key), str(own)) for key, own in mapping(found.get("options"), f"{place}.options").items())
    believed = found.get("faithfulness", False)
    if not isinstance(believed, bool):
        raise RecipeError(f"{place}.faithfulness is {believed!r}. Write true or false.")
    return ExplainStep(
        words(found.get("explainers"), f"{place}.explainers"),
        options,
        str(found.get("target", PREDICTED)),
        words(found.get("variants"), f"{place}.variants") or ("*",),
        believed,
    )


def refuse_unexplained(report: Report, step: ExplainStep | None, file: str) -> None:
    """Refuses tables and figures of explanations that the study does not make.

    Raises:
        RecipeError: naming the table or figure, and what to write.
    """
    asked = {f"tables.{one.name}": one.columns for one in report.tables}
    asked |= {f"figures.{one.name}": (one.value, *one.values.values()) for one in report.figures}
    for place, values in asked.items():
        if step is None and any(value.partition(":")[0] == MAPS for value in values):
            raise RecipeError(
                f"{file}: report.{place} is of explanations, but nothing is explained. Add `explain: {{}}`."
            )
    for one in report.figures:
        named = one.value.removeprefix(f"{MAPS}:")
        if step is not None and one.kind == "panels" and one.value.startswith(f"{MAPS}:"):
            refuse_unknown([named], step.explainers, f"{file}: report.figures.{one.name}", "explainer of the study")
