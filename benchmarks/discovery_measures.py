"""Groups of columns of the table of `benchmarks.discovery`, each measured on the draws of a row or on its checkpoint.

All rows are judged alike: against `hybrid`, by the default rules of validity, by the bundled predictor. The made
compounds that `hybrid` lacks (`experimental-test`) are counted here and have a part in nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.discovery_rows import Draws, Row
from benchmarks.substitution import Asked, chance, measured, model_scores
from benchmarks.substitution_rankings import rankings
from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER
from matgen.composition.keys import KeySet
from matgen.datasets import SPLITS, Dataset, load_dataset
from matgen.datasets.catalog import MAX_ATOMS, MAX_ELEMENTS, MIN_ELEMENTS
from matgen.datasets.labels import labeled_phases
from matgen.datasets.load import find_row
from matgen.evaluation import metrics
from matgen.evaluation.known_rates import STABLE
from matgen.evaluation.tally import Tally
from matgen.io.files import file_sha256
from matgen.models.checkpoint import read_metadata
from matgen.models.locate import find_checkpoint
from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import encode, sequence_lengths, vocabulary
from matgen.prediction import Predictor
from matgen.prediction.families import anonymous_keys
from matgen.prediction.locate import find_predictor
from matgen.prediction.stability import probability_column, stability
from matgen.prediction.stability_model import LIMITS
from matgen.sampling import Sampler, tinker

REFERENCE, MADE = "hybrid", "experimental-test"
HELD_OUT = "hybrid-pure"
"""Whose test parts are looked for among the draws."""

PREDICTOR = "formation_energy-oqmd"
PREDICTED = 20_000
"""Of the draws, the first so many are predicted: their mean is known to 0.4 %."""

OF_SYSTEMS, OF_MADE = 10_000, 100_000
"""Draws that chemical systems, and made compounds, are counted in."""

TINKERED, MASKED, FIRST = "SrTiO3", "Sr", 6
QUERIES, N_MC = 500, 8


@lru_cache(maxsize=1)
def reference() -> CompositionBatch:
    """All compositions that are known."""
    return load_dataset(REFERENCE).batch


@lru_cache(maxsize=1)
def known() -> KeySet:
    """Their keys."""
    return KeySet(reference().keys())


def shares(draws: Draws) -> dict[str, Any]:
    """The fractions of a report, and distinct chemical systems in each 10,000 draws on average.

    Of fewer draws all their systems are counted, and `chemical_systems_per_10000` is None.
    """
    tally = Tally(draws.n)
    tally.add(metrics.judge_alone(draws.n, draws.parsed, known().contains))
    systems = draws.batch.chemical_system_keys()[:, 0]
    blocks = [
        len(np.unique(systems[draws.parsed.rows // OF_SYSTEMS == block])) for block in range(draws.n // OF_SYSTEMS)
    ]
    return {
        "n": draws.n,
        "drawn": draws.drawn,
        "seconds": round(draws.seconds, 1),
        **{name: round(share, 5) for name, share in metrics.fractions(tally.count()).items()},
        "chemical_systems": len(np.unique(systems)),
        f"chemical_systems_per_{OF_SYSTEMS}": round(float(np.mean(blocks)), 1) if blocks else None,
    }


def made(draws: Draws, row: Row) -> dict[str, Any]:
    """Made compounds that `hybrid` lacks among the draws, and how many of them the row could write at all."""
    batch = load_dataset(MADE).batch
    found = int(KeySet(draws.batch.keys()).contains(batch.keys()).sum()) if len(draws.batch) else 0
    reach = reach_of_baseline(row.checkpoint, batch) if row.random else reach_of_model(row.checkpoint, batch)
    return {
        "compounds": len(batch),
        **{name: int(mask.sum()) for name, mask in reach.items()},
        "can_write": int(np.logical_and.reduce(list(reach.values())).sum()),
        "found": found,
        f"found_per_{OF_MADE}": round(found * OF_MADE / draws.drawn, 2),
    }


def reach_of_model(checkpoint: str, batch: CompositionBatch) -> dict[str, np.ndarray]:
    """What a checkpoint could write of some compositions, each bool `(n,)`.

    `of_length`: they fit in its positions, and their tokens are at most as many as any formula of its training had.
    `of_elements`: it has seen all elements. `of_tokens`: it has seen all tokens, which in the notation `counted` stand
    for a count too; as its training data say where they can be had, else as its vocabulary does.
    """
    told = read_metadata(find_checkpoint(checkpoint))
    notation = told["notation"]
    longest = min(len(told["length_histogram"]) - 1, MAX_POSITIONS - 2)
    elements = np.zeros(256, dtype=bool)
    elements[[0, *(ATOMIC_NUMBER[symbol] for symbol in told["elements"])]] = True
    tokens = seen_tokens(told)
    ids, lengths = encode(batch, notation)
    inside = (np.arange(ids.shape[1]) > 0) & (np.arange(ids.shape[1]) < lengths[:, None] - 1)
    return {
        "of_length": sequence_lengths(batch, notation) <= longest,
        "of_elements": elements[batch.elements].all(axis=1),
        "of_tokens": (tokens[ids] | ~inside).all(axis=1),
    }


def seen_tokens(told: dict[str, Any]) -> np.ndarray:
    """Tokens of a checkpoint's training part, bool `(vocabulary,)`; all where that is a file or has changed."""
    seen = np.ones(len(vocabulary(told["notation"])), dtype=bool)
    if find_row(told["dataset"]) is None:
        return seen
    dataset = load_dataset(
        told["dataset"], published_filter=told["published_filter"], where=told["where"], split=told["split"]
    )
    if dataset.sha256 != told["dataset_sha256"]:
        return seen
    seen[:] = False
    seen[np.unique(encode(dataset.part("train"), told["notation"])[0])] = True
    return seen


def reach_of_baseline(name: str, batch: CompositionBatch) -> dict[str, np.ndarray]:
    """What a random baseline could draw of some compositions, each bool `(n,)`, as `reach_of_model`."""
    if name == "uniform":
        n_atoms, n_elements = batch.n_atoms, batch.n_elements
        return {
            "of_length": (n_atoms <= MAX_ATOMS)
            & (n_elements >= MIN_ELEMENTS)
            & (n_elements <= MAX_ELEMENTS)
            & (batch.counts <= 10).all(axis=1),
            "of_elements": (batch.elements <= ATOMIC_NUMBER["Lr"]).all(axis=1),
        }
    elements = np.unique(reference().elements)
    return {
        "of_length": np.isin(anonymous_keys(batch), anonymous_keys(reference())),
        "of_elements": np.isin(batch.elements, np.append(elements, 0)).all(axis=1),
    }


def recovery(draws: Draws, row: Row) -> dict[str, Any]:
    """Share of the held-out compounds near the hull among the draws, by each split.

    `held_out` is False for a split that a checkpoint was not trained on: it may have learned what that holds out.
    """
    keys = KeySet(draws.batch.keys())
    trained = None if row.random else read_metadata(find_checkpoint(row.checkpoint))["split"]
    content = {}
    for split in SPLITS:
        batch = stable(split).part("test")
        content[split] = {
            "stable": len(batch),
            "found": round(float(keys.contains(batch.keys()).mean()), 5),
            "held_out": trained in (None, split),
        }
    return {"limit": STABLE, "dataset": HELD_OUT, **content}


@lru_cache(maxsize=2)
def stable(split: str) -> Dataset:
    """Compositions near the hull, as a split parts them."""
    return load_dataset(HELD_OUT, where=f"hull_distance <= {STABLE}", split=split)


@lru_cache(maxsize=1)
def predictor_sha256() -> str:
    """A hash of the predictor's files: what it says changes with them."""
    folder = find_predictor(PREDICTOR)
    digests = [file_sha256(path) for path in sorted(folder.iterdir()) if path.suffix in (".json", ".safetensors")]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def said_of(batch: CompositionBatch) -> pd.DataFrame:
    """What the bundled predictor says of the stability of some compositions, as `matgen predict` does."""
    predictor = Predictor.load(find_predictor(PREDICTOR))
    return stability(batch, predictor.predict(batch), predictor, labeled_phases(predictor.metadata["source"]))


def said_above(batch: CompositionBatch) -> np.ndarray:
    """Predicted energies above the hull, float64 `(n,)`, eV/atom; NaN where the hull lacks an element."""
    return said_of(batch)["energy_above_hull"].to_numpy(np.float64)


def predicted(draws: Draws) -> dict[str, Any]:
    """Mean probability to be near the hull and share in the predictor's domain, of the first draws and of novel ones.

    Where the hull lacks an element the probability counts as 0. The novel compositions count once each.
    """
    batch = draws.batch[:PREDICTED]
    _, first, place = np.unique(batch.keys(), axis=0, return_index=True, return_inverse=True)
    distinct = batch[first]
    said = said_of(distinct)
    probability = said[probability_column(LIMITS[-1])].fillna(0.0).to_numpy(np.float64)
    in_domain = said["in_domain"].to_numpy(bool)
    novel = ~known().contains(distinct.keys())
    times = np.bincount(place.ravel(), minlength=len(distinct))
    content: dict[str, Any] = {"predictor": PREDICTOR, "limit": LIMITS[-1], "n": len(batch)}
    for name, weights in (("draws", times), ("novel", novel.astype(np.int64))):
        total = max(int(weights.sum()), 1)
        content[name] = {
            "probability": round(float((weights * probability).sum() / total), 4),
            "in_domain": round(float((weights * in_domain).sum() / total), 4),
        }
    return content


def tinkered(sampler: Sampler) -> dict[str, Any]:
    """The elements that a model would put first in the place of one, that one left out."""
    frame = tinker(sampler, TINKERED, mask=MASKED).frame
    others = frame[~frame["original"]].head(FIRST)
    return {
        "task": f"{TINKERED} --mask {MASKED}",
        "first": others["fill_1"].astype(str).tolist(),
        "probability": [float(f"{share:.3g}") for share in others["probability"]],
    }


@lru_cache(maxsize=2)
def asked(split: str, seed: int) -> Asked:
    """Substitutions whose answers are held-out compounds near the hull."""
    dataset = load_dataset(HELD_OUT, split=split)
    near = KeySet(stable(split).batch.keys()).contains(dataset.batch.keys())
    return Asked.of(dataset, QUERIES, seed, near)


def substitution(sampler: Sampler, split: str, seed: int) -> dict[str, Any]:
    """Recall of such substitutions by a model, on the split that it was trained on."""
    content = measured(lambda queries: model_scores(sampler, queries, N_MC), asked(split, seed))
    return {"split": split, "queries": len(asked(split, seed).queries), **content}


def substitution_without_model(split: str, seed: int) -> dict[str, Any]:
    """The same by rankings that need no model, and by chance."""
    questions = asked(split, seed)
    tables: dict[str, Callable[..., np.ndarray]] = rankings(questions.train)
    return {
        "queries": len(questions.queries),
        "held_out": questions.held_out,
        "held_out_with_parent": questions.held_out_with_parent,
        **{name: measured(ranking, questions) for name, ranking in tables.items()},
        "chance": chance(questions.queries.candidates.sum(axis=1)),
    }
