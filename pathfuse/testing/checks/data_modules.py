"""Data modules: what is in a batch, in which order cases come, and what follows from the cohort."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import fields, replace

import torch
from torch import Tensor

from pathfuse.cohort import Cohort
from pathfuse.cohort.folds.draw import draw_folds
from pathfuse.cohort.folds.file import parts_of, read_folds, write_folds
from pathfuse.core import Bags, Batch, ModalitySpec
from pathfuse.data.contract import Part
from pathfuse.testing.cohorts import PARTS, batches, given
from pathfuse.testing.trial import Trial

IN_ORDER: tuple[Part, ...] = ("val", "test", "predict")
WHY = "left out by the conformance kit"


def the_cohort_comes_first(trial: Trial) -> None:
    """The constructor is `(cohort, *, ...)`: the cohort is handed over under that name."""
    first = next(iter(inspect.signature(trial.example.component).parameters), "nothing")
    assert first == "cohort", f"the constructor takes {first} first, not cohort: make it (cohort, *, ...)"


def batches_hold_what_spec_says(trial: Trial) -> None:
    """A batch has the modalities of `spec()` in that order, each with its kind and sizes."""
    with given(trial.example) as who:
        data = who.build()
        spec = data.spec()
        for part in PARTS:
            for batch in batches(data, part):
                found = batch.modalities, tuple(batch.present)
                assert found == (spec.names, spec.names), (
                    f"a {part} batch has {', '.join(batch.modalities)} and says of {', '.join(batch.present)} whether "
                    f"they are present; spec() has {', '.join(spec.names)}"
                )
                for modality in spec.modalities:
                    _has_its_sizes(batch, modality, part)


def absent_modalities_are_masked(trial: Trial) -> None:
    """What a case has no file or patch of is not present, what is present is finite, and every case has something."""
    with given(trial.example) as who:
        data = who.build()
        files = {case.case_id: set(case.files) for case in data.cohort}
        of_files = {name for own in files.values() for name in own}
        for part in PARTS:
            for batch in batches(data, part):
                for name, present in batch.present.items():
                    _is_real(batch, name, part)
                    lacking = [
                        case
                        for case, there in zip(batch.case_ids, present.tolist(), strict=True)
                        if there and name in of_files and name not in files[case]
                    ]
                    assert not lacking, f"{name} of {lacking[0]} is present in a {part} batch, and it has no file of it"
                anything = torch.stack(list(batch.present.values())).any(0).tolist()
                empty = [case for case, there in zip(batch.case_ids, anything, strict=True) if not there]
                assert not empty, f"{empty[0]} has nothing in a {part} batch: leave it out by cohort.restricted(...)"


def every_case_comes_once_in_table_order(trial: Trial) -> None:
    """Validation, test and prediction give each case once, in the order of the table; training only its own."""
    with given(trial.example) as who:
        data = who.build()
        parts = {row.case_id: row.split for row in data.split_table()}
        for part in IN_ORDER:
            wanted = [case for case, its in parts.items() if part in ("predict", its)]
            found = [case for batch in batches(data, part) for case in batch.case_ids]
            assert sorted(found) == sorted(wanted), (
                f"{part} gives {len(found)} cases, {len(set(found))} different ones; {len(wanted)} are in that part"
            )
            assert found == wanted, f"{part} gives its cases in another order than the table"
        training = [case for batch in batches(data, "train") for case in batch.case_ids]
        foreign = [case for case in training if parts.get(case) != "train"]
        assert training and not foreign, f"training gives {foreign[0] if foreign else 'no case'}, which is not in it"


def targets_and_ids_are_those_of_the_cohort(trial: Trial) -> None:
    """Classes, class counts, target, patient and position of every case are those of the cohort's table."""
    with given(trial.example) as who:
        data = who.build()
        table, spec = data.cohort.table, data.spec()
        assert spec.classes == table.classes, f"spec() has the classes {spec.classes}, the cohort {table.classes}"
        assert spec.class_counts == table.class_counts(), "spec().class_counts are not those of the training part"
        targets = table.targets()
        for part in PARTS:
            for batch in batches(data, part):
                assert batch.index is not None, f"a {part} batch has no index: give the position of each case"
                for row, case in enumerate(batch.case_ids):
                    place = table.position(case)
                    said = int(batch.target[row]), batch.patient_ids[row], int(batch.index[row])
                    wanted = int(targets[place]), table.cases[place].patient_id, place
                    assert said == wanted, f"{case} has target, patient and index {said} in {part}, not {wanted}"


def the_same_epoch_repeats(trial: Trial) -> None:
    """An epoch of training is the same again, from a new data module; the other parts are the same in every epoch."""
    with given(trial.example) as who:
        one, other = who.build(), who.build()
        _same(batches(one, "train", 1), batches(other, "train", 1), "training differs between two runs of one epoch")
        for part in IN_ORDER:
            _same(batches(one, part), batches(one, part, 1), f"{part} differs between two epochs")


def the_number_of_workers_changes_nothing(trial: Trial) -> None:
    """Two processes give the batches that none gives."""
    with given(trial.example) as who:
        alone, shared = who.build(), who.build(workers=2)
        for part in PARTS:
            _same(batches(alone, part, 1), batches(shared, part, 1), f"{part} differs with two workers")


def parts_follow_the_cohort(trial: Trial) -> None:
    """Another fold or another split of the cohort is what the loaders give."""
    with given(trial.example) as who:
        file = who.folder / "folds.csv"
        write_folds(file, draw_folds(list(who.build().cohort), folds=2).rows)
        folds = parts_of(read_folds(file), 0, 1)
        data = who.build(who.cohort.with_fold(str(file), fold=1))
        for part in IN_ORDER[:2]:
            wanted = [case for case, its in folds.items() if its == part]
            found = [case for batch in batches(data, part) for case in batch.case_ids]
            assert sorted(found) == sorted(wanted), f"{part} of a fold gives other cases than the file of folds says"
        drawn = replace(who.cohort, split="drawn", seed=11)
        one, other = who.build(drawn), who.build(replace(drawn, seed=12))
        assert one.split_table() != other.split_table(), "drawing the parts anew changes nothing: keep the cohort's"


def a_restricted_cohort_leaves_cases_out(trial: Trial) -> None:
    """Cases that the cohort leaves out are in no batch, and the flow counts them."""
    with given(trial.example) as who:
        whole = who.build()
        # The demo patients have no files yet; what the data module made of them has.
        cohort = whole.cohort if who.cohort.generated else who.cohort
        gone = next(case.case_id for case in whole.cohort if case.split == "train")
        data = who.build(cohort.restricted(lambda case: case.case_id != gone, WHY))
        found = [case for batch in batches(data, "predict") for case in batch.case_ids]
        assert gone not in found, f"{gone} is in a batch, and the cohort leaves it out"
        steps = {step.step: step.cases for step in data.flow()}
        assert steps.get(f"left out: {WHY}") == 1, "flow() does not count the case that the cohort leaves out"


def the_cohort_is_left_alone(trial: Trial) -> None:
    """The cohort that is handed over has the same options, cases and parts afterwards: others are built on it too."""
    with given(trial.example) as who:
        before = _facts(who.cohort)
        data = who.build()
        for part in PARTS:
            batches(data, part)
        changed = [name for name, value in _facts(who.cohort).items() if value != before[name]]
        assert not changed, f"{changed[0]} of the cohort it was given is changed; make another by cohort.restricted"


def _has_its_sizes(batch: Batch, modality: ModalitySpec, part: str) -> None:
    where, value, present = f"{modality.name} in a {part} batch", batch.x[modality.name], batch.present[modality.name]
    edge = (modality.size_px, modality.size_px) if modality.kind in ("image", "patches") else ()
    one = (modality.width, *edge)
    assert present.dtype == torch.bool and present.shape == (len(batch),), (
        f"present of {where} is {present.dtype} {tuple(present.shape)}, not bool ({len(batch)},)"
    )
    if modality.in_bags:
        assert isinstance(value, Bags), f"{where} is a {type(value).__name__}; spec() says {modality.kind}, so Bags"
        assert tuple(value.values.shape[1:]) == one, f"a patch of {where} is {tuple(value.values.shape[1:])}, not {one}"
        lengths = value.lengths
        assert lengths.shape == (len(batch),) and int(lengths.sum()) == len(value.values), (
            f"lengths of {where} are {lengths.tolist()} for {len(value.values)} patches of {len(batch)} cases"
        )
        return
    assert isinstance(value, Tensor), f"{where} is {type(value).__name__}; spec() says {modality.kind}, so a tensor"
    wanted = (len(batch), *one)
    assert tuple(value.shape) == wanted, f"{where} is {tuple(value.shape)}, and spec() says {wanted}"
    assert value.is_floating_point(), f"{where} is {value.dtype}, not a floating type"


def _is_real(batch: Batch, name: str, part: str) -> None:
    value, present = batch.x[name], batch.present[name]
    if isinstance(value, Bags):
        bare = present & (value.lengths == 0)
        assert not bare.any(), f"{name} of {batch.case_ids[int(bare.nonzero()[0])]} is present, without a patch"
        values = value.values[present[value.owner]]
    else:
        values = value[present]
    assert values.isfinite().all(), f"{name} that is present is not finite in a {part} batch"


def _same(one: Sequence[Batch], other: Sequence[Batch], what: str) -> None:
    assert len(one) == len(other), f"{what}: {len(one)} and {len(other)} batches"
    for first, second in zip(one, other, strict=True):
        assert first.case_ids == second.case_ids, f"{what}: other cases"
        for name in first.modalities:
            assert _equal(first, second, name), f"{what}: {name} of {', '.join(first.case_ids)}"


def _equal(first: Batch, second: Batch, name: str) -> bool:
    one, other = (batch.fill(name, 0.0).x[name] for batch in (first, second))
    if not torch.equal(first.present[name], second.present[name]):
        return False
    if isinstance(one, Bags) and isinstance(other, Bags):
        return torch.equal(one.lengths, other.lengths) and torch.equal(one.values, other.values)
    return isinstance(one, Tensor) and isinstance(other, Tensor) and torch.equal(one, other)


def _facts(cohort: Cohort) -> dict[str, str]:
    options = {option.name: repr(getattr(cohort, option.name)) for option in fields(cohort) if option.init}
    return {**options, "cases": repr(cohort.table.cases), "generated": repr(cohort.generated)}
