"""The report of an evaluation: candidates in, a judged table, numbers (`report.json`) and pages to read out."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from matgen.composition import parse_formulas
from matgen.datasets import Dataset, load_dataset, read_formula_table
from matgen.datasets.tables import find_formula_column
from matgen.errors import DataError, OptionError, OutputError
from matgen.evaluate import baselines as random_baselines
from matgen.evaluate import metrics, pages
from matgen.evaluate.labels import BASELINES, COLUMNS, novelty_in_words
from matgen.files import write_json, write_text
from matgen.validity import ValidityRules
from matgen.versions import versions

FILES = ("candidates.parquet", "report.md", "report.html", "report.json")
"""What a report consists of. `report.json` is moved into place last: where it is, the others are."""

_MAX_BAD_LISTED = 100

Progress = Callable[[str, int, int], None]
"""Called as `progress(stage, done, total)`; `total` is an upper bound, since repeated compositions are judged once."""


@dataclass(frozen=True)
class Report:
    """An evaluation.

    Attributes:
        content: what `report.json` holds.
        frame: what `candidates.parquet` holds: the input's rows in order, and the columns of `labels.COLUMNS`.
        folder: where both were written, or None.
    """

    content: dict[str, Any]
    frame: pd.DataFrame
    folder: Path | None = None

    def write(self, out: Path | str, *, force: bool = False) -> Report:
        """Write the report's four files into a folder, all or none of them; other files there are left alone.

        Raises:
            OutputError: the folder holds a report already and `force` is off, or it cannot be written.
        """
        folder = Path(out)
        with _staged(folder, force=force) as stage:
            self._write_into(stage)
        return Report(self.content, self.frame, folder)

    def _write_into(self, stage: Path) -> None:
        with _writing(stage.parent):
            pq.write_table(_storable(self.frame), stage / "candidates.parquet", compression="zstd")
            write_text(stage / "report.md", pages.markdown(self.content))
            write_text(stage / "report.html", pages.html(self.content, self.frame))
            write_json(stage / "report.json", self.content)


def evaluate(
    candidates: pd.DataFrame | Path | str | Iterable[str],
    reference: Dataset | Path | str = "hybrid",
    *,
    rules: ValidityRules | None = None,
    column: str | None = None,
    seed: int = 0,
    baselines: bool = True,
    out: Path | str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Judge candidate formulas against a reference and against chance.

    Args:
        candidates: a table, a file or a folder of files as `read_formula_table` reads them, or formulas. Columns with
            the names of `labels.COLUMNS` are replaced by what is found now, so that a `candidates.parquet` of an
            earlier report can be evaluated again.
        reference: a dataset's name or file, or a loaded dataset; `novel` and `recovery` refer to it.
        rules: how validity is judged; by default SMACT's ICSD24 states, alloys not waved through.
        column: the column of formulas, by default found.
        seed: of the random baselines.
        baselines: judge the three random baselines too.
        out: a folder to write the report into.
        force: replace a report that is there.
        progress: see `Progress`.

    Raises:
        DataError: no rows, no formula column, or no row that can be read.
        OutputError: `out` holds a report and `force` is off, or cannot be written.
    """
    rules = rules or ValidityRules()
    if seed < 0:
        raise OptionError(f"seed {seed}: at least 0")
    if out is not None:
        # The folder is claimed before the work, so that an unwritable one costs no time.
        with _staged(Path(out), force=force) as stage:
            report = _evaluate(candidates, reference, rules, column, seed, baselines, progress)
            report._write_into(stage)
        return Report(report.content, report.frame, Path(out))
    return _evaluate(candidates, reference, rules, column, seed, baselines, progress)


def _evaluate(
    candidates: pd.DataFrame | Path | str | Iterable[str],
    reference: Dataset | Path | str,
    rules: ValidityRules,
    column: str | None,
    seed: int,
    baselines: bool,
    progress: Progress | None,
) -> Report:
    frame, column, source = _read_candidates(candidates, column)
    if not len(frame):
        raise DataError(f"{source}: no rows to evaluate")
    parsed = parse_formulas(frame[column])
    if not len(parsed.batch):
        raise DataError(f"{source}: none of the {len(frame)} formulas can be read; {parsed.bad[0]}")
    dataset = load_dataset(str(reference)) if isinstance(reference, str | Path) else reference
    if not len(dataset.batch):
        raise DataError(f"reference {dataset.name}: no formulas")
    known = dataset.keyset()

    judged = metrics.judge(
        frame, column, known, rules, parsed=parsed, progress=_stage(progress, "candidates", len(parsed.batch))
    )
    count = metrics.counts(judged.frame)
    fractions = metrics.fractions(count)
    keys, valid = judged.batch.keys(), judged.frame["valid"].to_numpy(bool)[judged.rows]
    parts = {part: dataset.part(part).keys() for part in ("train", "test")}
    recovery = {part: metrics.recovered(keys, part_keys) for part, part_keys in parts.items()}
    recovery_valid = {part: metrics.recovered(keys[valid], part_keys) for part, part_keys in parts.items()}

    per_baseline: dict[str, dict[str, float]] = {}
    n_random = min(max(len(frame), random_baselines.FEWEST), random_baselines.MOST)
    if baselines:
        per_baseline = random_baselines.judge_baselines(
            dataset.batch,
            known,
            n_random,
            seed,
            rules,
            progress=_stage(progress, "random baselines", len(BASELINES) * n_random),
        )
    strongest = random_baselines.strongest(per_baseline)
    content = {
        "n": len(frame),
        **fractions,
        "recovery": {part: found["fraction"] for part, found in recovery.items()},
        "recovery_valid": {part: found["fraction"] for part, found in recovery_valid.items()},
        "baseline": strongest,
        "enrichment": random_baselines.enrichment(fractions, strongest),
        "baselines": per_baseline,
        "groups": metrics.group_metrics(judged.frame),
        "intervals": metrics.intervals(count),
        "counts": {**count, "bad": len(judged.bad), "recovery": recovery, "recovery_valid": recovery_valid},
        "bad": [
            {"row": bad.row, "formula": bad.formula[:200], "reason": bad.reason} for bad in judged.bad[:_MAX_BAD_LISTED]
        ],
        "protocol": {
            "oxidation_states": rules.oxidation_states,
            "include_alloys": rules.include_alloys,
            "mixed_valence": rules.mixed_valence,
            "reference": dataset.name,
            "reference_sha256": dataset.sha256,
            "reference_size": len(known),
            "deduplication": "reduced composition (128-bit key)",
            "novel_means": novelty_in_words(dataset.name),
            "seed": seed,
            "source": source,
            "versions": versions("smact", "pymatgen-core", "numpy"),
        },
    }
    return Report(content, judged.frame)


def _read_candidates(
    candidates: pd.DataFrame | Path | str | Iterable[str], column: str | None
) -> tuple[pd.DataFrame, str, str]:
    """The candidate table, its formula column, and what to call it in a message."""
    if isinstance(candidates, pd.DataFrame):
        frame, source = candidates, "the table"
        column = find_formula_column(frame.columns, column, source)
    elif isinstance(candidates, str | Path):
        source = str(candidates)
        frame, column = read_formula_table(candidates, column)
    else:
        frame, column, source = pd.DataFrame({"formula": list(candidates)}, dtype=object), "formula", "the list"
    if not frame.columns.is_unique:
        raise DataError(f"{source}: two columns are called {frame.columns[frame.columns.duplicated()][0]!r}")
    if column in COLUMNS:
        # A column of that name is replaced, and the input's text would be lost with it.
        if "formula" in frame:
            raise DataError(f"{source}: column {column!r} would be replaced; rename it, or evaluate 'formula'")
        frame, column = frame.rename(columns={column: "formula"}), "formula"
    return frame, column, source


def _stage(progress: Progress | None, stage: str, total: int) -> Callable[[int], None] | None:
    """A counter of one stage for `validity.check`."""
    if progress is None:
        return None
    done = 0
    progress(stage, 0, total)

    def advance(amount: int) -> None:
        nonlocal done
        done += amount
        progress(stage, done, total)

    return advance


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn what the operating system says about a place into one line."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error


@contextmanager
def _staged(folder: Path, *, force: bool) -> Iterator[Path]:
    """A temporary folder inside the output; its files move up into the output when the block ends well.

    Raises:
        OutputError: a report is there and `force` is off, or the place cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: choose another folder for the report")
    taken = [name for name in FILES if (folder / name).exists()]
    if taken and not force:
        raise OutputError(f"{folder} holds a report already ({taken[-1]}): choose another --out, or add --force")
    existed = folder.exists()
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(dir=folder, prefix=".report."))
    try:
        yield stage
        with _writing(folder):
            # An old report.json beside new tables would describe what is no longer there.
            (folder / "report.json").unlink(missing_ok=True)
            for name in FILES:
                os.replace(stage / name, folder / name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if not existed and not any(folder.iterdir()):
            folder.rmdir()


def _storable(frame: pd.DataFrame) -> pa.Table:
    """The frame as Parquet can hold it: columns of mixed types as text, and a column without a value as text too."""
    frame = frame.copy(deep=False)
    frame.columns = pd.Index([str(name) for name in frame.columns])
    for name in frame.columns:
        if not pd.api.types.is_object_dtype(frame[name].dtype):
            continue
        present = frame[name].notna()
        if not all(isinstance(value, str) for value in frame.loc[present, name]):
            frame[name] = frame[name].astype(str).astype(object).where(present, None)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for place, field in enumerate(table.schema):
        if pa.types.is_null(field.type):
            table = table.set_column(place, field.with_type(pa.string()), table[place].cast(pa.string()))
    return table
