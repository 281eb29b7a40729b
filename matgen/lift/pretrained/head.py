"""A regularized linear head on the hidden states of a language model that is not trained itself (a linear probe).

A candidate is a layer and a way of pooling its states over the tokens. The best few candidates are averaged; they,
their number and the strengths of the regularization are chosen by predictions for rows that were not learned from: the
validation rows, and parts of the training rows in turn where those are few.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_softmax

from matgen.errors import CheckpointError
from matgen.io.files import atomic_write
from matgen.io.weights import load_arrays, save_arrays
from matgen.lift.pretrained.features import POOLINGS, lower_layers, sentence_features

if TYPE_CHECKING:
    from matgen.lift.pretrained.language_model import LanguageModel

HEAD = "head.safetensors"

CANDIDATE_LAYERS = 8
"""Layers that are compared, evenly spread."""
_MOST_AVERAGED = 6
"""Candidates that are averaged at most."""
_FOLDS = 5
_FEW_ROWS = 500
"""Training rows up to which they are predicted in turn: validation rows beside so few are too few to choose by."""
_PENALTIES = (1.0, 0.1, 0.01, 0.001)
"""Of squared weights: the inverse of `C` of logistic regression."""
_TEMPERATURES = np.geomspace(0.1, 3.0, 40)
_LEAST_LOG_SHARE = -20.0
"""Score of a label that no training row has."""
_SHARES = np.linspace(0, 1, 5)
"""Weights of a head beside other predictions that are compared."""
Split = tuple[np.ndarray, np.ndarray]
"""Rows to learn from and rows to predict."""


Place = tuple[int, str]
"""A layer, from 1, and a pooling, one of `POOLINGS`."""


@dataclass(frozen=True)
class LinearHead:
    """A linear map of pooled hidden states, which is the average of a map for each place.

    Attributes:
        places: `p` layers and poolings whose states are read.
        weights, bias: float64 `(k, p, width)` and `(k,)`; k labels, or one number.
        residuals: of numbers, those of rows that were not learned from, ascending; else empty.
    """

    places: tuple[Place, ...]
    weights: np.ndarray
    bias: np.ndarray
    residuals: np.ndarray

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Scores of the labels (up to a constant of each row log-probabilities), or the number, float64 `(n, k)`.

        Args:
            features: float32 `(p, n, width)`, of each place.
        """
        return np.einsum("pnw,kpw->nk", features.astype(np.float64), self.weights, optimize=True) + self.bias

    def of_language(self, language: LanguageModel, sentences: list[list[int]]) -> np.ndarray:
        """`scores` of sentences by the states of a language model."""
        layers = sorted({layer for layer, _ in self.places})
        poolings = [pooling for pooling in POOLINGS if pooling in {pooling for _, pooling in self.places}]
        states = sentence_features(language, sentences, layers, poolings)
        return self.scores(np.stack([states[layers.index(layer), poolings.index(p)] for layer, p in self.places]))


def head_on_language(
    language: LanguageModel,
    sentences: list[list[int]],
    answers: np.ndarray,
    n_labels: int,
    n_train: int,
    seed: int,
    count: Callable[[int], None],
    folder: Path | None = None,
) -> LinearHead:
    """The best head on the states of a language model.

    Args:
        language: the model; its weights are not changed.
        sentences: token ids of each of `n`; the first `n_train` are learned from, the others are only chosen by.
        answers: labels, int64 `(n,)`, or numbers, float64 `(n,)`.
        n_labels: number of labels; 0 for numbers.
        n_train: sentences to learn from.
        seed: of the parts that training rows are split into.
        count: is told how many sentences each batch accounts for.
        folder: where states are kept, from which an interrupted reading goes on; None keeps none.
    """
    layers = lower_layers(language.model.config.num_hidden_layers, CANDIDATE_LAYERS)
    features = sentence_features(language, sentences, layers, POOLINGS, count, folder)
    places = [(layer, pooling) for layer in layers for pooling in POOLINGS]
    candidates = features.reshape(-1, *features.shape[2:])
    if n_labels:
        return fit_label_head(candidates, places, answers, n_labels, n_train, seed)
    return fit_number_head(candidates, places, answers, n_train, seed)


def fit_label_head(
    features: np.ndarray, places: Sequence[Place], labels: np.ndarray, n_labels: int, n_train: int, seed: int
) -> LinearHead:
    """A logistic head; its temperature is the best for the rows that it was chosen by.

    Args:
        features: float32 `(c, n, width)` of `c` candidates; the first `n_train` rows are learned from.
        places: of the candidates.
        labels: int64 `(n,)`.
        n_labels: number of labels.
        n_train: rows to learn from; those after them are only chosen by.
        seed: of the parts that the training rows are split into.
    """
    splits = list(_splits(labels, n_train, seed, by_label=True))
    judged = np.concatenate([rows for _, rows in splits])

    def judge(scores: np.ndarray) -> tuple[float, float]:
        right = (np.arange(len(judged)), labels[judged])
        nats = [-log_softmax(scores * t, axis=1)[right].mean() for t in _TEMPERATURES]
        return float(np.min(nats)), float(_TEMPERATURES[int(np.argmin(nats))])

    def learn(rows: np.ndarray, answers: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        return _logistic(rows, answers, n_labels, penalty)

    return _averaged(features, places, labels, n_train, splits, learn, judge)[0]


def fit_number_head(
    features: np.ndarray, places: Sequence[Place], numbers: np.ndarray, n_train: int, seed: int
) -> LinearHead:
    """A ridge head, with the residuals of the rows that it was chosen by; arguments as of `fit_label_head`."""
    splits = list(_splits(numbers, n_train, seed, by_label=False))
    judged = np.concatenate([rows for _, rows in splits])

    def judge(found: np.ndarray) -> tuple[float, float]:
        return float(((found[:, 0] - numbers[judged]) ** 2).mean()), 1.0

    head, found = _averaged(features, places, numbers, n_train, splits, _ridge, judge)
    return dataclasses.replace(head, residuals=np.sort(numbers[judged] - found[:, 0]))


def best_share(own: np.ndarray, other: np.ndarray, loss: Callable[[np.ndarray], float]) -> float:
    """Weight of the predictions of a head, of `_SHARES`, at which their mean with others has the smallest loss.

    Args:
        own, other: predictions for the same rows.
        loss: of the weighted mean.
    """
    return float(min(_SHARES, key=lambda share: loss(share * own + (1 - share) * other)))


def save_head(head: LinearHead, folder: Path) -> dict[str, Any]:
    """Write the numbers of a head to `head.safetensors`; what remains to be kept is returned, as JSON takes it."""
    arrays = {"weights": head.weights, "bias": head.bias, "residuals": head.residuals}
    with atomic_write(folder / HEAD) as part:
        save_arrays(arrays, part)
    return {"places": [list(place) for place in head.places]}


def load_head(folder: Path, content: Mapping[str, Any]) -> LinearHead:
    """Read what `save_head` wrote.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    from safetensors import SafetensorError

    try:
        arrays = load_arrays(folder / HEAD)
        places = tuple((layer, pooling) for layer, pooling in content["places"])
        return LinearHead(places, *(arrays[name] for name in ("weights", "bias", "residuals")))
    except (OSError, SafetensorError, KeyError) as error:
        raise CheckpointError(f"{folder / HEAD} is missing or damaged: fit again") from error


def _splits(targets: np.ndarray, n_train: int, seed: int, *, by_label: bool) -> Iterator[Split]:
    """Validation rows after the training rows, where there are any; and the training rows in turn."""
    from sklearn.model_selection import KFold, StratifiedKFold

    train, valid = np.arange(n_train), np.arange(n_train, len(targets))
    if len(valid):
        yield train, valid
        if n_train > _FEW_ROWS:
            return
    folds = min(_FOLDS, n_train)
    if folds < 2:
        yield train, train
        return
    kind = KFold
    if by_label and np.unique(targets[:n_train], return_counts=True)[1].max() >= folds:
        kind = StratifiedKFold
    with warnings.catch_warnings():  # of labels with fewer rows than parts, which are then in some of them only
        warnings.simplefilter("ignore", UserWarning)
        yield from list(kind(folds, shuffle=True, random_state=seed).split(train, targets[:n_train]))


Learn = Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]
"""From rows, their targets and a penalty to weights `(k, width)` and bias `(k,)`."""
Judge = Callable[[np.ndarray], tuple[float, float]]
"""From scores of all rows that are predicted to a loss, and the factor of the scores at which it is the smallest."""


@dataclass(frozen=True)
class _Candidate:
    """The best penalty of a candidate: its loss, the factor of its scores, and its scores times that factor."""

    loss: float
    place: int
    penalty: float
    factor: float
    scores: np.ndarray


def _averaged(
    features: np.ndarray,
    places: Sequence[Place],
    targets: np.ndarray,
    n_train: int,
    splits: list[Split],
    learn: Learn,
    judge: Judge,
) -> tuple[LinearHead, np.ndarray]:
    """The mean of the best candidates, as many as are judged the least bad together, and its scores of the splits."""
    best = sorted(_candidates(features, targets, splits, learn, judge), key=lambda candidate: candidate.loss)
    means = [np.mean([one.scores for one in best[:n]], axis=0) for n in range(1, 1 + min(_MOST_AVERAGED, len(best)))]
    losses = [judge(scores) for scores in means]
    n = int(np.argmin([loss for loss, _ in losses])) + 1
    factor = losses[n - 1][1] / n
    weights: list[np.ndarray] = []
    bias = np.zeros(())
    for one in best[:n]:
        own_weights, own_bias = _learned(features[one.place, :n_train], targets[:n_train], one.penalty, learn)
        weights.append(own_weights * one.factor * factor)
        bias = bias + own_bias * one.factor * factor
    chosen = tuple(places[one.place] for one in best[:n])
    return LinearHead(chosen, np.stack(weights, axis=1), bias, np.zeros(0)), means[n - 1]


def _candidates(
    features: np.ndarray, targets: np.ndarray, splits: list[Split], learn: Learn, judge: Judge
) -> Iterator[_Candidate]:
    """Each candidate with the penalty whose predictions are judged the least bad."""
    for place, states in enumerate(features):
        prepared = [(_Basis(states[rows]), targets[rows], states[others]) for rows, others in splits]
        tried = []
        for penalty in _PENALTIES:
            parts = []
            for basis, answers, others in prepared:
                weights, bias = learn(basis.rows, answers, penalty)
                parts.append(basis.of(others) @ weights.T + bias)
            scores = np.concatenate(parts)
            loss, factor = judge(scores)
            tried.append(_Candidate(loss, place, penalty, factor, scores * factor))
        yield min(tried, key=lambda candidate: candidate.loss)


def _learned(rows: np.ndarray, answers: np.ndarray, penalty: float, learn: Learn) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias for the states as they are."""
    basis = _Basis(rows)
    return basis.undone(*learn(basis.rows, answers, penalty))


class _Basis:
    """Standardized states in the span of the rows that are learned from.

    A penalty on squared weights never leaves that span, so with fewer rows than states the solution is the same there
    and is found in a fraction of the time.

    Args:
        rows: float32 `(n, width)`.

    Attributes:
        rows: the same, float64 `(n, min(n, width))`.
    """

    def __init__(self, rows: np.ndarray) -> None:
        states = rows.astype(np.float64)
        self.mean, spread = states.mean(axis=0), states.std(axis=0)
        # States that are the same in all rows, up to rounding, stay near zero. Rows have a length of about one.
        self.scale = np.maximum(spread, 1e-3 * spread.mean() + 1e-12) * np.sqrt(states.shape[1])
        standardized = (states - self.mean) / self.scale
        self.axes = np.eye(states.shape[1])
        if len(rows) < states.shape[1]:
            self.axes = np.linalg.svd(standardized, full_matrices=False)[2].T
        self.rows = standardized @ self.axes

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Other rows likewise."""
        return ((rows.astype(np.float64) - self.mean) / self.scale) @ self.axes

    def undone(self, weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights and bias for states as they are, from those for `rows`."""
        plain = (weights @ self.axes.T) / self.scale
        return plain, bias - plain @ self.mean


def _logistic(rows: np.ndarray, labels: np.ndarray, n_labels: int, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    weights, bias = np.zeros((n_labels, rows.shape[1])), np.full(n_labels, _LEAST_LOG_SHARE)
    present = np.unique(labels)
    bias[present] = 0.0
    if len(present) > 1:
        with warnings.catch_warnings():  # what has not converged is judged as it is
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = LogisticRegression(C=1 / penalty, max_iter=200).fit(rows, labels)
        # Of two labels scikit-learn keeps the score of the second alone.
        chosen = present[-len(fitted.coef_) :]
        weights[chosen], bias[chosen] = fitted.coef_, fitted.intercept_
    return weights, bias


def _ridge(rows: np.ndarray, numbers: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import Ridge

    fitted = Ridge(alpha=penalty).fit(rows, numbers)
    return np.atleast_2d(fitted.coef_), np.atleast_1d(fitted.intercept_)
