"""Boosted trees as plain arrays: fitted by LightGBM, opened and evaluated without it.

What is bundled must open on a machine that has neither LightGBM nor the OpenMP library of the system that it wants, and
without unpickling anything. `tests/prediction/test_forest.py` compares the sums with LightGBM's own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from matgen.runtime.compiled import load_kernel
from matgen.runtime.cores import available_cores

_AT_ONCE = 8192
"""Rows that a thread takes at a time."""


@dataclass(frozen=True)
class Forest:
    """Trees whose leaves' values are added up. A node with feature f goes left where `features[:, f] <= threshold`.

    Attributes:
        roots: int32 `(trees,)`, the first node of each tree.
        feature: int16 `(nodes,)`, -1 of a leaf.
        threshold: float64 `(nodes,)`, 0 of a leaf.
        left: int32 `(nodes,)`, the next node, 0 of a leaf.
        right: int32 `(nodes,)`, likewise.
        value: float32 `(nodes,)`, 0 of a node that is no leaf.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray

    @classmethod
    def of_booster(cls, booster: Any) -> Forest:
        """The trees of a LightGBM `Booster` that was fitted to numbers without a missing one.

        Raises:
            ValueError: a node splits categories, or sends missing values elsewhere.
        """
        nodes: list[tuple[int, float, int, int, float]] = []
        roots = [_append(tree["tree_structure"], nodes) for tree in booster.dump_model()["tree_info"]]
        feature, threshold, left, right, value = zip(*nodes, strict=True)
        return cls(
            np.array(roots, np.int32), np.array(feature, np.int16), np.array(threshold, np.float64),
            np.array(left, np.int32), np.array(right, np.int32), np.array(value, np.float32),
        )  # fmt: skip

    def sums(self, features: np.ndarray) -> np.ndarray:
        """The sum over all trees, float64 `(n,)`.

        Args:
            features: float64 `(n, p)`, without NaN.
        """
        total = np.zeros(len(features))
        kernel = load_kernel("prediction.forest_kernel")
        add = self._add_trees if kernel is None else kernel.add_trees
        arrays = (self.roots, self.feature, self.threshold, self.left, self.right, self.value)

        def work(start: int) -> None:
            rows = slice(start, start + _AT_ONCE)
            add(features[rows], *arrays, total[rows])

        with ThreadPoolExecutor(available_cores()) as pool:
            list(pool.map(work, range(0, len(features), _AT_ONCE)))
        return total

    @staticmethod
    def _add_trees(features: np.ndarray, roots: np.ndarray, feature: np.ndarray, threshold: np.ndarray,
                   left: np.ndarray, right: np.ndarray, value: np.ndarray, total: np.ndarray) -> None:  # fmt: skip
        """`forest_kernel.add_trees` without numba: all rows go down one tree together."""
        rows = np.arange(len(features))
        for root in roots:
            node = np.full(len(features), root, dtype=np.int64)
            while (inside := feature[node] >= 0).any():
                goes_left = features[rows, feature[node]] <= threshold[node]
                node = np.where(inside, np.where(goes_left, left[node], right[node]), node)
            total += value[node]

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Its arrays, named `<name>.roots` ..."""
        return {f"{name}.{field.name}": getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, name: str, arrays: dict[str, np.ndarray]) -> Forest:
        """The forest whose `arrays` these are.

        Raises:
            KeyError: one of them is missing.
        """
        return cls(**{field.name: arrays[f"{name}.{field.name}"] for field in fields(cls)})


def _append(node: dict[str, Any], nodes: list[tuple[int, float, int, int, float]]) -> int:
    """Append a node of LightGBM's description and all below it; returns its place."""
    place = len(nodes)
    nodes.append((-1, 0.0, 0, 0, float(node.get("leaf_value", 0.0))))
    if "split_feature" in node:
        if node["decision_type"] != "<=" or node["missing_type"] != "None":
            raise ValueError(f"{node['decision_type']} with missing values of type {node['missing_type']}")
        left, right = (_append(node[side], nodes) for side in ("left_child", "right_child"))
        nodes[place] = (int(node["split_feature"]), float(node["threshold"]), left, right, 0.0)
    return place
