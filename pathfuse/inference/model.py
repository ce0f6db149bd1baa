"""A trained run as an object: predicts, describes and explains new cases from whatever is at hand."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from pathfuse.cohort.new_cases import for_new_cases
from pathfuse.core import Batch, Model
from pathfuse.data.contract import CaseData
from pathfuse.errors import RunError
from pathfuse.evaluate.calibrate.file import Calibrators
from pathfuse.inference.asked.frames import is_frame
from pathfuse.inference.asked.inputs import source_options
from pathfuse.inference.asked.new_cases import check_cases
from pathfuse.inference.plan import Plan
from pathfuse.inference.predict import predict, trained_task
from pathfuse.inference.speaking import hush
from pathfuse.inference.table import PredictionTable, table_of
from pathfuse.inference.task import Task
from pathfuse.recipes import compose
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.plugins import of_installed
from pathfuse.runs.sources import as_the_model_reads


class TrainedModel(Model):
    """The model of a run's last stage; `predict`, `features` and `explain` prepare new cases as in training.

    It is a `torch.nn.Module` too: `model(batch)` is the prediction for a batch that you made yourself, with
    `Batch.of_images` or `Batch.of_bags`.

    Args:
        run: the run folder.
        task: the trained task of its last stage.
        checkpoint: its weights.
    """

    def __init__(self, run: RunFolder, task: Task, checkpoint: Path) -> None:
        super().__init__(task.model.encoder, task.model.fusion, task.model.head, task.spec)
        self.run = run.path
        self.checkpoint = checkpoint
        self._task = (task,)  # a tuple: its weights are this module's own

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names; the position is the class index."""
        return self._task[0].spec.classes

    def predict(
        self,
        what: Any,  # noqa: ANN401 - a path, arrays, a table: see below
        *,
        stores: Mapping[str, str | Path] | None = None,
        mpp: float | None = None,
        **options: object,
    ) -> PredictionTable:
        """Predicts new cases.

        Args:
            what: a case table, a label table (with `stores`) or a folder of images; a file or a list of files of the
                one stain that the model reads; per stain, a file, files or arrays, such as `{"he": image}`; a data
                frame of cases; or a `Batch`. An image is (H, W, 3) uint8 or floats from 0 to 1, a bag (patches, width).
            stores: per stain, the folder of feature files of a label table.
            mpp: micrometres per pixel of images, or of level 0 of slides, where the files do not say.
            **options: further options of the recipe, by their names with `__` for a point, such as `cohort__match`.

        Raises:
            PathfuseError: for what cannot be used: another type, range, shape, width or spacing.
        """
        if isinstance(what, Batch):
            return self._of_batch(what)
        with tempfile.TemporaryDirectory(prefix="pathfuse-") as folder:
            plan, data, notes = self._prepared(what, stores, mpp, options, Path(folder))
            task = self._task[0]
            predict(task, data, plan.stages[plan.last].computing)
            if not task.collected:
                raise RunError(f"no case has a stain that this model reads ({', '.join(self.reads)}).")
            order = [row.case_id for row in data.split_table()]
            return table_of(task.collected, self.classes, self._calibration(), order, notes)

    def features(
        self,
        what: Any,  # noqa: ANN401 - as in predict
        *,
        stores: Mapping[str, str | Path] | None = None,
        mpp: float | None = None,
        **options: object,
    ) -> dict[str, Tensor]:
        """The joint embedding (D,) of every case, by its name: what the head predicts from.

        Args:
            what: as in `predict`.
            stores: as in `predict`.
            mpp: as in `predict`.
            **options: as in `predict`.

        Raises:
            PathfuseError: as in `predict`.
        """
        found: dict[str, Tensor] = {}
        with tempfile.TemporaryDirectory(prefix="pathfuse-") as folder, torch.inference_mode():
            if isinstance(what, Batch):
                batches: Any = [what]
            else:
                _, data, _ = self._prepared(what, stores, mpp, options, Path(folder))
                data.prepare_data()
                batches = data.predict_dataloader()
            given = self._task[0].given or list(self.reads)
            device = next((weight.device for weight in self.parameters()), torch.device("cpu"))
            for batch in batches:
                fused = self.eval().fuse(batch.to(device).keep(*given))
                for row, case in enumerate(batch.case_ids):
                    if fused.present[row]:
                        found[case] = fused.embedding[row].cpu().clone()
        return found

    def explain(
        self,
        what: Any,  # noqa: ANN401 - as in predict
        out: str | Path,
        *,
        explainer: str | Sequence[str] = (),
        target: str = "predicted",
        stores: Mapping[str, str | Path] | None = None,
        mpp: float | None = None,
        **options: object,
    ) -> dict[str, Any]:
        """Writes where the model looked, as `pathfuse explain` does, and returns what `explain.json` holds.

        Args:
            what: as in `predict`, but no `Batch`.
            out: the folder of pictures and tables.
            explainer: a component of slot explainer, or several; none is the one that the model's parts ask
                for, or else Grad-CAM for images and attention for bags.
            target: the class that is explained: `predicted`, `label`, or the name of a class.
            stores: as in `predict`.
            mpp: as in `predict`.
            **options: as in `predict`.

        Raises:
            PathfuseError: as in `predict`.
        """
        from pathfuse.inference.explain import Asked, explain_run  # with matplotlib

        with tempfile.TemporaryDirectory(prefix="pathfuse-") as folder, RunFolder.claim(Path(out)):
            plan, _, _ = self._prepared(what, stores, mpp, options, Path(folder))
            names = [explainer] if isinstance(explainer, str) else explainer
            asked = Asked(names, target=target, part="all")
            return explain_run(plan, self.checkpoint, asked, Path(out), Console(quiet=True))

    def _prepared(
        self,
        what: Any,  # noqa: ANN401 - as in predict
        stores: Mapping[str, str | Path] | None,
        mpp: float | None,
        options: Mapping[str, object],
        folder: Path,
    ) -> tuple[Plan, CaseData, list[str]]:
        hush()
        notes: list[str] = []
        spec = self._task[0].spec
        source = source_options(what, spec=spec, reads=self.reads, stores=stores, mpp=mpp, folder=folder, notes=notes)
        given = [key.removeprefix("cohort.") for key, _ in source]
        new = [(f"cohort.{key}", as_word(value)) for key, value in for_new_cases(given, self.classes).items()]
        # What was written for this call is not kept, and neither is what is prepared of it.
        cache = [("cohort.cache", str(folder / "cache"))] if str(folder) in source[0][1] else []
        run = RunFolder.open(self.run)
        more = [(key.replace("__", "."), as_word(value)) for key, value in options.items()]
        recipe, specs = compose([run.config_file], [], [*new, *cache, *source, *more]), run.specs()
        plan = Plan.parse(recipe.beneath(as_the_model_reads(recipe.stages, specs)))
        plan.specs.update(specs)
        data = plan.data_of(plan.last)
        said = [] if cache and not is_frame(what) else data.notes()  # of arrays nothing is guessed
        return plan, data, [*notes, *said, *check_cases(data, spec)]

    def _calibration(self) -> Calibrators | None:
        return Calibrators.of_checkpoint(self.checkpoint, self.classes)

    def _of_batch(self, batch: Batch) -> PredictionTable:
        task = self._task[0]
        task.forget()
        device = next((weight.device for weight in self.parameters()), torch.device("cpu"))
        with torch.inference_mode():
            self.eval()
            task.predict_given(batch.to(device))
        return table_of(task.collected, self.classes, self._calibration(), batch.case_ids)


def as_word(value: object) -> str:
    """A value as it is written on a command line."""
    import json

    if isinstance(value, Path):
        return str(value)
    return value if isinstance(value, str) else json.dumps(value)


def load(run: str | Path) -> TrainedModel:
    """The model of a run's last stage, with the weights that were selected on the validation part.

    `load(run).predict(...)` prepares and predicts new cases; `model(batch)` predicts a batch that you made. No data of
    the run is needed, and nothing but installed components is imported.

    Args:
        run: the run folder.

    Raises:
        RunError: if it holds no run, or none that is trained.
        RecipeError, PluginError: if its recipe names components that are not installed or not trusted.
    """
    folder = RunFolder.open(Path(run))
    with of_installed(folder):
        plan = Plan.parse(compose([folder.config_file], [], []))
    plan.specs.update(folder.specs())
    checkpoint = folder.selected(plan.last)
    task = trained_task(plan, checkpoint)
    model = TrainedModel(folder, task, checkpoint)
    return model.eval().requires_grad_(False)
