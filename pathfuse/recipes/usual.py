"""Names that options have in other tools."""

from __future__ import annotations

from collections.abc import Sequence

USUAL = {
    **dict.fromkeys(("epochs", "max_epochs", "num_epochs", "n_epochs", "max_epoch"), "--trainer.max_epochs N"),
    **dict.fromkeys(("lr", "learning_rate"), "--optimizer.lr X"),
    **dict.fromkeys(("weight_decay", "wd"), "--optimizer.weight_decay X"),
    **dict.fromkeys(("batch_size", "bs", "batch"), "--loading.batch_size N"),
    **dict.fromkeys(("workers", "num_workers"), "--loading.num_workers N"),
    **dict.fromkeys(("gpus", "devices", "num_gpus"), "--trainer.devices N"),
    **dict.fromkeys(("gpu", "device", "accelerator", "cuda"), "--trainer.accelerator gpu"),
    **dict.fromkeys(("precision", "amp", "fp16"), "--trainer.precision 16-mixed"),
    **dict.fromkeys(("output", "output_dir", "out_dir", "save_dir", "results_dir"), "--out DIR"),
    **dict.fromkeys(("root", "csv", "dataset", "input", "labels", "table", "data_dir"), "--cases PATH"),
    **dict.fromkeys(("features", "feats", "feature_dir", "features_dir"), "--stores '{he: DIR}'"),
    **dict.fromkeys(("target", "target_column", "label_column"), "--label COLUMN"),
    **dict.fromkeys(("checkpoint", "ckpt", "continue", "restore"), "--resume RUN"),
    **dict.fromkeys(("splits", "fold_file"), "--folds FILE"),
    **dict.fromkeys(("image_size", "img_size", "size"), "--data.size_px N"),
    **dict.fromkeys(("classes", "class_names", "num_classes"), "--cohort.classes '[A, B]'"),
    **dict.fromkeys(("mpp", "spacing"), "--cohort.mpp X"),
}
"""What other tools call an option, and how it is written here."""


def our_name(key: str, stages: Sequence[str]) -> str:
    """The sentence that says what an option is called here; empty where nobody knows.

    Args:
        key: the option, without dashes in front.
        stages: of the recipe.
    """
    usual = key.lower().replace("-", "_")
    return f" Here it is {_in_stage(USUAL[usual], stages)}." if usual in USUAL else ""


def _in_stage(option: str, stages: Sequence[str]) -> str:
    """An option that belongs to one stage, with the name of the last where there are several."""
    own = option.startswith(("--optimizer", "--model", "--lr_scheduler")) and len(stages) > 1
    return option.replace("--", f"--{stages[-1]}.", 1) if own else option
