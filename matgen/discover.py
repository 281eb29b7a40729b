"""The whole way in one call: learn, write hypothetical compositions, judge them, rank the new valid ones."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from matgen.errors import OptionError
from matgen.evaluate import Report, evaluate
from matgen.files import refuse_to_overwrite, whole_file, write_json
from matgen.models.checkpoint import read_metadata
from matgen.sample import Decoding, Sampler, SampleRequest, sample_to_file
from matgen.train import TrainingPlan, train_model
from matgen.validity import ValidityRules

if TYPE_CHECKING:
    from collections.abc import Callable

    from matgen.progress import Progress


@dataclass(frozen=True)
class DiscoveryPlan:
    """What `discover` does.

    Attributes:
        training: what to train, where no checkpoint is given.
        checkpoint: a checkpoint folder to take instead of training.
        n: compositions to draw.
        reference: what `novel` is judged against, one or several.
        seed: of drawing and of the random baselines.
        decoding: how to draw.
        rules: how validity is judged, by default as `evaluate` has it.
        protocol: rules by name instead.
        split: of the reference: what counts as held out.
        device: where to draw.
    """

    training: TrainingPlan = field(default_factory=TrainingPlan)
    checkpoint: Path | None = None
    n: int = 10_000
    reference: str | tuple[str, ...] = "hybrid"
    seed: int = 0
    decoding: Decoding = field(default_factory=Decoding)
    rules: ValidityRules | None = None
    protocol: str | None = None
    split: str = "split"
    device: str = "cpu"


@dataclass(frozen=True)
class Discovery:
    """What `discover` found.

    Attributes:
        folder: everything it wrote.
        ranked: valid, novel, distinct compositions, most probable first; columns as in `ranked.csv`.
        report: the evaluation of all draws; None where training was interrupted.
        seconds: time of each stage.
    """

    folder: Path
    ranked: pd.DataFrame
    report: Report | None
    seconds: dict[str, float]


def discover(
    plan: DiscoveryPlan,
    out: Path | str,
    *,
    force: bool = False,
    say: Callable[[str], None] = lambda text: None,
    progress: Callable[[str, str], Progress | None] = lambda label, unit: None,
    evaluation_progress: Callable[[str, int, int], None] | None = None,
) -> Discovery:
    """Train (or take a checkpoint), sample, evaluate and rank into one folder.

    Writes `model/` (unless a checkpoint is given), `candidates.csv`, `report/`, `ranked.csv` and `discovery.json`.

    Args:
        plan: what to do.
        out: folder for everything.
        force: replace what an earlier run left there.
        say: told, in a sentence, what comes next.
        progress: makes a progress bar from a label and a unit.
        evaluation_progress: told of the evaluation as `evaluate` tells.

    Raises:
        MatgenError: as its stages raise; what was finished before stays in the folder.
    """
    out = Path(out)
    if plan.n < 1:
        raise OptionError(f"n is {plan.n}, it must be at least 1")
    refuse_to_overwrite(out, force=force)
    seconds: dict[str, float] = {}
    checkpoint = plan.checkpoint
    if checkpoint is None:
        checkpoint = out / "model"
        say(f"1/3 training {plan.training.model} ({plan.training.preset}) on {plan.training.dataset}")
        began = time.monotonic()
        result = train_model(plan.training, checkpoint, force=force, progress=progress("train", "steps"))
        seconds["train"] = round(time.monotonic() - began, 1)
        if result.interrupted:
            return Discovery(out, pd.DataFrame(), None, seconds)
    else:
        say(f"1/3 taking the checkpoint {checkpoint.name} in {checkpoint.parent}")

    say(f"2/3 drawing {plan.n:,} compositions")
    began = time.monotonic()
    sampler = Sampler(checkpoint, device=plan.device)
    request = SampleRequest(plan.n, seed=plan.seed, decoding=plan.decoding)
    candidates = out / "candidates.csv"
    sample_to_file(sampler, request, candidates, force=force, progress=progress("sample", "formulas"))
    seconds["sample"] = round(time.monotonic() - began, 1)

    names = (plan.reference,) if isinstance(plan.reference, str) else plan.reference
    say(f"3/3 judging them against {', '.join(names)}")
    began = time.monotonic()
    report = evaluate(
        candidates,
        names,
        rules=plan.rules,
        protocol=plan.protocol,
        split=plan.split,
        seed=plan.seed,
        out=out / "report",
        force=force,
        progress=evaluation_progress,
    )
    seconds["evaluate"] = round(time.monotonic() - began, 1)
    ranked = rank(report.frame)
    with whole_file(out / "ranked.csv") as temporary:
        ranked.to_csv(temporary, index=False, float_format="%.6f")
    summary: dict[str, Any] = {
        "checkpoint": str(checkpoint),
        "training": read_metadata(checkpoint)["metrics"],
        "n": plan.n,
        "ranked": len(ranked),
        "seconds": seconds | {"total": round(sum(seconds.values()), 1)},
        "metrics": report.content,
    }
    write_json(out / "discovery.json", summary)
    return Discovery(out, ranked, report, seconds)


def rank(candidates: pd.DataFrame) -> pd.DataFrame:
    """Valid, novel compositions, each once, the most probable under the model first.

    Probability is the model's own; it says what resembles known compounds, not what is stable.

    Args:
        candidates: evaluated candidate table with `valid`, `novel`, `duplicate_of` and, if sampled, `log_prob`.
    """
    chosen = candidates[candidates["valid"] & candidates["novel"] & candidates["duplicate_of"].isna()]
    if "log_prob" in chosen:
        chosen = chosen.sort_values("log_prob", ascending=False, kind="stable")
    chosen = chosen.reset_index(drop=True)
    chosen.insert(0, "rank", chosen.index + 1)
    leading = ["rank", "formula", "log_prob", "all_metal"]
    return chosen[[name for name in leading if name in chosen]]
