"""One epoch of whole recipes: `fit` against a bare PyTorch loop over the same modules, and against how peers train.

`python -m benchmarks.bench_epoch --threads 1`: `attention_mil` on 500 generated bags of features and on 500 that are
ten times as large, `wsmcl` on 100 pairs of bags (`--bag-pairs 500` takes an hour), `he_only` on 500 pairs from the
cache. `fit` is what the command trains with: Lightning, callbacks, curves and checkpoints, from the trainer to the
written epoch, without the start of the process. Peers take one bag a step, as the recipes do, with the same loss. Aims:
at most 10 % over the bare loop, and faster than the peers.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from rich.console import Console

from benchmarks.measure.aims import Aim
from benchmarks.measure.harness import Timing, compare, options
from benchmarks.peers.looped_wsmcl import loss_of
from benchmarks.peers.peer_training import BagFiles, clam_epoch, torchmil_epoch
from pathfuse.data.loading.sampler import Shared
from pathfuse.inference.task import reseed
from pathfuse.recipes import compose, find_recipe
from pathfuse.runs.folder import RunFolder
from pathfuse.training.fit import open_run, train_stage
from pathfuse.training.plan import TrainingPlan
from pathfuse.training.speaking import prepare_lightning

STAGE = "train"
STAINS = ("he", "ihc")
BARE = "bare loop"
SMALL = 100  # patches of a bag, as the recipe draws them; what surrounds a step counts most here
MOST_OVER = 0.10
K = 32


class Epoch:
    """A recipe on generated cases, of which one epoch is trained from the same weights, again and again.

    Args:
        recipe: by name; of one stage.
        table: its cases, all for training.
        folder: for caches and run folders.
        more: further options.
    """

    def __init__(self, recipe: str, table: Path, folder: Path, *more: tuple[str, str]) -> None:
        said = [
            ("cohort.cases", str(table)), ("cohort.cache", str(folder / "cache")), ("cohort.val_fraction", "0"),
            ("loading.num_workers", "0"), ("trainer.max_epochs", "1"), ("trainer.callbacks", "null"), *more,
        ]  # fmt: skip
        self.plan = TrainingPlan.parse(compose([find_recipe(recipe)], [], said))
        self.stage, self.data, self.task = self.plan.stages[STAGE], self.plan.data_of(STAGE), self.plan.task_of(STAGE)
        self.initial = {name: value.clone() for name, value in self.task.state_dict().items()}
        self.every = int(self.stage.config.trainer.accumulate_grad_batches)
        self.folder, self.runs = folder, 0
        self.data.prepare_data()

    def restart(self) -> None:
        """The weights and the order of the start, without the slopes and the epoch that Lightning leaves."""
        self.task.load_state_dict(self.initial)
        self.task.zero_grad()
        self.data.shared = Shared()

    def fit(self) -> float:
        """As the command trains; the mean loss."""
        self.runs += 1
        self.restart()
        run = open_run(self.plan, self.folder / f"{self.plan.recipe.name}_{self.runs}", None)
        train_stage(self.plan, STAGE, run, Console(quiet=True))
        return float(RunFolder(run.path).curve(STAGE)[-1]["train/loss"])

    def bare(self) -> float:
        """The same steps and nothing else; the mean loss."""
        self.restart()
        made = self.stage.in_lightning(self.task).configure_optimizers()
        optimizer = made[0][0] if isinstance(made, tuple) else made
        reseed(self.task.seed + 1)
        self.task.train()
        loader, total, cases = self.data.train_dataloader(), torch.zeros(()), 0
        for number, batch in enumerate(loader, 1):
            step = self.task.step(self.task.shown_in_training(batch), batch)
            (step.total / self.every).backward()
            total, cases = total + step.logged["loss"] * len(batch), cases + len(batch)
            if number % self.every == 0 or number == len(loader):
                optimizer.step()
                optimizer.zero_grad()
        return float(total) / cases

    def order(self) -> list[int]:
        """Positions of the cases in the order of the epoch."""
        index = self.data.cohort.table.where("train")
        return [int(index[position]) for _, position in self.data.train_dataloader().sampler]

    def direct(self) -> float:
        """WSMCL's steps with every matrix formed, one pair a step; the mean loss."""
        self.restart()
        optimizer = torch.optim.Adam(self.task.parameters(), lr=2e-4, weight_decay=1e-5)
        reseed(self.task.seed + 1)
        model, total = self.task.train().model, 0.0
        loader = self.data.train_dataloader()
        for number, batch in enumerate(loader, 1):
            loss, _ = loss_of(model, {stain: batch.x[stain].values for stain in STAINS}, batch.target, K)
            total += loss.item()
            (loss / self.every).backward()
            if number % self.every == 0 or number == len(loader):
                optimizer.step()
                optimizer.zero_grad()
        return total / len(loader)


def bag_table(folder: Path, bags: int, patches: int, width: int, stains: Sequence[str]) -> Path:
    """A case table with a feature file per stain and case, all of them for training."""
    rng = np.random.default_rng(0)
    rows = [f"case_id,patient_id,{','.join(stains)},label,split"]
    for case in range(bags):
        for stain in stains:
            with h5py.File(folder / f"{stain}{case}.h5", "w") as file:
                file["features"] = rng.standard_normal((patches, width), np.float32) + case % 4 / 8
                file["coords"] = np.stack([np.arange(patches) * 256, np.zeros(patches, int)], 1)
                file["coords"].attrs["patch_size_level0"] = 256
        files = ",".join(f"{stain}{case}.h5" for stain in stains)
        rows.append(f"c{case},p{case},{files},{case % 4}+,train")
    return _written(folder / "cases.csv", rows)


def pair_table(folder: Path, pairs: int, size_px: int) -> Path:
    """A case table with an image per stain and case, all of them for training."""
    rng = np.random.default_rng(0)
    rows = ["case_id,patient_id,he,ihc,label,split"]
    for case in range(pairs):
        for stain in STAINS:
            pixels = rng.integers(0, 200, (size_px, size_px, 3), np.uint8) + np.uint8(case % 4 * 12)
            Image.fromarray(pixels).save(folder / f"{stain}{case}.png")
        rows.append(f"c{case},p{case},he{case}.png,ihc{case}.png,{case % 4}+,train")
    return _written(folder / "cases.csv", rows)


def _written(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


def attention_mil(chosen: Namespace, folder: Path, patches: int = SMALL) -> dict[str, Timing]:
    """Attention pooling of bags."""
    table = bag_table(folder, chosen.bags, patches, 1024, STAINS[:1])
    own = Epoch("attention_mil", table, folder, ("data.patches_per_bag", "null"))
    names, targets = own.order(), own.data.cohort.table.targets()
    files = BagFiles([folder / f"he{case}.h5" for case in names], [int(targets[case]) for case in names])
    peers: dict[str, Callable[[], object]] = {}
    for name, epoch in (("CLAM's way", clam_epoch), ("torchmil's way", torchmil_epoch)):

        def call(epoch: Callable[..., float] = epoch) -> float:
            own.restart()
            return epoch(own.task, files, 1e-4, 5e-4)

        peers[name] = call
    return timed(
        f"attention_mil, an epoch of {chosen.bags} bags of {patches} patches of width 1,024", own, peers, chosen
    )


def large_bags(chosen: Namespace, folder: Path) -> dict[str, Timing]:
    """The same on bags ten times as large."""
    return attention_mil(chosen, folder, 10 * SMALL)


def wsmcl(chosen: Namespace, folder: Path) -> dict[str, Timing]:
    """Two stains with a contrast; its peer is the direct form, one pair a step."""
    table = bag_table(folder, chosen.bag_pairs, chosen.patches, 512, STAINS)
    more = (("model.fusion.k", str(K)), ("model.encoder.dropout", "0"))
    own = Epoch("wsmcl", table, folder, *more)
    title = f"wsmcl, an epoch of {chosen.bag_pairs} pairs of bags of {chosen.patches} patches of width 512"
    return timed(title, own, {"direct form, one pair a step": own.direct}, chosen)


def he_only(chosen: Namespace, folder: Path) -> dict[str, Timing]:
    """Images of one stain through a small network; nothing of what the peers do."""
    table = pair_table(folder, chosen.pairs, chosen.size_px)
    small = "{class_path: TimmBackbone, init_args: {name: resnet10t, weights: random}}"
    more = (("data.size_px", str(chosen.size_px)), ("model.encoder.backbone", small))
    own = Epoch("he_only", table, folder, *more)
    return timed(f"he_only, an epoch of {chosen.pairs} pairs of {chosen.size_px} px from the cache", own, {}, chosen)


def timed(title: str, own: Epoch, peers: dict[str, Callable[[], object]], chosen: Namespace) -> dict[str, Timing]:
    """The table of one recipe."""
    return compare(
        title,
        {BARE: own.bare, "fit": own.fit, **peers},
        baseline=BARE,
        rounds=chosen.rounds,
        check=agree,
        aims=aims(peers),
        markdown=chosen.markdown,
    )


def agree(losses: dict[str, object]) -> str:
    """The mean losses of an epoch are one."""
    values = {name: float(str(loss)) for name, loss in losses.items()}
    spread = max(values.values()) - min(values.values())
    assert spread <= 2e-3 * abs(values["fit"]), f"the losses differ: {values}"
    return f"mean loss {values['fit']:.4f}, largest difference {spread:.1e}"


def aims(peers: Iterable[str]) -> list[Aim]:
    """At most a tenth over the bare loop, and faster than the peers."""
    return [Aim("fit", 1 / (1 + MOST_OVER), "speed", BARE), *(Aim("fit", 1.0, "speed", peer) for peer in peers)]


def main() -> int:
    """Prints every table; 1 if an aim is missed."""
    recipes = {"attention_mil": attention_mil, "large_bags": large_bags, "wsmcl": wsmcl, "he_only": he_only}
    parser = options(__doc__ or "")
    parser.add_argument("--only", choices=tuple(recipes), help="one table")
    parser.add_argument("--bags", type=int, default=500)
    parser.add_argument("--bag-pairs", type=int, default=100, help="of wsmcl, a fifth of a second or more each")
    parser.add_argument("--patches", type=int, default=256, help="of a bag of wsmcl")
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--size-px", type=int, default=64)
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    prepare_lightning()
    found = []
    for name, bench in recipes.items():
        if chosen.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                timings = bench(chosen, Path(folder))
                found += [aim.reached(timings) >= aim.least for aim in aims(set(timings) - {BARE, "fit"})]
    return int(not all(found))


if __name__ == "__main__":
    sys.exit(main())
