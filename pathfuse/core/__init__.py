"""The contracts: what flows between data, encoders, fusion blocks, heads, objectives and explainers.

Shape letters, the same everywhere: **B** cases, **T** packed patches, **D** features, **C** classes, **H W** pixels.
This package imports torch and nothing else of weight: no Lightning, no data, no plug-in.
"""

from pathfuse.core.attention import AttentionStep
from pathfuse.core.bags import Bags, SlideInfo
from pathfuse.core.batch import Batch
from pathfuse.core.components import Backbone, CamLayer, Encoder, Fusion, Head, ImageInput
from pathfuse.core.explainer import Explainer, as_map, case_sums
from pathfuse.core.metric import Metric
from pathfuse.core.model import Model
from pathfuse.core.objective import Objective, Outcome, SupervisedObjective, weighted_total
from pathfuse.core.spec import Column, DataSpec, ModalitySpec
from pathfuse.core.stages import skips_pretrained, stage_loader, stage_model, weights_follow
from pathfuse.core.tokens import Fused, FusedSpec, Prediction, Tokens, TokenSpec
from pathfuse.core.weights import WeightsNote

__all__ = [
    "AttentionStep",
    "Backbone",
    "Bags",
    "Batch",
    "CamLayer",
    "Column",
    "DataSpec",
    "Encoder",
    "Explainer",
    "Fused",
    "FusedSpec",
    "Fusion",
    "Head",
    "ImageInput",
    "Metric",
    "ModalitySpec",
    "Model",
    "Objective",
    "Outcome",
    "Prediction",
    "SlideInfo",
    "SupervisedObjective",
    "TokenSpec",
    "Tokens",
    "WeightsNote",
    "as_map",
    "case_sums",
    "skips_pretrained",
    "stage_loader",
    "stage_model",
    "weighted_total",
    "weights_follow",
]
