"""SmolLM2-135M on LIFT's tables: a linear head, LoRA in the top layers or in all, their ensemble, and no training.

All with and without the names of columns. The head and the top layers read numbers as they were measured, and the head
stands on random weights of the same architecture too. LoRA in all layers and prompts of examples were measured on
standardised numbers, as published. Nothing is chosen by test rows.

Every finished fit is a file in `--work`, and a line of the result, from which a later run goes on, on another machine
too; a fit that was cut off goes on from its last validation. `--collect` makes the result of what is done.

python -m benchmarks.lift_pretrained [--work FOLDER] [--heads] [--top-layers] [--workers 1] [--seconds 3600] [--small]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.record import RESULTS, machine, write_result
from matgen.io.files import read_json, write_json

TABLES = ("iris", "wine", "tae", "cmc")
EPOCHS = {"iris": 10, "tae": 10, "wine": 6, "cmc": 3}
"""Fewer for tables of longer sentences or more rows, so that all of them are fitted in hours on one core."""
LEARNING_RATES = {"iris": 2e-3, "tae": 2e-3, "wine": 7e-4, "cmc": 2e-3}
"""At 2e-3 learning begins only when the rate has fallen below about 8e-4, which short trainings hardly reach."""
EXAMPLES = 8
RESAMPLED = 10_000
"""Sets of test rows that the intervals of differences are from."""
RESULT = "lift_pretrained"


HEAD, RANDOM = "head", "head on random weights"
TOP, ENSEMBLE = "top layers", "ensemble"
MEASURED = (HEAD, RANDOM, TOP, ENSEMBLE)
"""Kinds whose numbers are written as they were measured."""
HEAD_EDITION = 2
"""Heads of the first edition read one layer, those of the second the mean of several."""


def head_tasks() -> list[dict[str, Any]]:
    """Heads, the quickest tables first; the seeds of a table stand together, since they share the states."""
    ways = ((HEAD, "named"), (HEAD, "x1"), (HEAD, "shuffled"), (RANDOM, "named"))
    return [
        {"table": table, "seed": seed, "template": template, "kind": kind}
        for table in ("tae", "iris", "wine", "cmc")
        for kind, template in ways
        for seed in range(3)
    ]


def top_tasks() -> list[dict[str, Any]]:
    """Top layers and ensembles, a seed of each table first, so that all tables have one before any has three."""
    return [
        {"table": table, "seed": seed, "template": "named", "kind": kind}
        for seed in range(3)
        for kind in (TOP, ENSEMBLE)
        for table in ("tae", "iris", "wine", "cmc")
    ]


def tasks(small: bool) -> list[dict[str, Any]]:
    """What is to be fitted, the quickest first."""
    if small:
        return [{"table": "iris", "seed": 0, "template": "named", "kind": "lora"}]
    made = head_tasks() + top_tasks()
    made += [
        {"table": t, "seed": s, "template": n, "kind": "lora"}
        for t in ("iris", "tae")
        for s in range(3)
        for n in ("named", "x1")
    ]
    made += [
        {"table": t, "seed": 0, "template": n, "kind": "in context"}
        for t in ("iris", "wine", "tae")
        for n in ("named", "x1")
    ]
    made += [{"table": "cmc", "seed": 0, "template": n, "kind": "lora"} for n in ("named", "x1")]
    made += [{"table": "wine", "seed": s, "template": n, "kind": "lora"} for s in range(3) for n in ("named", "x1")]
    made += [{"table": "iris", "seed": s, "template": "shuffled", "kind": "lora"} for s in range(3)]
    made += [{"table": "iris", "seed": 0, "template": "named", "kind": "shuffled labels"}]
    return made


def options_of(task: dict[str, Any]) -> dict[str, Any]:
    """Of the backend."""
    if task["kind"] == "in context":
        return {"in_context": True}
    if task["kind"] in (HEAD, RANDOM):
        return {"fine_tuning": "head"}
    if task["kind"] in (TOP, ENSEMBLE):
        return {"fine_tuning": task["kind"].replace(" ", "-")}
    name = task["table"]
    return {"batch_size": 8, "learning_rate": LEARNING_RATES[name], "epochs": EPOCHS[name]}


def edition_of(task: dict[str, Any]) -> int:
    """Which edition of the method a fit is of: those of earlier ones are measured again."""
    return HEAD_EDITION if task["kind"] in (HEAD, RANDOM) else 1


def name_of(task: dict[str, Any]) -> str:
    return "--".join(str(task[key]).replace(" ", "_") for key in ("table", "kind", "template", "seed"))


def random_model(folder: Path) -> Path:
    """A folder with SmolLM2's tokenizer, and its architecture with weights that were never trained (seed 0)."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from matgen.lift.pretrained.smollm2 import smollm2_folder

    if not (folder / "model.safetensors").is_file():
        torch.manual_seed(0)
        AutoTokenizer.from_pretrained(smollm2_folder()).save_pretrained(folder)
        AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(smollm2_folder())).save_pretrained(folder)
    return folder


def parts_of(table: str, seed: int, folder: Path | None, standardised: bool) -> list[tuple[pd.DataFrame, pd.Series]]:
    """Train, valid and test of a table; out of a folder that `--prepare` wrote, where there is no network."""
    if folder is None:
        from matgen.lift.paper.tables import protocol_table

        opened = protocol_table(table, standardised=standardised)
        return [opened.of(rows) for rows in opened.parts[seed]]
    kept = read_json(folder / _prepared(table, standardised))
    X, y = pd.DataFrame(kept["X"]), pd.Series(kept["y"], name=kept["target"])
    return [(X.iloc[r].reset_index(drop=True), y.iloc[r].reset_index(drop=True)) for r in kept["parts"][seed]]


def prepare(folder: Path) -> None:
    from matgen.lift.paper.tables import protocol_table

    for name, standardised in product(TABLES, (True, False)):
        table = protocol_table(name, standardised=standardised)
        parts = [[rows.tolist() for rows in split] for split in table.parts]
        content = {"X": table.X.to_dict("list"), "y": table.y.tolist(), "target": table.y.name, "parts": parts}
        write_json(folder / _prepared(name, standardised), content)


def _prepared(table: str, standardised: bool) -> str:
    return f"{table}.json" if standardised else f"{table}-measured.json"


def work(task: dict[str, Any], out: Path, tables: Path | None) -> None:
    """Fit once and write accuracy on the test rows."""
    from matgen.lift import LiftClassifier
    from matgen.lift.augment import shuffled_labels

    of_head, measured = task["kind"] in (HEAD, RANDOM), task["kind"] in MEASURED
    train, valid, test = parts_of(task["table"], task["seed"], tables, standardised=not measured)
    in_context = task["kind"] == "in context"
    options = options_of(task)
    answers = shuffled_labels(train[1], 0) if task["kind"] == "shuffled labels" else train[1]
    backend, source = "smollm2", None
    if task["kind"] == RANDOM:
        backend, source = "path", str(random_model(out / ".random"))
    model = LiftClassifier(
        backend, model=source, template=task["template"], retrieval=EXAMPLES if in_context else 0,
        backend_options=options, random_state=task["seed"],
    )  # fmt: skip
    # The states of a sentence are the same for all seeds, which therefore share a folder; shuffled names are not.
    shared = of_head and task["template"] != "shuffled"
    folder = out / f".{name_of(task | {'seed': 'all'} if shared else task)}"
    read_before = folder.exists() and of_head
    began, began_core = time.perf_counter(), time.process_time()
    model.fit(train[0], answers, validation=valid, folder=folder, resume=True)
    seconds, core_seconds = time.perf_counter() - began, time.process_time() - began_core
    began_core = time.process_time()
    predicted = model.predict(test[0])
    core_seconds_of_test = time.process_time() - began_core
    row = task | {
        "accuracy": float((predicted == test[1].to_numpy()).mean()),
        "valid_accuracy": float((model.predict(valid[0]) == valid[1].to_numpy()).mean()),
        "right": [int(right) for right in predicted == test[1].to_numpy()],
        "raw_parse_rate": model.raw_parse_rate(test[0]),
        "n_test": len(test[1]),
        "options": options,
        "edition": edition_of(task),
        "n_parameters": model.n_parameters_,
        "seconds": round(seconds, 1),
        "core_seconds": round(core_seconds, 1),
        "rows_per_core_second": round(len(predicted) / core_seconds_of_test, 1),
        "machine": machine(),
    }
    if of_head:
        row["chosen"] = [list(place) for place in model.backend_.head.places]
        row["sentences_read_before"] = read_before
    if task["kind"] == ENSEMBLE:
        row["share_of_head"] = model.backend_.share_of_head
    write_json(out / f"{name_of(task)}.json", row)
    print(name_of(task), row["accuracy"], row["valid_accuracy"], row["raw_parse_rate"], row["seconds"], flush=True)


def restore(folder: Path) -> None:
    """Write the fits of an earlier result as files of the folder, those of other options or editions aside."""
    path = RESULTS / f"{RESULT}.json"
    for row in read_json(path)["fits"] if path.is_file() else []:
        own = folder / f"{name_of(row)}.json"
        if not own.is_file() and row["options"] == options_of(row) and row.get("edition", 1) == edition_of(row):
            write_json(own, row)


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


def differences(fits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What names, and pre-training, are worth to a head: accuracies with them minus those without, of the same rows.

    The test rows are the same for all seeds, so a row's difference is the mean over its seeds, and the interval of 95 %
    is by resampling test rows.
    """
    right = {
        (fit["kind"], fit["table"], fit["template"], fit["seed"]): np.array(fit["right"], np.float64)
        for fit in fits
        if "right" in fit
    }
    made = []
    for table, (kind, template) in product(TABLES, ((HEAD, "x1"), (HEAD, "shuffled"), (RANDOM, "named"))):
        pairs = [((HEAD, table, "named", seed), (kind, table, template, seed)) for seed in range(3)]
        pairs = [pair for pair in pairs if pair[0] in right and pair[1] in right]
        if not pairs:
            continue
        of_row = np.mean([right[ours] - right[others] for ours, others in pairs], axis=0)
        drawn = np.random.default_rng(0).integers(0, len(of_row), (RESAMPLED, len(of_row)))
        interval = np.quantile(of_row[drawn].mean(axis=1), (0.025, 0.975))
        against = {"kind": kind, "template": template, "seeds": len(pairs)}
        made.append({"table": table, "difference": float(of_row.mean()), "interval": interval.tolist(), **against})
    return made


def times(fits: list[dict[str, Any]]) -> dict[str, float]:
    """Mean seconds of fits that read all of their sentences themselves; nothing where none did."""
    own = [fit for fit in fits if not fit.get("sentences_read_before")]
    keys = [key for key in ("seconds", "core_seconds") if own and all(key in fit for fit in own)]
    return {key: float(np.mean([fit[key] for fit in own])) for key in keys}


def collect(folder: Path) -> None:
    """One line for each table, kind and template: mean and standard deviation of its seeds."""
    from matgen.lift.measures import accuracy_interval

    rows = [read_json(path) for path in sorted(folder.glob("[a-z]*.json"))]
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["table"], row["kind"], row["template"]), []).append(row)
    results = []
    for (table, kind, template), own in groups.items():
        right = [row["accuracy"] for row in own]
        results.append(
            {
                "table": table,
                "kind": kind,
                "template": template,
                "seeds": len(own),
                "accuracy": float(np.mean(right)),
                "accuracy_std": float(np.std(right)),
                "interval": list(accuracy_interval(float(np.mean(right)), own[0]["n_test"])),
                "raw_parse_rate": float(np.mean([row["raw_parse_rate"] for row in own])),
                **times(own),
                **{
                    key: float(np.mean([row[key] for row in own]))
                    for key in ("rows_per_core_second",)
                    if all(key in row for row in own)
                },
                "n_parameters": own[0]["n_parameters"],
                "gpu": own[0]["machine"]["gpu"],
            }
        )
    content = {"epochs": EPOCHS, "examples": EXAMPLES, "rows": results, "differences": differences(rows), "fits": rows}
    write_result(RESULT, content)
    print(json.dumps(results, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=RESULTS.parent / "work" / "lift_pretrained")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--heads", action="store_true", help="heads only, one after the other in this process")
    parser.add_argument("--top-layers", action="store_true", help="top layers and ensembles likewise")
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
    elif options.heads or options.top_layers:
        options.work.mkdir(parents=True, exist_ok=True)
        restore(options.work)
        for task in (head_tasks() if options.heads else []) + (top_tasks() if options.top_layers else []):
            if not (options.work / f"{name_of(task)}.json").is_file():
                work(task, options.work, options.tables)
        collect(options.work)
    else:
        options.work.mkdir(parents=True, exist_ok=True)
        restore(options.work)
        drive(options)
        collect(options.work)


if __name__ == "__main__":
    main()
