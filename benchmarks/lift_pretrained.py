"""SmolLM2-135M with LoRA on LIFT's tables, with and without the names of columns, and without any training.

Every finished fit is a file in `--work`, so that a run goes on where it stopped; `--collect` makes the result of them.

python -m benchmarks.lift_pretrained [--work FOLDER] [--workers 1] [--seconds 3600] [--small]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.record import RESULTS, machine, write_result
from matgen.files import read_json, write_json

TABLES = ("iris", "wine", "tae", "cmc")
OPTIONS = {"epochs": 20, "batch_size": 8, "learning_rate": 2e-3}
EXAMPLES = 8


def tasks(small: bool) -> list[dict[str, Any]]:
    """What is to be fitted, the quickest first."""
    if small:
        return [{"table": "iris", "seed": 0, "template": "named", "kind": "lora"}]
    made = [
        {"table": "iris", "seed": seed, "template": t, "kind": "lora"}
        for t in ("named", "x1", "shuffled")
        for seed in range(3)
    ]
    made += [{"table": "iris", "seed": 0, "template": "named", "kind": "shuffled labels"}]
    made += [
        {"table": t, "seed": s, "template": n, "kind": "lora"}
        for t in ("tae", "wine")
        for n in ("named", "x1")
        for s in range(3)
    ]
    made += [
        {"table": t, "seed": 0, "template": n, "kind": "in context"}
        for t in ("iris", "wine", "tae")
        for n in ("named", "x1")
    ]
    made += [{"table": "cmc", "seed": 0, "template": n, "kind": "lora"} for n in ("named", "x1")]
    return made


def name_of(task: dict[str, Any]) -> str:
    return "--".join(str(task[key]).replace(" ", "_") for key in ("table", "kind", "template", "seed"))


def parts_of(table: str, seed: int, folder: Path | None) -> list[tuple[pd.DataFrame, pd.Series]]:
    """Train, valid and test of a table; out of a folder that `--prepare` wrote, where there is no network."""
    if folder is None:
        from matgen.lift.tables import protocol_table

        opened = protocol_table(table)
        return [opened.of(rows) for rows in opened.parts[seed]]
    kept = read_json(folder / f"{table}.json")
    X, y = pd.DataFrame(kept["X"]), pd.Series(kept["y"], name=kept["target"])
    return [(X.iloc[r].reset_index(drop=True), y.iloc[r].reset_index(drop=True)) for r in kept["parts"][seed]]


def prepare(folder: Path) -> None:
    from matgen.lift.tables import protocol_table

    for name in TABLES:
        table = protocol_table(name)
        parts = [[rows.tolist() for rows in split] for split in table.parts]
        content = {"X": table.X.to_dict("list"), "y": table.y.tolist(), "target": table.y.name, "parts": parts}
        write_json(folder / f"{name}.json", content)


def work(task: dict[str, Any], out: Path, tables: Path | None) -> None:
    """Fit once and write accuracy on the test rows."""
    from matgen.lift import LiftClassifier
    from matgen.lift.augment import shuffled_labels

    train, valid, test = parts_of(task["table"], task["seed"], tables)
    in_context = task["kind"] == "in context"
    options = {"in_context": True} if in_context else dict(OPTIONS)
    answers = shuffled_labels(train[1], 0) if task["kind"] == "shuffled labels" else train[1]
    model = LiftClassifier(
        "smollm2", template=task["template"], retrieval=EXAMPLES if in_context else 0, backend_options=options,
        random_state=task["seed"],
    )  # fmt: skip
    began = time.perf_counter()
    model.fit(train[0], answers, validation=valid, folder=out / f".{name_of(task)}", resume=True)
    seconds = time.perf_counter() - began
    row = task | {
        "accuracy": float((model.predict(test[0]) == test[1].to_numpy()).mean()),
        "valid_accuracy": float((model.predict(valid[0]) == valid[1].to_numpy()).mean()),
        "raw_parse_rate": model.raw_parse_rate(test[0]),
        "n_test": len(test[1]),
        "n_parameters": model.n_parameters_,
        "seconds": round(seconds, 1),
        "machine": machine(),
    }
    write_json(out / f"{name_of(task)}.json", row)
    print(name_of(task), row["accuracy"], row["valid_accuracy"], row["raw_parse_rate"], row["seconds"], flush=True)


def drive(options: argparse.Namespace) -> None:
    """Run what is not done yet, several at once, until the time is over."""
    began = time.monotonic()
    left = [task for task in tasks(options.small) if not (options.work / f"{name_of(task)}.json").is_file()]
    running: list[subprocess.Popen] = []
    while left or running:
        running = [process for process in running if process.poll() is None]
        if time.monotonic() - began > options.seconds:
            for process in running:
                process.kill()
            break
        if left and len(running) < options.workers:
            command = [sys.executable, "-m", "benchmarks.lift_pretrained", "--work", str(options.work)]
            command += ["--one", json.dumps(left.pop(0))] + (
                ["--tables", str(options.tables)] if options.tables else []
            )
            running.append(subprocess.Popen(command))
        time.sleep(0.2)


def collect(folder: Path) -> None:
    """One line for each table, kind and template: mean and standard deviation of its seeds."""
    from matgen.lift.measures import accuracy_interval

    rows = [read_json(path) for path in sorted(folder.glob("*.json"))]
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["table"], row["kind"], row["template"]), []).append(row)
    found = []
    for (table, kind, template), own in groups.items():
        right = [row["accuracy"] for row in own]
        found.append(
            {
                "table": table,
                "kind": kind,
                "template": template,
                "seeds": len(own),
                "accuracy": float(np.mean(right)),
                "accuracy_std": float(np.std(right)),
                "interval": list(accuracy_interval(float(np.mean(right)), own[0]["n_test"])),
                "raw_parse_rate": float(np.mean([row["raw_parse_rate"] for row in own])),
                "seconds": float(np.mean([row["seconds"] for row in own])),
                "n_parameters": own[0]["n_parameters"],
                "gpu": own[0]["machine"]["gpu"],
            }
        )
    write_result("lift_pretrained", {"options": OPTIONS, "examples": EXAMPLES, "rows": found})
    print(json.dumps(found, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=RESULTS.parent / "work" / "lift_pretrained")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--small", action="store_true", help="one fit")
    parser.add_argument("--tables", type=Path, help="folder that --prepare wrote")
    parser.add_argument("--prepare", type=Path, metavar="FOLDER", help="write the tables, and nothing else")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--collect", action="store_true", help="make the result of what is done")
    options = parser.parse_args()
    if options.prepare:
        prepare(options.prepare)
    elif options.one:
        work(json.loads(options.one), options.work, options.tables)
    elif options.collect:
        collect(options.work)
    else:
        options.work.mkdir(parents=True, exist_ok=True)
        drive(options)
        collect(options.work)


if __name__ == "__main__":
    main()
