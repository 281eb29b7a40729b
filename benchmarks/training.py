"""Training throughput: matgen's loop against transformers' Trainer with the published recipe, same model, same run.

The recipe: formulas run together into blocks of 128 tokens, 256 blocks a step, float32. Both predict the next token,
with the thread settings of `matgen train` (they cost the Trainer a few per cent).

python -m benchmarks.training --preset paper
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from matgen.runtime.processes import leave_cores_to_others

leave_cores_to_others()  # as `matgen train` does, before torch is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from transformers import Trainer, TrainerCallback, TrainingArguments  # noqa: E402

from benchmarks.record import write_result  # noqa: E402
from benchmarks.sampling import matrix_peak, now  # noqa: E402
from matgen.datasets import load_dataset  # noqa: E402
from matgen.fitting.examples import TokenTable, batches_of_epoch  # noqa: E402
from matgen.fitting.loop import Fitter  # noqa: E402
from matgen.models import build_model  # noqa: E402
from matgen.models.objectives.causal import causal_loss  # noqa: E402
from matgen.models.tokenizer import EOS, PAD, encode  # noqa: E402
from matgen.training import default_settings  # noqa: E402
from matgen.training.prefix_tree import PrefixTree, PrefixTreeLoss  # noqa: E402

BLOCK, BATCH = 128, 256
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class StepTimes(TrainerCallback):
    """Seconds of each step of a Trainer."""

    def __init__(self) -> None:
        self.began, self.seconds = 0.0, []

    def on_step_begin(self, *arguments: Any, **more: Any) -> None:
        self.began = now(DEVICE)

    def on_step_end(self, *arguments: Any, **more: Any) -> None:
        self.seconds.append(now(DEVICE) - self.began)


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


def matgen_formulas_per_second(
    model_key: str,
    preset: str,
    notation: str,
    table: TokenTable,
    steps: int,
    *,
    batch_size: int = BATCH,
    evaluations: int = 1,
    precision: str = "auto",
    replay: bool = True,
) -> dict[str, Any]:
    """Formulas a second of the last of so many parts of a run, and its precision.

    Args:
        model_key, preset, notation, table: what is trained on what.
        steps: of the whole run.
        batch_size: formulas a step.
        evaluations: parts; the last is measured.
        precision: as `FitSettings`.
        replay: on a GPU, replay steps that were recorded.
    """
    epochs = steps * batch_size / len(table)
    settings = default_settings(
        preset, model_key, epochs=epochs, evaluations=evaluations, batch_size=batch_size, precision=precision
    )
    with tempfile.TemporaryDirectory() as folder:
        model = build_model(model_key, preset, notation, seed=0)
        learner = PrefixTreeLoss(model)
        if not replay:
            learner.replay.failure = "turned off"
        state = Fitter(learner, table, causal_loss, lambda model: 0.0, Path(folder), settings).run().state
    told = {"formulas_per_second": state.history[-1]["formulas_per_second"], "precision": state.precision}
    if DEVICE == "cpu":
        return told
    return told | {"steps_recorded": learner.replay.recorded, "not_recorded": learner.replay.failure}


def work_a_formula(
    model_key: str, preset: str, notation: str, table: TokenTable, batch_size: int = BATCH
) -> dict[str, float]:
    """Multiplications and additions of the matrix products of a training step, in GFLOP a formula, attention left out.

    `all_tokens` is what a model does that computes every token once (6 for each weight: Kaplan et al. 2020), `computed`
    what is left when sequences share their beginnings.
    """
    model = build_model(model_key, preset, notation, seed=0)
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    head = model.get_output_embeddings().weight
    weights = sum(p.numel() for p in model.parameters() if p.dim() == 2 and id(p) not in embeddings - {id(head)})
    batches = batches_of_epoch(table.lengths.numpy(), batch_size, 0, 0)[:40]
    rows = sum(len(rows) for rows in batches)
    # The last token of a sequence predicts nothing.
    tokens = sum(int((table.lengths[torch.from_numpy(rows)] - 1).sum()) for rows in batches) / rows
    nodes = sum(len(PrefixTree.of(table.batch(rows)[0][:, :-1]).token) for rows in batches) / rows
    each = 6 * weights / 1e9
    return {
        "all_tokens": tokens * each,
        "computed": nodes * each,
        "tokens_a_formula": round(tokens, 3),
        "computed_rows_a_formula": round(nodes, 3),
    }


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
        results: dict[str, Any] = {
            "trainer": trainer_formulas_per_second(options.model, options.preset, ids, options.trainer_steps)
        }
        for notation, table in tables.items():
            ours = matgen_formulas_per_second(options.model, options.preset, notation, table, options.matgen_steps)
            results[notation] = ours["formulas_per_second"]
            results["precision"] = ours["precision"]
        results["matrix_peak_gflops"] = matrix_peak(
            torch.bfloat16 if results["precision"] == "bf16" else torch.float32,
            DEVICE,
        )
        rounds.append(results)
        print(results, flush=True)
    work = {name: work_a_formula(options.model, options.preset, name, table) for name, table in tables.items()}
    content = {
        "model": options.model,
        "preset": options.preset,
        "trainer_recipe": f"blocks of {BLOCK} tokens, {BATCH} a step, float32",
        "precision": rounds[0]["precision"],
        "trainer_formulas_per_second": statistics.median(r["trainer"] for r in rounds),
        **{f"{name}_formulas_per_second": statistics.median(r[name] for r in rounds) for name in tables},
        **{f"{name}_ratio": statistics.median(r[name] / r["trainer"] for r in rounds) for name in tables},
        "work_gflop_a_formula": work,
        "matrix_peak_gflops": statistics.median(r["matrix_peak_gflops"] for r in rounds),
        "share_of_matrix_peak": {
            name: {
                kind: statistics.median(r[name] * work[name][kind] / r["matrix_peak_gflops"] for r in rounds)
                for kind in ("all_tokens", "computed")
            }
            for name in tables
        },
        "rounds": rounds,
    }
    write_result("training", content)


if __name__ == "__main__":
    main()
