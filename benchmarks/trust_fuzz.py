"""A million formula strings, by a grammar and by changed bytes, read beside pymatgen; for `benchmarks.trust`."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from typing import Any

import numpy as np

from matgen.composition.batch import parse_formulas
from matgen.composition.elements import SYMBOLS

BATCH = 20_000
LONGEST_BATCH = 60.0
"""Seconds after which a batch counts as hanging."""

_BRACKETS = ("()", "[]", "{}")
_STRANGE = (
    "",
    " ",
    "·",
    ".",
    "*",
    "-",
    "+",
    "e3",
    "1e400",
    "0",
    "00",
    "∞",
    "₂",
    "²",
    "\0",
    "\n",
    "\ud800",
    "Xx",
    "D",
    "T",
    "(",
)


def formulas(n: int) -> dict[str, Any]:
    """Half by a grammar of formulas and what is not quite one, half by changing bytes of known formulas."""
    from matgen.datasets import load_dataset

    known = load_dataset("hybrid-pure").batch.formulas().tolist()
    rng, results = random.Random(0), dict.fromkeys(("read", "read_with_a_remark", "refused", "read_by_matgen_alone"), 0)
    reasons: Counter[str] = Counter()
    refused_alone, wrong, crashes, slowest = [], [], [], 0.0
    for begin in range(0, n, BATCH):
        rows = min(BATCH, n - begin)
        texts = [_grammar(rng) if place % 2 else _mutated(rng, rng.choice(known)) for place in range(rows)]
        began = time.monotonic()
        try:
            parsed = parse_formulas(texts)
        except Exception as error:
            crashes.append(repr(error)[:300])
            continue
        slowest = max(slowest, time.monotonic() - began)
        said = {bad.row: bad.reason for bad in parsed.bad}
        read = dict(zip(parsed.rows.tolist(), range(len(parsed.batch)), strict=True))
        # A point before water, a rounded fraction, an isotope: read otherwise than by pymatgen, and said so.
        remarked = {remark.row for remark in parsed.remarks}
        results["read"] += len(read)
        results["read_with_a_remark"] += len(remarked)
        results["refused"] += rows - len(read)
        for place, text in enumerate(texts):
            expected = _by_pymatgen(text)
            if place not in read:
                if expected is not None:
                    refused_alone.append(text)
                    reasons[re.sub(r"'.*?'|[\d,.]+", "_", said[place])[:60]] += 1
                continue
            row = read[place]
            elements, counts = parsed.batch.elements[row], parsed.batch.counts[row].astype(float)
            if place in remarked:
                continue
            if expected is None:
                results["read_by_matgen_alone"] += 1
                continue
            shares = {int(z): c / counts.sum() for z, c in zip(elements, counts, strict=True) if z}
            if shares.keys() != expected.keys() or any(abs(shares[z] - expected[z]) > 1e-6 for z in shares):
                wrong.append(text)
    return (
        {"formulas": n}
        | results
        | {
            "refused_though_pymatgen_reads": len(refused_alone),
            "reasons_to_refuse": dict(reasons.most_common(12)),
            "examples_refused": refused_alone[:: max(1, len(refused_alone) // 8)][:8],
            "other_composition_than_pymatgen": len(wrong),
            "examples_wrong": wrong[:20],
            "crashes": crashes[:20],
            "slowest_batch_seconds": round(slowest, 2),
            "faults": len(wrong) + len(crashes) + (slowest > LONGEST_BATCH),
        }
    )


def _grammar(rng: random.Random, depth: int = 0) -> str:
    text = ""
    for _ in range(rng.choice((1, 1, 2, 2, 3, 4, 12))):
        if depth < 4 and rng.random() < 0.15:
            left, right = rng.choice(_BRACKETS)
            text += left + _grammar(rng, depth + 1) + right + _amount(rng)
        elif rng.random() < 0.04:
            text += rng.choice(_STRANGE)
        else:
            text += str(SYMBOLS[rng.randint(1, len(SYMBOLS) - 1)]) + _amount(rng)
    return text


def _amount(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.45:
        return ""
    if kind < 0.85:
        return str(rng.randint(0, 30))
    if kind < 0.97:
        return f"{rng.uniform(0, 9):.{rng.randint(0, 5)}f}"
    return rng.choice(("99999", "1" * 30, "0.0000001", ".5", "5.", "1/2", "-1", "1e5", "x"))


def _mutated(rng: random.Random, text: str) -> str:
    data = bytearray(text.encode())
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        place = rng.randrange(len(data)) if data else 0
        how = rng.randrange(5)
        if how == 0 and data:
            data[place] ^= 1 << rng.randrange(8)
        elif how == 1:
            data.insert(place, rng.randrange(256))
        elif how == 2 and data:
            del data[place]
        elif how == 3:
            data[place:place] = data[: rng.randint(0, len(data))]
        elif data:
            other = rng.randrange(len(data))
            data[place], data[other] = data[other], data[place]
    return data.decode("utf-8", errors="surrogateescape")


def _by_pymatgen(text: str) -> dict[int, float] | None:
    """Shares of elements as pymatgen reads them; None where it does not, or reads what is no element or no amount."""
    from pymatgen.core import Composition, Element

    try:
        composition = Composition(text)
        amounts = {(Element(str(key)).Z): 0.0 for key in composition}
        for key, amount in composition.items():
            amounts[Element(str(key)).Z] += amount
    except Exception:  # whatever it does with text that is no formula
        return None
    total = sum(amounts.values())
    if not amounts or not np.isfinite(total) or total <= 0:
        return None
    return {z: amount / total for z, amount in amounts.items()}
