"""Against every combination of targets, whose probabilities the model of rows gives one by one."""

import itertools

import numpy as np
import pandas as pd
import pytest

from matgen.lift import LiftMultiTarget
from matgen.lift.target_chain import TargetChain

QUICK = {"steps": 60, "width": 32, "layers": 1, "noise": 0.0}
TABLE = pd.DataFrame({"x": np.tile(np.arange(20.0), 10)})
_RNG = np.random.default_rng(0)
TARGETS = pd.DataFrame({"a": np.where(TABLE["x"] + _RNG.normal(0, 5, 200) > 10, "high", "low")})
TARGETS["n"] = np.where(TARGETS["a"] == "high", 20, 0) + _RNG.integers(0, 20, 200)
TARGETS["c"] = np.where((TARGETS["n"] % 20 > 9) == (TARGETS["a"] == "high"), "even", "odd")


@pytest.fixture(scope="module")
def model():
    return LiftMultiTarget(backend_options=QUICK, random_state=1).fit(TABLE, TARGETS)


@pytest.fixture(scope="module")
def joint(model):
    """Probability of every combination of targets for x of 3 and 15, `(2, labels, numbers, labels)`."""
    values = ["high", "low"], list(range(40)), ["even", "odd"]
    every = pd.DataFrame(itertools.product([3.0, 15.0], *values), columns=["x", "a", "n", "c"])
    every["n"] = every["n"].astype(float)
    chances = np.exp(model.row_model_.log_probabilities(every)).reshape(2, 2, 40, 2)
    return chances / chances.sum(axis=(1, 2, 3), keepdims=True)


def chain(model, draws, xs=(3.0, 15.0)):
    return TargetChain(model.row_model_, pd.DataFrame({"x": list(xs)}), draws=draws, seed=0)


def test_each_target_alone_is_the_sum_over_those_before_it(model, joint):
    fractions = np.array([0.1, 0.5, 0.9])
    found = chain(model, 400).alone(fractions.tolist())
    assert found["a"] == pytest.approx(joint.sum(axis=(2, 3)), abs=0.01)
    assert found["c"] == pytest.approx(joint.sum(axis=(1, 2)), abs=0.03)
    for row in range(2):
        cumulative = joint[row].sum(axis=(0, 2)).cumsum()
        below, at = np.r_[0, cumulative][found["n"][row].astype(int)], cumulative[found["n"][row].astype(int)]
        assert (below - 0.03 < fractions).all() and (fractions < at + 0.03).all()


def test_targets_given_others_are_those_of_their_row(model, joint):
    rows = pd.DataFrame({"x": [3.0, 15.0], "a": ["high", None], "n": [7.0, 30.0]})
    found = TargetChain(model.row_model_, rows, draws=300, seed=0).alone([0.5], known=["a", "n"])
    assert list(found) == ["c"]
    first = joint[0, 0, 7]
    assert found["c"][0] == pytest.approx(first / first.sum(), abs=0.01)
    # An unknown value among known ones is drawn from what came before it, not from what comes after.
    given_a = joint[1, :, 30] / joint[1, :, 30].sum(axis=1, keepdims=True)
    assert found["c"][1] == pytest.approx(joint[1].sum(axis=(1, 2)) @ given_a, abs=0.03)


def test_targets_drawn_together_have_their_joint_probabilities(model, joint):
    drawn = chain(model, 1, [3.0] * 3_000).together()
    found = pd.crosstab(drawn["a"], drawn["c"], normalize="all").to_numpy()
    assert found == pytest.approx(joint[0].sum(axis=1), abs=0.03)
    halves = np.histogram(drawn["n"], bins=[0, 10, 20, 30, 40])[0] / 3_000
    assert halves == pytest.approx(joint[0].sum(axis=(0, 2)).reshape(4, 10).sum(axis=1), abs=0.03)
