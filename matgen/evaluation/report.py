"""The report of an evaluation: candidates in, a judged table, numbers (`report.json`) and pages to read out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from matgen.datasets import Dataset
from matgen.datasets.storage import read_table
from matgen.errors import OptionError, OutputError
from matgen.evaluation.candidate_table import (
    CandidateTable,
    TableWriter,
    judged_as_ours,
    judged_as_written,
    without_ours,
)
from matgen.evaluation.content import add_unreadable, report_content
from matgen.evaluation.known import Known, open_references
from matgen.evaluation.labels import COLUMNS
from matgen.evaluation.limits import Limits
from matgen.evaluation.page import html as pages
from matgen.evaluation.page.figures import ranking
from matgen.evaluation.page.notebook import in_notebook
from matgen.evaluation.page.structures import StructureSection
from matgen.evaluation.page.tables import metric_rows
from matgen.evaluation.passes import Sink, evaluate_in_passes
from matgen.evaluation.protocol import protocol_of
from matgen.evaluation.ranking import PROBABILITY, RANKED_NUMBERS, chosen, first_of, ranked, write_ranked
from matgen.io.chunks import ColumnTypes, plain
from matgen.io.files import atomic_write, atomic_write_files, locked, write_json, write_text
from matgen.io.parquet import CHECKED_READING, require_utf8, write_parquet
from matgen.io.places import REPORT_FILES
from matgen.pareto import Objective, parse_objectives, require_columns
from matgen.runtime.notebook import table_html
from matgen.runtime.progress import ProgressFactory, silent
from matgen.validity import ValidityRules

RANKED = "ranked.csv"
"""The candidates in the order in which to look at them, where there is one."""

FILES = REPORT_FILES
"""What a report consists of. `report.json` is moved into place last: where it is, the others are."""

STRUCTURES = "structures.parquet"
"""Beside them, where structures were judged: a row for each composition with its lowest structure."""

_PAGE_ROWS = 20_000
"""Rows of a table that is not kept in memory which the page is given."""


class Report:
    """An evaluation.

    Attributes:
        content: what `report.json` holds.
        folder: where the report was written, or None.
        ranked: at most `Limits.rows_ranked` candidates that are valid, novel and the first of their kind, in the order
            in which to look at them (`ranking.ranked`). None for a table without the columns of `matgen predict`,
            unless it is too large to be kept and has `log_prob`.
        structures: what is known of crystal structures, None where nothing is.
    """

    def __init__(
        self,
        content: dict[str, Any],
        frame: pd.DataFrame | None,
        folder: Path | None = None,
        ranked: pd.DataFrame | None = None,
        structures: StructureSection | None = None,
    ) -> None:
        """Keep what was found; without a `frame`, `folder` must hold the judged table."""
        if frame is None and folder is None:
            raise OptionError("a report without a table needs the folder that holds one")
        self.content = content
        self.folder = folder
        self.ranked = ranked
        self.structures = structures
        self._frame = frame

    @property
    def frame(self) -> pd.DataFrame:
        """The input's rows in order with its columns and those of `labels.COLUMNS`, as `candidates.parquet` holds them.

        Of a file of more than a million rows it is not kept: the first use reads all of `candidates.parquet`.

        Raises:
            DataError: that file is gone or damaged.
        """
        if self._frame is None:
            assert self.folder is not None
            self._frame = read_table(self.folder / "candidates.parquet")
        return self._frame

    def __repr__(self) -> str:
        content = self.content
        shares = ", ".join(
            f"{name} {content[name]:.3f}" for name in ("valid", "unique", "novel") if content[name] is not None
        )
        where = "" if self.folder is None else f", in {self.folder}/"
        return f"Report(n={content['n']}, against {content['protocol']['reference']}: {shares}{where})"

    def _repr_html_(self) -> str:
        """The metrics, and where candidates are ranked their energies against their novelty."""
        head, rows = metric_rows(self.content, units=False)
        caption = f"{self.content['n']:,} candidates against {self.content['protocol']['reference']}"
        table = table_html(caption, head, [list(map(escape, row)) for row in rows])
        if self.ranked is None or PROBABILITY not in self.ranked or not len(self.ranked):
            return table
        return table + in_notebook(ranking(self.ranked).drawing)

    def write(self, out: Path | str, *, force: bool = False) -> Report:
        """Write the report's files into a folder, all or none of them; other files there are left alone.

        Raises:
            OutputError: the folder holds a report already and `force` is off, or it cannot be written.
        """
        folder, frame = Path(out), self.frame
        with _staged(folder, force=force) as stage:
            types, frame = ColumnTypes(), judged_as_ours(frame)
            types.add(without_ours(frame))
            with _writing(folder):
                writer = TableWriter(stage / "candidates.parquet", types.schema())
                writer.add(frame)
                writer.close()
            _write_pages(stage, self.content, frame, self.ranked, self.structures)
        if self.structures is not None:
            _write_structures(folder, self.structures)
        return Report(self.content, self.frame, folder, self.ranked, self.structures)

    def with_structures(
        self,
        section: StructureSection,
        links: Mapping[str, Sequence[tuple[str, str]]] | None = None,
        ranked: pd.DataFrame | None = None,
    ) -> Report:
        """The report with crystal structures; where it lies in a folder, its page and numbers there are written anew.

        The folder gets `structures.parquet` too.

        Args:
            section: the structures.
            links: labels and relative addresses of files beside the folder, by reduced formula, for its page.
            ranked: the ranking as the structures have settled it (`settling.settled`), by default as it was.

        Raises:
            OutputError: the folder cannot be written.
        """
        order = self.ranked if ranked is None else ranked
        report = Report(self.content | {"structures": section.content}, self._frame, self.folder, order, section)
        if self.folder is not None:
            if ranked is not None:
                write_ranked(ranked, self.folder / RANKED)
            _write_structures(self.folder, section)
            _write_pages(self.folder, report.content, report._page_frame(), order, section, links)
        return report

    def _page_frame(self) -> pd.DataFrame:
        """The rows that the page shows."""
        if self._frame is not None:
            return judged_as_ours(self._frame)
        assert self.folder is not None
        batches = pq.ParquetFile(self.folder / "candidates.parquet", **CHECKED_READING).iter_batches(_PAGE_ROWS)
        return judged_as_ours(plain(next(batches).to_pandas()))


class _Keeper:
    """Takes the judged rows: writes them where there is a folder, keeps them where they are few, or the first of them.

    Args:
        stage: folder to write into, or None.
        held: the input is in memory, so that the output may be.
        limits: how many rows are kept and ranked.
        objectives: by whose Pareto front they are ranked first.
    """

    def __init__(self, stage: Path | None, held: bool, limits: Limits, objectives: Sequence[Objective] = ()) -> None:
        self._stage, self._held, self._limits, self._objectives = stage, held, limits, objectives
        self._writer: TableWriter | None = None
        self._chunks: list[pd.DataFrame] = []
        self._kept = 0
        self._best: pd.DataFrame | None = None
        self.complete = True

    def begin(self, n: int, schema: pa.Schema) -> Sink:
        if self._objectives:
            if PROBABILITY not in schema.names:
                raise OptionError("--pareto ranks what was predicted: run `matgen predict` on the table first")
            require_columns(self._objectives, [*RANKED_NUMBERS, *schema.names])
        self.complete = self._held or n <= self._limits.rows_held
        if self._stage is not None:
            self._writer = TableWriter(self._stage / "candidates.parquet", schema)
        return self._take

    def _take(self, frame: pd.DataFrame) -> None:
        if self._writer is not None and self._stage is not None:
            with _writing(self._stage.parent):
                self._writer.add(frame)
        if self.complete or self._kept < _PAGE_ROWS:
            self._chunks.append(plain(frame if self.complete else frame.head(_PAGE_ROWS - self._kept)))
            self._kept += len(self._chunks[-1])
        if not self.complete and _ranking_column(frame) is not None:
            rows = plain(chosen(frame))
            best = rows if self._best is None else pd.concat([self._best, rows], ignore_index=True)
            self._best = first_of(best, self._limits.rows_ranked)

    def close(self) -> None:
        if self._writer is not None and self._stage is not None:
            with _writing(self._stage.parent):
                self._writer.close()

    @property
    def frame(self) -> pd.DataFrame:
        """The rows that were kept, numbered from 0."""
        if len(self._chunks) == 1:
            return self._chunks[0]
        frame = pd.concat(self._chunks, ignore_index=True)
        return frame[[*(name for name in frame.columns if name not in COLUMNS), *COLUMNS]]

    def ranked(self, known: Known) -> pd.DataFrame | None:
        """The candidates to look at, in order; None where nothing says which come first, or the caller has them all."""
        frame = self.frame
        key = _ranking_column(frame)
        if key is None or (self.complete and key != PROBABILITY):
            return None
        best = first_of(chosen(frame), self._limits.rows_ranked) if self._best is None else self._best
        return ranked(best, [reference.sample for reference in known.references], self._objectives)


def _ranking_column(frame: pd.DataFrame) -> str | None:
    """What candidates are ranked by, None where it is not there."""
    if "formula" not in frame:
        return None
    predicted = PROBABILITY in frame and "in_domain" in frame
    return PROBABILITY if predicted else "log_prob" if "log_prob" in frame else None


@locked("out")
def evaluate(
    candidates: pd.DataFrame | Path | str | Iterable[str],
    reference: Dataset | Path | str | Sequence[Dataset | Path | str] = "hybrid",
    *,
    rules: ValidityRules | None = None,
    protocol: str | None = None,
    split: str = "split",
    column: str | None = None,
    seed: int = 0,
    baselines: bool = True,
    out: Path | str | None = None,
    force: bool = False,
    progress: ProgressFactory = silent,
    limits: Limits = Limits(),  # noqa: B008, frozen
    scheduler: str | None = None,
    pareto: str = "",
) -> Report:
    """Judge candidate formulas against references and against chance.

    The candidates are gone through twice, in chunks, in memory that does not grow with their number (but for tables
    that are in memory anyway, and for files of up to a million rows, whose judged table is kept).

    Args:
        candidates: a table, a file or a folder of files as `read_formula_table` reads them, or formulas. The columns of
            an earlier evaluation (all of `labels.COLUMNS`) are made anew; where the user has columns with such names,
            matgen's get the suffix `_matgen`, and a `MatgenWarning` says so.
        reference: a dataset's name or file, or a loaded dataset, or several of these. `novel` means in none of them;
            `recovery`, the baselines and the distributions refer to the first.
        rules: how validity is judged; by default SMACT's ICSD24 states, alloys tested like the rest.
        protocol: rules by name instead, of `protocol.PROTOCOLS`.
        split: of the references, `split` or `split_chemsys`: which compositions count as held out.
        column: the column of formulas, by default recognized by its name.
        seed: of the random baselines, and of the draw that distributions are compared with.
        baselines: judge the three random baselines too.
        out: a folder to write the report into; needed for files of more than a million rows.
        force: replace a report that is there.
        progress: counts the stages.
        limits: how many rows are held and looked at.
        scheduler: address of a running Dask scheduler whose workers judge chunks of rows, instead of this process.
        pareto: columns of the ranking or the table, as `pareto.parse_objectives` reads them: what no other candidate
            beats in all of them is ranked first.

    Raises:
        DataError: no rows, no formula column, or no row that can be read; a reference without formulas; a scheduler
            that does not answer.
        OptionError: a negative seed, an unknown protocol, split or objective, an unknown reference or one named twice,
            or a large file and no `out`.
        OutputError: `out` holds a report and `force` is off, or cannot be written.
    """
    name, named = protocol_of(rules, protocol)
    if seed < 0:
        raise OptionError(f"seed {seed}: at least 0")
    objectives = parse_objectives(pareto) if pareto else ()

    def run(stage: Path | None) -> tuple[dict[str, Any], _Keeper, pd.DataFrame | None]:
        table = CandidateTable(candidates, column, limits.rows_per_chunk)
        known = Known(open_references(reference, split), limits.reference_keys_held)
        keeper = _Keeper(stage, table.held, limits, objectives)
        findings = evaluate_in_passes(
            table,
            known,
            named,
            seed,
            with_baselines=baselines,
            sink=keeper.begin,
            limits=limits,
            progress=progress,
            needs_file=stage is None,
            scheduler=scheduler,
        )
        keeper.close()
        names = [one.name for one in known.references]
        content = report_content(findings, names, (name, named), split, seed, table.source)
        add_unreadable(content, [one.unreadable for one in known.references])
        return content, keeper, keeper.ranked(known)

    if out is None:
        content, keeper, order = run(None)
        return Report(content, judged_as_written(keeper.frame), ranked=order)
    # The folder is claimed before the work, so that an unwritable one costs no time.
    with _staged(Path(out), force=force) as stage:
        content, keeper, order = run(stage)
        if order is not None:
            write_ranked(order, stage / RANKED)
        _write_pages(stage, content, keeper.frame, order)
    return Report(content, judged_as_written(keeper.frame) if keeper.complete else None, Path(out), order)


def _write_structures(folder: Path, section: StructureSection) -> None:
    with atomic_write(folder / STRUCTURES) as temporary:
        write_parquet(section.frame, temporary)


def _write_pages(
    stage: Path,
    content: dict[str, Any],
    frame: pd.DataFrame,
    order: pd.DataFrame | None,
    structures: StructureSection | None = None,
    links: Mapping[str, Sequence[tuple[str, str]]] | None = None,
) -> None:
    if order is not None and PROBABILITY not in order:
        order = None  # the page shows what was predicted of them
    with _writing(stage.parent):
        write_text(stage / "report.md", pages.markdown(content, order, structures))
        write_text(stage / "report.html", pages.html(content, frame, order, structures, links))
        write_json(stage / "report.json", content)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn what the operating system says about a place into one line."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error


@contextmanager
def _staged(folder: Path, *, force: bool) -> Iterator[Path]:
    """`atomic_write_files` of a report.

    Raises:
        OutputError: a report is there and `force` is off, or the place cannot be written.
    """
    require_utf8(folder, OutputError)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: choose another folder for the report")
    taken = [name for name in FILES if (folder / name).exists()]
    if taken and not force:
        raise OutputError(f"{folder} holds a report already ({taken[-1]}): choose another --out, or add --force")
    with atomic_write_files(folder, FILES) as stage:
        yield stage
