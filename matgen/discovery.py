"""The whole way in one call: learn, write hypothetical compositions, judge and rank them, structures for the first."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from matgen.errors import MissingDependencyError, OptionError, StructureError
from matgen.evaluation import Report, evaluate
from matgen.evaluation.ranking import chosen, ranked
from matgen.io.files import atomic_write, locked, refuse_to_overwrite, write_json
from matgen.models.checkpoint import read_metadata
from matgen.prediction import Predictor
from matgen.prediction.predicting import predict_file
from matgen.runtime.progress import ProgressFactory, silent
from matgen.sampling import Decoding, Sampler, SampleRequest, sample_to_file
from matgen.training import TrainingPlan, train_model
from matgen.validity import ValidityRules

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class DiscoveryPlan:
    """What `discover` does.

    Attributes:
        training: what to train, where no checkpoint is given.
        checkpoint: a checkpoint folder to take instead of training.
        predictor: of formation energies, by which candidates are ranked; None ranks by the model's probability.
        n: compositions to draw.
        reference: what `novel` is judged against, one or several.
        seed: of drawing and of the random baselines.
        decoding: how to draw.
        rules: how validity is judged, by default as `evaluate` has it.
        protocol: rules by name instead.
        split: of the reference: what counts as held out.
        device: where to draw.
        structures: how many of the first candidates get relaxed structures and inputs for DFT.
        dft_format: of the inputs, as `matgen export` has them.
        workers: processes that relax.
    """

    training: TrainingPlan = field(default_factory=TrainingPlan)
    checkpoint: Path | None = None
    predictor: Path | None = None
    n: int = 10_000
    reference: str | tuple[str, ...] = "hybrid"
    seed: int = 0
    decoding: Decoding = field(default_factory=Decoding)
    rules: ValidityRules | None = None
    protocol: str | None = None
    split: str = "split"
    device: str = "cpu"
    structures: int = 0
    dft_format: str = "vasp"
    workers: int = 1


@dataclass(frozen=True)
class Discovery:
    """What came of `discover`.

    Attributes:
        folder: everything it wrote.
        ranked: valid, novel, distinct compositions, those to look at first first; columns as in `ranked.csv`.
        report: the evaluation of all draws; None where training was interrupted.
        seconds: time of each stage.
        structures: the first of `ranked` with the columns of `matgen structure`; None where there are none.
    """

    folder: Path
    ranked: pd.DataFrame
    report: Report | None
    seconds: dict[str, float]
    structures: pd.DataFrame | None = None


@locked("out")
def discover(
    plan: DiscoveryPlan,
    out: Path | str,
    *,
    force: bool = False,
    say: Callable[[str], None] = lambda text: None,
    progress: ProgressFactory = silent,
) -> Discovery:
    """Train (or take a checkpoint), sample, predict, evaluate and rank into one folder.

    Writes `model/` (unless a checkpoint is given), `candidates.csv`, `predicted.parquet` (where there is a predictor),
    `report/`, `ranked.csv`, `structures/` and `dft/` (where structures are asked for) and `discovery.json`.

    Args:
        plan: what to do.
        out: folder for everything.
        force: replace what an earlier run left there.
        say: called with a sentence on what comes next.
        progress: counts what the stages do.

    Raises:
        MatgenError: as its stages raise; what was finished before stays in the folder.
    """
    out = Path(out)
    if plan.n < 1:
        raise OptionError(f"n is {plan.n}, it must be at least 1")
    if plan.structures and (missing := missing_for_structures()):
        raise MissingDependencyError(f"structures need {missing}: pip install 'matgen[structures]'")
    refuse_to_overwrite(out, force=force)
    seconds: dict[str, float] = {}
    last = 3 + (plan.predictor is not None) + (plan.structures > 0)
    checkpoint = plan.checkpoint
    if checkpoint is None:
        checkpoint = out / "model"
        say(f"1/{last} training {plan.training.model} ({plan.training.preset}) on {plan.training.dataset}")
        began = time.monotonic()
        result = train_model(plan.training, checkpoint, force=force, progress=progress)
        seconds["train"] = round(time.monotonic() - began, 1)
        if result.interrupted:
            return Discovery(out, pd.DataFrame(), None, seconds)
    else:
        say(f"1/{last} taking the checkpoint {checkpoint.name} in {checkpoint.parent}")

    say(f"2/{last} drawing {plan.n:,} compositions")
    began = time.monotonic()
    sampler = Sampler(checkpoint, device=plan.device)
    request = SampleRequest(plan.n, seed=plan.seed, decoding=plan.decoding)
    candidates = out / "candidates.csv"
    sample_to_file(sampler, request, candidates, force=force, progress=progress)
    seconds["sample"] = round(time.monotonic() - began, 1)

    judged = candidates
    if plan.predictor is not None:
        say(f"3/{last} predicting energies and distances to the hull")
        began = time.monotonic()
        judged = out / "predicted.parquet"
        predict_file(Predictor.load(plan.predictor), candidates, judged, force=force, progress=progress)
        seconds["predict"] = round(time.monotonic() - began, 1)

    names = (plan.reference,) if isinstance(plan.reference, str) else plan.reference
    say(f"{3 if plan.predictor is None else 4}/{last} judging them against {', '.join(names)}")
    began = time.monotonic()
    report = evaluate(
        judged,
        names,
        rules=plan.rules,
        protocol=plan.protocol,
        split=plan.split,
        seed=plan.seed,
        out=out / "report",
        force=force,
        progress=progress,
    )
    seconds["evaluate"] = round(time.monotonic() - began, 1)
    order = ranked(chosen(report.frame)) if report.ranked is None else report.ranked
    with atomic_write(out / "ranked.csv") as temporary:
        order.to_csv(temporary, index=False, float_format="%.6f")
    made = None
    if plan.structures and len(order):
        say(f"{last}/{last} structures of the first {min(plan.structures, len(order))}, relaxed by CHGNet")
        began = time.monotonic()
        report, made = _structures(plan, order, report, out, force=force, say=say, progress=progress)
        seconds["structure"] = round(time.monotonic() - began, 1)
    summary: dict[str, Any] = {
        "checkpoint": str(checkpoint),
        "training": read_metadata(checkpoint)["metrics"],
        "n": plan.n,
        "predictor": None if plan.predictor is None else plan.predictor.name,
        "ranked": len(order),
        "structures": None if made is None else int(made["structure_id"].notna().sum()),
        "seconds": seconds | {"total": round(sum(seconds.values()), 1)},
        "metrics": report.content,
    }
    write_json(out / "discovery.json", summary)
    return Discovery(out, order, report, seconds, made)


def missing_for_structures() -> str:
    """The first package that structures need and that is not installed, empty where all are there."""
    from importlib.util import find_spec

    return next((name for name in ("ase", "chgnet", "dask", "distributed", "pyxtal") if find_spec(name) is None), "")


def _structures(
    plan: DiscoveryPlan,
    order: pd.DataFrame,
    report: Report,
    out: Path,
    *,
    force: bool,
    say: Callable[[str], None],
    progress: ProgressFactory,
) -> tuple[Report, pd.DataFrame | None]:
    """Structures and DFT inputs of the first candidates, shown in the report too."""
    import numpy as np

    from matgen.dft.export import export, jobs_of
    from matgen.structure_report import section
    from matgen.structures.judge import judge_structures
    from matgen.structures.make import StructurePlan, make_structures

    first = order.head(plan.structures)
    how = StructurePlan.quick(plan.seed, plan.workers)
    folder = out / "structures"
    try:
        made = make_structures(first, "formula", folder, how, force=force, progress=progress)
        judged = judge_structures(folder, np.ones(len(first), dtype=bool))  # what is ranked is novel
        exported = export(jobs_of(folder), out / "dft", plan.dft_format, force=force)
    except StructureError as error:
        say(f"no structures: {error}")
        return report, None
    for text in sorted({text for remarks in exported.remarks.values() for text in remarks}):
        say(f"note on dft/: {text}")
    return report.with_structures(section(judged, first)), made.candidates
