"""Patches of a bag weighed by a learned score, so that the score carries gradient and decides."""

from __future__ import annotations

from torch import Tensor, nn

from pathfuse.core import Tokens
from pathfuse.nn import readable_token, segment_softmax, segment_sum


class AttendedPool(nn.Module):
    """The weighted sum over the patches of each case, with a softmax of w^T tanh(V h) as weights.

    Args:
        dim: width of the patches.
        hidden: width of the scoring layer.

    Source: Ilse et al. 2018, arXiv:1802.04712, equation 8.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(dim, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, token: Tokens) -> tuple[Tensor, Tensor]:
        """The pooled patches (B, D), zeros where absent, and the score (T,) of every patch, 0 in absent rows."""
        bag = readable_token(token)
        first = self.score[0]
        assert isinstance(first, nn.Linear)
        score: Tensor = self.score(bag.values.to(first.weight.dtype))  # (T', 1)
        pooled = segment_sum(segment_softmax(score, bag.lengths), bag.values, bag.lengths)  # (B, 1, D)
        return pooled.flatten(1), bag.spread(score.squeeze(1), len(token.values))


def attended(pools: nn.ModuleDict, tokens: dict[str, Tokens]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The pooled patches (B, D) and the scores (T,), by stain."""
    found = {name: pools[name](token) for name, token in tokens.items()}
    return {name: pooled for name, (pooled, _) in found.items()}, {name: score for name, (_, score) in found.items()}
