"""What the page asks of the stages, apart from how it is shown: draw and judge, tinker, relax, export."""

from __future__ import annotations

import dataclasses
import functools
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from matgen.dft.export import export, jobs_of
from matgen.evaluation import evaluate
from matgen.evaluation.ranking import PROBABILITY
from matgen.prediction import Predictor
from matgen.prediction.screening import Screen
from matgen.prediction.writing import predict_file
from matgen.runtime.progress import Progress, SilentProgress
from matgen.sampling import Sampler, SampleRequest, Tinkered, sample_to_file, tinker

if TYPE_CHECKING:
    from pymatgen.core import Structure


_ABOVE = "energy_above_hull_"
"""How the columns of potentials' energies above the hull begin."""


class Cancelled(Exception):
    """The user does not want the result any more."""


class CancellableProgress:
    """A factory of counts for another thread to read, and to end the work by.

    Attributes:
        label: of the current stage.
        share: done of what is counted in it, from 0 to 1; None where its length is unknown.
    """

    def __init__(self) -> None:
        self.label = ""
        self.share: float | None = None
        self._ended = threading.Event()

    def cancel(self) -> None:
        """End the work at its next step."""
        self._ended.set()

    def stage(self, label: str) -> CancellableProgress:
        """Begin another stage.

        Raises:
            Cancelled: the work was ended.
        """
        self.label, self.share = label, None
        self.check()
        return self

    def __call__(self, total: int | None, description: str, unit: str, *, done: int = 0) -> Progress:
        """A count, see `ProgressFactory`; beginning and updating it raise as `stage` does."""
        self.check()
        return _Count(self, total, done)

    def check(self) -> None:
        """Raise `Cancelled` if the work was ended."""
        if self._ended.is_set():
            raise Cancelled


class _Count(SilentProgress):
    """What is counted in a stage."""

    def __init__(self, stage: CancellableProgress, total: int | None, done: int) -> None:
        self._stage, self._total, self._done = stage, total, done
        stage.share = None

    def update(self, n: int = 1, rate: float | None = None) -> None:
        self._done += n
        self._stage.share = self._done / self._total if self._total else None
        self._stage.check()


@dataclass(frozen=True)
class Drawn:
    """What came of a request.

    Attributes:
        frame: distinct compositions with the columns of `matgen predict`, of the screen's properties too, and of
            `matgen evaluate`; valid ones first, of these novel ones, of these those most probably at most 0.1 eV/atom
            above the hull. No rows where none was kept.
        draws: how many samples were drawn.
        stopped: why drawing ended: `reached`, `budget`, `exhausted`.
    """

    frame: pd.DataFrame
    draws: int
    stopped: str


@dataclass
class Session:
    """A model, a predictor of formation energies, and a folder for what is made; it does one thing at a time.

    Attributes:
        folder: for files that are made on the way, which may be deleted afterwards.
        checkpoint: folder of the model.
        predictor: folder of the predictor; None leaves energies out.
        device: where to draw.
        dft_format: of inputs for DFT, one of `matgen.dft.formats.format_names`.
    """

    folder: Path
    checkpoint: Path
    predictor: Path | None = None
    device: str = "cpu"
    dft_format: str = "vasp"

    @functools.cached_property
    def sampler(self) -> Sampler:
        """The model, loaded at its first use."""
        return Sampler(self.checkpoint, device=self.device)

    @functools.cached_property
    def _energies(self) -> Predictor | None:
        return None if self.predictor is None else Predictor.load(self.predictor)

    def generate(self, request: SampleRequest, progress: CancellableProgress, screen: str = "") -> Drawn:
        """Draw, predict and judge.

        Args:
            request: what to draw.
            progress: of the work; `cancel` ends it.
            screen: conditions on predicted properties, as of `matgen.prediction.screening.Screen`; what does not meet
                them is not kept, and drawing goes on for others. "" keeps all.

        Raises:
            Cancelled: `progress.cancel` was called.
            MatgenError: as the stages raise.
        """
        progress.stage("Loading the model")
        sampler, energies = self.sampler, self._energies
        predictors = {energies.name: energies} if energies else {}
        sampler.accept = None
        if screen:
            sampler.accept = accept = Screen(screen, [self.predictor] if self.predictor else [])
            predictors |= accept.columns.predictors
            request = dataclasses.replace(request, screen=accept.describe())
        table = self.folder / "drawn.parquet"
        written = sample_to_file(sampler, request, table, force=True, progress=progress.stage("Drawing"))
        draws, stopped = written["tally"]["drawn"], written["stopped"]
        if not written["rows"]:
            return Drawn(pd.DataFrame(), draws, stopped)
        for name, predictor in predictors.items():
            out = self.folder / f"{name}.parquet"
            predict_file(predictor, table, out, force=True, progress=progress.stage(f"Predicting {name}"))
            table = out
        frame = evaluate(table, baselines=False, progress=progress.stage("Judging")).frame
        frame = frame[frame["duplicate_of"].isna()]
        order = [name for name in ("valid", "novel", PROBABILITY, "log_prob") if name in frame]
        return Drawn(frame.sort_values(order, ascending=False, kind="stable").reset_index(drop=True), draws, stopped)

    def variants(self, formula: str, mask: str, progress: CancellableProgress) -> Tinkered:
        """What could take the place of an element of a formula.

        Raises:
            Cancelled: `progress.cancel` was called.
            MatgenError: as `tinker` raises.
        """
        progress.stage("Loading the model")
        return tinker(self.sampler, formula, mask=mask, progress=progress.stage(f"Replacing {mask}"))

    def relax(self, formulas: Sequence[str], progress: CancellableProgress) -> Path:
        """The folder of relaxed structures of some formulas, as `matgen structure` writes it.

        Raises:
            Cancelled: `progress.cancel` was called.
            MatgenError: as `make_structures` raises.
        """
        from matgen.structures.finish import Finish
        from matgen.structures.make import make_structures
        from matgen.structures.plan import StructurePlan

        folder = self.folder / "structures"
        plan = StructurePlan.quick(finish=Finish.if_installed())
        table = pd.DataFrame({"formula": list(formulas)})
        make_structures(table, "formula", folder, plan, force=True, progress=progress.stage("Relaxing"))
        return folder

    def structure(self, formula: str, progress: CancellableProgress) -> tuple[Structure, str]:
        """The lowest relaxed structure of a formula and what potentials say of it; raises as `relax` does."""
        job = jobs_of(self.relax([formula], progress))[0]
        return job.structure, energies_in_words(job.provenance)

    def as_csv(self, rows: pd.DataFrame) -> bytes:
        """A basket as a table."""
        text: str = rows.to_csv(index=False, float_format="%.6f")
        return text.encode()

    def as_inputs(self, formulas: Sequence[str], format: str, progress: CancellableProgress) -> tuple[bytes, int]:
        """A ZIP archive of CIFs or of inputs for DFT, and of how many compositions a structure is in it.

        Raises:
            Cancelled: `progress.cancel` was called.
            MatgenError: as `relax` and `export` raise.
        """
        jobs = jobs_of(self.relax(formulas, progress))
        folder = self.folder / format
        export(jobs, folder, format, force=True, progress=progress.stage("Writing"))
        return Path(shutil.make_archive(str(folder), "zip", folder)).read_bytes(), len(jobs)


def energies_in_words(row: Mapping[str, Any]) -> str:
    """What each potential says of a structure, from its row of `structures.parquet`."""
    parts = [f"{row[name]:.3f} eV/atom by {name.removeprefix(_ABOVE).replace('_', '-')}"
             for name in row if name.startswith(_ABOVE)]  # fmt: skip
    if not parts:
        return "no energy above the hull"
    text = f"above the hull: {', '.join(parts)}"
    return text + ("; the potentials disagree" if row.get("potentials_disagree") else "")
