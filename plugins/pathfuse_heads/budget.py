"""The price of a hint, set step by step.

Source: DeVries & Taylor 2018, section 3.2 and their code; the two levels are those of the released Corr-A-Net code.
"""

from __future__ import annotations

import torch
from torch import Tensor

LEVEL, LOW, HIGH = 0.75, 1.05, 0.95


def next_factor(factor: Tensor, spent: Tensor, budget: float) -> Tensor:
    """The factor after a step: a little smaller while the mean price is under the budget, else a little larger."""
    return torch.where(spent < budget, factor / 1.01, factor / 0.99)


def two_level_factor(spent: Tensor, budget: float) -> Tensor:
    """One of two factors, without memory: the higher one when the mean price is over the budget."""
    return torch.where(spent > budget, spent.new_tensor(LEVEL / HIGH), spent.new_tensor(LEVEL / LOW))
