"""The whole pipeline in one call: train, reinforce, sample, predict, evaluate, rank, relax the first, export them."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from matgen.errors import DataError, MissingDependencyError, OptionError, StructureError
from matgen.evaluation import Report, evaluate
from matgen.evaluation.ranking import RANKED_NUMBERS, chosen, ranked, write_ranked
from matgen.evaluation.settling import settled
from matgen.io.files import locked, read_checksummed, refuse_to_overwrite, write_checksummed, write_json
from matgen.io.parts import begun_otherwise
from matgen.models.checkpoint import METADATA, REINFORCEMENT_PLAN, read_metadata
from matgen.pareto import parse_objectives, require_columns
from matgen.prediction import Predictor
from matgen.prediction.screening import Screen
from matgen.prediction.writing import predict_file
from matgen.reinforcement import ReinforcementPlan, reinforce
from matgen.reinforcement.plan import check_reinforceable, require_reinforceable
from matgen.runtime.progress import ProgressFactory, silent
from matgen.sampling import Constraints, Decoding, Sampler, SampleRequest, sample_to_file
from matgen.training import TrainingPlan, train_model
from matgen.training.plan import PLAN as TRAINING_PLAN
from matgen.validity import ValidityRules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matgen.structures.finish import Finish


PLAN = "plan.json"
"""What a discovery is, in its folder."""

_RESUMED_FROM = (
    f"model/{METADATA}", "model/training", f"reinforced/{METADATA}", "reinforced/training",
    "candidates.csv.json", "candidates.csv.parts", "predicted.parquet.json", "predicted.parquet.parts",
    "structures/structures.json", "structures/parts",
)  # fmt: skip
"""What says how far the stages of a run have come."""

_STOPPED = {"budget": "the most that were asked for", "exhausted": "all that exist under the constraints"}


@dataclass(frozen=True)
class DiscoveryPlan:
    """What `discover` does.

    Attributes:
        training: what to train, where no checkpoint is given.
        checkpoint: a checkpoint folder to take instead of training.
        reinforcement: how the checkpoint is reinforced before anything is drawn (its `model` is that checkpoint); None
            draws from the checkpoint as it is.
        predictor: of formation energies, by which candidates are ranked; None ranks by the model's probability.
        n: compositions to draw; where not all are kept, those that are.
        reference: what `novel` is judged against, one or several.
        seed: of drawing and of the random baselines.
        decoding: how to draw.
        constraints: what every composition must satisfy.
        rejection: reject what breaks a constraint instead of masking tokens.
        unique: each composition once.
        novel_to: datasets or files whose compositions are not kept.
        conditions: ranges of properties that a conditional model draws from; they need a `checkpoint`.
        screen: a condition on predicted properties that every composition must meet, as `Screen` reads it; "" for none.
            The ranking's predictor goes before the bundled ones.
        most_draws: samples after which drawing stops, as `SampleRequest` has it.
        rules: how validity is judged, by default as `evaluate` has it.
        protocol: rules by name instead.
        split: of the reference: what counts as held out.
        pareto: columns of the ranking to be best in, as `pareto.parse_objectives` reads them; "" for none.
        device: where to draw.
        structures: how many of the first candidates get relaxed structures and inputs for DFT.
        dft_format: of the inputs, as `matgen export` has them.
        workers: processes that relax.
        finish: which of the relaxed structures a second potential relaxes further, None for none.
    """

    training: TrainingPlan = field(default_factory=TrainingPlan)
    checkpoint: Path | None = None
    reinforcement: ReinforcementPlan | None = None
    predictor: Path | None = None
    n: int = 10_000
    reference: str | tuple[str, ...] = "hybrid"
    seed: int = 0
    decoding: Decoding = field(default_factory=Decoding)
    constraints: Constraints | None = None
    rejection: bool = False
    unique: bool = False
    novel_to: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    screen: str = ""
    most_draws: int | None = None
    rules: ValidityRules | None = None
    protocol: str | None = None
    split: str = "split"
    pareto: str = ""
    device: str = "cpu"
    structures: int = 0
    dft_format: str = "vasp"
    workers: int = 1
    finish: Finish | None = None

    def request(self, screen: str = "") -> SampleRequest:
        """What to draw; `screen` is what a filter of predicted properties keeps, in words.

        Raises:
            OptionError: a number out of range.
        """
        return SampleRequest(
            self.n,
            self.seed,
            self.decoding,
            constraints=self.constraints,
            rejection=self.rejection,
            unique=self.unique,
            novel_to=self.novel_to,
            conditions=self.conditions,
            screen=screen,
            most_draws=self.most_draws,
        )

    def content(self) -> dict[str, Any]:
        """What a run that is resumed must have been begun with, JSON-clean; where it computes may change."""
        content = asdict(replace(self, constraints=None))
        del content["device"], content["workers"]
        content["constraints"] = None if self.constraints is None else self.constraints.describe()
        clean: dict[str, Any] = json.loads(json.dumps(content, default=str))  # paths
        return clean


@dataclass(frozen=True)
class Discovery:
    """What came of `discover`.

    Attributes:
        folder: everything it wrote.
        ranked: valid, novel, distinct compositions, those to look at first first; columns as in `ranked.csv`.
        report: the evaluation of all draws; None where training or reinforcing was interrupted.
        seconds: time of each stage.
        structures: the first of `ranked` with the columns of `matgen structure`; None where there are none.
    """

    folder: Path
    ranked: pd.DataFrame
    report: Report | None
    seconds: dict[str, float]
    structures: pd.DataFrame | None = None

    def __repr__(self) -> str:
        first = ", ".join(self.ranked["formula"].head(3)) if len(self.ranked) else "none"
        return f"Discovery({len(self.ranked):,} ranked, the first: {first}; in {self.folder}/)"


@locked("out")
def discover(
    plan: DiscoveryPlan,
    out: Path | str,
    *,
    resume: bool = False,
    force: bool = False,
    say: Callable[[str], None] = lambda text: None,
    progress: ProgressFactory = silent,
) -> Discovery:
    """Train (or take a checkpoint), sample, predict, evaluate and rank into one folder.

    Writes `model/` (unless a checkpoint is given), `reinforced/` (where there is a reward), `candidates.csv`,
    `predicted.parquet` (where there is a predictor), `report/`, `ranked.csv`, `structures/` and `dft/` (where
    structures are asked for), `discovery.json`, and before them its `plan.json`.

    Args:
        plan: what to do.
        out: folder for everything.
        resume: resume the interrupted run of the same plan in `out`; where there is none, begin.
        force: replace what an earlier run left there.
        say: called with a sentence on what comes next.
        progress: counts what the stages do.

    Raises:
        DataError: the run to resume was begun with another plan.
        MatgenError: as its stages raise; what was finished before stays in the folder.
    """
    plan.request()  # numbers out of range are refused before any work
    if plan.pareto:
        if plan.predictor is None:
            raise OptionError("--pareto goes with predictions: leave out --predictor none")
        require_columns(parse_objectives(plan.pareto), RANKED_NUMBERS)
    if plan.conditions and plan.checkpoint is None:
        raise OptionError("the model that is trained here takes no conditions: name a conditional checkpoint")
    if plan.structures and (missing := missing_for_structures()):
        raise MissingDependencyError(f"structures need {missing}: pip install 'matgen[structures]'")
    out, content = Path(out), plan.content()
    if resume and (out / PLAN).exists():
        before = read_checksummed(out / PLAN)
        if differ := sorted(name for name in before.keys() | content if before.get(name) != content.get(name)):
            raise begun_otherwise(out, differ)
    else:
        resume = False
        refuse_to_overwrite(out, force=force)
    pipeline = _Pipeline(plan, out, resume, force, say, progress)
    if not resume:
        _forget(out)
        write_checksummed(out / PLAN, content)
    return pipeline.run()


def _forget(out: Path) -> None:
    """Remove what an earlier run would be resumed from: its stages must not be taken for those of the new plan."""
    for path in (out / name for name in _RESUMED_FROM):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


class _Pipeline:
    """The stages of one discovery, each numbered, announced and timed."""

    def __init__(self, plan: DiscoveryPlan, out: Path, resume: bool, force: bool,
                 say: Callable[[str], None], progress: ProgressFactory) -> None:  # fmt: skip
        self.plan, self.out, self.resume, self.say, self.progress = plan, out, resume, say, progress
        self.force = force or resume  # what an interrupted stage has left is replaced, unless it can be gone on with
        self.seconds: dict[str, float] = {}
        # Read now: a condition that no predictor can answer is refused before the training.
        self.screen = Screen(plan.screen, [plan.predictor] if plan.predictor else []) if plan.screen else None
        self._stage = 0
        self._stages = 3 + (plan.reinforcement is not None) + (plan.predictor is not None) + (plan.structures > 0)
        if plan.reinforcement is not None:  # likewise
            plan.reinforcement.make_reward()
            if plan.checkpoint is None:
                require_reinforceable(plan.training.model, "the model to train")
            else:
                check_reinforceable(plan.checkpoint)

    def run(self) -> Discovery:
        """All stages; what is ranked is empty where training was interrupted."""
        checkpoint = self._trained()
        if checkpoint is not None and self.plan.reinforcement is not None:
            checkpoint = self._reinforced(checkpoint, self.plan.reinforcement)
        if checkpoint is None:
            return Discovery(self.out, pd.DataFrame(), None, self.seconds)
        table = self._sampled(checkpoint)
        if self.plan.predictor is not None:
            table = self._predicted(table, self.plan.predictor)
        report = self._evaluated(table)
        order = ranked(chosen(report.frame)) if report.ranked is None else report.ranked
        write_ranked(order, self.out / "ranked.csv")
        structures = None
        if self.plan.structures and len(order):
            report, order, structures = self._relaxed(order, report)
        self._write_summary(checkpoint, len(order), structures, report)
        return Discovery(self.out, order, report, self.seconds, structures)

    def _ended(self, last: Path) -> bool:
        """Whether a stage of the run that is resumed has come to its end: the file that it writes last is there."""
        if ended := self.resume and last.exists():
            self._announce(f"{last.parent.name if last.name == METADATA else last.stem}: complete")
        return ended

    def _announce(self, text: str) -> None:
        self._stage += 1
        self.say(f"{self._stage}/{self._stages} {text}")

    @contextmanager
    def _timed(self, name: str, text: str) -> Iterator[None]:
        self._announce(text)
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)

    def _trained(self) -> Path | None:
        """The checkpoint's folder, None where its training was interrupted."""
        checkpoint, training = self.plan.checkpoint, self.plan.training
        if checkpoint is not None:
            self._announce(f"taking the checkpoint {checkpoint.name}")
            return checkpoint
        folder = self.out / "model"
        if self._ended(folder / METADATA):
            return folder
        resume = self.resume and (folder / TRAINING_PLAN).exists()
        with self._timed("train", f"training {training.model} ({training.preset}) on {training.dataset}"):
            result = train_model(training, folder, resume=resume, force=self.force, progress=self.progress)
        return None if result.interrupted else folder

    def _reinforced(self, checkpoint: Path, how: ReinforcementPlan) -> Path | None:
        """The reinforced checkpoint's folder, None where that was interrupted."""
        folder = self.out / "reinforced"
        if self._ended(folder / METADATA):
            return folder
        resume = self.resume and (folder / REINFORCEMENT_PLAN).exists()
        with self._timed("reinforce", f"reinforcing it by {how.reward}"):
            plan, device = replace(how, model=str(checkpoint)), self.plan.device
            result = reinforce(plan, folder, resume=resume, force=self.force, device=device, progress=self.progress)
        return None if result.interrupted else folder

    def _sampled(self, checkpoint: Path) -> Path:
        """The file of the candidates."""
        candidates = self.out / "candidates.csv"
        if self._ended(Path(f"{candidates}.json")):  # written last
            return candidates
        with self._timed("sample", f"drawing {self.plan.n:,} compositions"):
            sampler = Sampler(checkpoint, device=self.plan.device, accept=self.screen)
            request = self.plan.request(self.screen.describe() if self.screen else "")
            written = sample_to_file(sampler, request, candidates, resume=self.resume, force=self.force,
                                     progress=self.progress)  # fmt: skip
        rows, drawn = written["rows"], written["tally"]["drawn"]
        if not rows:
            raise DataError(f"none of {drawn:,} draws is kept: loosen the screen or the constraints, or draw more")
        if rows < self.plan.n:
            self.say(f"{rows:,} kept of {drawn:,} draws ({_STOPPED.get(written['stopped'], written['stopped'])})")
        return candidates

    def _predicted(self, candidates: Path, predictor: Path) -> Path:
        """The file of the candidates with predicted energies."""
        table = self.out / "predicted.parquet"
        if self._ended(Path(f"{table}.json")):
            return table
        with self._timed("predict", "predicting energies and distances to the hull"):
            predict_file(Predictor.load(predictor), candidates, table, resume=self.resume, force=self.force,
                         progress=self.progress)  # fmt: skip
        return table

    def _evaluated(self, table: Path) -> Report:
        plan = self.plan
        names = (plan.reference,) if isinstance(plan.reference, str) else plan.reference
        with self._timed("evaluate", f"judging them against {', '.join(names)}"):
            return evaluate(
                table,
                names,
                rules=plan.rules,
                protocol=plan.protocol,
                split=plan.split,
                seed=plan.seed,
                pareto=plan.pareto,
                out=self.out / "report",
                force=self.force,
                progress=self.progress,
            )

    def _relaxed(self, order: pd.DataFrame, report: Report) -> tuple[Report, pd.DataFrame, pd.DataFrame | None]:
        """Structures and DFT inputs of the first candidates, shown in the report too, and the ranking they settle."""
        import numpy as np

        from matgen.dft.export import export, jobs_of
        from matgen.structure_report import section
        from matgen.structures.judge import judge_structures
        from matgen.structures.make import make_structures
        from matgen.structures.plan import StructurePlan

        plan, folder, first = self.plan, self.out / "structures", order.head(self.plan.structures)
        how = StructurePlan.quick(plan.seed, plan.workers, plan.finish)
        with self._timed("structure", f"structures of the first {len(first)}, {how.in_words()}"):
            try:
                made = make_structures(first, "formula", folder, how, resume=self.resume, force=self.force,
                                       progress=self.progress)  # fmt: skip
                judged = judge_structures(folder, np.ones(len(first), dtype=bool))  # what is ranked is novel
                exported = export(jobs_of(folder), self.out / "dft", plan.dft_format, force=self.force)
            except StructureError as error:
                self.say(f"no structures: {error}")
                return report, order, None
            for text in sorted({text for remarks in exported.remarks.values() for text in remarks}):
                self.say(f"note on dft/: {text}")
            order = settled(order, made.candidates)
            write_ranked(order, self.out / "ranked.csv")
            shown = None if report.ranked is None else order
            report = report.with_structures(section(judged, first), self._links(judged.frame), shown)
            return report, order, made.candidates

    def _links(self, lowest: pd.DataFrame) -> dict[str, list[tuple[str, str]]]:
        """Files of each composition with a structure, by formula, as the report's folder reaches them."""
        found: dict[str, list[tuple[str, str]]] = {}
        for formula, id in lowest[["formula", "structure_id"]].dropna().itertuples(index=False, name=None):
            files = {"CIF": f"structures/cif/{id}.cif", "DFT inputs": f"dft/{id}/"}
            found[str(formula)] = [(label, f"../{at}") for label, at in files.items() if (self.out / at).exists()]
        return found

    def _write_summary(self, checkpoint: Path, n_ranked: int, structures: pd.DataFrame | None, report: Report) -> None:
        summary: dict[str, Any] = {
            "checkpoint": str(checkpoint),
            "training": read_metadata(checkpoint)["metrics"],
            "reward": self.plan.reinforcement and self.plan.reinforcement.reward,
            "n": self.plan.n,
            "predictor": None if self.plan.predictor is None else self.plan.predictor.name,
            "ranked": n_ranked,
            "structures": None if structures is None else int(structures["structure_id"].notna().sum()),
            "seconds": self.seconds | {"total": round(sum(self.seconds.values()), 1)},
            "metrics": report.content,
        }
        write_json(self.out / "discovery.json", summary)


def missing_for_structures() -> str:
    """The first package that structures need and that is not installed, empty where all are there."""
    from importlib.util import find_spec

    return next((name for name in ("ase", "chgnet", "dask", "distributed", "pyxtal") if find_spec(name) is None), "")
