"""The toolkit for plug-ins: what fusion blocks, encoders and heads of any distribution are made of.

- **Packed bags** (`packed`): `readable_token` gives the patches that may be read; `segment_softmax`, `segment_sum`,
  `segment_mean`, `segment_max` and `segment_top_k` work on all bags of a batch at once, without padding.
- **Vectors** (`vectors`): `token_vector` makes one vector per case of any token, `cleared` zeros of absent rows,
  `at_least_float` is the precision that sums and losses need.
- **Joining** (`join`, `pool_fusion`): `PoolFusion` pools bags and joins the modalities, by a nested fusion block or a
  plain join; `JoinedFusion` is for blocks that make their vectors in another way.
- **Frozen parts** (`frozen`): `PartlyFrozen` is an encoder that keeps a network as it was loaded.
- **Products** (`products`, `rectify`): matrix products, linear layers and linear layers with ReLU at the speed that
  the processor allows.
- **Attention** (`watching`): `watched_weights` shows explainers what a fusion block weighs the patches of a bag by.
- **Options** (`options`): one line for a wrong option or modality instead of a library's own error.
- **Weights** (`weights`, `saved`): reading state dicts safely, and the note that says where weights come from;
  `pathfuse.nn.hub` fetches a file of the Hugging Face hub at a pinned revision.

Bags in half precision stay in half precision; what is reduced from them is in float32 or better.
"""

from pathfuse.core.weights import WeightsNote
from pathfuse.nn.frozen import PartlyFrozen
from pathfuse.nn.join import How, joined, joined_dim, one_width
from pathfuse.nn.options import READS, check_counts, check_once, check_shares, modality_of, modality_of_kind
from pathfuse.nn.packed import (
    BLOCK,
    FEW,
    ROWS,
    Bag,
    at_least_float,
    readable,
    readable_token,
    segment_max,
    segment_mean,
    segment_softmax,
    segment_sum,
    segment_top_k,
)
from pathfuse.nn.pool_fusion import JoinedFusion, NestedFusion, Pooled, PoolFusion, packed_tokens
from pathfuse.nn.products import add_product, batched_product, linear, product, working_dtype
from pathfuse.nn.rectify import rectified
from pathfuse.nn.saved import load_saved, refuse_more_than_it_holds
from pathfuse.nn.vectors import cleared, token_vector
from pathfuse.nn.watching import watched_weights
from pathfuse.nn.weights import NOT_KNOWN, TORCHVISION, backbone_state, read_state, weights_note

__all__ = [
    "BLOCK",
    "FEW",
    "NOT_KNOWN",
    "READS",
    "ROWS",
    "TORCHVISION",
    "Bag",
    "How",
    "JoinedFusion",
    "NestedFusion",
    "PartlyFrozen",
    "PoolFusion",
    "Pooled",
    "WeightsNote",
    "add_product",
    "at_least_float",
    "backbone_state",
    "batched_product",
    "check_counts",
    "check_once",
    "check_shares",
    "cleared",
    "joined",
    "joined_dim",
    "linear",
    "load_saved",
    "modality_of",
    "modality_of_kind",
    "one_width",
    "packed_tokens",
    "product",
    "read_state",
    "readable",
    "readable_token",
    "rectified",
    "refuse_more_than_it_holds",
    "segment_max",
    "segment_mean",
    "segment_softmax",
    "segment_sum",
    "segment_top_k",
    "token_vector",
    "watched_weights",
    "weights_note",
    "working_dtype",
]
