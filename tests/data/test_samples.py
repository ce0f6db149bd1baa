"""A stranger's data modules, one case at a time: a table of vectors and a folder of images, in a few lines each."""

import csv
import pickle

import numpy as np
import pytest
import torch

from pathfuse.cohort import Cohort
from pathfuse.core import Batch, ModalitySpec
from pathfuse.data.loading.options import Loading
from pathfuse.data.samples import SampleData
from pathfuse.errors import CaseTableError, ImageError, PluginError
from tests.conftest import write_cases
from tests.data.pairs import write_table


class Expression(SampleData):
    """Gene expression: a row per case in a CSV beside the labels; in training, some genes are dropped."""

    def __init__(self, cohort: Cohort, *, table: str, dropout: float = 0.0) -> None:
        with open(table, encoding="utf-8") as file:
            header, *rows = list(csv.reader(file))
        self.genes = {row[0]: torch.tensor([float(cell) for cell in row[1:]]) for row in rows}
        self.width, self.dropout = len(header) - 1, dropout
        super().__init__(cohort.restricted(self.genes, "no row of expression"))

    def modality_specs(self):
        return [ModalitySpec("genes", "vector", self.width)]

    def sample(self, case, draw):
        values = self.genes[case.case_id]
        if draw.part == "train":
            values = values * torch.from_numpy(draw.random.random(self.width) >= self.dropout)
        return {"genes": values}


class RawImages(SampleData):
    """Images of a format of one's own: square arrays of bytes, one per stain that a case has."""

    def __init__(self, cohort: Cohort, *, size_px: int = 4) -> None:
        super().__init__(cohort.of_modalities(["he", "ihc"]))
        self.size_px = size_px

    def modality_specs(self):
        return [ModalitySpec(m, "image", 3, self.size_px) for m in ("he", "ihc")]

    def sample(self, case, draw):
        return {m: self.read(files[0].path) for m, files in case.files.items()}

    def read(self, path):
        pixels = np.frombuffer(path.read_bytes(), np.uint8)
        if pixels.size != 3 * self.size_px**2:
            raise ImageError(f"{path} holds {pixels.size} bytes. Write {self.size_px} x {self.size_px} RGB.")
        return torch.from_numpy(pixels.reshape(3, self.size_px, self.size_px).copy()) / 255


class Cells(SampleData):
    """Bags: per case any number of cells with two features, by the number in its name; every third has none."""

    def modality_specs(self):
        return [ModalitySpec("cells", "features", 2)]

    def sample(self, case, draw):
        number = int(case.case_id[1:])
        return {"cells": torch.full((number, 2), float(number))} if number % 3 else {}


HEADER = "case_id,patient_id,label,split"
LABELS = [f"c{n},p{n},{'ab'[n % 2]},{'train' if n < 12 else 'test'}" for n in range(16)]


@pytest.fixture
def who(tmp_path):
    return Cohort(cases=str(write_table(tmp_path / "labels.csv", HEADER, *LABELS)), val_fraction=0.0)


@pytest.fixture
def expression(tmp_path):
    rows = [f"c{n},{n},{n + 0.5},{-n}" for n in range(16) if n != 3]
    return str(write_table(tmp_path / "expression.csv", "case_id,ERBB2,ESR1,MKI67", *rows))


@pytest.fixture
def images(tmp_path):
    """Four cases; b has no IHC, c no H&E."""
    rows = []
    for number, (case, stains) in enumerate([("a", "he ihc"), ("b", "he"), ("c", "ihc"), ("d", "he ihc")]):
        for stain in stains.split():
            (tmp_path / f"{case}_{stain}.rgb").write_bytes(bytes(range(number * 40, number * 40 + 48)))
            rows.append(f"{case},{case},{stain},{case}_{stain}.rgb,0,train")
    write_table(tmp_path / "cases.csv", "case_id,patient_id,modality,path,label,split", *rows)
    return Cohort(cases=str(tmp_path / "cases.csv"), val_fraction=0.0)


def loaded(data, **how):
    data.loading = Loading(**{"batch_size": 4, "num_workers": 0, **how})
    return data


def whole(loader) -> Batch:
    return Batch.cat(list(loader))


def train(data, epoch=0) -> Batch:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return whole(loader)


def by_case(batch, modality):
    return {case: batch.x[modality][row].tolist() for row, case in enumerate(batch.case_ids)}


def test_a_table_of_vectors_becomes_batches_with_labels_patients_and_places(who, expression):
    data = loaded(Expression(who, table=expression))
    spec = data.spec()
    assert [(m.name, m.kind, m.width) for m in spec.modalities] == [("genes", "vector", 3)]
    assert spec.classes == ("a", "b") and spec.class_counts == (6, 5)
    batch = whole(data.predict_dataloader())
    assert by_case(batch, "genes") == {f"c{n}": [n, n + 0.5, -n] for n in range(16) if n != 3}
    assert batch.present["genes"].all() and batch.x["genes"].shape == (15, 3)
    assert batch.target.tolist() == [n % 2 for n in range(16) if n != 3]
    assert batch.patient_ids == tuple(f"p{n}" for n in range(16) if n != 3)
    assert batch.index.tolist() == list(range(15))


def test_a_case_that_it_has_nothing_of_is_in_the_flow_and_in_the_notes(who, expression):
    data = Expression(who, table=expression)
    assert "1 of 16 cases are left out: no row of expression." in data.notes()
    assert [(step.step, step.cases) for step in data.flow()][:3] == [
        ("in the table", 16), ("left out: no row of expression", 1), ("in use", 15),
    ]  # fmt: skip
    assert "c3" not in {row.case_id for row in data.split_table()}


def test_an_absent_stain_is_zeros_and_masked(images):
    batch = whole(loaded(RawImages(images)).predict_dataloader())
    assert batch.case_ids == ("a", "b", "c", "d")
    assert batch.present["he"].tolist() == [True, True, False, True]
    assert batch.present["ihc"].tolist() == [True, False, True, True]
    assert not batch.image("ihc")[1].any() and not batch.image("he")[2].any()
    for row in range(4):
        for stain in ("he", "ihc"):
            if batch.present[stain][row]:
                assert (batch.image(stain)[row].ravel() * 255).round().tolist() == list(range(row * 40, row * 40 + 48))


def test_a_batch_in_which_nobody_has_a_stain_has_its_shape(images):
    data = loaded(RawImages(images), batch_size=1)
    second = list(data.predict_dataloader())[1]
    assert second.image("ihc").shape == (1, 3, 4, 4) and not second.present["ihc"].any()
    nobody = loaded(Cells(images.restricted(["a"], "trial")))
    nobody.sample = lambda case, draw: {}
    assert whole(nobody.predict_dataloader()).x["cells"].values.shape == (0, 2)


def test_bags_are_packed_one_after_another(who):
    batch = whole(loaded(Cells(who)).predict_dataloader())
    assert batch.x["cells"].lengths.tolist() == [n if n % 3 else 0 for n in range(16)]
    assert batch.present["cells"].tolist() == [bool(n % 3) for n in range(16)]
    assert batch.x["cells"].values[:, 0].tolist() == [float(n) for n in range(16) if n % 3 for _ in range(n)]


@pytest.mark.parametrize("kind", ["vectors", "images"])
def test_the_number_of_workers_changes_nothing(kind, who, expression, images):
    make = {"vectors": lambda: Expression(who, table=expression, dropout=0.5), "images": lambda: RawImages(images)}
    seen = [
        [train(loaded(make[kind](), num_workers=workers, batch_size=3), epoch) for epoch in range(2)]
        for workers in (0, 2)
    ]
    for one, other in zip(*seen, strict=True):
        assert one.case_ids == other.case_ids
        for modality in one.modalities:
            assert torch.equal(one.x[modality], other.x[modality])


def test_what_is_random_depends_on_seed_epoch_and_case_and_not_on_the_batch(who, expression):
    def drawn(epoch=0, **how):
        return by_case(train(loaded(Expression(who, table=expression, dropout=0.5), **how), epoch), "genes")

    first = drawn()
    assert drawn(batch_size=1) == drawn(batch_size=11, num_workers=1) == first
    assert drawn(epoch=1) != first and drawn(seed=1) != first


def test_cases_that_leave_do_not_change_the_order_of_the_generator_of_one_that_stays(who, expression):
    data = loaded(Expression(who, table=expression, dropout=0.5))
    items = data.dataset(np.array([5, 2]), "train")
    alone = data.dataset(np.array([2]), "train")
    assert torch.equal(items[0, 1].x["genes"], alone[0, 0].x["genes"])


def test_only_training_is_changed_at_random(who, expression):
    plain, noisy = (loaded(Expression(who, table=expression, dropout=rate)) for rate in (0.0, 0.9))
    assert torch.equal(whole(plain.test_dataloader()).x["genes"], whole(noisy.test_dataloader()).x["genes"])
    assert by_case(train(plain), "genes") != by_case(train(noisy), "genes")


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_sample_finds_wrong_is_one_line_from_any_process(workers, images, tmp_path):
    (tmp_path / "c_ihc.rgb").write_bytes(b"short")
    data = loaded(RawImages(images), num_workers=workers, batch_size=2)
    with pytest.raises(ImageError, match=r"c_ihc\.rgb holds 5 bytes") as caught:
        whole(data.predict_dataloader())
    assert "\n" not in str(caught.value)


def test_a_modality_that_was_not_announced_is_refused(who):
    data = loaded(Cells(who))
    data.sample = lambda case, draw: {"nuclei": torch.zeros(1, 2)}
    with pytest.raises(CaseTableError, match="case c0 has a sample of 'nuclei', which modality_specs does not name"):
        whole(data.predict_dataloader())


def test_a_sample_that_is_nothing_names_its_module(who):
    data = loaded(Cells(who))
    data.sample = lambda case, draw: None
    with pytest.raises(PluginError, match=r"Cells\.sample returns a NoneType for case c0, and has to return"):
        whole(data.predict_dataloader())


def test_a_kind_of_modality_that_there_is_not_is_refused_with_a_guess():
    with pytest.raises(PluginError, match=r"modality he: no kind is called 'vektor'\. Did you mean vector\?"):
        ModalitySpec("he", "vektor", 3)


def test_a_data_set_travels_to_a_spawned_worker(who, expression):
    data = loaded(Expression(who, table=expression)).predict_dataloader().dataset
    assert torch.equal(pickle.loads(pickle.dumps(data))[0, 4].x["genes"], data[0, 4].x["genes"])


def test_a_balanced_sampler_label_maps_and_folds_come_for_free(who, tmp_path):
    from dataclasses import replace

    from pathfuse.cohort.folds.draw import draw_folds
    from pathfuse.cohort.folds.file import parts_of, read_folds, write_folds

    rows = [f"c{n},{n},0,0" for n in range(16)]
    table = str(write_table(tmp_path / "all.csv", "case_id,A,B,C", *rows))
    few = who.restricted(lambda case: case.label == "a" or case.case_id == "c1", "too many of b")
    balanced = loaded(Expression(few, table=table), sampler="balanced", batch_size=20)
    assert sorted(torch.bincount(train(balanced).target).tolist()) == [3, 4]
    merged = Expression(replace(who, label_map={"a": "yes", "b": "no"}), table=table)
    assert merged.spec().classes == ("yes", "no")
    write_folds(tmp_path / "folds.csv", draw_folds(list(who), folds=2).rows)
    placed = Expression(who.with_fold(str(tmp_path / "folds.csv"), fold=1), table=table)
    assert {r.case_id: r.split for r in placed.split_table()} == parts_of(read_folds(tmp_path / "folds.csv"), 0, 1)


def test_images_of_another_format_read_the_usual_case_table(tmp_path):
    cohort = Cohort(cases=str(write_cases(tmp_path)))
    assert len(RawImages(cohort).cohort) == 16


@pytest.mark.parametrize(
    ("module", "wrong", "said"),
    [
        (
            "vectors",
            torch.zeros(2),
            r"case c0 has a sample of 'genes' of \(2,\), and modality_specs says vector of \(3,\)",
        ),
        ("vectors", torch.zeros(1, 3), r"of \(1, 3\), and modality_specs says vector of \(3,\)"),
        ("vectors", [1.0, 2.0, 3.0], "of a list, and modality_specs says vector"),
        ("images", torch.zeros(3, 4, 5), r"of \(3, 4, 5\), and modality_specs says image of \(3, 4, 4\)"),
        ("bags", torch.zeros(2), r"of \(2,\), and modality_specs says features of \(T, 2\)"),
        ("bags", torch.zeros(5, 3), r"of \(5, 3\), and modality_specs says features of \(T, 2\)"),
    ],
)
def test_a_sample_of_the_wrong_shape_is_one_line(module, wrong, said, who, expression, images):
    data = {
        "vectors": lambda: Expression(who, table=expression),
        "images": lambda: RawImages(images),
        "bags": lambda: Cells(who),
    }[module]()
    name = data.modality_specs()[0].name
    data.sample = lambda case, draw: {name: wrong}
    with pytest.raises(CaseTableError, match=said) as caught:
        whole(loaded(data).predict_dataloader())
    assert "\n" not in str(caught.value)
