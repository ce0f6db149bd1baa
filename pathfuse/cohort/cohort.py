"""The cohort: cases with patient, label, site and part, and per modality their files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pathfuse.cohort.folds.parts import Parts
from pathfuse.cohort.generated import GENERATED, draw, patients_of
from pathfuse.cohort.hidden import with_hidden_labels
from pathfuse.cohort.label_map import NamedMap, label_map_of, merge_labels
from pathfuse.cohort.labelled import labelled_training
from pathfuse.cohort.new_cases import for_new_cases
from pathfuse.cohort.presence import with_modalities
from pathfuse.cohort.same import TABLES, check_same
from pathfuse.cohort.shuffled import with_strangers
from pathfuse.cohort.sources.case_table import read_cases
from pathfuse.cohort.sources.columns import Columns, Header
from pathfuse.cohort.sources.modality_words import by_modality
from pathfuse.cohort.sources.source import read_source
from pathfuse.cohort.sources.stores import read_unpaired
from pathfuse.cohort.split_rows import Folds
from pathfuse.cohort.table import Case, CaseTable
from pathfuse.cohort.vectors import VectorTable, read_vectors
from pathfuse.demo.cohort import Pictures
from pathfuse.demo.options import DemoCohort
from pathfuse.errors import CaseTableError, RecipeError
from pathfuse.store.folder import Match
from pathfuse.system.cache_folder import default_cache
from pathfuse.system.spacing import MAX_MPP, MIN_MPP


@dataclass(frozen=True, eq=False)
class Cohort:
    """Who: the cases of a recipe, whatever a data module makes of them.

    Iterating gives the cases in table order. They are read when they are first asked for.

    Args:
        cases: where the cases are: a case table, a label table, a folder with `cases.csv`, a folder of pairs
            `HE/{train,test}/NNNNN_split_SCORE.png` and `IHC/...` as BCI has it, a folder per class, or PatchCamelyon's.
            What it was taken for is said. Per stain, a label table each: then cases of different tables are different
            patients. Null, without `stores`, takes the demo cohort.
        stores: per stain, the folder of the feature files that go with a label table, or with slides.
        vectors: per modality, a CSV of numbers and categories with a row per `case_id` or `patient_id`, such as
            clinical columns. Numbers are standardised and categories encoded on the training part; what is unknown or
            missing is masked. A relative path is looked for here, and else beside the cases; of the demo
            cohort beside its cases alone.
        groups: CSV `file,group` that names the slide or patient behind each file of a folder.
        columns: which column of a table is the `case`, `patient`, `slide`, `label`, `modality`, `site`, `path`, `split`
            or `mpp`, by its name or its number from 1, where the name is no usual one. What was taken for what is said.
        header: `none` for a table whose first row is a case and no names of columns.
        match: `prefix` lets a case of a label table take every file that begins like it and goes on after a sign, as
            `P1_a.h5` for `P1`.
        label_map: merges labels: `zero_low_high` or `positive`, with `_ish` by the column `ish` where a 2+ needs it, or
            what each label becomes ("" leaves its cases out). `classes` then names the merged ones.
        classes: label names in the order of the class index; null takes 0, 1+, 2+, 3+ for HER2 and else the alphabet.
        missing: `error`: a case that lacks a stain is an error; `allow`: a stain may lack everywhere; null: error in a
            folder of pairs, and elsewhere every stain must be there for some case.
        mpp: micrometres per pixel of images and slides (level 0), where neither the file nor the table says.
        split: `given` keeps the parts of the source, `drawn` draws new ones by patient.
        folds: file of folds, as `pathfuse data split` writes it, instead of the parts of the source; null without.
        repeat: which repeat of `folds`, from 0.
        fold: which fold of that repeat, from 0.
        val_fraction: fraction of the training patients drawn for validation when the source has no such part.
        test_fraction: fraction of the patients drawn for the test when the source has no parts.
        seed: of the drawn parts, of `labelled_patients`, and of `shuffled`.
        labelled_patients: how many training patients keep their labels, spread equally over the classes; those of the
            others are hidden, and the other parts keep all. For learning curves; null hides none.
        shuffled: stains of which every case gets the files of another patient of its part: a control that takes the
            pairs apart. Null leaves all cases their own.
        test_on: `test` tests on the test part, `all` on every case: for a cohort that the model never saw.
        demo: the generated patients, used where there are neither `cases` nor `stores`.
        cache: folder of files that can be made again; null takes the platform's cache folder.
    """

    cases: str | dict[str, str] | None = None
    stores: dict[str, str] | None = None
    vectors: dict[str, str] | None = None
    groups: str | None = None
    columns: dict[str, str | int] | None = None
    header: Header = "first"
    match: Match = "name"
    label_map: NamedMap | dict[str, str] | None = None
    classes: list[str] | None = None
    missing: Literal["error", "allow"] | None = None
    mpp: float | None = None
    split: Literal["given", "drawn"] = "given"
    folds: str | None = None
    repeat: int = 0
    fold: int = 0
    val_fraction: float = 0.3
    test_fraction: float = 0.2
    seed: int = 0
    labelled_patients: int | None = None
    shuffled: list[str] | None = None
    test_on: Literal["test", "all"] = "test"
    demo: DemoCohort = field(default_factory=DemoCohort)
    cache: str | None = None
    _read: CaseTable | None = field(default=None, init=False, repr=False)
    _needs_labels: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("stores", "cases"):
            given = getattr(self, name)
            if isinstance(given, dict):
                object.__setattr__(self, name, by_modality(given, f"cohort.{name}"))
        if self.mpp is not None and not MIN_MPP <= self.mpp <= MAX_MPP:
            raise RecipeError(f"cohort.mpp is {self.mpp}; give {MIN_MPP:g} to {MAX_MPP:g} micrometres per pixel.")
        if self.labelled_patients is not None and self.labelled_patients < 0:
            raise RecipeError(f"cohort.labelled_patients is {self.labelled_patients}; give at least 0, or null.")
        if self.stores is not None and self.cases is None:
            raise RecipeError("cohort.stores needs the labels of its cases; name their table with cohort.cases.")
        if isinstance(self.cases, dict) and self.stores is None:
            raise RecipeError("cohort.cases names a label table per stain; name their features with cohort.stores.")
        label_map_of(self.label_map, self.classes)
        self._columns  # noqa: B018  # refuses what is no kind of column
        self.parts  # noqa: B018  # refuses options that exclude each other

    # --- the cases ---

    @cached_property
    def table(self) -> CaseTable:
        """The cases with their labels and parts, in the order of the source.

        Raises:
            CaseTableError: if the source cannot be used, or labels are needed and no training case has one.
        """
        read = self.unparted
        cases, notes = self.parts.apply(read.cases)
        same = check_same(cases, read.origin, ids=read.kind in TABLES) if not self.generated else []
        divided = replace(read, cases=tuple(cases), notes=(*read.notes, *notes, *same))
        if self.labelled_patients is not None and self.test_on != "all":
            divided = with_hidden_labels(divided, self.labelled_patients, self.seed)
        return labelled_training(divided) if self._needs_labels else divided

    def __iter__(self) -> Iterator[Case]:
        return iter(self.table.cases)

    def __len__(self) -> int:
        return len(self.table.cases)

    @property
    def origin(self) -> Path:
        """The file or folder that the cases were read from."""
        return self.unparted.origin

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes; the position is the class index."""
        return self.unparted.classes

    @property
    def notes(self) -> tuple[str, ...]:
        """What to read before trusting a number."""
        return self.table.notes

    @property
    def generated(self) -> bool:
        """Whether the patients are the demo cohort's, and nothing has been drawn of them yet."""
        return self.cases is None and self.stores is None and self._read is None

    @property
    def chosen_fold(self) -> Folds | None:
        """The fold that the parts come from; None where they do not come from a file of folds."""
        return self.parts.chosen

    @cached_property
    def parts(self) -> Parts:
        """How the cases get their parts."""
        return Parts(**{option.name: getattr(self, option.name) for option in fields(Parts)})

    @property
    def cache_folder(self) -> Path:
        """Where files lie that can be made again: `cache`, else `pathfuse` in the user's cache."""
        return default_cache() if self.cache is None else Path(self.cache)

    @property
    def training(self) -> list[Case]:
        """The cases of the training part."""
        return [case for case in self if case.split == "train"]

    @cached_property
    def vector_tables(self) -> dict[str, VectorTable]:
        """Per modality of `vectors`, its table.

        Raises:
            CaseTableError: if one cannot be read.
        """
        beside = self.origin if self.origin.is_dir() else self.origin.parent
        # The demo patients have their own table, whatever lies where one happens to stand.
        here = self.cases is not None
        return {
            name: read_vectors(Path(file) if here and Path(file).exists() else beside / file)
            for name, file in (self.vectors or {}).items()
        }

    # --- other cohorts made of this one ---

    def of_modalities(self, modalities: Sequence[str], *, checked: bool = True) -> Cohort:
        """The cases that have a file of some of these stains, and no other files.

        Args:
            modalities: the stains.
            checked: apply `missing`; a data module that only knows after opening files whether a stain is there does
                that itself.
        """
        table = self._read or self._made_of(self._source(modalities))
        if not checked:
            return self._with(table)
        missing = self.missing or ("error" if self.cases is not None and table.origin.is_dir() else None)
        return self._with(with_modalities(table, modalities, missing))

    def restricted(self, keep: Collection[str] | Callable[[Case], bool], why: str) -> Cohort:
        """Some of the cases; those that leave are counted in the flow.

        Args:
            keep: ids of the cases that stay, or says of a case whether it does.
            why: they leave, for example `no row in expression.csv`.

        Raises:
            CaseTableError: if no case stays.
        """
        before = self.unparted
        stays = keep if callable(keep) else lambda case: case.case_id in keep
        kept = [case for case in before.cases if stays(case)]
        if not kept:
            raise CaseTableError(f"{before.origin.name}: no case is left: {why}. Correct the cases or the data.")
        left = len(before.cases) - len(kept)
        notes = (f"{left} of {len(before.cases)} cases are left out: {why}.",) if left else ()
        return self._with(replace(before.keep(kept, why), notes=(*before.notes, *notes)))

    def replaced(self, table: CaseTable) -> Cohort:
        """The same options over another table, which a data module made of this cohort's."""
        return self._with(table)

    def drawn(self, pictures: Pictures) -> Cohort:
        """The demo patients with pictures of them, drawn into the cache when first needed; other cases as they are."""
        if not self.generated:
            return self
        path = draw(self.demo, pictures, self.cache_folder)
        table = read_cases(path, classes=self._own_classes)
        return self._with(self._made_of(replace(table, notes=(GENERATED, *table.notes))))

    def with_fold(self, folds: str, *, repeat: int = 0, fold: int = 0) -> Cohort:
        """The same cases with the parts of one fold of a file."""
        new = replace(self, folds=folds, repeat=repeat, fold=fold, split="given")
        return new._with(self._read, needs_labels=self._needs_labels)

    def with_labels(self) -> Cohort:
        """The same cases without training cases that have no label."""
        return self._with(self._read, needs_labels=True)

    def of_new_cases(self, classes: Sequence[str], source: Mapping[str, object]) -> Cohort:
        """A cohort of other cases, all of them new to the model.

        Args:
            classes: those of the model.
            source: the options that are said anew, `cases` and `stores` among them.
        """
        options: dict[str, Any] = {**for_new_cases(tuple(source), classes), **source}
        return replace(self, **options)

    # --- inside ---

    @cached_property
    def unparted(self) -> CaseTable:
        """The cases before they get their parts; what a data module looks at to find which it can use."""
        return self._read or self._made_of(self._source(None))

    @property
    def _own_classes(self) -> list[str] | None:
        """Class names of the source; those of merged labels say nothing about it."""
        return self.classes if self.label_map is None else None

    @property
    def _columns(self) -> Columns:
        # New cases may lack what the model's own had, a label above all.
        return Columns(self.columns or {}, self.header, lenient=self.test_on == "all")

    @property
    def _kept_labels(self) -> tuple[str, ...]:
        """Labels that a map names, which it finds as they are written."""
        return tuple(label_map_of(self.label_map, None) or ())

    def _made_of(self, table: CaseTable) -> CaseTable:
        """What the options make of the table of a source: merged labels, and pairs taken apart."""
        table = merge_labels(table, label_map_of(self.label_map, self.classes), self.classes)
        if not self.shuffled:
            return table
        # Before unlabelled cases may leave, so that stages with and without labels see the same pairs.
        parts = {case.case_id: case.split for case in self.parts.apply(table.cases)[0]}
        return with_strangers(table, parts, self.shuffled, self.seed)

    def _source(self, modalities: Sequence[str] | None) -> CaseTable:
        if isinstance(self.cases, dict):
            stores = {m: Path(f) for m, f in (self.stores or {}).items() if modalities is None or m in modalities}
            return read_unpaired(
                stores,
                self.cases,
                columns=self._columns,
                match=self.match,
                classes=self._own_classes,
                keep=self._kept_labels,
                mpp=self.mpp,
            )
        if self.cases is None:
            return patients_of(self.demo)
        kind, table = read_source(
            Path(self.cases),
            modalities=modalities,
            stores=self.stores,
            groups=Path(self.groups) if self.groups else None,
            columns=self._columns,
            match=self.match,
            classes=self._own_classes,
            keep=self._kept_labels,
            mpp=self.mpp,
        )
        return replace(table, kind=kind, notes=(f"{self.cases} was taken for a {kind}.", *table.notes))

    def _with(self, table: CaseTable | None, needs_labels: bool | None = None) -> Cohort:
        new = replace(self)
        object.__setattr__(new, "_read", table)
        object.__setattr__(new, "_needs_labels", self._needs_labels if needs_labels is None else needs_labels)
        return new
