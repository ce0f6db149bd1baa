"""The bag recipes as a user meets them: odd cohorts, what may not change a prediction, and mixed precision."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from torch.testing import assert_close

from pathfuse.cli import main
from pathfuse.cohort import Cohort
from pathfuse.core import Bags, Batch
from pathfuse.data.loading.options import Loading
from pathfuse.data.paired_bags import PairedBags
from pathfuse.errors import PathfuseError
from pathfuse.recipes import compose, find_recipe
from pathfuse.training.lightning_data import LightningData
from pathfuse.training.plan import TrainingPlan
from pathfuse_wsmcl.selection import extremes
from tests.recipes.bag_tables import LABELS, WIDTH, write_bag_table

WSMCL = (("model.encoder.width", "16"), ("model.encoder.heads", "2"), ("model.encoder.landmarks", "4"))
SMALL = {
    "wsmcl": (*WSMCL, ("model.fusion.k", "3")),
    "wsmcl_released": (*WSMCL, ("model.fusion.k", "3"), ("trainer.precision", "32-true")),
    "attention_mil": (("model.encoder.dim", "8"), ("data.modalities", "[he, ihc]")),
    "highres_mil": (("model.encoder.dim", "8"), ("data.modalities", "[he, ihc]"), ("cohort.label_map", "null")),
}
every_bag_recipe = pytest.mark.parametrize("recipe", SMALL)
COMMON = (("loading.num_workers", "0"), ("loading.batch_size", "4"), ("trainer.max_epochs", "1"))


def options(recipe, table, *more):
    return [("cohort.cases", str(table)), *COMMON, *SMALL[recipe], *more]


def plan_of(recipe, table, *more):
    return TrainingPlan.parse(compose([find_recipe(recipe)], [], options(recipe, table, *more)))


def model_and_cases(recipe, table, *more):
    """The untrained model in eval mode, and all cases as one batch."""
    plan = plan_of(recipe, table, *more)
    data = plan.data_of(plan.last)
    return plan.task_of(plan.last).model.eval(), everything(data)


def everything(data):
    return Batch.cat(list(data.predict_dataloader()))


def fitted(recipe, table, folder, *more):
    """The metrics of a run of one epoch."""
    words = [f"--{key}={value}" for key, value in options(recipe, table, *more)]
    assert main(["fit", "--recipe", recipe, *words, f"--out={folder}"]) == 0
    return json.loads((folder / "metrics.json").read_text())


@every_bag_recipe
def test_cases_together_equal_cases_apart(recipe, tmp_path):
    model, batch = model_and_cases(recipe, write_bag_table(tmp_path))
    batch = replace(batch, present={**batch.present, "ihc": batch.present["ihc"] & (torch.arange(len(batch)) % 3 > 0)})
    together = model(batch).logits
    for row in range(0, len(batch), 3):
        assert_close(model(batch.select(torch.tensor([row]))).logits[0], together[row], atol=1e-5, rtol=0)


@every_bag_recipe
@pytest.mark.parametrize("filler", [1e30, float("nan")])
def test_an_absent_payload_changes_nothing(recipe, filler, tmp_path):
    model, batch = model_and_cases(recipe, write_bag_table(tmp_path))
    batch = replace(batch, present={**batch.present, "ihc": torch.arange(len(batch)) % 2 > 0})
    assert_close(model(batch.fill("ihc", filler)).logits, model(batch).logits, atol=1e-5, rtol=0)


@every_bag_recipe
def test_an_empty_case_among_the_others_changes_nothing(recipe, tmp_path):
    model, batch = model_and_cases(recipe, write_bag_table(tmp_path))
    rows = torch.arange(4)
    four = batch.select(rows)
    empty = batch.select(torch.tensor([4]))
    empty = replace(
        empty,
        x={stain: Bags(bags.values[:0], torch.tensor([0]), slides=((),)) for stain, bags in empty.x.items()},
        present={stain: torch.tensor([False]) for stain in empty.present},
    )
    padded = model(Batch.cat([four.select(rows[:2]), empty, four.select(rows[2:])]))
    assert padded.present.tolist() == [True, True, False, True, True]
    kept = torch.tensor([0, 1, 3, 4])
    assert_close(padded.logits[kept], model(four).logits, atol=1e-5, rtol=0)


@every_bag_recipe
def test_a_bag_divided_over_two_slides_is_the_same_bag(recipe, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    model, one = model_and_cases(recipe, write_bag_table(tmp_path / "one", slides=1))
    _, two = model_and_cases(recipe, write_bag_table(tmp_path / "two", slides=2))
    assert two.x["he"].slide.unique().tolist() == [0, 1]
    assert_close(model(two).logits, model(one).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("recipe", ["attention_mil", "highres_mil"])
def test_the_order_of_patches_changes_nothing(recipe, tmp_path):
    model, batch = model_and_cases(recipe, write_bag_table(tmp_path))
    order = torch.cat([bag.flip(0) for bag in torch.arange(len(batch) * 9).split(9)])
    bags = {stain: replace(own, values=own.values[order]) for stain, own in batch.x.items()}
    assert_close(model(replace(batch, x=bags)).logits, model(batch).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("recipe", ["wsmcl", "attention_mil"])
@pytest.mark.parametrize("patches", [1, 2])
def test_bags_of_a_patch_or_two_train_and_are_tested(recipe, patches, tmp_path):
    metrics = fitted(recipe, write_bag_table(tmp_path, patches=patches), tmp_path / "run")
    assert set(metrics) == {"he", "ihc", "he+ihc"}
    assert all(np.isfinite(own["test/balanced_accuracy"]) for own in metrics.values())


def test_the_released_overlap_refuses_a_bag_below_k_with_the_next_step(tmp_path, capsys):
    table = write_bag_table(tmp_path, patches=2)
    words = [f"--{key}={value}" for key, value in options("wsmcl_released", table)]
    assert main(["fit", "--recipe=wsmcl_released", *words, f"--out={tmp_path / 'run'}"]) != 0
    assert "has 2 patches, and overlap: released takes k = 3. Set overlap: disjoint, or a smaller k" in " ".join(
        capsys.readouterr().err.split()
    )


@pytest.mark.parametrize("recipe", ["wsmcl", "attention_mil"])
def test_a_class_without_a_training_case_is_tested_all_the_same(recipe, tmp_path):
    table = write_bag_table(tmp_path, train_without="2+")
    metrics = fitted(recipe, table, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "spec.json").read_text())["train"]["class_counts"][2] == 0
    assert all(np.isfinite(own["test/balanced_accuracy"]) for own in metrics.values())


def test_same_class_pairs_leave_out_a_class_that_nobody_has(tmp_path):
    table = write_bag_table(tmp_path, train_without="2+")
    data = PairedBags(Cohort(cases=str(table)), pairing="class")
    data.loading = Loading(num_workers=0)
    targets = torch.cat([batch.target for batch in data.train_dataloader()])
    assert targets.unique().tolist() == [0, 1, 3]


def test_stains_of_different_width_are_projected_or_refused_with_the_next_step(tmp_path):
    table = write_bag_table(tmp_path, widths=(WIDTH, 12))
    for recipe in SMALL:
        model, batch = model_and_cases(recipe, table)
        assert model(batch).logits.isfinite().all()
    with pytest.raises(PathfuseError, match=r"he 16, ihc 12.*Set width"):
        model_and_cases("wsmcl", table, ("model.encoder.width", "null"))


def test_a_million_patches_are_drawn_from_a_mapped_file(tmp_path):
    patches, width = 1_000_000, 8
    values = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.float16, (patches, width))
    values[:] = (np.arange(patches) % 1000)[:, None]
    values.flush()
    np.save(tmp_path / "b.npy", values[:60])
    table = tmp_path / "cases.csv"
    rows = ("case_id,patient_id,modality,path,label,split", "c1,p1,he,a.npy,0,train", "c2,p2,he,b.npy,3+,val")
    table.write_text("\n".join(rows) + "\n")
    data = PairedBags(
        Cohort(cases=str(table)), modalities=["he"], patches_per_bag=100, eval_patches_per_bag=50, dtype="float16"
    )
    data.loading = Loading(num_workers=0)
    before = anonymous_kb()
    batch = next(iter(data.train_dataloader()))
    assert batch.x["he"].values.shape == (100, width) and batch.x["he"].values[:, 0].unique().numel() > 50
    assert next(iter(data.val_dataloader())).x["he"].lengths.tolist() == [50]
    # The file has 16 MB; a copy of it, or of an order of its rows, would show.
    assert anonymous_kb() - before < 16_000


def anonymous_kb():
    with open("/proc/self/status") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("RssAnon")), 0)


class SelectedPatches(Callback):
    """In training, the patches that are selected, and those that full precision would select."""

    def __init__(self):
        self.types, self.same, self.losses = set(), [], []

    def on_fit_start(self, trainer, pl_module):
        def compare(encoder, inputs, tokens):
            if not encoder.training:
                return
            with torch.autocast("cpu", enabled=False), torch.no_grad():
                exact = encoder.forward(*inputs)
            for stain, token in tokens.items():
                self.types.add(token.score.dtype)
                bags = token.lengths.tolist()
                for own, full in zip(token.score.split(bags), exact[stain].score.split(bags), strict=True):
                    chosen = [extremes(score.float(), 8) for score in (own, full)]
                    self.same += [set(a.tolist()) == set(b.tolist()) for a, b in zip(*chosen, strict=True)]

        pl_module.model.encoder.register_forward_hook(compare)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(float(outputs["loss"]))


@pytest.mark.filterwarnings(
    "ignore:.*LeafSpec.*deprecated:FutureWarning",  # torch 2.15, see tests/data/test_paired_bags.py
    "ignore:.*does not have many workers",
    "ignore:.*AMP with fp16 is not supported on CPU",
)
@pytest.mark.parametrize(("recipe", "precision"), [("wsmcl", "bf16-mixed"), ("wsmcl_released", "16-mixed")])
def test_under_the_mixed_precision_of_the_trainer_scores_stay_exact_unless_released(recipe, precision, tmp_path):
    table = write_bag_table(tmp_path, labels=LABELS * 3, patches=120)
    plan = plan_of(recipe, table, ("trainer.precision", precision), ("model.encoder.width", "32"))
    seen = SelectedPatches()
    task = plan.task_of(plan.last)
    trainer = plan.stages[plan.last].make_trainer([seen], str(tmp_path))
    trainer.fit(plan.stages[plan.last].in_lightning(task), datamodule=LightningData(plan.data_of(plan.last)))
    assert seen.losses and np.isfinite(seen.losses).all()
    assert all(parameter.dtype == torch.float32 and parameter.isfinite().all() for parameter in task.parameters())
    if recipe == "wsmcl":
        assert seen.types == {torch.float32} and all(seen.same)
    else:
        assert not all(seen.same)
