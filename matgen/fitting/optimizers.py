"""Optimizers of the training loop, made from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from matgen.errors import MissingDependencyError

if TYPE_CHECKING:
    from torch import Tensor, nn

OPTIMIZERS = ("adamw", "muon")
BEST_OPTIMIZER = "muon" if hasattr(torch.optim, "Muon") else "adamw"
"""What this torch has best for small networks; Muon came with torch 2.9."""
_BETAS = (0.9, 0.98)
_NARROWEST = 16
"""Smaller side of a matrix from which on Muon is worth its products."""


def make_optimizers(
    model: nn.Module, name: str, *, learning_rate: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """Optimizers that share out a model's parameters; weight decay is on matrices only.

    `adamw` (Loshchilov and Hutter 2019) takes all of them. `muon` (Jordan et al. 2024; scaled to the updates of AdamW
    as Liu et al. 2025, arXiv:2502.16982) takes the matrices of the layers, AdamW the rest: embeddings, the layer that
    gives the output, and vectors.

    Raises:
        MissingDependencyError: this torch has no Muon.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    matrices = layer_matrices(model) if name == "muon" else []
    chosen = {id(p) for p in matrices}
    rest = [p for p in parameters if id(p) not in chosen]
    groups = [
        {"params": [p for p in rest if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in rest if p.dim() < 2], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
    made: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=learning_rate, betas=_BETAS, fused=fused)]
    if matrices:
        if not hasattr(torch.optim, "Muon"):
            raise MissingDependencyError(f"torch {torch.__version__} has no Muon: use torch 2.9 or later, or adamw")
        made.append(
            torch.optim.Muon(
                matrices,
                lr=learning_rate,
                weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    return made


def layer_matrices(model: nn.Module) -> list[Tensor]:
    """Weights of a model's layers that are matrices, without embeddings and the layer that gives the output."""
    skipped = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    for module in model.modules():
        find_head: Any = getattr(module, "get_output_embeddings", None)
        head = find_head() if find_head is not None else None
        if head is not None:
            skipped.add(id(head.weight))
    return [
        p
        for p in model.parameters()
        if p.requires_grad and p.dim() == 2 and min(p.shape) >= _NARROWEST and id(p) not in skipped
    ]
