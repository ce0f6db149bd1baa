"""Examples of every command, as `--help` shows them."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "fit": (
        "pathfuse fit --recipe corranet",
        "pathfuse fit --recipe corranet --cases BCI",
        "pathfuse fit --recipe attention_mil --cases labels.xlsx --stores '{he: features}' --label HER2",
        "pathfuse fit --resume runs/corranet/2026-01-31_12-00-00 --predict.trainer.max_epochs 60",
    ),
    "validate": ("pathfuse validate runs/mine",),
    "test": ("pathfuse test runs/mine", "pathfuse test runs/mine --cases other_site.csv --out other_site"),
    "predict": (
        "pathfuse predict runs/mine --cases new_images",
        "pathfuse predict runs/mine --cases new.csv --out new",
    ),
    "explain": ("pathfuse explain runs/mine", "pathfuse explain runs/mine --case_ids A,B --part all"),
    "recipes": ("pathfuse recipes", "pathfuse recipes show corranet", "pathfuse recipes copy corranet mine.yaml"),
    "plugins": (
        "pathfuse plugins",
        "pathfuse plugins show uni2_h",
        "pathfuse plugins check SEAttention",
        "pathfuse plugins new lab_fusion --kind fusion",
    ),
    "doctor": ("pathfuse doctor", "pathfuse doctor --json"),
    "compare": ("pathfuse compare runs/he_only runs/corranet --out comparison",),
    "report": ("pathfuse report runs/mine", "pathfuse report study --out study.html"),
    "export": ("pathfuse export runs/mine --to folder --out my_model",),
    "crossval": (
        "pathfuse crossval --recipe he_only --folds 5",
        "pathfuse crossval --recipe he_only --cases cases.csv --folds folds.csv --seeds 1,2,3 --jobs 2",
    ),
    "study": ("pathfuse study list", "pathfuse study demo --dry-run", "pathfuse study demo --jobs 2"),
    "extract": (
        "pathfuse extract slides --encoder uni2_h --weights hub --out features",
        "pathfuse extract slides --encoder timm:resnet50 --weights hub --mpp 0.5 --out features",
    ),
    "register": (
        "pathfuse register he.svs ihc.svs --out registered",
        "pathfuse register cases.csv --fixed he --moving ihc --out registered",
        "pathfuse register map registered points.csv --out mapped.csv",
    ),
    "pairs": ("pathfuse pairs registered --out pairs", "pathfuse pairs registered --out pairs --patch-px 256 --mpp 1"),
    "quantify": ("pathfuse quantify slides --out amounts", "pathfuse quantify cases.csv --out amounts --modality ihc"),
    "store": (
        "pathfuse store inspect features",
        "pathfuse store check he=features ihc=features_ihc --labels_table labels.csv",
        "pathfuse store convert features --to stamp --out for_stamp",
    ),
    "data": (
        "pathfuse data check cases.csv",
        "pathfuse data check labels.xlsx --stores '{he: features}' --label HER2",
        "pathfuse data split cases.csv --folds 5 --out folds.csv",
        "pathfuse data demo cohort --patients 40",
    ),
    "completion": ("pathfuse completion bash >> ~/.bashrc", "pathfuse completion zsh >> ~/.zshrc"),
}
