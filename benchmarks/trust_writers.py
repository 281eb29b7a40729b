"""One small run of each command that writes, with the inputs that it needs; for `benchmarks.trust`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.trust_run import run, said


@dataclass(frozen=True)
class Writer:
    """A command that writes.

    Attributes:
        name: the command.
        words: its arguments, without `--out`.
        out: name of what it writes.
        reads: the input whose absence must stop it, none where it needs no file.
        mark: the file that says that a result is complete, of commands that with `--force` remove it at their start.
        files: what two runs have in common, the empty tuple for all but times.
    """

    name: str
    words: list[str]
    out: str
    reads: Path | None = None
    mark: str = ""
    files: tuple[str, ...] = ()


def writers(folder: Path, *, short: bool = False) -> list[Writer]:
    """The commands, and under `folder` what they read, made by the commands themselves.

    Raises:
        RuntimeError: one of them could not be run.
    """
    formulas = folder / "formulas.csv"
    formulas.write_text("formula\n" + "\n".join(known_formulas()) + "\n")
    rows, answers = tables_to_learn(folder)
    lift = ["lift", "fit", "--table", str(rows), "--target", "c", "--options", "steps=30"]
    train = ["train", "--model", "gptj", "--dataset", str(formulas), "--preset", "tiny", "--epochs", "1"]
    made = {
        "report": ["evaluate", str(formulas), "--no-baselines"],
        "other": ["evaluate", str(formulas), "--no-baselines", "--include-alloys"],
        "structures": [
            "structure",
            str(formulas),
            "--top",
            "2",
            "--per-formula",
            "1",
            "--symmetric",
            "0",
            "--no-relax",
        ],
        "lift": lift,
    }
    for name, words in made.items():
        if run([*words, "--quiet", "--out", str(folder / name)], folder) != 0:
            raise RuntimeError(f"{name}: {said(folder)}")
    results = [
        Writer("sample", ["sample", "-n", "3000"], "drawn.csv"),
        Writer("sample, Parquet", ["sample", "-n", "3000"], "drawn.parquet"),
        Writer("score", ["score", str(formulas)], "scored.csv", formulas),
        Writer("tinker", ["tinker", "SrTiO3", "--mask", "Sr"], "tinker.csv"),
        Writer("evaluate", made["report"], "report", formulas),
        Writer("compare", ["compare", str(folder / "report"), str(folder / "other")], "comparison", folder / "report"),
        Writer("predict", ["predict", str(formulas)], "predicted.csv", formulas),
        Writer("structure", made["structures"], "structures", formulas),
        Writer("export", ["export", str(folder / "structures"), "--format", "cif"], "dft", folder / "structures"),
    ]
    slow = [
        Writer("train", train, "run", formulas, "matgen.json", ("model.safetensors", "config.json")),
        Writer("fit", ["fit", "--table", str(answers), "--target", "answer", "--kind", "trees"], "fitted", answers),
        Writer("lift fit", lift, "lift", rows),
        Writer("lift predict", ["lift", "predict", str(rows), "--model", str(folder / "lift")], "answers.csv", rows),
    ]
    return results if short else [*results, *slow]


def tables_to_learn(folder: Path) -> tuple[Path, Path]:
    """A table of numbers with a class `c`, and one of formulas with a number `answer`."""
    rows, answers = folder / "rows.csv", folder / "answers.csv"
    rows.write_text("a,b,c\n" + "".join(f"{n % 7},{n % 5},{'xy'[n % 7 > 3]}\n" for n in range(60)))
    answers.write_text("formula,answer\n" + "".join(f"{f},{n % 9}\n" for n, f in enumerate(known_formulas())))
    return rows, answers


def known_formulas() -> list[str]:
    """Some of the bundled table's."""
    from matgen.datasets import load_dataset

    return list(load_dataset("hybrid-pure").batch.formulas()[::600])
