"""What models draw of what can be made, beside random formulas, draw-and-filter and the first of a ranking: one table.

Columns of all rows, of 100,000 draws: validity, novelty, chemical systems; made compounds that no bundled table of
computed ones holds; held-out compounds near the hull; predicted stability; the elements put in the place of Sr in
SrTiO3; recall of substitutions that lead to stable compounds. With `--relaxed`, of the first 200 draws: structures
of the novel ones, relaxed by CHGNet and further by SevenNet-l3i5, which has no part in any model, ranking or reward.

python -m benchmarks.discovery [--row NAME=CHECKPOINT[@T][,condition=RANGE][,filter=MINUTES][,keep=N] ...]
python -m benchmarks.discovery --relaxed --only NAME ... [--workers 2]
python -m benchmarks.discovery --relaxed --first NAME=RANKED.csv --only NAME

Rows of random formulas and of the checkpoint of matgen 0.2 at T = 1 and 1.4 are always there. `filter` draws for some
minutes and keeps the best by `--reward`. Resumable: what is in the result is not measured again unless `--force` says
so or its checkpoint, or the predictor, has changed; relaxed structures and what was kept are in the folder of `--rows`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import discovery_measures as measures
from benchmarks.discovery_rows import Draws, Row, draws_of, filtered_draws, random_rows, reward_of
from benchmarks.record import RESULTS, read_result, write_result
from benchmarks.relaxed_draws import PLAN, judged, plan_digest
from matgen.composition.batch import ParsedFormulas, parse_some
from matgen.datasets import read_formula_table
from matgen.errors import MatgenError, OptionError
from matgen.io.files import file_sha256
from matgen.models.checkpoint import read_metadata
from matgen.models.locate import find_checkpoint
from matgen.sampling import Sampler

N, SEED = 100_000, 0
RELAXED, FIRST = 200, 100
"""Draws, and compositions of a ranking, whose novel ones get structures."""

FORMER, FORMER_ROW = "hybrid-pure-gptj-small", "0.2.0"
"""The checkpoint of matgen 0.2, and its row at temperature 1."""

REWARD = "probability_hull_0.05 * balanced_common * novel"
ROLES = ("checkpoint", "ranked", "settled", "reinforced", "filtered")
"""Rows that the table of goals is filled from, besides those of matgen 0.2 and the random ones: `ranked` is the ranking
as predicted, `settled` that after relaxation."""


def default_rows() -> list[Row]:
    """Random formulas, and the checkpoint of matgen 0.2."""
    return [*random_rows(), Row(FORMER_ROW, FORMER), Row(f"{FORMER_ROW}, T = 1.4", FORMER, 1.4)]


class Table:
    """The result, written after everything that is measured.

    Args:
        name: of the result.
        settings: those that all rows share.
        results: folder of the result.

    Raises:
        OptionError: the result there was measured with other settings.
    """

    def __init__(self, name: str, settings: dict[str, Any], results: Path = RESULTS) -> None:
        self.name, self.results = name, results
        earlier = read_result(name, results)
        if earlier and earlier["settings"] != settings:
            raise OptionError(f"{name}.json was measured with {earlier['settings']}: repeat them, or name another")
        self.content: dict[str, Any] = {
            "settings": settings,
            "commands": earlier.get("commands", []),
            "roles": {"former": FORMER_ROW} | earlier.get("roles", {}),
            "rows": earlier.get("rows", {}),
            "substitution": earlier.get("substitution", {}),
        }

    @property
    def rows(self) -> dict[str, Any]:
        """Groups of columns by row and group."""
        rows: dict[str, Any] = self.content["rows"]
        return rows

    def begin(self, name: str, source: dict[str, Any], *, anew: bool = False) -> None:
        """A row, without what was measured of another source."""
        if anew or self.rows.get(name, {}).get("source") != source:
            self.rows[name] = {"source": source}

    def keep(self, name: str, group: str, measure: Callable[[], dict[str, Any]], **same: Any) -> None:
        """A group of columns, measured and written unless it is there with the same `same`."""
        row = self.rows[name]
        if group in row and all(row[group].get(key) == value for key, value in same.items()):
            return
        began = time.perf_counter()
        row[group] = measure() | same
        print(f"{name}: {group} ({time.perf_counter() - began:.0f} s)", flush=True)
        self.write()

    def write(self) -> None:
        """Write the result, with the commands in place of the last one."""
        write_result(self.name, {**self.content, "command": self.content["commands"][-1]}, self.results)


class Source:
    """A row's model and draws, each made when it is first asked for."""

    def __init__(self, row: Row, n: int, seed: int, reward: str, folder: Path, device: str) -> None:
        self.row, self.n, self.seed = row, n, seed
        self.reward, self.folder, self._device = reward, folder / file_name(row.name), device

    @cached_property
    def sampler(self) -> Sampler | None:
        """Of the row's checkpoint, None for random formulas."""
        return None if self.row.random else Sampler(find_checkpoint(self.row.checkpoint), device=self._device)

    @cached_property
    def draws(self) -> Draws:
        """The row's draws, or the best of them."""
        if self.row.minutes is None:
            return draws_of(self.row, self.n, self.seed, measures.reference(), self.sampler)
        assert self.sampler is not None
        return filtered_draws(self.row, self.seed, self.sampler, reward_of(self.reward), self.folder / "kept.csv")

    def candidates(self, first: int) -> tuple[ParsedFormulas, int]:
        """The first draws, or the best of those that were kept, and how many there are."""
        if self.row.minutes is None:
            few = draws_of(self.row, first, self.seed, measures.reference(), self.sampler)
            return few.parsed, few.n
        rows = self.draws.parsed.rows < first
        kept = self.draws.parsed
        return ParsedFormulas(kept.batch[np.flatnonzero(rows)], kept.rows[rows], []), min(first, self.draws.n)


def file_name(name: str) -> str:
    """A row's name as that of a folder."""
    return "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in name)


def measure(table: Table, source: Source, *, anew: bool = False) -> None:
    """All groups of columns of a row that need no structures."""
    row, name = source.row, source.row.name
    told = row.source() | ({} if row.minutes is None else {"reward": source.reward})
    table.begin(name, told, anew=anew)
    table.keep(name, "draws", lambda: measures.shares(source.draws))
    table.keep(name, "made", lambda: measures.made(source.draws, row))
    table.keep(name, "recovery", lambda: measures.recovery(source.draws, row))
    table.keep(name, "predicted", lambda: measures.predicted(source.draws),
               predictor_sha256=measures.predictor_sha256())  # fmt: skip
    if not row.random and row.minutes is None and row.temperature == 1.0:  # these are of the model, not of its draws
        sampler, split = source.sampler, read_metadata(find_checkpoint(row.checkpoint))["split"]
        assert sampler is not None
        table.keep(name, "tinkered", lambda: measures.tinkered(sampler))
        if split not in table.content["substitution"]:
            table.content["substitution"][split] = measures.substitution_without_model(split, source.seed)
        table.keep(name, "substitution", lambda: measures.substitution(sampler, split, source.seed))


def relaxed(table: Table, name: str, candidates: Callable[[], tuple[ParsedFormulas, int]], folder: Path, workers: int
            ) -> None:  # fmt: skip
    """The group of columns of a row that takes structures."""

    def judge() -> dict[str, Any]:
        parsed, n = candidates()
        return judged(parsed.batch, n, measures.known(), measures.said_above, folder, folder / file_name(name),
                      workers=workers)  # fmt: skip

    table.keep(name, "relaxed", judge, plan=plan_digest(PLAN), predictor_sha256=measures.predictor_sha256())


def first_of(path: Path, n: int) -> tuple[ParsedFormulas, int]:
    """The first compositions of a ranking, and how many there are."""
    frame, column = read_formula_table(path)
    return parse_some(frame[column].head(n)), min(n, len(frame))


def options_of(arguments: Iterable[str] | None = None) -> argparse.Namespace:
    """The options of a command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", action="append", default=[], type=Row.of, metavar="NAME=CHECKPOINT[@T]...")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="measure these rows alone")
    parser.add_argument("--force", nargs="+", default=[], metavar="NAME", help="measure these rows anew")
    parser.add_argument("--relaxed", action="store_true", help="structures of the first draws' novel ones too")
    parser.add_argument("--first", action="append", default=[], metavar="NAME=RANKED.csv",
                        help=f"a row of the first {FIRST} of a ranking: structures alone")  # fmt: skip
    parser.add_argument("--draws", type=int, default=RELAXED, help=f"of --relaxed (default: {RELAXED})")
    parser.add_argument("--workers", type=int, default=1, help="processes that relax (default: 1)")
    parser.add_argument("--role", action="append", default=[], metavar="ROLE=NAME",
                        help=f"a row of the table of goals: {', '.join(ROLES)}")  # fmt: skip
    parser.add_argument("--reward", default=REWARD, help=f"of rows with filter= (default: {REWARD})")
    parser.add_argument("--rows", type=Path, default=Path("runs/discovery"), help="folder of what is kept")
    parser.add_argument("-n", type=int, default=N)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--result", default="discovery", help="name of the result")
    return parser.parse_args(None if arguments is None else list(arguments))


def run(options: argparse.Namespace, results: Path = RESULTS) -> Table:
    """Measure what the options ask for."""
    settings = {"n": options.n, "seed": options.seed, "reference": measures.REFERENCE}
    table = Table(options.result, settings, results)
    rows = {row.name: row for row in [*default_rows(), *options.row]}
    rankings = dict(_named(spec, "first", "NAME=RANKED.csv") for spec in options.first)
    chosen = [*rows, *rankings] if options.only is None else options.only
    if unknown := [name for name in [*chosen, *options.force] if name not in rows and name not in rankings]:
        raise OptionError(f"no row {unknown[0]!r}; there are {', '.join([*rows, *rankings])}")
    for role, name in (_named(spec, "role", "ROLE=NAME") for spec in options.role):
        if role not in ROLES:
            raise OptionError(f"role {role!r}: one of {', '.join(ROLES)}")
        table.content["roles"][role] = name
    table.content["commands"] = list(dict.fromkeys([*table.content["commands"], told_command(options)]))
    for name in chosen:
        anew = name in options.force
        if name in rankings:
            path = Path(rankings[name])
            table.begin(name, {"ranking": path.name, "sha256": file_sha256(path), "first": FIRST}, anew=anew)
            relaxed(table, name, partial(first_of, path, FIRST), options.rows, options.workers)
            continue
        source = Source(rows[name], options.n, options.seed, options.reward, options.rows, options.device)
        measure(table, source, anew=anew)
        if options.relaxed:
            relaxed(table, name, partial(source.candidates, options.draws), options.rows, options.workers)
    table.write()
    return table


def _named(spec: str, option: str, form: str) -> tuple[str, str]:
    name, _, value = spec.partition("=")
    if not name or not value:
        raise OptionError(f"{option} {spec!r}: write {form}")
    return name, value


def told_command(options: argparse.Namespace) -> str:
    """The command without the paths of the machine."""
    words = ["python -m benchmarks.discovery", *(f"--row {str(row)!r}" for row in options.row)]
    for spec in options.first:
        name, path = _named(spec, "first", "NAME=RANKED.csv")
        words.append(f"--first {f'{name}={Path(path).name}'!r}")
    if options.relaxed:
        words.append(f"--relaxed --draws {options.draws}")
    if options.only is not None:
        words.append(f"--only {' '.join(map(repr, options.only))}")
    return " ".join(words)


if __name__ == "__main__":
    try:
        run(options_of())
    except MatgenError as error:
        raise SystemExit(str(error)) from error
