"""Rows of the ranking: what its score has to do with size, what comes first, and whether relaxation agrees."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.tables.render import Json

SCORES = {
    "before": "score of 0.2: probability x share of atoms unlike the nearest known",
    "after": "score: stable x geometric mean of made, oxidation states and chemical novelty",
    "without_made": "the same without `probability_made`",
    "without_novelty": "the same without novelty",
    "product": "plain product of the four",
    "probability_hull_0.1": "`probability_hull_0.1`",
    "oxidation_state_score": "`oxidation_state_score`",
    "novelty": "novelty by chemical distance",
    "share_of_atoms": "novelty by share of atoms (0.2)",
    "probability_made": "`probability_made`",
    "fewer_atoms": "fewer atoms first",
}
SETS = {
    ("relaxed_draws", "chgnet"): "80 draws by CHGNet",
    ("sun", "chgnet"): "44 others by CHGNet",
    ("both", "chgnet"): "both by CHGNet",
    ("sun", "7net-l3i5"): "the 44 by SevenNet-l3i5",
}
MADE = {
    "drawn": "novel draws",
    "valid_drawn": "valid novel draws",
    "valid_drawn_of_valid_made": "valid novel draws, of valid made compounds",
    "valid_drawn_of_2_elements": "valid novel draws, both of two elements",
    "valid_drawn_of_3_elements": "of three elements",
    "valid_drawn_of_4_elements": "of four elements",
    "database": "the rest of `hybrid`",
}
PARTS = {
    "chemical_systems_left_out": "in `hybrid`, chemical systems left out",
    "test_made_outside_hybrid": "test: made outside `hybrid`",
}


def sizes(content: Json) -> Iterator[Json]:
    """Correlations with the size of the formula."""
    found = content["draws"]["correlation_with_size"]
    yield from ({"title": title, **found[name]} for name, title in SCORES.items() if name in found)


def firsts(content: Json) -> Iterator[Json]:
    """What comes first, and what all are."""
    found = content["draws"]["first"]
    yield from ({"title": title, **found[name]} for name, title in SCORES.items() if name in found)
    yield {"title": "all of them", **content["draws"]["all"]}


def headings(content: Json) -> str:
    """Heads of the sets of relaxed draws."""
    return " | ".join(f"{title}: area under the curve, Spearman" for title in SETS.values())


def orders(content: Json) -> Iterator[Json]:
    """How each score orders each set."""
    relaxed = content["relaxed"]
    for name, title in SCORES.items():
        found = [relaxed[one][judge]["all"].get(name) for one, judge in SETS]
        if all(found):
            yield {"title": title, "cells": " | ".join(f"{one['auc']:.2f}, {one['spearman']:+.2f}" for one in found)}


def of_made(content: Json) -> Iterator[Json]:
    """Areas under the curve, with systems left out and of the test."""
    for part, where in PARTS.items():
        for name, row in content[part].items():
            yield {"title": f"{MADE[name]} ({where})", **row}
