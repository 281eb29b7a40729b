"""What the faults of the released code cost: a GPT-J trained and drawn from as released, and matgen's.

As released (Fu et al. 2023): lines `[CLS] Sr Ti O O O . [SEP]` run together and cut every 128 tokens, whatever stands
there; a tenth of the tokens masked, and only those learned, by a model that reads from left to right; float32, no
schedule. Drawn greedily from four random elements, 256 tokens, no pair of tokens twice in a row of them, cut at the
points, elements counted as substrings. The model is of the preset `tiny` with matgen's initialization and learning
rate: the released ones (0.02, 5e-5) would be far behind in these minutes.

python -m benchmarks.as_released --minutes 10

The same weights are also drawn from by matgen, and matgen's own GPT-J of `benchmarks.published` stands beside both.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers

from benchmarks.judging import METRICS, recovered, shares
from benchmarks.record import read_result, write_result
from matgen.composition.elements import SYMBOLS
from matgen.datasets import load_dataset
from matgen.models.locate import find_checkpoint
from matgen.models.registry import MAX_POSITIONS, architecture, shape
from matgen.models.tokenizer import FIRST_ELEMENT, encode
from matgen.sampling import Sampler, SampleRequest, sample_to_file

LATER = {"Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og"}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({*SYMBOLS[1:]} - LATER), "Uuo", "."]
UNKNOWN, FIRST, LAST, MASK, POINT = 1, 2, 3, 4, len(WORDS) - 1
BLOCK, BATCH, TOKENS = 128, 256, 256


def blocks(formulas: Any) -> torch.Tensor:
    """The training formulas as released: run together, cut every 128 tokens, int64 `(n, 128)`."""
    ids, _ = encode(formulas, "expanded")
    place = {word: i for i, word in enumerate(WORDS)}
    theirs = np.array([place.get(str(symbol), UNKNOWN) for symbol in SYMBOLS[1:]])
    rows = np.random.default_rng(0).permutation(len(ids))
    lines = [[FIRST, *theirs[row[row >= FIRST_ELEMENT] - FIRST_ELEMENT], POINT, LAST] for row in ids[rows]]
    stream = np.concatenate(lines)
    return torch.from_numpy(stream[: len(stream) // BLOCK * BLOCK].reshape(-1, BLOCK))


def train(data: torch.Tensor, minutes: float) -> tuple[torch.nn.Module, dict[str, Any]]:
    torch.manual_seed(0)
    arguments = architecture("gptj").config(shape("gptj", "tiny"), MAX_POSITIONS) | {"n_positions": 256}
    config = transformers.AutoConfig.for_model(
        "gptj", vocab_size=120, bos_token_id=None, eos_token_id=None, **arguments
    )
    model = transformers.AutoModelForCausalLM.from_config(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    began, steps, losses = time.monotonic(), 0, []
    while time.monotonic() - began < 60 * minutes:
        clean = data[torch.randint(len(data), (BATCH // 8,))]  # an eighth of the released batch: more steps
        chosen = (torch.rand(clean.shape) < 0.1) & (clean > MASK)
        labels = torch.where(chosen, clean, -100)
        fate = torch.rand(clean.shape)
        ids = torch.where(chosen & (fate < 0.8), MASK, clean)
        ids = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), torch.randint(len(WORDS), clean.shape), ids)
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        steps += 1
        losses.append(float(loss.detach()))
    return model.eval(), {
        "steps": steps,
        "formulas": round(steps * BATCH / 8 * float((data == POINT).sum()) / len(data)),
        "seconds": round(time.monotonic() - began, 1),
        "last_loss": float(np.mean(losses[-50:])),
    }


def release(model: torch.nn.Module, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config.to_dict() | {"bos_token_id": 120, "eos_token_id": 120}  # type: ignore[operator]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    torch.save(model.state_dict(), folder / "pytorch_model.bin")


def draw_as_released(model: Any, prompts: int) -> tuple[list[str], dict[str, Any]]:
    """Formulas as the released generator makes them, each text once, and how it went."""
    rng = np.random.default_rng(0)
    texts, began = [], time.monotonic()
    for _ in range(prompts):
        four = rng.choice([i for i in range(5, POINT) if WORDS[i] != "Uuo"], 4)
        start = torch.tensor([[FIRST, *four, LAST]])
        with torch.inference_mode():
            out = model.generate(
                start,
                attention_mask=torch.ones_like(start),
                max_length=TOKENS,
                do_sample=False,
                no_repeat_ngram_size=2,
                pad_token_id=0,
            )[0]
        words = [WORDS[i] if i < len(WORDS) else "" for i in out.tolist()]
        texts.append(" ".join("" if word.startswith("[") else word for word in words[5:]))
    seconds = time.monotonic() - began
    pieces = [" ".join(piece.split()) for text in texts for piece in text.split(".")[1:]]
    distinct = sorted({piece for piece in pieces if len(piece) > 2})
    formulas, wrong = [], 0
    for piece in distinct:
        elements = set(piece.split())
        counted = {element: piece.count(element) for element in elements}
        if not 2 <= len(elements) <= 8 or sum(counted.values()) > 30:
            continue
        wrong += any(piece.split().count(element) != n for element, n in counted.items())
        formulas.append("".join(f"{element}{n}" for element, n in sorted(counted.items())))
    settings = {
        "prompts": prompts,
        "pieces": len(pieces),
        "distinct_pieces": len(distinct),
        "formulas": len(formulas),
        "miscounted": wrong,
        "seconds": round(seconds, 1),
        "distinct_formulas_per_second": round(len(set(formulas)) / seconds, 2),
    }
    return formulas, settings


def judged(table: Any) -> dict[str, Any]:
    known = shares(table)
    own = recovered(table, "hybrid-pure")
    return {"n": known["n"], **{name: known[name] for name in METRICS}, "recovered": own["recovery"]["test"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--prompts", type=int, default=300)
    parser.add_argument("--work", type=Path, default=Path("runs/as_released"))
    options = parser.parse_args()
    dataset = load_dataset("hybrid-pure")
    model, training = train(blocks(dataset.part("train")), options.minutes)
    release(model, options.work)
    formulas, drawing = draw_as_released(model, options.prompts)
    sampler = Sampler(find_checkpoint(str(options.work)))
    path = options.work / "draws.parquet"
    sample_to_file(sampler, SampleRequest(10_000), path, force=True)
    ours = read_result("published")["rows"]["gptj hybrid-pure expanded tiny"]
    ours_drawn = ours["samples"]["10000"]
    content = {
        "minutes": options.minutes,
        "as_released": {
            "training": training,
            "drawing": drawing,
            **judged(pd.DataFrame({"formula": formulas})),
        },
        "drawn_by_matgen": {
            "test_nats": float(-sampler.log_prob(dataset.part("test")).mean()),
            **judged(path),
        },
        "matgen": {
            "minutes": ours["minutes"],
            "test_nats": ours["training"]["test_nats"],
            "n": 10_000,
            **{name: ours_drawn[name] for name in METRICS},
            "recovered": ours_drawn["recovery"]["test"],
        },
    }
    print(json.dumps(content, indent=1))
    write_result("as_released", content)


if __name__ == "__main__":
    main()
