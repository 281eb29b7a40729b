"""Time from a command to its answer: processor time of short commands, as a ratio to what they cannot do without.

python -m benchmarks.startup --before ../earlier

Commands of this version, and of the checkout that `--before` names (`git worktree add ../earlier COMMIT`), run in
turns, each in a process of its own, `--rounds` times after a first time that is not measured. What is written down is
the median of the user time that a process took, which depends less on what else the machine does than the time that
passes. Importing numpy and torch is measured in the same turns, and so is the draw itself: 10,000 compositions by a
sampler that has drawn before.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.record import write_result

ROOT = Path(__file__).resolve().parents[1]

COMMANDS = {
    "--help": ("--help",),
    "predict --help": ("predict", "--help"),
    "check NaCl": ("check", "NaCl"),
    "data info hybrid": ("data", "info", "hybrid"),
    "sample -n 10000": ("sample", "-n", "10000", "--out", "drawn.csv", "--force", "--quiet"),
}
IMPORTS = {"import numpy": "import numpy", "import torch": "import torch"}
DRAW = """
import resource
from matgen.sampling import Sampler
sampler = Sampler()
list(sampler.sample(10_000))
began = resource.getrusage(resource.RUSAGE_SELF).ru_utime
list(sampler.sample(10_000))
print(resource.getrusage(resource.RUSAGE_SELF).ru_utime - began)
"""


def user_seconds(words: list[str], tree: Path, folder: Path) -> float:
    """User time of a process that runs Python with these words, the package of a checkout at hand."""
    began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment(tree, folder), stdout=subprocess.DEVNULL, check=True
    )
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began


def draw_seconds(tree: Path, folder: Path) -> float:
    """User time of drawing 10,000 compositions by a sampler that has drawn before."""
    words = [sys.executable, "-c", DRAW]
    done = subprocess.run(
        words, cwd=folder, env=environment(tree, folder), stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


def environment(tree: Path, folder: Path) -> dict[str, str]:
    """Of a process that imports the package of a checkout and has a cache of its own."""
    own = {"PYTHONPATH": str(tree), "MATGEN_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return os.environ | own | {"TOKENIZERS_PARALLELISM": "false"}


def measure(trees: dict[str, Path], rounds: int) -> Iterator[dict[str, dict[str, list[float]]]]:
    """After each round, user seconds of each command and import so far, by version, one a round."""
    seconds: dict[str, dict[str, list[float]]] = {name: {} for name in (*trees, "imports")}
    with tempfile.TemporaryDirectory() as name:
        folders = {version: Path(name, version) for version in trees}
        for folder in folders.values():
            folder.mkdir()
        for turn in range(rounds + 1):
            taken: list[tuple[str, str, float]] = []
            for title, code in IMPORTS.items():
                taken.append(("imports", title, user_seconds(["-c", code], ROOT, folders["now"])))
            for title, words in COMMANDS.items():
                for version, tree in trees.items():
                    own = user_seconds(["-m", "matgen", *words], tree, folders[version])
                    taken.append((version, title, own))
            if turn:  # the first time fills caches and compiles
                taken.append(("now", "the draw", draw_seconds(trees["now"], folders["now"])))
                for version, title, value in taken:
                    seconds[version].setdefault(title, []).append(round(value, 3))
                yield seconds
            print(f"round {turn} of {rounds}: {taken}", flush=True)


def main() -> None:
    """Measure, and write `results/startup.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="an earlier version to measure beside this one")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    trees = {"now": ROOT} | ({"before": arguments.before.resolve()} if arguments.before else {})
    commits = {version: commit_of(tree) for version, tree in trees.items()}
    loads = [round(os.getloadavg()[0], 1)]
    for done, seconds in enumerate(measure(trees, arguments.rounds), start=1):
        medians = {
            version: {title: round(median(values), 3) for title, values in of_version.items()}
            for version, of_version in seconds.items()
        }
        loads.append(round(os.getloadavg()[0], 1))
        command = f"python -m benchmarks.startup --rounds {arguments.rounds}" + " --before ../earlier" * (
            "before" in trees
        )
        content = {"command": command, "rounds": done, "commits": commits, "user_seconds": seconds, "median": medians}
        write_result("startup", content | {"load_average": [min(loads), max(loads)]})


def commit_of(tree: Path) -> str:
    """The commit of a checkout, shortened."""
    words = ["git", "-C", str(tree), "rev-parse", "--short=8", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
