"""Training throughput: matgen's loop against transformers' Trainer with the published recipe, same model, same run.

The recipe: formulas run together into blocks of 128 tokens, 256 blocks a step, float32. Both predict the next token,
with the thread settings of `matgen train` (they cost the Trainer a few per cent).

python -m benchmarks.training --preset paper
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from matgen.processes import leave_cores_to_others

leave_cores_to_others()  # as `matgen train` does, before torch is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from transformers import Trainer, TrainerCallback, TrainingArguments  # noqa: E402

from benchmarks.record import write_result  # noqa: E402
from matgen.datasets import load_dataset  # noqa: E402
from matgen.fitting import Fitter, TokenTable  # noqa: E402
from matgen.models import build_model  # noqa: E402
from matgen.tokenizer import EOS, PAD, encode  # noqa: E402
from matgen.train.objectives import causal_loss  # noqa: E402
from matgen.train.run import default_settings  # noqa: E402
from matgen.train.shared_beginnings import SharedBeginnings  # noqa: E402

BLOCK, BATCH = 128, 256


class StepTimes(TrainerCallback):
    """Seconds of each step of a Trainer."""

    def __init__(self) -> None:
        self.began, self.seconds = 0.0, []

    def on_step_begin(self, *arguments: Any, **more: Any) -> None:
        self.began = time.perf_counter()

    def on_step_end(self, *arguments: Any, **more: Any) -> None:
        self.seconds.append(time.perf_counter() - self.began)


class Blocks(torch.utils.data.Dataset):
    """Shuffled formulas run together and cut every 128 tokens, as the released scripts do."""

    def __init__(self, ids: np.ndarray) -> None:
        rows = np.random.default_rng(0).permutation(len(ids))
        stream = ids[rows][ids[rows] != PAD]
        self.blocks = torch.from_numpy(stream[: len(stream) // BLOCK * BLOCK].reshape(-1, BLOCK)).long()

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.blocks[i], "labels": self.blocks[i]}


def trainer_formulas_per_second(model_key: str, preset: str, ids: np.ndarray, steps: int) -> float:
    blocks, times = Blocks(ids), StepTimes()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=BATCH, max_steps=steps + 1, report_to=[], save_strategy="no",
            logging_strategy="no", disable_tqdm=True, use_cpu=not torch.cuda.is_available(),
        )  # fmt: skip
        model = build_model(model_key, preset, "expanded", seed=0)
        Trainer(model=model, args=arguments, train_dataset=blocks, callbacks=[times]).train()
    formulas_per_block = float((blocks.blocks == EOS).sum()) / len(blocks)
    return BATCH * formulas_per_block / statistics.median(times.seconds[1:])  # the first step warms up


def matgen_formulas_per_second(model_key: str, preset: str, notation: str, table: TokenTable, steps: int) -> dict:
    settings = default_settings(preset, model_key, epochs=steps * BATCH / len(table), evaluations=1, batch_size=BATCH)
    with tempfile.TemporaryDirectory() as folder:
        model = build_model(model_key, preset, notation, seed=0)
        state = (
            Fitter(SharedBeginnings(model), table, causal_loss, lambda model: 0.0, Path(folder), settings).run().state
        )
    return {"formulas_per_second": state.history[-1]["formulas_per_second"], "precision": state.precision}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="gptj")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trainer-steps", type=int, default=1)
    parser.add_argument("--matgen-steps", type=int, default=60)
    options = parser.parse_args()
    batch = load_dataset("hybrid-pure").part("train")
    ids, _ = encode(batch, "expanded")
    tables = {notation: TokenTable.from_numpy(*encode(batch, notation)) for notation in ("expanded", "counted")}
    rounds = []
    for _ in range(options.rounds):
        found: dict[str, Any] = {
            "trainer": trainer_formulas_per_second(options.model, options.preset, ids, options.trainer_steps)
        }
        for notation, table in tables.items():
            ours = matgen_formulas_per_second(options.model, options.preset, notation, table, options.matgen_steps)
            found[notation] = ours["formulas_per_second"]
            found["precision"] = ours["precision"]
        rounds.append(found)
        print(found, flush=True)
    content = {
        "model": options.model,
        "preset": options.preset,
        "trainer_recipe": f"blocks of {BLOCK} tokens, {BATCH} a step, float32",
        "precision": rounds[0]["precision"],
        "trainer_formulas_per_second": statistics.median(r["trainer"] for r in rounds),
        **{f"{name}_formulas_per_second": statistics.median(r[name] for r in rounds) for name in tables},
        **{f"{name}_ratio": statistics.median(r[name] / r["trainer"] for r in rounds) for name in tables},
        "rounds": rounds,
    }
    write_result("training", content)


if __name__ == "__main__":
    main()
