"""The conformance kit: the checks of every slot, and the runner behind `pathfuse plugins check NAME`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from pathfuse.core import Encoder, Fusion
from pathfuse.errors import PathfuseError, PluginError
from pathfuse.testing.checks import (
    absence,
    cases,
    data_modules,
    declaration,
    feature_files,
    learning,
    metrics,
    normalising,
    of_pictures,
    outputs,
    slide_files,
    state,
    tissue,
)
from pathfuse.testing.example import Example, as_example
from pathfuse.testing.trial import Setting, Trial, settings_of

Check = Callable[[Trial], None]
Status = Literal["passed", "failed", "expected failure", "unexpected pass"]

DECLARATIONS: tuple[Check, ...] = (
    declaration.options_are_documented,
    declaration.options_are_keyword_only,
    declaration.the_name_is_the_class_name,
    declaration.weights_are_named,
)
"""Checks of the class itself; they need no setting."""

_ALWAYS: tuple[Check, ...] = (
    outputs.outputs_have_the_promised_shapes,
    state.eval_is_deterministic,
    state.eval_leaves_global_state_alone,
    state.state_dict_round_trips,
    state.copies_answer_alike,
    state.number_types_work,
)
_OF_CASES: tuple[Check, ...] = (absence.absent_rows_are_not_read, absence.one_stain_is_enough)
_TRAINED: tuple[Check, ...] = (learning.every_parameter_gets_a_gradient,)
_JOINT: tuple[Check, ...] = (*_OF_CASES, absence.nothing_present_is_said, cases.cases_are_independent)
_OF_PICTURES: tuple[Check, ...] = (
    of_pictures.settings_say_every_option,
    of_pictures.pictures_are_left_alone,
    of_pictures.answers_repeat,
)

BY_SLOT: dict[str, tuple[Check, ...]] = {
    "data": (
        data_modules.the_cohort_comes_first,
        data_modules.batches_hold_what_spec_says,
        data_modules.absent_modalities_are_masked,
        data_modules.every_case_comes_once_in_table_order,
        data_modules.targets_and_ids_are_those_of_the_cohort,
        data_modules.the_same_epoch_repeats,
        data_modules.the_number_of_workers_changes_nothing,
        data_modules.parts_follow_the_cohort,
        data_modules.a_restricted_cohort_leaves_cases_out,
        data_modules.the_cohort_is_left_alone,
    ),
    "backbone": (*_ALWAYS, *_TRAINED, cases.cases_are_independent),
    "input": (*_ALWAYS, *_JOINT, absence.three_stains_work),
    "encoder": (*_ALWAYS, *_TRAINED, *_JOINT, absence.three_stains_work),
    "fusion": (*_ALWAYS, *_TRAINED, *_JOINT, outputs.loss_terms_are_scalars, absence.three_stains_work),
    "head": (
        *_ALWAYS,
        *_TRAINED,
        *_JOINT,
        outputs.loss_terms_are_scalars,
        learning.unlabelled_cases_do_not_count,
        absence.three_stains_work,
    ),
    "objective": (*_ALWAYS, *_TRAINED, *_OF_CASES, outputs.loss_terms_are_scalars, absence.three_stains_work),
    "explainer": (
        outputs.outputs_have_the_promised_shapes,
        state.eval_is_deterministic,
        state.eval_leaves_global_state_alone,
        state.copies_answer_alike,
        *_OF_CASES,
        cases.cases_are_independent,
        state.the_model_is_left_alone,
    ),
    "metric": (
        metrics.the_name_in_files_is_plain,
        metrics.the_truth_scores_best,
        metrics.some_errors_cost,
        metrics.order_of_cases_does_not_matter,
        metrics.unlabelled_cases_are_left_out,
        metrics.inputs_are_left_alone,
        metrics.values_are_finite_or_said_to_be_undefined,
    ),
    "reader": (
        slide_files.suffixes_can_be_looked_for,
        slide_files.it_knows_its_own_files,
        slide_files.pixels_are_those_of_the_file,
        slide_files.spacing_is_given_or_unknown,
        slide_files.damage_is_an_error_of_pathfuse,
    ),
    "tissue": (
        *_OF_PICTURES,
        tissue.masks_have_the_size_of_the_overview,
        tissue.empty_glass_is_no_tissue,
        tissue.tissue_is_found,
    ),
    "normaliser": (
        *_OF_PICTURES,
        normalising.images_keep_size_and_type,
        normalising.it_has_a_reference,
        normalising.its_own_colours_as_target_change_little,
    ),
    "store": (
        feature_files.it_knows_its_own_files,
        feature_files.features_are_read_as_they_are,
        feature_files.places_are_true_or_unknown,
        feature_files.nothing_is_invented,
        feature_files.damage_is_an_error_of_pathfuse,
    ),
}


@dataclass(frozen=True)
class CheckResult:
    """One check of one component.

    Attributes:
        component: name of the class.
        name: name of the check.
        setting: what the component was built for; empty for checks of the class itself.
        status: how it went.
        reason: why it failed, or why it was expected to.
    """

    component: str
    name: str
    setting: str
    status: Status
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether it went as it should."""
        return self.status in ("passed", "expected failure")


def checks_of(example: Example) -> tuple[Check, ...]:
    """The checks that apply to a component, apart from bags; known without building it."""
    skipped = {absence.three_stains_work} if getattr(example.component, "exactly", None) else set()
    return (*DECLARATIONS, *(check for check in BY_SLOT[example.slot] if check not in skipped))


def bag_checks_of(example: Example) -> tuple[Check, ...]:
    """The further checks of a component that takes bags."""
    if example.slot not in ("encoder", "fusion"):
        return ()
    free = cast(type[Encoder] | type[Fusion], example.component).order_free
    return (cases.bags_of_any_length_work, *((cases.patch_order_does_not_matter,) if free else ()))


def accepted_settings(example: Example) -> tuple[Setting, ...]:
    """The settings that a component can be built for.

    A component says no to a layout or kind of data by raising a pathfuse error in its constructor. One that says no
    to all of them cannot be checked.

    Raises:
        PluginError: if it refuses everything, with its own reason.
    """
    accepted, refusal = [], ""
    for setting in settings_of(example):
        try:
            Trial(example, setting).build()
        except PathfuseError as error:
            refusal = str(error)
        else:
            accepted.append(setting)
    if not accepted:
        raise PluginError(f"{example.name} cannot be built for any data of the conformance kit: {refusal}")
    return tuple(accepted)


def run_checks(component: type | Example) -> list[CheckResult]:
    """Runs every check that applies to a component.

    Args:
        component: the class, or an example of it with options.

    Returns:
        One result per check and setting; never an empty list.
    """
    example = as_example(component)
    everything = settings_of(example)
    results = [_run(example, check, everything[0], "") for check in DECLARATIONS]
    try:
        settings = accepted_settings(example)
    except Exception as error:  # noqa: BLE001 - whatever a foreign constructor raises is the result
        return [*results, CheckResult(example.name, "it_can_be_built", "", "failed", _line(error))]
    for setting in settings:
        for check in (*checks_of(example)[len(DECLARATIONS) :], *_bag_checks_in(example, setting)):
            results.append(_run(example, check, setting, setting.name))
    return results


def summary(results: list[CheckResult]) -> str:
    """Failures one by one, then how many checks ran.

    Raises:
        PluginError: if none ran; a silent kit proves nothing.
    """
    if not results:
        raise PluginError("No check ran. Name a component that is registered, or pass its class.")
    lines = [
        f"{result.status}: {result.component} {result.name}"
        f"{f' ({result.setting})' if result.setting else ''}: {result.reason}"
        for result in results
        if result.status != "passed"
    ]
    names = ", ".join(sorted({result.component for result in results}))
    good = sum(result.passed for result in results)
    ending = "" if good == len(results) else f", {len(results) - good} failed"
    return "\n".join([*lines, f"{names}: {len(results)} checks ran, {good} passed{ending}"])


def _bag_checks_in(example: Example, setting: Setting) -> tuple[Check, ...]:
    return bag_checks_of(example) if Trial(example, setting).bags else ()


def _run(example: Example, check: Check, setting: Setting, label: str) -> CheckResult:
    reason = example.failures.get(check.__name__)
    try:
        check(Trial(example, setting))
    except Exception as error:  # noqa: BLE001 - whatever a foreign component raises is the result
        status: Status = "expected failure" if reason else "failed"
        return CheckResult(example.name, check.__name__, label, status, reason or _line(error))
    if reason:
        return CheckResult(example.name, check.__name__, label, "unexpected pass", "remove it from known failures")
    return CheckResult(example.name, check.__name__, label, "passed")


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    first = text[0] if text else ""
    return first if isinstance(error, AssertionError) else f"{type(error).__name__}: {first}"
