"""What the page asks of the stages, apart from how it is shown: draw and judge, look closer, tinker, relax, export."""

from __future__ import annotations

import dataclasses
import functools
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from matgen.app.cache import frame_from_json, frame_to_json
from matgen.app.progress import CancellableProgress
from matgen.app.relaxed import kept_structure, relaxed_structures
from matgen.app.shared import (
    DRAWING,
    PREDICTING,
    shared_cache,
    shared_known,
    shared_predictor,
    shared_sampler,
    shared_screen,
)
from matgen.composition.batch import CompositionBatch
from matgen.dft.export import export
from matgen.evaluation import evaluate
from matgen.evaluation.ranking import PROBABILITY, chosen, ranked
from matgen.io.files import file_sha256
from matgen.io.parquet import read_parquet
from matgen.prediction.locate import METADATA
from matgen.prediction.writing import predict_file
from matgen.sampling import Sampler, SampleRequest, Tinkered, sample_to_file, tinker
from matgen.structure_report import crystal_of

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from matgen.evaluation.page.card import Crystal

_ABOVE = "energy_above_hull_"
"""How the columns of potentials' energies above the hull begin."""


@dataclass(frozen=True)
class Drawn:
    """What came of a request.

    Attributes:
        frame: distinct compositions with the columns of `matgen predict`, of the screen's properties too, of
            `matgen evaluate`, and of `ranked.csv`. Valid and novel ones come first, as `matgen discover` ranks them
            (`rank`); then the others, without a rank. No rows where none was kept.
        draws: how many samples were drawn.
        stopped: why drawing ended: `reached`, `budget`, `exhausted`.
    """

    frame: pd.DataFrame
    draws: int
    stopped: str


@dataclass
class Session:
    """A visitor's access to the models that all visitors share, and a folder for what is made; one call at a time.

    Predictions, replacements and structures of single formulas are kept in matgen's cache folder.

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

    @property
    def sampler(self) -> Sampler:
        """The model, loaded at its first use in this process."""
        return shared_sampler(self.checkpoint, self.device)

    def generate(self, request: SampleRequest, progress: CancellableProgress, screen: str = "") -> Drawn:
        """Draw, predict, judge and rank.

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
        folders = [] if self.predictor is None else [self.predictor]
        with self._scratch() as own:
            table = own / "drawn.parquet"
            with DRAWING.taken(progress):
                sampler = self.sampler
                sampler.accept = None
                if screen:
                    sampler.accept = accept = shared_screen(screen, tuple(folders))
                    folders += [one.folder for one in accept.columns.predictors.values() if one.folder is not None]
                    request = dataclasses.replace(request, screen=accept.describe())
                try:
                    written = sample_to_file(sampler, request, table, progress=progress.stage("Drawing"))
                finally:
                    sampler.accept = None  # it is everyone's
            draws, stopped = written["tally"]["drawn"], written["stopped"]
            if not written["rows"]:
                return Drawn(pd.DataFrame(), draws, stopped)
            table = self._predicted(table, list(dict.fromkeys(folders)), progress)
            return Drawn(_judged(table, progress), draws, stopped)

    def details(self, formula: str, progress: CancellableProgress) -> pd.DataFrame:
        """One row with all that is known of a formula without relaxing it: the columns of `generate`, no `rank`.

        Raises:
            Cancelled: `progress.cancel` was called.
            FormulaError: it cannot be read.
            MatgenError: as the stages raise.
        """
        reduced = _reduced(formula)
        depends_on = {"predictor": self._predictor_sha256}
        kept = shared_cache().get("details", reduced, depends_on)
        if kept is not None:
            return frame_from_json(kept)
        with self._scratch() as own:
            table = own / "one.parquet"
            pd.DataFrame({"formula": [reduced]}).to_parquet(table)
            folders = [] if self.predictor is None else [self.predictor]
            frame = _judged(self._predicted(table, folders, progress), progress).drop(columns="rank")
        shared_cache().put("details", reduced, depends_on, frame_to_json(frame))
        return frame

    def variants(self, formula: str, mask: str, progress: CancellableProgress) -> Tinkered:
        """What could take the place of an element of a formula.

        Raises:
            Cancelled: `progress.cancel` was called.
            MatgenError: as `tinker` raises.
        """
        progress.check()
        reduced = _reduced(formula)
        depends_on = {"mask": mask, "model": self._model_sha256, "device": self.device}
        kept = shared_cache().get("variants", reduced, depends_on)
        if kept is None:
            progress.stage("Loading the model")
            with DRAWING.taken(progress):
                found = tinker(self.sampler, reduced, mask=mask, progress=progress.stage(f"Replacing {mask}"))
            kept = {"frame": frame_to_json(found.frame), "positions": found.positions, "summary": found.summary}
            shared_cache().put("variants", reduced, depends_on, kept)
        return Tinkered(frame_from_json(kept["frame"]), kept["positions"], kept["summary"])

    def structure(self, formula: str, progress: CancellableProgress) -> tuple[Structure, str]:
        """The lowest relaxed structure of a formula and what potentials say of it.

        Raises:
            Cancelled: `progress.cancel` was called.
            StructureError: none could be made.
            MatgenError: as `make_structures` raises.
        """
        job = relaxed_structures([_reduced(formula)], self.folder, progress)[0]
        return job.structure, energies_in_words(job.provenance)

    def crystal(self, formula: str, progress: CancellableProgress) -> Crystal:
        """The same structure as cards show it; raises as `structure` does."""
        job = relaxed_structures([_reduced(formula)], self.folder, progress)[0]
        return crystal_of(job.structure, job.provenance)

    def kept_crystals(self, formulas: Sequence[str]) -> dict[str, Crystal]:
        """By reduced formula the structures that were relaxed before; nothing is relaxed."""
        jobs = {reduced: kept_structure(reduced) for reduced in map(_reduced, formulas)}
        return {reduced: crystal_of(job.structure, job.provenance) for reduced, job in jobs.items() if job is not None}

    def as_csv(self, rows: pd.DataFrame) -> bytes:
        """A basket as a table."""
        text: str = rows.to_csv(index=False, float_format="%.6f")
        return text.encode()

    def as_inputs(self, formulas: Sequence[str], format: str, progress: CancellableProgress) -> tuple[bytes, int]:
        """A ZIP archive of CIFs or of inputs for DFT, and of how many compositions a structure is in it.

        Raises:
            Cancelled: `progress.cancel` was called.
            StructureError: of no formula a structure could be made.
            MatgenError: as `make_structures` and `export` raise.
        """
        jobs = relaxed_structures([_reduced(formula) for formula in formulas], self.folder, progress)
        with self._scratch() as own:
            export(jobs, own / format, format, progress=progress.stage("Writing"))
            return Path(shutil.make_archive(str(own / "packed"), "zip", own / format)).read_bytes(), len(jobs)

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder for one call."""
        with tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True) as own:
            yield Path(own)

    def _predicted(self, table: Path, folders: Sequence[Path], progress: CancellableProgress) -> Path:
        """A table with the columns of some predictors, in a file beside it."""
        with PREDICTING.taken(progress):
            for i, folder in enumerate(folders):
                predictor, out = shared_predictor(folder), table.with_name(f"predicted-{i}.parquet")
                predict_file(predictor, table, out, progress=progress.stage(f"Predicting {predictor.name}"))
                table = out
        return table

    @functools.cached_property
    def _model_sha256(self) -> str:
        return file_sha256(self.checkpoint / "model.safetensors")

    @functools.cached_property
    def _predictor_sha256(self) -> str | None:
        """Of the description, which has the checksums of the other files."""
        return None if self.predictor is None else file_sha256(self.predictor / METADATA)


def _reduced(formula: str) -> str:
    return str(CompositionBatch.from_formulas([formula]).formulas()[0])


def _judged(table: Path, progress: CancellableProgress) -> pd.DataFrame:
    """Distinct rows of a table of predictions with the columns of `matgen evaluate` and of a ranking.

    First those of `matgen discover`'s ranking, by `rank`; then those that are not valid or not novel, without a rank.
    """
    rows, known = read_parquet(table), shared_known()
    # Without it the evaluation makes no ranking of its own: below all rows are ranked, once.
    probability = rows.pop(PROBABILITY) if PROBABILITY in rows else None
    frame = evaluate(rows, known, baselines=False, progress=progress.stage("Judging")).frame
    if probability is not None:
        frame = frame.assign(**{PROBABILITY: probability.to_numpy()})
    frame = frame[frame["duplicate_of"].isna()]
    progress.check()
    best = set(chosen(frame)["formula"])
    order = ranked(frame, [known.batch])
    order = order.sort_values("formula", key=lambda formulas: ~formulas.isin(best), kind="stable")
    ranks = pd.array([i if i <= len(best) else pd.NA for i in range(1, len(order) + 1)], dtype="Int64")
    new = order[["formula", *(name for name in order if name not in frame)]].assign(rank=ranks)
    return new[["formula"]].merge(frame, on="formula", validate="one_to_one").merge(new, on="formula")


def energies_in_words(row: Mapping[str, Any]) -> str:
    """What each potential says of a structure, from its row of `structures.parquet`."""
    parts = [f"{row[name]:.3f} eV/atom by {name.removeprefix(_ABOVE).replace('_', '-')}"
             for name in row if name.startswith(_ABOVE)]  # fmt: skip
    if not parts:
        return "no energy above the hull"
    text = f"above the hull: {', '.join(parts)}"
    return text + ("; the potentials disagree" if row.get("potentials_disagree") else "")
