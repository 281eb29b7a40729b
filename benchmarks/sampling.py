"""Drawing compositions: matgen's engine beside transformers' `generate`, with the same trained weights in the same run.

python -m benchmarks.sampling [--model CHECKPOINT ...] [--n 10000 100000] [--rounds 3] [--device cuda]

Models are trained by `matgen train --model gptj --preset paper --notation counted --max-minutes 11 --out runs/NAME`.

`generate` is timed with the best of several batch sizes (found in the first round), in fp32 (its
default) and in bf16; the engine in both too, writing nothing, formulas and log-probabilities included. The published
recipe draws one sequence at a time: greedy, a prompt of four random elements, 256 tokens (here as many as the model
holds). Also the rows that the model computes for each formula, and how much of the machine's matrix speed is used.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
import torch

from benchmarks.record import command_line, read_result, write_result
from matgen.models import load_checkpoint
from matgen.models.locate import find_checkpoint
from matgen.models.tokenizer import BOS, FIRST_ELEMENT
from matgen.sampling import Decoding, Sampler

MILLION = 1_000_000
BLOCK = 131_072


def now(device: Any) -> float:
    """Seconds on a clock, once a GPU has finished its work."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def generate_rate(model: Any, batch: int, n: int, **how: Any) -> float:
    """Formulas a second of `generate`, sampling at temperature 1 until all have ended."""
    done, began = 0, now(model.device)
    while done < n:
        start = torch.full((batch, 1), BOS, device=model.device)
        with torch.inference_mode():
            model.generate(start, attention_mask=torch.ones_like(start), max_new_tokens=126, do_sample=True, **how)
        done += batch
    return done / (now(model.device) - began)


def published_rate(model: Any, prompts: int) -> float:
    """Formulas a second of the published recipe: each prompt of four random elements continued greedily to the end."""
    rng, began = np.random.default_rng(0), now(model.device)
    for _ in range(prompts):
        prompt = torch.tensor([[BOS, *(FIRST_ELEMENT + rng.choice(90, 4, replace=False))]], device=model.device)
        with torch.inference_mode():
            model.generate(
                prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=122, min_new_tokens=122, do_sample=False
            )
    return prompts / (now(model.device) - began)


def engine_rate(sampler: Sampler, n: int, seed: int) -> float:
    """Formulas a second of the engine, which writes nothing."""
    began = now(sampler.device)
    drawn = sum(len(block) for block in sampler.sample(n, seed=seed))
    return drawn / (now(sampler.device) - began)


def rows_of_a_million(sampler: Sampler) -> float:
    """Distinct prefixes that the model computes for each of a million samples."""
    size = sampler.block_size(MILLION)
    blocks = [(number, min(size, MILLION - number * size)) for number in range(-(-MILLION // size))]
    drawer = sampler._prefixes
    assert drawer is not None
    return sum(drawer.draw(rows, 1, number, Decoding()).prefixes for number, rows in blocks) / MILLION


def matrix_peak(dtype: torch.dtype, device: str) -> float:
    """GFLOP/s of large matrix products on this machine."""
    size = 2048 if device == "cpu" else 8192
    a = torch.randn(size, size, device=device).to(dtype)
    (a @ a).sum().item()
    taken = []
    for _ in range(5):
        began = now(device)
        a @ a
        taken.append(now(device) - began)
    return 2 * size**3 / statistics.median(taken) / 1e9


def agreement(sampler: Sampler, model: Any, n: int) -> dict[str, float]:
    """P-values of two-sample chi-square tests of the engine in fp32 against `generate`, both at temperature 1.

    Of the first token, the last token, the number of tokens and the whole sequence (those met at least 20 times, the
    others together).
    """
    start = torch.full((2_000, 1), BOS, device=model.device)
    theirs = []
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        for _ in range(n // 2_000):
            drawn = model.generate(start, attention_mask=torch.ones_like(start), max_new_tokens=126, do_sample=True)
            theirs.append(torch.nn.functional.pad(drawn, (0, 128 - drawn.shape[1])).cpu().numpy())
    ours = sampler.draw_ids(n, seed=7, block=0, decoding=Decoding())[0]
    both = [np.concatenate(theirs), ours]
    length = [(ids >= FIRST_ELEMENT).sum(axis=1) for ids in both]
    views = {
        "first_token": [ids[:, 1] for ids in both],
        "last_token": [ids[np.arange(n), k] for ids, k in zip(both, length, strict=True)],
        "length": length,
        "sequence": [np.array([bytes(row.astype(np.int16)) for row in ids]) for ids in both],
    }
    return {name: round(_two_sample(*view), 4) for name, view in views.items()}


def _two_sample(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import chi2_contingency

    values, code = np.unique(np.concatenate([a, b]), return_inverse=True)
    table = np.stack([np.bincount(part, minlength=len(values)) for part in (code[: len(a)], code[len(a) :])])
    common = table.sum(axis=0) >= 20
    table = np.column_stack([table[:, common], table[:, ~common].sum(axis=1)])
    return float(chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue)


def measure(folder: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Rates of the engine and of `generate` with one checkpoint; `options` as `arguments()` describes them."""
    sizes, rounds, device = options.n, options.rounds, options.device
    checkpoint = load_checkpoint(folder)
    parameters = sum(p.numel() for p in checkpoint.model.parameters())
    facts = {name: checkpoint.metadata[name] for name in ("architecture", "preset", "notation")}
    results: dict[str, Any] = {**facts, "valid_nats": checkpoint.metadata["metrics"]["valid_nats"]}
    results |= {"command": command_line(), "rounds": rounds, "parameters": parameters}
    results |= {"engine": {}, "generate": {}, "generate_batch": {}}
    samplers = {name: Sampler(folder, precision=name, device=device) for name in ("fp32", "bf16")}
    for sampler in samplers.values():
        engine_rate(sampler, 2000, 99)  # compiles, allocates
    opened = [load_checkpoint(folder, device=device).model for _ in samplers]
    plain = {"fp32": opened[0], "bf16": opened[1].bfloat16()}
    rates: dict[tuple[str, Any], list[float]] = {}
    batches = dict.fromkeys(plain, tuple(options.batches))
    for _ in range(rounds):
        for name, model in plain.items():
            for batch in batches[name]:
                rates.setdefault((name, batch), []).append(generate_rate(model, batch, options.generated))
        for name in plain:
            batches[name] = (max(options.batches, key=lambda batch: statistics.median(rates[name, batch])),)
        for name, sampler in samplers.items():
            for n in sizes:
                rates.setdefault((name, f"n={n}"), []).append(engine_rate(sampler, n, 1))
    median = {key: statistics.median(values) for key, values in rates.items()}
    for name in samplers:
        results["generate_batch"][name] = batches[name][0]
        results["generate"][name] = round(median[name, batches[name][0]], 1)
    results["chi_square_p_values"] = agreement(samplers["fp32"], plain["fp32"], options.agreement)
    results["chi_square_samples"] = options.agreement
    results["published"] = round(published_rate(plain["fp32"], options.prompts), 2)
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    peak = {name: matrix_peak(types[name], device) for name in samplers}
    for n in sizes:
        rate = {name: median[name, f"n={n}"] for name in samplers}
        results["engine"][str(n)] = engine_row(samplers["fp32"], n, rate, peak, results)
    if options.million:
        results["rows_per_formula_of_a_million"] = round(rows_of_a_million(samplers["bf16"]), 3)
    results["matrix_peak_gflops"] = {name: round(value) for name, value in peak.items()}
    return results


def engine_row(
    sampler: Sampler, n: int, rates: dict[str, float], peak: dict[str, float], results: dict[str, Any]
) -> dict[str, Any]:
    """Work of the engine at one size, and its rates beside those in `results`, by precision."""
    drawer = sampler._prefixes
    assert drawer is not None
    size = min(n, BLOCK)  # all blocks of a large run are alike
    drawn = drawer.draw(size, 1, 0, Decoding())
    row: dict[str, Any] = {
        "rows_per_formula": round(drawn.prefixes / size, 3),
        "computed_per_formula": round(drawn.computed / size, 3),
    }
    work = drawn.prefixes / size * 2 * results["parameters"] / 1e9
    for name, rate in rates.items():
        row[name] = {
            "formulas_per_second": round(rate),
            "ratio_to_generate": round(rate / results["generate"][name], 1),
            "ratio_to_generate_fp32": round(rate / results["generate"]["fp32"], 1),
            "ratio_to_published": round(rate / results["published"]),
            "share_of_matrix_peak": round(rate * work / peak[name], 4),
        }
    return row


_WATCHED = """
import sys
from matgen.cli import main
status = main(sys.argv[1:])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(status)
"""


def whole_command(folder: Any, n: int) -> dict[str, float]:
    """`matgen sample -n N` as typed, in a process of its own: seconds, formulas a second and its peak memory."""
    with tempfile.TemporaryDirectory() as work:
        verb = ["sample", "-n", str(n), "--model", str(folder), "--quiet", "--out", f"{work}/c.parquet"]
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", _WATCHED, *verb], check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - began
    peak = int(done.stdout) / 1024
    return {"seconds": round(seconds, 1), "formulas_per_second": round(n / seconds), "peak_memory_mb": round(peak)}


def arguments() -> argparse.ArgumentParser:
    """The options of a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", nargs="+", default=[None], help="checkpoints (default: the bundled one)")
    parser.add_argument("--n", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--whole", nargs="*", type=int, default=[10_000, 1_000_000], help="sizes of the whole command")
    parser.add_argument("--rounds", type=int, default=3, help="0: only the whole command")
    parser.add_argument("--agreement", type=int, default=20_000, help="samples of the chi-square tests")
    parser.add_argument("--million", action="store_true", help="count the rows of a million samples too")
    parser.add_argument("--batches", nargs="+", type=int, default=[250, 1000, 2000], help="batch sizes of generate")
    parser.add_argument("--generated", type=int, default=2_000, help="formulas that generate is timed on")
    parser.add_argument("--prompts", type=int, default=5, help="formulas that the published recipe is timed on")
    parser.add_argument("--device", default="cpu")
    return parser


def main() -> None:
    options = arguments().parse_args()
    # Models measured before stay, beside those that are measured now.
    content = {"models": {}} | read_result("sampling")
    content.pop("machine", None)
    content["threads"] = torch.get_num_threads()
    for name in options.model if options.rounds else ():
        folder = find_checkpoint(name)
        content["models"][folder.name] = measure(folder, options)
        write_result("sampling", content)
    if options.whole:
        folder = find_checkpoint(options.model[0])
        content["whole_command"] = {str(n): whole_command(folder, n) for n in sorted(options.whole)}
        write_result("sampling", content)
    print(content)


if __name__ == "__main__":
    main()
