"""One reinforcement, from a checkpoint and a reward to another checkpoint folder."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from matgen.errors import CheckpointError, first_line
from matgen.fitting.interrupt import interruptible
from matgen.fitting.state import (
    LATEST,
    FitState,
    load_state,
    optimizer_tensors,
    save_state,
    set_optimizer_tensors,
    set_weights,
    weights_of,
)
from matgen.io.files import file_sha256, locked, refuse_to_overwrite, write_checksummed, write_text
from matgen.models.checkpoint import METADATA, load_checkpoint, save_checkpoint
from matgen.reinforcement.card import reinforced_card, reinforced_metadata
from matgen.reinforcement.diversity import Diversity
from matgen.reinforcement.plan import PLAN, ReinforcementPlan, find_start, plan_content, saved_plan
from matgen.reinforcement.policy import Policy
from matgen.runtime.progress import ProgressFactory, silent
from matgen.sampling import SampleRequest
from matgen.sampling.preparing import prepare

if TYPE_CHECKING:
    import threading

    from torch import Tensor

    from matgen.reinforcement.reward import Earned, Reward

HISTORY = "history.jsonl"
SAVED_EVERY = 10
"""Steps between two saved states; a kill loses at most these."""
_DIVERSITY = "diversity|"


@dataclass(frozen=True)
class Reinforced:
    """How a run ended: the figures of each step, and whether it was interrupted (and can be resumed)."""

    history: list[dict[str, float]]
    interrupted: bool


@locked("out")
def reinforce(
    plan: ReinforcementPlan,
    out: Path | str,
    *,
    resume: bool = False,
    force: bool = False,
    device: str = "cpu",
    progress: ProgressFactory = silent,
) -> Reinforced:
    """Reinforce a checkpoint by a reward and write the new checkpoint.

    Writes `history.jsonl` (a line a step: `step`, `reward`, the mean of what draws earn; `shared`, the same after
    repeats and crowding are counted; `kl` and `entropy` in nats a draw; shares `unique`, `chemical_systems`,
    `in_domain` and `earning`; `seconds`), and while it runs its state in `training/`.

    Args:
        plan: what to do. Ignored where `resume` is on: the saved plan of the run is used.
        out: folder of the new checkpoint.
        resume: resume the interrupted run in `out`.
        force: replace an earlier run in `out`.
        device: where to compute.
        progress: counts the steps and notes their figures.

    Raises:
        OutputError: `out` exists (without `force` or `resume`) or cannot be written.
        CheckpointError: the checkpoint cannot be reinforced, or there is nothing to resume.
        OptionError: a reward that cannot be read or that nothing can be learned from, or conditions the model has not.
        DataError: a reference cannot be read.
    """
    out = Path(out)
    expected = ""
    if resume:
        plan, expected = saved_plan(out)
    else:
        refuse_to_overwrite(out, force=force)
    folder, metadata = find_start(plan)
    weights = file_sha256(folder / "model.safetensors")
    if resume and weights != expected:
        raise CheckpointError(f"{folder} is not the checkpoint that the run in {out} started from: its weights differ")
    run = _Run(plan, folder, out, device)
    if not resume:
        run.reward.check(run.first())
        (out / METADATA).unlink(missing_ok=True)
        shutil.rmtree(out / "training", ignore_errors=True)
        (out / HISTORY).unlink(missing_ok=True)
        write_checksummed(out / PLAN, plan_content(plan, weights))
    elif (out / "training" / LATEST).is_file():
        run.load()
    with interruptible() as interrupted:
        finished = run.go(interrupted, progress)
    if finished:
        content = reinforced_metadata(metadata, plan, folder.name, weights, run.reward, run.state)
        if plan.average < 1:
            set_weights(
                run.policy.model,
                averaged(weights_of(run.policy.start.model), weights_of(run.policy.model), plan.average),
            )
        save_checkpoint(out, run.policy.model, content, card=reinforced_card(content))
        shutil.rmtree(out / "training", ignore_errors=True)
    return Reinforced(run.state.history, not finished)


def averaged(start: dict[str, Tensor], end: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights between those of two models, one of which was made from the other.

    On the straight line between a model and what became of it by fine-tuning lie models that keep more of what the
    first knew for a little of what the second learned (Wortsman et al., CVPR 2022, arXiv:2109.01903; of reinforced
    models, Rame et al., arXiv:2406.16768).

    Args:
        start: tensors by name.
        end: the same names and shapes.
        share: of `end`; 1 gives `end`, 0 `start`.
    """
    return {
        name: start[name].lerp(tensor, share) if tensor.is_floating_point() else tensor for name, tensor in end.items()
    }


class _Run:
    """The state of one run.

    Args:
        plan: of it.
        folder: of the checkpoint that it starts from.
        out: where its state goes.
        device: where to compute.
    """

    def __init__(self, plan: ReinforcementPlan, folder: Path, out: Path, device: str) -> None:
        self.plan, self.out = plan, out
        self.reward: Reward = plan.make_reward()
        self.diversity = Diversity(plan.diversity)
        checkpoint, start = (load_checkpoint(folder, device=device) for _ in range(2))
        request = SampleRequest(
            plan.batch_size * plan.steps, plan.seed, conditions=plan.conditions, block_size=plan.batch_size
        )
        self.prepared = prepare(request, checkpoint, plan.batch_size)
        self.policy = Policy(checkpoint, start, plan.learning_rate, plan.kl)
        self.notation = checkpoint.notation
        self.state = FitState(total_steps=plan.steps)
        self._saved = -1
        self._first: tuple[np.ndarray, Earned] | None = None

    def first(self) -> Earned:
        """What the first batch earns."""
        ids = self.policy.draw(self.prepared, 0)
        self._first = ids, self.reward(ids, self.notation)
        return self._first[1]

    def go(self, interrupted: threading.Event, progress: ProgressFactory) -> bool:
        """All steps that are left; False where an interrupt came before their end."""
        state, began = self.state, time.monotonic()
        before = state.seconds
        limit = float("inf") if self.plan.max_minutes is None else 60 * self.plan.max_minutes
        with progress(state.total_steps, "reinforce", "steps", done=state.step) as count:
            while state.step < state.total_steps and state.seconds < limit and not interrupted.is_set():
                figures = self.step()
                state.step += 1
                state.seconds = before + time.monotonic() - began
                entry = {"step": float(state.step)} | figures | {"seconds": state.seconds}
                state.history.append({name: float(f"{value:.6g}") for name, value in entry.items()})
                count.update(1)
                count.note(state.history[-1])
                if state.step % SAVED_EVERY == 0:
                    self.save()
        finished = state.step >= state.total_steps or state.seconds >= limit
        self.save()
        return finished

    def step(self) -> dict[str, float]:
        """Draw a batch, judge it, learn from it; its figures."""
        number = self.state.step
        if number == 0 and self._first is not None:
            ids, earned = self._first
        else:
            ids = self.policy.draw(self.prepared, number)
            earned = self.reward(ids, self.notation)
        self._first = None
        shared = earned.reward.copy()
        shared[earned.rows] /= self.diversity.divisor(earned.batch)
        learned = self.policy.learn(ids, shared, number)
        n, batch = len(ids), earned.batch
        return {
            "reward": float(earned.reward.mean()),
            "shared": float(shared.mean()),
            **learned,
            "unique": len(np.unique(batch.keys(), axis=0)) / n,
            "chemical_systems": len(np.unique(batch.chemical_system_keys(), axis=0)) / n,
            "in_domain": float(earned.inside.sum() / n),
            "earning": float((earned.reward > 0).mean()),
        }

    def save(self) -> None:
        """Save where the run stands."""
        if self.state.step == self._saved:
            return
        self._saved = self.state.step
        optimizer = optimizer_tensors(self.policy.model, self.policy.optimizers)
        optimizer |= {f"{_DIVERSITY}{name}": values for name, values in self.diversity.tensors().items()}
        save_state(self.out / "training", self.state, self.plan.batch_size, weights_of(self.policy.model), optimizer)
        write_text(self.out / HISTORY, "".join(json.dumps(entry) + "\n" for entry in self.state.history))

    def load(self) -> None:
        """Stand where the run was saved last.

        Raises:
            CheckpointError: its state is damaged.
        """
        training = self.out / "training"
        self.state, weights, tensors = load_state(training, self.plan.batch_size)
        window = {
            name: tensors.pop(_DIVERSITY + name) for name in self.diversity.tensors() if _DIVERSITY + name in tensors
        }
        try:
            set_weights(self.policy.model, weights)
            set_optimizer_tensors(self.policy.model, self.policy.optimizers, tensors)
            self.diversity.restore(window)
        except (KeyError, RuntimeError, ValueError) as error:  # other names, other shapes
            raise CheckpointError(f"cannot resume from {training}: {first_line(error)}") from error
        self._saved = self.state.step
