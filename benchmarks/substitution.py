"""Recall of substitutions: of a known compound with one element masked, which fill is a compound that was held out?

python -m benchmarks.substitution --models runs/architectures/*/ [--queries 1000] [--seed 0] [--force]

Held-out compounds of a dataset that are a training compound with one element replaced (see `substitution_queries`); a
query is one such parent and the element. Every ranking orders the same candidates: what is known from training is left
out first. Beside the checkpoints stand rankings that need none (see `substitution_rankings`); equal scores go by how
common the elements are in training. Resumable: a checkpoint measured under the same settings is not measured again.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import command_line, read_result, write_result
from benchmarks.substitution_queries import Queries, find_queries
from benchmarks.substitution_rankings import Ranking, element_order, known_ions, rankings
from matgen.composition.batch import CompositionBatch
from matgen.datasets import SPLITS, Dataset, load_dataset
from matgen.errors import OptionError
from matgen.io.files import file_sha256
from matgen.models.checkpoint import read_metadata
from matgen.models.locate import find_checkpoint
from matgen.models.registry import MODELS
from matgen.runtime.progress import TerminalProgress
from matgen.sampling import Sampler
from matgen.sampling.constraints.template import Template, completions
from matgen.sampling.tinkering.infilling import completion_log_prob

AT = (1, 5, 20)


@dataclass(frozen=True)
class Asked:
    """What is asked.

    Attributes:
        queries: `q` of them.
        known_ions: bool `(q,)`, those whose ion is in pymatgen's table.
        order: integers `(119,)`, of the elements, which breaks ties.
        train: the known compounds.
        held_out: compounds that could be answers.
        held_out_with_parent: those of them that are one substitution away from a known one.
    """

    queries: Queries
    known_ions: np.ndarray
    order: np.ndarray
    train: CompositionBatch
    held_out: int
    held_out_with_parent: int

    @classmethod
    def of(cls, dataset: Dataset, queries: int, seed: int, held_out: np.ndarray | None = None) -> Asked:
        """Questions whose answers are of a dataset's test part.

        Args:
            dataset: with its split.
            queries: how many at most.
            seed: of the parents and of the order.
            held_out: bool `(n,)` by row of the dataset, the answers that are asked for; by default all.
        """
        test = dataset.part_mask("test") if held_out is None else dataset.part_mask("test") & held_out
        train, answers = dataset.part("train"), dataset.batch[np.flatnonzero(test)]
        every = find_queries(train, answers, seed=seed)
        some = every[np.arange(min(queries, len(every)))]
        return cls(some, known_ions(some), element_order(train), train, len(answers), len(every))


def ranks(scores: np.ndarray, queries: Queries, order: np.ndarray) -> np.ndarray:
    """Place of the answer among the candidates, int64 `(q,)`, 1 for the first.

    Args:
        scores: float64 `(q, 119)`, by element, higher is better.
        queries: `q` of them.
        order: integers `(119,)`, by which elements of equal score go, lower first.
    """
    rows = np.arange(len(queries))
    own, place = scores[rows, queries.answer][:, None], order[queries.answer][:, None]
    before = (scores > own) | ((scores == own) & (order < place))
    return 1 + (before & queries.candidates).sum(axis=1)


def recall(rank: np.ndarray) -> dict[str, Any]:
    """Share of the answers among the first 1, 5 and 20, and mean reciprocal rank, each with its standard error."""
    results: dict[str, Any] = {}
    for k in AT:
        share = float((rank <= k).mean())
        error = float(np.sqrt(share * (1 - share) / len(rank)))
        results[f"recall_at_{k}"] = {"value": round(share, 4), "standard_error": round(error, 4)}
    error = float((1 / rank).std(ddof=1) / np.sqrt(len(rank)))
    results["mean_reciprocal_rank"] = {"value": round(float((1 / rank).mean()), 4), "standard_error": round(error, 4)}
    return results


def chance(candidates: np.ndarray) -> dict[str, Any]:
    """What a random order of the candidates, numbers `(q,)`, gives on average."""
    results = {f"recall_at_{k}": np.minimum(1, k / candidates) for k in AT}
    harmonic = np.concatenate([[0], np.cumsum(1 / np.arange(1, candidates.max() + 1))])
    results["mean_reciprocal_rank"] = harmonic[candidates] / candidates
    return {name: {"value": round(float(of_each.mean()), 4)} for name, of_each in results.items()}


def model_scores(sampler: Sampler, queries: Queries, n_mc: int) -> np.ndarray:
    """Ln weight of each candidate under a model, float64 `(q, 119)`, minus infinity for the other elements."""
    scores = np.full(queries.candidates.shape, -np.inf)
    with TerminalProgress()(len(queries), "queries", "queries") as count:
        for i in range(len(queries)):
            elements, counts = queries.parents.elements[i].tolist(), queries.parents.counts[i].tolist()
            open_count = counts[queries.slot[i]]
            fixed = [
                (z, n) for j, (z, n) in enumerate(zip(elements, counts, strict=True)) if z and j != queries.slot[i]
            ]
            template = Template(tuple(fixed), (open_count,), distinct=True)
            filled = completions(template, queries.candidates[i])
            scores[i, filled.fills[:, 0]] = completion_log_prob(sampler, template, filled, n_mc=n_mc)
            count.update()
    return scores


def measured(ranking: Ranking, asked: Asked) -> dict[str, Any]:
    """Recall of one ranking, of all queries and of those whose ion pymatgen's table has, and its queries a second."""
    began = time.perf_counter()
    scores = ranking(asked.queries)
    seconds = time.perf_counter() - began
    rank = ranks(scores, asked.queries, asked.order)
    rate = float(f"{len(asked.queries) / seconds:.3g}")
    return recall(rank) | {"known_ions": recall(rank[asked.known_ions]), "queries_per_second": rate}


def identity(folder: Path) -> dict[str, Any]:
    """What a checkpoint is, how its completions are weighed, and the hash of its weights."""
    metadata = read_metadata(folder)
    architecture = MODELS[metadata["architecture"]]
    return {
        "title": architecture.title,
        "preset": metadata["preset"],
        "notation": metadata["notation"],
        "method": architecture.objective.completion,
        "dataset": Path(metadata["dataset"]).name,
        "parameters": metadata["metrics"].get("parameters"),
        "training_seconds": metadata["metrics"].get("seconds"),
        "weights_sha256": file_sha256(folder / "model.safetensors"),
    }


def require_held_out(folder: Path, split: str) -> None:
    """Raise an `OptionError` where a checkpoint was trained on another split, so that it may know the answers."""
    trained = read_metadata(folder)["split"]
    if trained != split:
        raise OptionError(f"{folder} was trained on {trained}, and may know what {split} holds out")


def earlier(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The models of an earlier result under the same settings."""
    content = read_result(name)
    return content["models"] if content.get("settings") == settings else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=[None], help="checkpoints (default: the bundled one)")
    parser.add_argument("--dataset", default="hybrid-pure")
    parser.add_argument("--split", default="split", choices=SPLITS)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--n-mc", type=int, default=8, help="orders, for models whose likelihood is a bound")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--force", action="store_true", help="measure again what is in the result")
    parser.add_argument("--name", default="substitution", help="of the result")
    options = parser.parse_args()
    dataset = load_dataset(options.dataset, split=options.split)
    asked = Asked.of(dataset, options.queries, options.seed)
    queries, train = asked.queries, asked.train
    settings = {
        "dataset": options.dataset,
        "dataset_sha256": dataset.sha256,
        "split": options.split,
        "queries": len(queries),
        "n_mc": options.n_mc,
        "seed": options.seed,
    }
    models = earlier(options.name, settings)
    n_candidates = queries.candidates.sum(axis=1)
    tables = {name: measured(ranking, asked) for name, ranking in rankings(train).items()}
    content: dict[str, Any] = {
        "settings": settings,
        "held_out": asked.held_out,
        "held_out_with_parent": asked.held_out_with_parent,
        "known_ions": int(asked.known_ions.sum()),
        "candidates": {name: int(getattr(np, name)(n_candidates)) for name in ("min", "median", "max")},
        "rankings": tables | {"chance": chance(n_candidates)},
        "models": models,
    }
    write_result(options.name, content)
    folders = {folder.name: folder for folder in map(find_checkpoint, options.models)}
    if len(folders) < len(options.models):
        raise OptionError("checkpoints are told apart by the names of their folders, and two have the same")
    for name, folder in folders.items():
        require_held_out(folder, options.split)
        known = identity(folder)
        if not options.force and known.items() <= models.get(name, {}).items():
            print(f"{name}: measured before", flush=True)
            continue
        sampler = Sampler(folder, device=options.device)
        row = measured(lambda some, model=sampler: model_scores(model, some, options.n_mc), asked)
        models[name] = known | row | {"command": command_line()}
        write_result(options.name, content)
        print(f"{name}: {row}", flush=True)


if __name__ == "__main__":
    main()
