"""The same validation loss in a tenth of the time? transformers' Trainer with the published recipe, and matgen.

Same architecture, size and cores, one after the other. The recipe: blocks of 128 tokens, 256 a step, float32, AdamW
of the Trainer's defaults, at its own learning rate (5e-5) and at matgen's. Its loss after all minutes, in nats a
held-out formula, is what matgen must reach; matgen is trained for a tenth of the minutes.

python -m benchmarks.time_to_loss --minutes 10
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from matgen.runtime.processes import leave_cores_to_others

leave_cores_to_others()  # as `matgen train` does, before torch is imported

import torch  # noqa: E402
from transformers import Trainer, TrainerCallback, TrainingArguments  # noqa: E402

from benchmarks.record import write_result  # noqa: E402
from benchmarks.training import BATCH, BLOCK, Blocks  # noqa: E402
from matgen.datasets import load_dataset  # noqa: E402
from matgen.fitting.examples import TokenTable  # noqa: E402
from matgen.models import build_model  # noqa: E402
from matgen.models.tokenizer import encode  # noqa: E402
from matgen.training import OBJECTIVES, TrainingPlan, default_settings, train_model  # noqa: E402
from matgen.training.prefix_tree import PrefixTreeLoss  # noqa: E402
from matgen.training.validation import validation_figure  # noqa: E402


class StopAfter(TrainerCallback):
    """Ends a Trainer's work when its minutes are over."""

    def __init__(self, minutes: float) -> None:
        self.minutes, self.began, self.steps = minutes, 0.0, 0

    def on_train_begin(self, *arguments: Any, **more: Any) -> None:
        self.began = time.monotonic()

    def on_step_end(self, arguments: Any, state: Any, control: Any, **more: Any) -> None:
        self.steps += 1
        control.should_training_stop = time.monotonic() - self.began > 60 * self.minutes


def recipe(model_key: str, preset: str, minutes: float, learning_rate: float) -> dict[str, Any]:
    dataset = load_dataset("hybrid-pure")
    blocks = Blocks(encode(dataset.part("train"), "expanded")[0])
    stop = StopAfter(minutes)
    model = build_model(model_key, preset, "expanded", seed=0)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=BATCH, num_train_epochs=1000, learning_rate=learning_rate,
            report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
        )  # fmt: skip
        Trainer(model=model, args=arguments, train_dataset=blocks, callbacks=[stop]).train()
    seconds = time.monotonic() - stop.began
    held_out = TokenTable.from_numpy(*encode(dataset.part("valid"), "expanded"))
    learner = PrefixTreeLoss(model).eval()
    with torch.no_grad():
        nats = validation_figure(held_out, OBJECTIVES["causal"], 0.0)(learner)
    return {"learning_rate": learning_rate, "steps": stop.steps, "seconds": round(seconds, 1), "valid_nats": nats}


def matgen(model_key: str, preset: str, notation: str, minutes: float) -> dict[str, Any]:
    settings = default_settings(preset, model_key, max_minutes=minutes, evaluations=4)
    with tempfile.TemporaryDirectory() as folder:
        plan = TrainingPlan(model_key, notation=notation, preset=preset, settings=settings)
        state = train_model(plan, Path(folder) / "run").state
    return {"steps": state.step, "seconds": state.seconds, "valid_nats": state.best_loss}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gptj")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    results: dict[str, Any] = {"recipe": [], "matgen": {}}
    for notation in ("expanded", "counted"):
        results["matgen"][notation] = matgen(options.model, options.preset, notation, options.minutes / 10)
        print(notation, results["matgen"][notation], flush=True)
    for rate in (5e-5, 1e-3):
        results["recipe"].append(recipe(options.model, options.preset, options.minutes, rate))
        print(results["recipe"][-1], flush=True)
    told: dict[str, Any] = {"model": options.model, "preset": options.preset, "block": BLOCK, "dataset": "hybrid-pure"}
    told["threads"] = torch.get_num_threads()
    write_result("time_to_loss", {**told, "minutes": options.minutes, **results})


if __name__ == "__main__":
    main()
