"""What defines a reinforcement besides its folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matgen.errors import CheckpointError, OptionError, require_above_zero
from matgen.models.checkpoint import REINFORCEMENT_PLAN, read_metadata, read_unfinished
from matgen.models.locate import find_checkpoint
from matgen.models.objectives import CAUSAL
from matgen.models.registry import MODELS, architecture
from matgen.reinforcement.columns import RewardColumns
from matgen.reinforcement.expression import parse_reward
from matgen.reinforcement.reward import Reward

PLAN = REINFORCEMENT_PLAN
"""The plan in the folder of a run, from which the run is resumed."""

_FEWEST = 16


@dataclass(frozen=True)
class ReinforcementPlan:
    """Everything that defines a run besides its folder.

    Attributes:
        model: the checkpoint to start from, as `--model` takes it.
        reward: what draws earn, as `parse_reward` reads it.
        steps: batches that are drawn and learned from.
        max_minutes: time after which the run ends, however many steps are left; None for no limit.
        batch_size: draws of a step.
        learning_rate: of AdamW, after a short linear warm-up.
        kl: how much a nat of distance from the start model counts, in standard deviations of what a batch earns.
        diversity: strength with which repeats and crowded chemical systems earn less, see `diversity`; 0 for none.
        conditions: ranges of properties that a conditional model draws from, such as `band_gap=2..3`.
        predictors: folders of predictors to take before the bundled ones.
        source: whose labels bundled predictors learned, `oqmd` or `mp`.
        reference: datasets or files that `novel` is judged against.
        allow_out_of_domain: earn outside of the domain of the predictors too.
        seed: of the draws.
        average: share of the reinforced weights in those that are written, the rest being the start's; see
            `run.averaged`.

    Raises:
        OptionError: a number is out of range.
    """

    model: str
    reward: str
    steps: int = 150
    max_minutes: float | None = None
    batch_size: int = 2048
    learning_rate: float = 5e-4
    kl: float = 0.05
    diversity: float = 1.0
    conditions: tuple[str, ...] = ()
    predictors: tuple[str, ...] = ()
    source: str | None = None
    reference: tuple[str, ...] = ("hybrid",)
    allow_out_of_domain: bool = False
    seed: int = 0
    average: float = 1.0

    def __post_init__(self) -> None:
        require_above_zero(self, "steps", "learning_rate")
        if self.batch_size < _FEWEST:
            raise OptionError(f"batch_size is {self.batch_size}, it must be at least {_FEWEST}")
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise OptionError(f"max_minutes is {self.max_minutes}, it must be above 0")
        for name in ("kl", "diversity"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise OptionError(f"{name} is {getattr(self, name)}, it must be 0 (off) or above")
        if not 0 < self.average <= 1:
            raise OptionError(f"average is {self.average}, it must be above 0 and at most 1 (the reinforced weights)")
        if not 0 <= self.seed < 1 << 63:
            raise OptionError(f"seed is {self.seed}, it must be 0 or above, and below 2^63")

    def make_reward(self) -> Reward:
        """The reward, with its predictors and reference opened.

        Raises:
            OptionError: it cannot be read, names no column, or one that nothing writes.
            CheckpointError, DataError: a predictor or a reference cannot be read.
        """
        expression = parse_reward(self.reward)
        if not expression.columns:
            raise OptionError(
                f"the reward {self.reward!r} names no column: write one of predict, evaluate or screen, such as "
                "probability_hull_0.05"
            )
        columns = RewardColumns(
            expression.columns,
            predictors=[Path(one) for one in self.predictors],
            source=self.source,
            reference=self.reference,
        )
        return Reward(expression, columns, veto=not self.allow_out_of_domain)


def check_reinforceable(folder: Path) -> dict[str, Any]:
    """The description of a checkpoint, once it is one that writes from left to right.

    Raises:
        CheckpointError: there is none, or it is of another kind; those that can be reinforced are named.
    """
    metadata = read_metadata(folder)
    require_reinforceable(metadata["architecture"], folder.name)
    return metadata


def require_reinforceable(key: str, name: str) -> None:
    """Refuse an architecture that does not write from left to right.

    Args:
        key: of the architecture.
        name: of the checkpoint, for the message.

    Raises:
        CheckpointError: it cannot be reinforced; those that can are named.
        OptionError: there is no such architecture.
    """
    row = architecture(key)
    if row.objective.key != CAUSAL.key or row.layout is None:
        possible = ", ".join(one.key for one in MODELS.values() if one.objective.key == CAUSAL.key and one.layout)
        raise CheckpointError(f"{name} is a {row.title}, which cannot be reinforced: take a checkpoint of {possible}")


def find_start(plan: ReinforcementPlan) -> tuple[Path, dict[str, Any]]:
    """The folder and description of the checkpoint that a plan starts from.

    Raises:
        CheckpointError: there is none, or it cannot be reinforced.
    """
    folder = find_checkpoint(plan.model)
    return folder, check_reinforceable(folder)


def saved_plan(out: Path) -> tuple[ReinforcementPlan, str]:
    """The plan of the interrupted run in a folder, and the SHA-256 of the weights it started from.

    Raises:
        CheckpointError: there is none, the run has ended, or the plan is of another version of matgen.
    """
    content = read_unfinished(out, PLAN)
    try:
        start = str(content.pop("start_sha256"))
        lists = {name: tuple(content[name]) for name in ("conditions", "predictors", "reference")}
        return ReinforcementPlan(**content | lists), start
    except (TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{out / PLAN} is not a plan of a reinforcement: {error}") from error


def plan_content(plan: ReinforcementPlan, start_sha256: str) -> dict[str, Any]:
    """What `saved_plan` reads."""
    return dataclasses.asdict(plan) | {"start_sha256": start_sha256}
