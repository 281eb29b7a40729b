"""Likelihoods of a model that writes in any order, beside the enumeration of every order, one step at a time.

python -m benchmarks.blank_likelihood --model runs/architectures/blmm

The oracle knows nothing of the sums over sets: it builds each canvas of each order in a loop and asks the network. Also
how far the quick bound (from single random steps) and the estimate from 8 random orders are from the exact sum.
"""

from __future__ import annotations

import argparse
import itertools
import time
from typing import Any

import numpy as np
import torch

from benchmarks.record import write_result
from matgen.datasets import load_dataset
from matgen.models import load_checkpoint
from matgen.models.locate import find_checkpoint
from matgen.models.tokenizer import BLANK, EOS, MASK, encode, suppressed_ids
from matgen.sampling.likelihood import N_MC, Likelihood


def step_log_prob(model: Any, ids: list[int], hidden: set[int], place: int, forbidden: list[int]) -> float:
    """Ln probability of writing one place next while the places in `hidden` are not written, by a pass of its own."""
    if model.config.model_type == "roberta":
        seen = [MASK if i in hidden else token for i, token in enumerate(ids)]
        logits = model(input_ids=torch.tensor([seen])).logits[0, place].double()
        logits[forbidden] = -torch.inf
        return float(logits.log_softmax(0)[ids[place]])
    canvas, at = [], {}
    for i, token in enumerate(ids):
        if i not in hidden or i - 1 not in hidden:
            canvas.append(BLANK if i in hidden else token)
        at[i] = len(canvas) - 1
    out = model(input_ids=torch.tensor([canvas]))
    blank = out.last_hidden_state[0, at[place]][None]
    word = model.word_logits(blank).log_softmax(1)[0, ids[place] - model.config.first_word]
    flags = model.flag_logits(blank, torch.tensor([ids[place]])).log_softmax(1)
    return float(out.blank_log_prob[0, at[place]] + word + flags[0, (place - 1 in hidden) + 2 * (place + 1 in hidden)])


@torch.inference_mode()
def by_enumeration(model: Any, ids: list[int], notation: str, last: tuple[int, ...] = ()) -> tuple[float, int]:
    """Ln of the sum over all orders that end with the places in `last`, and the number of these orders."""
    forbidden = [*suppressed_ids(notation), EOS]
    totals = []
    for order in itertools.permutations(range(1, len(ids) - 1)):
        if set(order[len(order) - len(last) :]) != set(last):
            continue
        hidden, total = set(order), 0.0
        for place in order:
            total += step_log_prob(model, ids, hidden, place, forbidden)
            hidden.discard(place)
        totals.append(total)
    return float(np.logaddexp.reduce(totals)), len(totals)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--enumerated", type=int, default=30, help="formulas of at most 5 tokens")
    parser.add_argument("--estimated", type=int, default=300, help="formulas of at most 8 tokens")
    options = parser.parse_args()
    checkpoint = load_checkpoint(find_checkpoint(options.model))
    if checkpoint.architecture.objective.decoder != "canvas":
        parser.error(f"{options.model} is a {checkpoint.architecture.title}, not a blank language model")
    likelihood, notation = Likelihood(checkpoint), checkpoint.notation
    held_out = load_dataset(checkpoint.metadata["dataset"]).part("test")
    ids, lengths = encode(held_out, notation)
    short = np.flatnonzero(lengths <= 7)[: options.enumerated]
    began = time.perf_counter()
    oracle = np.array([by_enumeration(checkpoint.model, ids[i, : lengths[i]].tolist(), notation)[0] for i in short])
    oracle_seconds = time.perf_counter() - began
    exact = likelihood.summed(held_out[short])
    medium = np.flatnonzero(lengths <= 10)[: options.estimated]
    batch = held_out[medium]
    began = time.perf_counter()
    summed = likelihood.summed(batch)
    exact_seconds = time.perf_counter() - began
    sampled = np.empty(len(batch))
    for length in np.unique(lengths[medium]):
        rows = np.flatnonzero(lengths[medium] == length)
        of_length = torch.from_numpy(ids[medium[rows], :length]).long()
        sampled[rows] = likelihood.orders.sampled(of_length, N_MC).numpy() if likelihood.orders else np.nan
    content = {
        "model": checkpoint.architecture.title,
        "enumerated": len(short),
        "largest_difference_from_enumeration": float(np.abs(exact - oracle).max()),
        "enumeration_formulas_per_second": round(len(short) / oracle_seconds, 2),
        "summed_formulas_per_second": round(len(batch) / exact_seconds, 1),
        "formulas": len(batch),
        "mean_nats": {
            "summed": round(float(-summed.mean()), 4),
            f"from {N_MC} random orders": round(float(-sampled.mean()), 4),
            f"bound from {N_MC} random steps": round(float(-likelihood.of(batch).mean()), 4),
        },
    }
    write_result("blank_likelihood", content)
    print(content)


if __name__ == "__main__":
    main()
