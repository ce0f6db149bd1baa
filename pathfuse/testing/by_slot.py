"""The checks of every slot."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from pathfuse.core import Encoder, Fusion
from pathfuse.testing.checks import (
    absence,
    cases,
    data_modules,
    declaration,
    explaining,
    feature_files,
    learning,
    metrics,
    normalising,
    of_pictures,
    outputs,
    registering,
    slide_files,
    state,
    tissue,
)
from pathfuse.testing.example import Example
from pathfuse.testing.trial import Trial

Check = Callable[[Trial], None]

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
    "objective": (
        *_ALWAYS,
        *_TRAINED,
        *_OF_CASES,
        outputs.loss_terms_are_scalars,
        absence.the_model_is_shown_only_what_it_is_given,
        absence.three_stains_work,
    ),
    "explainer": (
        outputs.outputs_have_the_promised_shapes,
        state.eval_is_deterministic,
        state.eval_leaves_global_state_alone,
        state.copies_answer_alike,
        *_OF_CASES,
        cases.cases_are_independent,
        state.the_model_is_left_alone,
        explaining.promised_sums_are_kept,
        explaining.absent_modalities_get_nothing,
        explaining.a_constant_model_gets_flat_scores,
        explaining.the_random_state_is_left_alone,
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
    "registration": (
        registering.the_transform_can_be_used,
        registering.a_known_move_is_found,
        registering.the_way_back_leads_back,
        registering.answers_repeat,
        registering.empty_slides_are_said_or_survived,
    ),
    "store": (
        feature_files.it_knows_its_own_files,
        feature_files.features_are_read_as_they_are,
        feature_files.places_are_true_or_unknown,
        feature_files.nothing_is_invented,
        feature_files.damage_is_an_error_of_pathfuse,
    ),
}


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
