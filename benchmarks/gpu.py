"""Training and sampling on a GPU, beside transformers' Trainer and `generate` on the same GPU.

Each part is written when it is done; a part that fails or takes too long leaves its error, and no part begins after
`--seconds`. `--parts` measures some of them, in this order, and keeps the others that the same kind of GPU left.

python -m benchmarks.gpu [--small] [--seconds 300] [--results FOLDER]
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from matgen.runtime.processes import leave_cores_to_others

leave_cores_to_others()  # as `matgen train` does, before torch is imported

import torch  # noqa: E402

import benchmarks.sampling as sampling  # noqa: E402
from benchmarks.gpu_checks import drawn_alike, trained_alike  # noqa: E402
from benchmarks.record import RESULTS, continued  # noqa: E402
from benchmarks.time_to_loss import recipe  # noqa: E402
from benchmarks.training import (  # noqa: E402
    BATCH,
    DEVICE,
    matgen_formulas_per_second,
    trainer_formulas_per_second,
    work_a_formula,
)
from matgen.datasets import load_dataset  # noqa: E402
from matgen.fitting.examples import TokenTable  # noqa: E402
from matgen.io.files import write_json  # noqa: E402
from matgen.models import load_checkpoint  # noqa: E402
from matgen.models.locate import find_checkpoint  # noqa: E402
from matgen.models.tokenizer import encode  # noqa: E402
from matgen.runtime.compiled import load_kernel  # noqa: E402
from matgen.training import TrainingPlan, default_settings, train_model  # noqa: E402

LONGEST_PART = 160
"""Seconds after which a part is ended."""

PRECISION = "bf16" if DEVICE == "cuda" else "auto"
"""Of training; on a GPU nothing else is to be expected, and finding it out takes some seconds a run."""

LADDER = (0.1, 0.2, 0.4, 0.8)
"""Budgets over the recipe's, of which the first that reaches its loss counts."""


def peaks() -> dict[str, float]:
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    return {name: round(sampling.matrix_peak(dtype, DEVICE)) for name, dtype in types.items()}


class Parts:
    """What is measured, at one size.

    Args:
        work: folder of trained models.
        small: tiny models and samples, to try it on a CPU.
    """

    def __init__(self, work: Path, *, small: bool) -> None:
        self.work, self.small = work, small
        self.recipe_rate: float | None = None
        self.preset, self.minutes = ("tiny", 0.05) if small else ("paper", 0.67)

    def parts(self) -> dict[str, Callable[[], Any]]:
        """By name, in order."""
        return {
            "matrix_peak_gflops": peaks,
            "trained_alike": lambda: trained_alike(self.preset, DEVICE),
            "drawn_alike": lambda: drawn_alike(find_checkpoint(None), DEVICE, 500 if self.small else 4_000),
            "sampling_bundled": lambda: self.draws(find_checkpoint(None)),
            "sampling_gptj": lambda: self.draws(self.trained("gptj")),
            "sampling_gpt2": lambda: self.draws(self.trained("gpt2"), batches="4096 8192 16384"),  # fails at more
            "sampling_ten_million": lambda: self.draws_alone(10_000 if self.small else 10_000_000),
            "training_trainer": self.trainer,
            "training_counted": lambda: self.training("counted"),
            "training_expanded": lambda: self.training("expanded"),
            "time_to_loss": self.time_to_loss,
            "static_cache": self.static_cache,
        }

    def draws(self, folder: Path, batches: str = "8192 32768 65536") -> dict[str, Any]:
        """Rates of the engine and of `generate`, and whether they draw alike."""
        small = "--n 1000 --batches 250 --generated 250 --agreement 2000 --rounds 1 --prompts 1"
        large = f"--n 10000 1000000 --batches {batches} --generated 65536 --rounds 3 --prompts 1"
        words = (small if self.small else large).split()
        return sampling.measure(folder, sampling.arguments().parse_args([*words, "--device", DEVICE]))

    def draws_alone(self, n: int) -> dict[str, Any]:
        """The engine alone, in bf16, of the bundled model."""
        sampler = sampling.Sampler(find_checkpoint(None), precision="bf16", device=DEVICE)
        sampling.engine_rate(sampler, 2_000, 99)
        return {"n": n, "formulas_per_second": round(sampling.engine_rate(sampler, n, 1))}

    def trained(self, key: str) -> Path:
        """A model trained on this machine for half a minute: enough to share beginnings as a finished one does."""
        folder = self.work / key
        if not folder.is_dir():
            self.train(key, 0.02 if self.small else 0.4, folder)
        return folder

    def train(self, key: str, minutes: float, folder: Path) -> dict[str, Any]:
        """Train for some minutes, planning and recording included in `wall_seconds`."""
        settings = default_settings(
            self.preset, key, max_minutes=minutes, evaluations=4, batch_size=BATCH if self.small else 1024,
            precision=PRECISION,
        )  # fmt: skip
        began = time.monotonic()
        plan = TrainingPlan(key, notation="counted", preset=self.preset, settings=settings)
        state = train_model(plan, folder).state
        return {
            "steps": state.step,
            "seconds": round(state.seconds, 2),
            "wall_seconds": round(time.monotonic() - began, 2),
            "valid_nats": state.best_loss,
            "precision": state.precision,
        }

    def trainer(self) -> dict[str, Any]:
        """Formulas a second of transformers' Trainer with the published recipe."""
        ids, _ = encode(load_dataset("hybrid-pure").part("train"), "expanded")
        self.recipe_rate = trainer_formulas_per_second("gptj", self.preset, ids, 1 if self.small else 12)
        return {"formulas_per_second": self.recipe_rate}

    def training(self, notation: str) -> dict[str, Any]:
        """Formulas a second of matgen's loop, and the share of the matrix peak, by batch size."""
        table = TokenTable.from_numpy(*encode(load_dataset("hybrid-pure").part("train"), notation))
        found, peak = {}, peaks()
        # On a GPU also without the recording of steps.
        sizes = (BATCH,) if self.small else (BATCH, 1024, 4096, 16_384)
        runs = [(size, True) for size in sizes] + ([] if self.small else [(BATCH, False)])
        for size, replay in runs:
            steps = 6 if self.small else 60 if not replay else 480 if size <= 4096 else 120
            ours = matgen_formulas_per_second(
                "gptj", self.preset, notation, table, steps,
                batch_size=size, evaluations=3, precision=PRECISION, replay=replay,
            )  # fmt: skip
            gc.collect()  # recordings are part of cycles, and hold memory
            rate, work = ours["formulas_per_second"], work_a_formula("gptj", self.preset, notation, table, size)
            share = {kind: rate * work[kind] / peak[ours["precision"]] for kind in ("all_tokens", "computed")}
            found[f"batch_{size}" + ("" if replay else "_not_recorded")] = ours | {
                "ratio_to_trainer": self.recipe_rate and rate / self.recipe_rate,
                "share_of_matrix_peak": share,
            }
        return found

    def time_to_loss(self) -> dict[str, Any]:
        """The recipe for some minutes, at matgen's learning rate; then matgen with ever more, until it is as good."""
        theirs = recipe("gptj", self.preset, self.minutes, 1e-3)
        found: dict[str, Any] = {"minutes": self.minutes, "recipe": theirs, "matgen": {}}
        for share in LADDER:
            ours = self.train("gptj", self.minutes * share, self.work / f"ladder-{share}")
            found["matgen"][str(share)] = ours
            if ours["valid_nats"] <= theirs["valid_nats"]:
                found["reached_in_seconds"] = ours["wall_seconds"]
                break
        return found

    def static_cache(self) -> dict[str, Any]:
        """`generate` with a static cache, whose step transformers compiles on a GPU."""
        n = 250 if self.small else 8192
        model = load_checkpoint(find_checkpoint(None), device=DEVICE).model.bfloat16()
        rate = sampling.generate_rate(model, n, n, cache_implementation="static", disable_compile=True)
        found = {"batch": n, "formulas_per_second": round(rate)}
        if DEVICE == "cuda":
            sampling.generate_rate(model, n, n, cache_implementation="static")  # compiles
            found["compiled"] = round(sampling.generate_rate(model, n, n, cache_implementation="static"))
        return found


@contextlib.contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in what takes longer."""

    def end(number: int, frame: Any) -> None:
        raise TimeoutError(f"not done after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny models and samples, to try it on a CPU")
    parser.add_argument("--seconds", type=float, default=300.0, help="after which no further part begins")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--parts", nargs="+", metavar="PART", choices=list(Parts(Path(), small=True).parts()))
    options = parser.parse_args()
    content = continued("gpu", options.results, anew=options.parts is None)
    content |= {"device": DEVICE, "seconds": content.get("seconds", {})}
    # Long runs load it anyway, so the first samples, which are not timed, compile it.
    load_kernel("composition.sequence_kernel")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        measured = Parts(Path(work), small=options.small)
        content["preset"] = measured.preset
        content["trained"] = "weights of gptj and gpt2: some half a minute of training on hybrid-pure, on this machine"
        parts = measured.parts()
        for name in options.parts or parts:
            part = parts[name]
            gc.collect()  # recordings of models are part of cycles, and hold memory
            if DEVICE == "cuda":
                torch.cuda.empty_cache()
            started = time.monotonic()
            if started - began > options.seconds:
                content[name] = {"left_out": "no time was left"}
            else:
                try:
                    with ended_after(LONGEST_PART):
                        content[name] = part()
                except Exception:
                    content[name] = {"error": traceback.format_exc()[-2_000:]}
                content["seconds"][name] = round(time.monotonic() - started, 1)
            write_json(options.results / "gpu.json", content)
            print(name, content[name], flush=True)


if __name__ == "__main__":
    main()
