"""What a training run leaves on disk to go on from: weights, optimizer and where it stands, each written whole.

Models may be sharded over processes (FSDP): then every process must take part in gathering, and the first one writes
complete tensors. `torch.distributed.checkpoint` would let each process write its own shard, but its metadata is a
pickle, and at some hundred million parameters gathering is no bottleneck.
"""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from matgen.errors import CheckpointError, OutputError
from matgen.io.files import read_checksummed, write_checksummed
from matgen.io.weights import load_weights, save_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

Tensors = dict[str, "Tensor"]
LATEST, BEST = "latest.json", "best.safetensors"


@dataclass
class FitState:
    """Where a run stands; what resuming needs besides weights and optimizer."""

    step: int = 0
    total_steps: int = 0
    evaluations: int = 1
    precision: str = "fp32"
    best_step: int = -1
    best_loss: float = math.inf
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """All steps are done."""
        return self.step >= self.total_steps > 0


def weights_of(model: nn.Module) -> Tensors:
    """A model's parameters by name, whole, without those that are frozen where others learn (adapters of large models).

    Those tied to one another appear once, so safetensors takes them.
    """
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {
        name: _gathered(parameter.detach())
        for name, parameter in model.named_parameters()
        if name in learning or not learning
    }


def set_weights(model: nn.Module, tensors: Tensors) -> None:
    """Give a model the parameters that `weights_of` returned."""
    of_model = weights_of(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in of_model:
                parameter.copy_(_laid_out_as(parameter, tensors[name]))


def optimizer_tensors(model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> Tensors:
    """What optimizers remember of each parameter, whole, by the parameter's name and their own."""
    return {
        f"{name}|{key}": _gathered(value.detach())
        for name, parameter in model.named_parameters()
        for optimizer in optimizers
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def set_optimizer_tensors(model: nn.Module, optimizers: list[torch.optim.Optimizer], tensors: Tensors) -> None:
    """Give optimizers back what `optimizer_tensors` returned."""
    parameters = dict(model.named_parameters())
    owner = {id(p): optimizer for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    for label, value in tensors.items():
        name, _, key = label.rpartition("|")
        parameter = parameters[name]
        laid_out = value if key == "step" else _laid_out_as(parameter, value.to(parameter.device))
        owner[id(parameter)].state[parameter][key] = laid_out


def shard(model: nn.Module, processes: int) -> None:
    """Share a model's parameters, their gradients and what an optimizer will remember of them out over all processes.

    They are whole while a forward and backward pass lasts (torch's `fully_shard` of the model as one unit).
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    device = next(model.parameters()).device.type
    fully_shard(model, mesh=init_device_mesh(device, (processes,)))


def save_state(training: Path, state: FitState, examples: int, weights: Tensors, optimizer: Tensors) -> None:
    """Write weights, optimizer and state to a folder of this step, then point `latest.json` at it.

    What `latest.json` points at is never written again: a kill in between would leave nothing to resume from.

    Raises:
        OutputError: the folder cannot be written; the state before is kept.
    """
    target = training / f"step-{state.step:08d}"
    try:
        target.mkdir(parents=True, exist_ok=True)
        save_weights(weights, target / "model.safetensors")
        save_weights(optimizer, target / "optimizer.safetensors")
    except (OSError, SafetensorError) as error:
        shutil.rmtree(target, ignore_errors=True)
        raise OutputError(f"cannot save to {target}: {error}; the state before is kept, --resume goes on") from error
    write_checksummed(
        training / LATEST,
        {"folder": target.name, "examples": examples}
        | dataclasses.asdict(state)
        | {"best_loss": state.best_loss if state.best_step >= 0 else None},
    )
    for old in training.glob("step-*"):
        if old.name != target.name:
            shutil.rmtree(old, ignore_errors=True)


def save_best(training: Path, weights: Tensors) -> None:
    """Write the best weights so far.

    Raises:
        OutputError: they cannot be written.
    """
    try:
        training.mkdir(parents=True, exist_ok=True)
        save_weights(weights, training / "best.tmp")
        (training / "best.tmp").replace(training / BEST)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot save to {training}: {error}") from error


def load_state(training: Path, examples: int) -> tuple[FitState, Tensors, Tensors]:
    """The state that was saved last, its weights and its optimizer.

    Raises:
        CheckpointError: there is none, it is damaged, or it is of another number of examples.
    """
    if not (training / LATEST).is_file():
        raise CheckpointError(f"nothing to resume in {training.parent}: start without --resume")
    content = _latest(training / LATEST)
    if content["examples"] != examples:
        raise CheckpointError(
            f"{training.parent} was trained on {content['examples']} examples, the dataset now has {examples}"
        )
    names = {f.name for f in dataclasses.fields(FitState)}
    state = FitState(**{name: value for name, value in content.items() if name in names})
    if state.best_step < 0:
        state.best_loss = math.inf
    target = training / content["folder"]
    try:
        return state, load_weights(target / "model.safetensors"), load_weights(target / "optimizer.safetensors")
    except Exception as error:  # missing file, damaged header
        raise CheckpointError(f"cannot resume from {target}: {error}") from error


def _latest(path: Path) -> dict[str, Any]:
    """The content of `latest.json`, once it is what `save_state` writes: it names a folder beside itself."""
    content = read_checksummed(path)
    kinds: dict[str, Any] = {"folder": str, "examples": int, "step": int, "total_steps": int, "precision": str}
    if not isinstance(content, dict) or not all(isinstance(content.get(key), kind) for key, kind in kinds.items()):
        raise CheckpointError(f"{path} is damaged: start without --resume")
    if not re.fullmatch(r"step-\d{8,}", content["folder"]):
        raise CheckpointError(f"{path} names a folder that no run writes: {content['folder']!r}")
    return content


def load_best(training: Path) -> Tensors | None:
    """The best weights, None where none were saved."""
    return load_weights(training / BEST) if (training / BEST).is_file() else None


def _gathered(tensor: Tensor) -> Tensor:
    from torch.distributed.tensor import DTensor

    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).contiguous()


def _laid_out_as(parameter: Tensor, tensor: Tensor) -> Tensor:
    """A whole tensor, sharded where a parameter is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(parameter, DTensor):
        return tensor
    return distribute_tensor(tensor.to(parameter.device), parameter.device_mesh, parameter.placements)
