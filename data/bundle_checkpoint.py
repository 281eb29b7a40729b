"""Copy a trained checkpoint into `data/checkpoints/` with bfloat16 weights, and score it anew with the rounded ones.

The bundled checkpoint was made by::

    python -m benchmarks.architectures --minutes 3 --baselines --models gptj --name bundled
    python data/bundle_checkpoint.py runs/architectures/gptj hybrid-pure-gptj-tiny
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from matgen.datasets import load_dataset
from matgen.fitting import TokenTable
from matgen.models import load_checkpoint, save_checkpoint
from matgen.tokenizer import encode
from matgen.train.card import model_card
from matgen.train.objectives import OBJECTIVES, validation_figure

OUT = Path(__file__).resolve().parent / "checkpoints"


def main(run: str, name: str) -> None:
    checkpoint = load_checkpoint(run)
    rounded = checkpoint.model.to(torch.bfloat16)
    held_out = TokenTable.from_numpy(*encode(load_dataset(checkpoint.metadata["dataset"]).part("test"), "expanded"))
    with torch.no_grad():
        nats = validation_figure(held_out, OBJECTIVES[checkpoint.metadata["objective"]], 0.0)(rounded.float())
    metadata = checkpoint.metadata | {"weights": "bfloat16"}
    metadata["metrics"] = metadata["metrics"] | {"test_nats": round(nats, 4)}
    print(f"test nats: {checkpoint.metadata['metrics']['test_nats']} in float32, {nats:.4f} rounded")
    save_checkpoint(OUT / name, rounded.to(torch.bfloat16), metadata, card=model_card(metadata))


if __name__ == "__main__":
    main(*sys.argv[1:])
