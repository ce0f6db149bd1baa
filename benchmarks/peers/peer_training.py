"""Attention pooling trained as CLAM and torchmil do, one bag a step, written from their papers and documentation.

Both read every bag whole from its file. CLAM concatenates a batch of one bag and asks for the loss of every step;
torchmil pads a batch to its longest bag and hands a mask on. The modules have the weights of ours, so that the losses
agree. Source: Lu et al. 2021, doi:10.1038/s41551-020-00682-w, methods; torchmil's documentation, `data.collate_fn` and
`utils.Trainer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchmil.nn.attention import AttentionPool

from pathfuse.inference.task import Task


class BagFiles(Dataset[tuple[Tensor, int]]):
    """Features and class of one bag after the other."""

    def __init__(self, files: Sequence[Path], targets: Sequence[int]) -> None:
        self.files, self.targets = files, targets

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        with h5py.File(self.files[row]) as file:
            return torch.from_numpy(file["features"][:]), self.targets[row]


class AttentionNet(nn.Module):
    """A linear layer with ReLU, attention over the patches, and a linear layer, as CLAM's without its gates."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        own = task.model
        self.project = _copy(own.encoder.projections["he"].linear)
        self.value, self.weight = (_copy(layer) for layer in (_attention(task).value, _attention(task).weight))
        self.classify = _copy(own.head.classify)

    def forward(self, bag: Tensor) -> Tensor:
        """Patches (T, D) of one bag to scores (1, C)."""
        values = torch.relu(self.project(bag))  # (T, 512)
        share = torch.softmax(self.weight(torch.tanh(self.value(values))).T, dim=1)  # (1, T)
        scores: Tensor = self.classify(share @ values)
        return scores


class PooledNet(nn.Module):
    """The same with torchmil's pooling, over padded bags."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        own, attention = task.model, _attention(task)
        self.project = _copy(own.encoder.projections["he"].linear)
        self.pool = AttentionPool(self.project.out_features, attention.value.out_features)
        self.pool.fc1.module.load_state_dict(attention.value.state_dict())
        self.pool.fc2.weight.data.copy_(attention.weight.weight.data)
        self.classify = _copy(own.head.classify)

    def forward(self, bags: Tensor, mask: Tensor) -> Tensor:
        """Patches (B, T, D) to scores (B, C)."""
        scores: Tensor = self.classify(self.pool(torch.relu(self.project(bags)), mask))
        return scores


def clam_epoch(task: Task, data: BagFiles, lr: float, weight_decay: float) -> float:
    """An epoch as CLAM trains; the mean loss."""
    net = AttentionNet(task).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=lr, weight_decay=weight_decay)
    weight, total = task.model.head.class_weight, 0.0
    for bag, target in DataLoader(data, batch_size=1, collate_fn=_concatenated):
        loss = F.cross_entropy(net(bag), target, weight=weight, reduction="sum")
        total += loss.item()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return total / len(data)


def torchmil_epoch(task: Task, data: BagFiles, lr: float, weight_decay: float) -> float:
    """An epoch as torchmil trains; the mean loss."""
    net = PooledNet(task).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=lr, weight_decay=weight_decay)
    weight, total = task.model.head.class_weight, 0.0
    for bags, mask, target in DataLoader(data, batch_size=1, collate_fn=_padded):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(bags, mask), target, weight=weight, reduction="sum")
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(data)


def _concatenated(items: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    return torch.cat([bag for bag, _ in items]), torch.tensor([target for _, target in items])


def _padded(items: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor, Tensor]:
    bags = nn.utils.rnn.pad_sequence([bag for bag, _ in items], batch_first=True)
    lengths = torch.tensor([len(bag) for bag, _ in items])
    return bags, torch.arange(bags.shape[1]) < lengths[:, None], torch.tensor([target for _, target in items])


def _attention(task: Task) -> nn.Module:
    found: nn.Module = task.model.fusion.attentions["he"]
    return found


def _copy(layer: nn.Module) -> nn.Linear:
    (layer,) = [module for module in layer.modules() if isinstance(module, nn.Linear)]
    made = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None)
    made.load_state_dict(layer.state_dict())
    return made
