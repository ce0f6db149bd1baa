"""Soft scores of an earlier stage, which sees more, as targets of a model that sees less."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, log
from typing import ClassVar, Literal, NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from pathfuse.core import Batch, Model, Objective, Outcome, Prediction, stage_model
from pathfuse.errors import RecipeError

Doubt = Literal["entropy", "none"]
_HALVINGS = 40


class Lesson(NamedTuple):
    """What the teacher says about B cases.

    Attributes:
        scores: (B, C) log-probabilities, softened by the temperature.
        taught: (B,) bool, the cases that it says something about.
        certainty: (B,) how sure it is, from 0 to 1.
    """

    scores: Tensor
    taught: Tensor
    certainty: Tensor


class DistillationObjective(Objective):
    """The head's own loss where there are labels, and the soft scores of a trained teacher on every case.

    Terms for `loss_weights`: those of the fusion block, those of the head times the share of the batch's cases that
    have a label, and `distillation`. So a label counts as much as a lesson, however few there are; by the mean over
    labelled cases alone a student learns a few of them by heart. The teacher is a stage of the recipe. It keeps its
    weights and batch statistics, and sees its own modalities whatever `model.given` and `model.modality_dropout`
    hide from the student.

    `distillation` is T^2 times the Kullback-Leibler divergence from the teacher's to the student's softened scores,
    averaged over the cases that are taught.

    Args:
        teacher: the stage that teaches, for example `stage:teach`.
        sees: the modalities that it is shown; null shows all that it reads.
        complete: teach only cases that have every modality that the teacher is shown; otherwise, those with any.
        calibrate: divide the teacher's scores by the one number that makes its log loss on the validation part least,
            found before the first step; a teacher without an error there keeps its scores.
        temperature: T, which softens both scores; 1 leaves them as they are.
        doubt: `none` weighs all cases alike; `entropy` weighs a case by 1 - H / log C, with H the entropy of the
            teacher's scores at T = 1, so that a teacher that does not know teaches nothing.

    Source: Hinton et al. 2015, arXiv:1503.02531, section 2; Lopez-Paz et al. 2016, arXiv:1511.03643, for a teacher
        with privileged information.
    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2, for the calibration.
    Departs: the weight by entropy and the share of labels are ours. For IHC as the privileged stain see Tian et al.
        2026 (doi 10.1109/JBHI.2026.3684467), Zhang et al. 2025 (arXiv:2508.17213) and LGD-Net (arXiv:2602.17793);
        none of the three is reproduced here.
    """

    sharpness: Tensor
    needs_labels = False
    example_options: ClassVar[dict[str, object]] = {"teacher": "stage:teach"}

    def __init__(
        self,
        *,
        teacher: str,
        sees: list[str] | None = None,
        complete: bool = True,
        calibrate: bool = True,
        temperature: float = 2.0,
        doubt: Doubt = "none",
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise RecipeError(f"model.objective.temperature is {temperature}; give more than 0, 1 to soften nothing.")
        self.teacher = stage_model(teacher)
        unknown = [modality for modality in sees or () if modality not in self.teacher.reads]
        if unknown or sees == []:
            what = repr(unknown[0]) if unknown else "nothing"
            raise RecipeError(
                f"model.objective.sees names {what}, but {teacher} reads {', '.join(self.teacher.reads)}. Choose among "
                "these, or null for all."
            )
        self.sees = tuple(sees or self.teacher.reads)
        self.complete = complete
        self.calibrate = calibrate
        self.register_buffer("sharpness", torch.ones(()))
        self.temperature = temperature
        self.doubt: Doubt = doubt
        self.teacher.requires_grad_(False)
        self.teacher.eval()

    def train(self, mode: bool = True) -> Self:
        """The teacher stays in eval mode whatever happens to the student."""
        super().train(mode)
        self.teacher.eval()
        return self

    @torch.no_grad()
    def prepare(self, validation: Iterable[Batch]) -> None:
        """Calibrates the teacher on the labelled validation cases that it can score."""
        if not self.calibrate:
            return
        said = [(self._told(batch), batch.target) for batch in validation]
        logits = [told[known] for (told, taught), target in said if (known := taught & (target >= 0)).any()]
        targets = [target[known] for (_, taught), target in said if (known := taught & (target >= 0)).any()]
        if logits:
            self.sharpness.copy_(best_temperature(torch.cat(logits), torch.cat(targets)))

    def losses(self, model: Model, batch: Batch) -> Outcome:
        """The loss terms of a batch of which the student is shown all, and the student's prediction."""
        return self.step(model, batch, batch)

    def step(self, model: Model, shown: Batch, whole: Batch) -> Outcome:
        """The loss terms of a step, and the student's prediction.

        Raises:
            RecipeError: if student and teacher do not score the same classes.
        """
        fused = model.fuse(shown)
        prediction = model.head(fused)
        share = masked_mean((shown.target >= 0).float(), prediction.present)
        labels = {name: share * term for name, term in model.head.loss(prediction, shown).items()}
        own = {**model.fusion.loss(fused, shown), **labels}
        lesson = self._lesson(model, whole)
        distillation = self._distance(_scores(prediction, "this stage"), lesson, prediction.present)
        doubt = masked_mean(1 - lesson.certainty, lesson.taught)
        return Outcome({**own, "distillation": distillation}, prediction, {"teacher_doubt": doubt})

    @torch.no_grad()
    def _lesson(self, model: Model, whole: Batch) -> Lesson:
        if model.spec and self.teacher.spec and model.spec.classes != self.teacher.spec.classes:
            raise RecipeError(
                f"model.objective.teacher scores {', '.join(self.teacher.spec.classes)}, and this stage "
                f"{', '.join(model.spec.classes)}. Give both stages the same cohort.classes and cohort.label_map."
            )
        logits, taught = self._told(whole)
        logits = logits / self.sharpness
        return Lesson((logits / self.temperature).log_softmax(1), taught, _certainty(logits))

    def _told(self, whole: Batch) -> tuple[Tensor, Tensor]:
        """The teacher's scores (B, C), and (B,) bool the cases that it says something about; zeros elsewhere."""
        said = self.teacher(whole.keep(*self.sees))
        logits = _scores(said, "the teacher")  # (B, C)
        there = torch.stack([whole.present[modality] for modality in self.sees])  # (M, B)
        taught = said.present & (there.all(0) if self.complete else there.any(0))  # (B,)
        return torch.where(taught[:, None], logits, torch.zeros_like(logits)), taught

    def _distance(self, logits: Tensor, lesson: Lesson, present: Tensor) -> Tensor:
        known = present[:, None]
        student = torch.where(known, logits / self.temperature, torch.zeros_like(logits)).log_softmax(1)  # (B, C)
        apart = (lesson.scores.exp() * (lesson.scores - student)).sum(1)  # (B,)
        weighed = apart * lesson.certainty if self.doubt == "entropy" else apart
        return self.temperature**2 * masked_mean(weighed, present & lesson.taught)


def masked_mean(values: Tensor, counts: Tensor) -> Tensor:
    """The mean of (B,) values over the cases that count; 0, with a gradient of 0, if none does."""
    return torch.where(counts, values, torch.zeros_like(values)).sum() / counts.sum().clamp_min(1)


def best_temperature(logits: Tensor, target: Tensor) -> Tensor:
    """The temperature, from 0.05 to 20, at which scores (N, C) have the least log loss; 1 where all are right."""
    if bool((logits.argmax(1) == target).all()):
        return logits.new_ones(())
    low, high = log(0.05), log(20.0)
    for _ in range(_HALVINGS):  # the loss falls, then rises
        third = (high - low) / 3
        one, two = (F.cross_entropy(logits * exp(-place), target) for place in (low + third, high - third))
        low, high = (low, high - third) if one < two else (low + third, high)
    return logits.new_tensor(exp((low + high) / 2))


def _scores(prediction: Prediction, who: str) -> Tensor:
    if prediction.logits is None:
        raise RecipeError(
            f"model.objective: DistillationObjective hands on class scores, and the head of {who} gives none. Use a "
            "head that classifies."
        )
    logits = prediction.logits
    return logits if logits.dtype == torch.float64 else logits.float()


def _certainty(logits: Tensor) -> Tensor:
    """1 - H / log C of (B, C) scores: 0 for a uniform distribution, 1 for a certain one."""
    scores = logits.log_softmax(1)
    entropy = -(scores.exp() * scores).sum(1)
    return (1 - entropy / log(max(logits.shape[1], 2))).clamp(0, 1)
