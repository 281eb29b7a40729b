"""Training and sampling on a GPU, beside transformers' Trainer and `generate` on the same GPU.

Each part is written when it is done; a part that fails leaves its error, and no part begins after `--seconds`.

python -m benchmarks.gpu [--small] [--seconds 300] [--results FOLDER]
"""

from __future__ import annotations

import argparse
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matgen.processes import leave_cores_to_others

leave_cores_to_others()  # as `matgen train` does, before torch is imported

import torch  # noqa: E402

import benchmarks.sampling as sampling  # noqa: E402
from benchmarks.record import RESULTS, command_line, machine  # noqa: E402
from benchmarks.time_to_loss import recipe  # noqa: E402
from benchmarks.training import BATCH, matgen_formulas_per_second, trainer_formulas_per_second, work_a_formula  # noqa: E402
from matgen.datasets import load_dataset  # noqa: E402
from matgen.examples import TokenTable  # noqa: E402
from matgen.files import write_json  # noqa: E402
from matgen.models.locate import find_checkpoint  # noqa: E402
from matgen.tokenizer import encode  # noqa: E402
from matgen.train import TrainingPlan, train_model  # noqa: E402
from matgen.train.run import default_settings  # noqa: E402


def peaks(device: str) -> dict[str, float]:
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    return {name: round(sampling.matrix_peak(dtype, device)) for name, dtype in types.items()}


def training(preset: str, device: str, small: bool) -> dict[str, Any]:
    """Formulas a second of both loops, and the share of the matrix peak, by batch size."""
    batch = load_dataset("hybrid-pure").part("train")
    ids, _ = encode(batch, "expanded")
    found: dict[str, Any] = {"trainer": trainer_formulas_per_second("gptj", preset, ids, 1 if small else 12)}
    peak = peaks(device)
    for notation in ("expanded", "counted"):
        table = TokenTable.from_numpy(*encode(batch, notation))
        work = work_a_formula("gptj", preset, notation, table)
        for batch_size in (BATCH,) if small else (BATCH, 2048, 8192):
            steps = 3 if small else 40
            ours = matgen_formulas_per_second("gptj", preset, notation, table, steps, batch_size)
            rate = ours["formulas_per_second"]
            found[f"{notation}_batch_{batch_size}"] = ours | {
                "ratio_to_trainer": rate / found["trainer"],
                "share_of_matrix_peak": {kind: rate * work[kind] / peak[ours["precision"]] for kind in _KINDS},
            }
    return found


_KINDS = ("all_tokens", "computed")


def time_to_loss(preset: str, minutes: float, out: Path) -> dict[str, Any]:
    """The recipe for some minutes, at the better of its learning rates; matgen for a tenth of them, and as long."""
    found: dict[str, Any] = {"minutes": minutes, "recipe": recipe("gptj", preset, minutes, 1e-3), "matgen": {}}
    for share in (0.1, 1.0):
        for notation in ("counted",):
            settings = default_settings(preset, "gptj", max_minutes=minutes * share, evaluations=4, batch_size=1024)
            plan = TrainingPlan("gptj", notation=notation, preset=preset, settings=settings)
            state = train_model(plan, out / f"gptj-{preset}-{share}").state
            found["matgen"][f"{notation}_{share}"] = {
                "steps": state.step,
                "seconds": state.seconds,
                "valid_nats": state.best_loss,
                "precision": state.precision,
            }
    return found


def draws(folder: Any, device: str, sizes: list[int]) -> dict[str, Any]:
    options = argparse.Namespace(
        n=sizes, rounds=1, agreement=20_000 if device != "cpu" else 2_000, device=device, million=False
    )
    return sampling.measure(folder, options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny models and samples, to try it on a CPU")
    parser.add_argument("--seconds", type=float, default=300.0, help="after which no further part begins")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--parts", nargs="+", help="some of the parts only")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    preset, minutes = ("tiny", 0.1) if options.small else ("paper", 0.7)
    sizes = [1_000] if options.small else [10_000, 1_000_000]
    if not options.small:
        sampling.BATCHES = (2_000, 8_000, 32_000)
        sampling.GENERATED = 32_000
    content: dict[str, Any] = {"command": command_line(), "machine": machine(), "device": device, "preset": preset}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        out = Path(work)
        parts: dict[str, Callable[[], Any]] = {
            "matrix_peak_gflops": lambda: peaks(device),
            "sampling_bundled": lambda: draws(find_checkpoint(None), device, sizes),
            "training": lambda: training(preset, device, options.small),
            "time_to_loss": lambda: time_to_loss(preset, minutes, out),
            "sampling_trained": lambda: draws(out / f"gptj-{preset}-1.0", device, sizes),
            "sampling_ten_million": lambda: draws_alone(device, 10_000 if options.small else 10_000_000),
        }
        for name, part in parts.items():
            if options.parts and name not in options.parts:
                continue
            if time.monotonic() - began > options.seconds:
                content[name] = {"left_out": "no time was left"}
                continue
            started = time.monotonic()
            try:
                content[name] = part()
            except Exception:
                content[name] = {"error": traceback.format_exc()[-2_000:]}
            content.setdefault("seconds", {})[name] = round(time.monotonic() - started, 1)
            write_json(options.results / "gpu.json", content)
            print(name, content[name], flush=True)


def draws_alone(device: str, n: int) -> dict[str, Any]:
    """Formulas a second of the engine alone, in bf16, of the bundled model."""
    sampler = sampling.Sampler(find_checkpoint(None), precision="bf16", device=device)
    sampling.engine_rate(sampler, 2_000, 99)
    began = time.perf_counter()
    drawn = sum(len(block) for block in sampler.sample(n, seed=1))
    seconds = time.perf_counter() - began
    return {"n": drawn, "seconds": round(seconds, 2), "formulas_per_second": round(drawn / seconds)}


if __name__ == "__main__":
    main()
