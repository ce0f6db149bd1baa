"""The patch encoder inside a trained run, for slides; named by its run folder or by one of its checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pathfuse.core import Backbone, Model
from pathfuse.errors import RunError
from pathfuse.runs.folder import RunFolder

CHECKPOINT = ".ckpt"


@dataclass(frozen=True)
class Trained:
    """A backbone that a run has trained.

    Attributes:
        net: the backbone with its weights.
        name: of the run, and of the checkpoint if it is not the one that the run selected.
        note: what it was trained on, in a line.
    """

    net: Backbone
    name: str
    note: str


def names_run(name: str) -> bool:
    """Whether the name of an encoder is the path of a run folder or of a checkpoint."""
    path = Path(name).expanduser()
    return path.suffix == CHECKPOINT or "/" in name or RunFolder(path).begun


def trained_backbone(name: str, modality: str) -> Trained:
    """The backbone of a run's last stage; nothing but installed components is imported, and no code is read.

    Args:
        name: path of the run folder, or of a checkpoint in it.
        modality: the stain whose backbone is meant, where every stain has its own.

    Raises:
        RunError: if there is no such run, it is not trained, or has no backbone that reads colour patches.
        RecipeError, PluginError: if its recipe names components that are not installed or not trusted.
    """
    # The data layer and jsonargparse; extraction with any other encoder does without.
    from pathfuse.inference.predict import run_plan, trained_task

    folder, checkpoint = _place(name)
    run = RunFolder.open(folder)
    plan = run_plan(run)
    selected = run.selected(plan.last)
    checkpoint = checkpoint or selected
    if checkpoint.parent.name != plan.last:
        raise RunError(f"--encoder {name} is of stage {checkpoint.parent.name}. Only that of {plan.last} is taken.")
    model = trained_task(plan, checkpoint).model.eval().requires_grad_(False)
    own = folder.name if checkpoint.samefile(selected) else f"{folder.name}_{checkpoint.stem}"
    net = _backbone(model, modality, name)
    return Trained(net, own, f"{own}: {type(net).__name__}, trained on {_seen(model)}.")


def _place(name: str) -> tuple[Path, Path | None]:
    """The run folder, and the checkpoint if one is named."""
    path = Path(name).expanduser().resolve()
    if path.is_file() and path.suffix == CHECKPOINT:
        run = RunFolder.of_checkpoint(path)
        if run is not None and run.begun:
            return run.path, path
        raise RunError(
            f"--encoder {name}: beside this checkpoint there is no run that says what it is. Name the run folder, or "
            "the network as --encoder and this file as --weights."
        )
    if not path.is_dir():
        raise RunError(f"--encoder {name}: there is no such run folder or checkpoint. Correct the path.")
    return path, None


def _backbone(model: Model, modality: str, name: str) -> Backbone:
    found = [module for module in model.encoder.modules() if isinstance(module, Backbone)]
    kind = type(model.encoder).__name__
    if not found:
        raise RunError(f"--encoder {name}: its {kind} has no backbone. Name a run of patch_pretrain.")
    if len(found) > 1:
        if len(found) != len(model.reads) or modality not in model.reads:
            raise RunError(
                f"--encoder {name}: it has a backbone for each of {', '.join(model.reads)}. Give --modality."
            )
        found = [found[model.reads.index(modality)]]
    if found[0].in_chans != 3:
        raise RunError(f"--encoder {name}: its {kind} reads {found[0].in_chans} channels, and patches have 3.")
    return found[0]


def _seen(model: Model) -> str:
    if model.spec is None:
        return "unknown patches"
    stains = [model.spec[stain] for stain in model.reads]
    sizes = [f"{s.name} of {s.size_px} px" + (f" at {s.mpp:.3g} µm per pixel" if s.mpp else "") for s in stains]
    return " and ".join(sizes)
