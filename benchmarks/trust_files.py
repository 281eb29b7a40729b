"""Mutated models, tables, structures and states, opened in processes of their own; for `benchmarks.trust`.

What matgen's own models say must be what they said before, or be refused; a table of a user must be read as an
independent reader reads it, or be refused.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.trust_run import run, said
from benchmarks.trust_writers import known_formulas, tables_to_learn
from matgen.errors import MatgenError

SECONDS = 30.0
"""Each input's time limit."""

MEMORY = 3 * 2**30
"""Bytes that a process may take beyond what it has when it begins."""

BATCH = 25
"""Inputs to a process; after a crash a new one goes on behind the input that caused it."""


@dataclass(frozen=True)
class Kind:
    """What is mutated.

    Attributes:
        base: a file, or a folder of which files are mutated.
        open: opens a file or folder; what it says, to be compared.
        same: what it says must be what the base says; else `expected` tells what an independent reader says of the
            mutated file, None where that does not read it.
        weight: share of the inputs.
    """

    base: Path
    open: Callable[[Path], Any]
    same: bool
    expected: Callable[[Path], Any] = lambda path: None
    weight: int = 1


def files(work: Path, n: int) -> dict[str, Any]:
    """`n` mutated inputs of all kinds: how many were refused, read as they were, read otherwise, or were faults."""
    kinds = _kinds(work)
    total = sum(kind.weight for kind in kinds.values())
    results: dict[str, Any] = {}
    for name, kind in kinds.items():
        results[name] = _fuzzed(work / "mutated", name, kind, n * kind.weight // total)
        print(name, results[name], flush=True)
    rows = list(results.values())
    return {
        "inputs": sum(row["inputs"] for row in rows),
        "seconds_each_at_most": max(row["slowest_seconds"] for row in rows),
        "kinds": results,
        "faults": sum(len(row["faults"]) for row in rows),
    }


def _fuzzed(work: Path, name: str, kind: Kind, n: int) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    faults, slowest, next_one = [], 0.0, 0
    base = kind.open(kind.base) if kind.same else None
    while next_one < n:
        lines, status = _child(work, kind, base, range(next_one, min(n, next_one + BATCH)))
        for line in lines:
            outcomes[line["outcome"]] += 1
            slowest = max(slowest, line["seconds"])
            if line["outcome"] not in ("refused", "as it was", "as another reader", "read"):
                faults.append(line)
            next_one = line["number"] + 1
        if status != 0:  # the input behind the last line did it
            outcomes["killed its process"] += 1
            faults.append({"number": next_one, "outcome": f"its process ended with {status}"})
            next_one += 1
    return {
        "inputs": n,
        **dict(outcomes),
        "slowest_seconds": round(slowest, 2),
        "faults": [fault | {"kind": name} for fault in faults[:20]],
    }


def _child(work: Path, kind: Kind, base: Any, numbers: range) -> tuple[list[dict[str, Any]], int]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
        signal.signal(signal.SIGALRM, _too_long)
        with os.fdopen(writing, "w") as stream:
            for number in numbers:
                print(json.dumps(_tried(work, kind, base, number)), file=stream, flush=True)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    lines = [json.loads(line) for line in text.splitlines()]
    return lines, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class _Hangs(BaseException):
    """Not to be caught as an input's error."""


def _too_long(signum: int, frame: Any) -> None:
    raise _Hangs


def _tried(work: Path, kind: Kind, base: Any, number: int) -> dict[str, Any]:
    rng = random.Random(number)
    shutil.rmtree(work, ignore_errors=True)
    path = work / kind.base.name
    if kind.base.is_dir():
        shutil.copytree(kind.base, path)
        victim = rng.choice(sorted(file for file in path.rglob("*") if file.is_file() and file.suffix != ".md"))
    else:
        work.mkdir(parents=True)
        shutil.copy(kind.base, path)
        victim = path
    victim.write_bytes(mutated(rng, victim.read_bytes(), is_text=victim.suffix not in (".safetensors", ".parquet")))
    row: dict[str, Any] = {"number": number, "file": victim.name}
    began = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        said = kind.open(path)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if kind.same:
            outcome = "as it was" if said == base else "another answer in silence"
        else:
            expected = kind.expected(path)
            agrees = said == expected
            outcome = "read" if expected is None else "as another reader" if agrees else "another content"
            if outcome == "another content":
                row |= {"said": str(said)[:300], "expected": str(expected)[:300]}
    except MatgenError as error:
        outcome = "refused" if "\n" not in str(error) else "refused in several lines"
    except MemoryError:
        outcome = "refused"  # the command line says so in one line
    except _Hangs:
        outcome = f"longer than {SECONDS:.0f} s"
    except OSError as error:
        # The command line tells of the operating system's errors in one line, but a reader should name the file.
        outcome, row["error"] = "an error without words", repr(error)[:300]
    except BaseException as error:
        outcome, row["error"] = "an error that nothing caught", repr(error)[:300]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return row | {"outcome": outcome, "seconds": round(time.monotonic() - began, 3)}


def mutated(rng: random.Random, data: bytes, *, is_text: bool) -> bytes:
    """The bytes with a few changes: bits, bytes, pieces, lengths; in text numbers and words too."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place = rng.randrange(len(out)) if out else 0
        size = min(len(out) - place, rng.choice((1, 1, 4, 16, 200)))
        how = rng.randrange(9 if is_text else 7)
        if how == 0 and out:
            out[place] ^= 1 << rng.randrange(8)
        elif how == 1:
            out[place : place + size] = rng.randbytes(size)
        elif how == 2:
            del out[place : place + size]
        elif how == 3:
            out[place:place] = rng.randbytes(size)
        elif how == 4:
            other = rng.randrange(len(out)) if out else 0
            out[place:place] = out[other : other + size]
        elif how == 5:
            del out[place:]
        elif how == 6:
            out[place : place + size] = rng.choice((b"\0", b"\xff", b"\x7f")) * size
        else:
            out[place : place + size] = rng.choice(_WORDS)
    return bytes(out)


_WORDS = (
    b"1e999",
    b"-1",
    b"NaN",
    b"null",
    b"[]",
    b"{}",
    b'"',
    b",",
    b"\n",
    b"999999999999999999999",
    b"../../etc",
    b"0",
    b"[" * 2000,
)


def _kinds(work: Path) -> dict[str, Kind]:
    from matgen.datasets.tables import read_formula_table
    from matgen.evaluation.comparison import read_report
    from matgen.lift.files import read_any_table
    from matgen.models.locate import find_checkpoint
    from matgen.prediction.locate import bundled_name, find_predictor
    from matgen.structures.folder import read_structures
    from matgen.structures.templates import templates_in

    made = work / "bases"
    made.mkdir()
    table, known = made / "table.csv", known_formulas()
    rows, answers = tables_to_learn(made)
    table.write_text("id,formula,note\n" + "".join(f'{n},{f},"a, {n}"\n' for n, f in enumerate(known[:40])))
    records = [{"formula": f, "n": n} for n, f in enumerate(known[:40])]
    (made / "table.json").write_text(json.dumps(records))
    (made / "table.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    steps = [
        ["evaluate", str(table), "--no-baselines", "--out", "report"],
        ["structure", str(table), "--top", "2", "--symmetric", "0", "--no-relax", "--out", "structures"],
        ["lift", "fit", "--table", str(rows), "--target", "c", "--options", "steps=30", "--out", "lift"],
        ["fit", "--table", str(answers), "--target", "answer", "--kind", "trees", "--out", "trees"],
    ]  # fmt: skip
    for words in steps:
        if run([*words[:-1], str(made / words[-1]), "--quiet"], work) != 0:
            raise RuntimeError(f"{words}: {said(work)}")
    crystal = made / "cif"
    crystal.mkdir()
    shutil.copy(next((made / "structures" / "cif").iterdir()), crystal / "one.cif")
    predictor = Path(find_predictor(bundled_name("formation_energy", "oqmd")))
    return {
        "checkpoint": Kind(Path(find_checkpoint(None)), _logits, True, weight=5),
        "predictor": Kind(predictor, _predictions, True, weight=2),
        "predictor of trees": Kind(made / "trees", _predictions, True, weight=2),
        "LIFT model": Kind(made / "lift", lambda path: _answers(path, rows), True, weight=2),
        "training state": Kind(_training_state(made), _state, True, weight=2),
        "CSV": Kind(table, lambda p: read_formula_table(p)[0]["formula"].tolist(), False, _csv_formulas, weight=3),
        "CSV of any columns": Kind(rows, lambda p: read_any_table(p).shape, False, weight=1),
        "JSON": Kind(made / "table.json", _formulas_of(read_formula_table), False, _json_formulas, weight=2),
        "JSON lines": Kind(made / "table.jsonl", _formulas_of(read_formula_table), False, weight=1),
        "Parquet": Kind(
            made / "report" / "candidates.parquet", lambda p: read_formula_table(p)[0].to_csv(), True, weight=4
        ),
        "report": Kind(made / "report" / "report.json", lambda p: len(read_report(p)), False, weight=1),
        "CIF": Kind(crystal, lambda p: len(templates_in(p)[0]), False, weight=2),
        "structures": Kind(made / "structures", lambda p: str(read_structures(p)), True, weight=2),
    }


def _formulas_of(read: Callable[..., Any]) -> Callable[[Path], list[Any]]:
    return lambda path: [cell for cell in read(path)[0]["formula"].tolist() if isinstance(cell, str)]


def _logits(folder: Path) -> Any:
    import torch

    from matgen.models.checkpoint import load_checkpoint

    opened = load_checkpoint(folder)
    with torch.no_grad():
        return opened.model(input_ids=torch.arange(2, 10)[None]).logits.numpy().tobytes(), opened.notation


def _predictions(folder: Path) -> Any:
    from matgen.composition.batch import CompositionBatch
    from matgen.prediction import Predictor

    return Predictor.load(folder).predict(CompositionBatch.from_formulas(["NaCl", "SrTiO3", "Fe2O3"])).to_csv()


def _answers(folder: Path, rows: Path) -> Any:
    import pandas as pd

    from matgen.lift import load

    return load(folder).predict(pd.read_csv(rows)[["a", "b"]].head(5)).tolist()


def _training_state(made: Path) -> Path:
    import torch

    from matgen.fitting.state import FitState, save_state

    state = FitState(step=3, total_steps=9, precision="fp32")
    tensors = {"weight": torch.arange(60.0).reshape(6, 10)}
    save_state(made / "training", state, 5, tensors, {"moment": torch.ones(60)})
    return made / "training"


def _state(folder: Path) -> Any:
    from matgen.fitting.state import load_state

    state, weights, optimizer = load_state(folder, 5)
    return repr(state), [
        (name, tensor.tolist()) for part in (weights, optimizer) for name, tensor in sorted(part.items())
    ]


def _csv_formulas(path: Path) -> list[str] | None:
    """As Python's csv module reads them; None where rows have too few or too many fields or it does not read them."""
    csv.field_size_limit(sys.maxsize)
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if "\0" in text:
            return None
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (csv.Error, UnicodeDecodeError):
        return None
    if len({len(row) for row in rows}) != 1 or rows[0].count("formula") != 1 or len(set(rows[0])) < len(rows[0]):
        return None
    at = rows[0].index("formula")
    return [row[at] for row in rows[1:]]


def _json_formulas(path: Path) -> list[str] | None:
    """The formulas as the standard library reads them; None of what matgen alone reads: other encodings, JSON Lines."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        return None
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        return None
    return [row["formula"] for row in content if isinstance(row.get("formula"), str)]
