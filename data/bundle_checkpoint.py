"""Copy a trained checkpoint into `data/checkpoints/` with bfloat16 weights, and score it anew with the rounded ones.

The bundled checkpoints were made by the following commands (half an hour, ten minutes and eight minutes of one core,
resumable by `--resume`). The first learns everything that is balanced. The second goes on from it: it is fine-tuned on
what is near the hull or has been made and takes common oxidation states, then on what has been made or is well below
the hull of its competitors, and is then reinforced. The third knows intermetallics too::

    matgen train --model gptj --dataset hybrid-pure --preset small --notation counted --dropout 0.2 \\
        --weight-decay 0.1 --epochs 26 --evaluations 13 --seed 0 --out runs/bundled
    python data/bundle_checkpoint.py runs/bundled hybrid-pure-gptj-small

    near='made == true or (balanced_common == true and hull_distance <= 0.05)'
    matgen train --dataset hybrid-pure --where "$near" --init hybrid-pure-gptj-small --balance anonymous_formula \\
        --patience 3 --out runs/near
    below='made == true or (balanced_common == true and hull_distance <= -0.05)'
    matgen train --dataset hybrid-pure --where "$below" --init runs/near --epochs 3 --patience 3 --out runs/fine-tuned
    matgen reinforce --model runs/fine-tuned --learning-rate 3e-4 --kl 0.06 --steps 50 --average 0.5 \\
        --reward "(probability_hull_0.05 + probability_hull_0.1) * oxidation_state_score * (0.3 + novel)
        * (1 - 0.7 * contains(radioactive))" --out runs/reinforced
    python data/bundle_checkpoint.py runs/reinforced hybrid-stable-gptj-small

    matgen train --model gptj --dataset hybrid-mix --preset tiny --dropout 0.05 --optimizer muon \\
        --max-minutes 8 --seed 0 --out runs/mix
    python data/bundle_checkpoint.py runs/mix hybrid-mix-gptj-tiny

    python -m benchmarks.bundled
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from matgen.datasets import load_dataset
from matgen.fitting.examples import TokenTable
from matgen.models import load_checkpoint, save_checkpoint
from matgen.models.objectives import OBJECTIVES
from matgen.models.tokenizer import encode
from matgen.reinforcement.card import reinforced_card
from matgen.training.card import model_card
from matgen.training.learner import learner_for
from matgen.training.validation import validation_figure

OUT = Path(__file__).resolve().parent / "checkpoints"


def main(run: str, name: str) -> None:
    checkpoint = load_checkpoint(run)
    metadata, objective = checkpoint.metadata, OBJECTIVES[checkpoint.metadata["objective"]]
    rounded = checkpoint.model.to(torch.bfloat16)
    dataset = load_dataset(metadata["dataset"], where=metadata["where"], split=metadata["split"])
    held_out = TokenTable.from_numpy(*encode(dataset.part("test"), checkpoint.notation))
    with torch.no_grad():
        nats = validation_figure(held_out, objective, 0.0)(learner_for(objective, rounded.float()).eval())
    print(f"test nats: {metadata['metrics'].get('test_nats')} in float32, {nats:.4f} rounded")
    card = reinforced_card if "reinforcement" in metadata else model_card
    told = metadata | {"weights": "bfloat16", "metrics": metadata["metrics"] | {"test_nats": round(nats, 4)}}
    save_checkpoint(OUT / name, rounded.to(torch.bfloat16), told, card=card(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
