"""Why a compound might have the structure of another: numbers whose weighted sum is the score of an assignment.

Each is larger, the likelier, once multiplied by its weight. Some compare the ions that stand for one another (pairs),
some all of them at once (wholes), and some are of the template alone (facts).
"""

from __future__ import annotations

import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import astuple, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matgen.composition.elements import ATOMIC_NUMBER, ELECTRONEGATIVITY
from matgen.io.files import read_json

if TYPE_CHECKING:
    from matgen.structures.templates import Template, TemplateLibrary

UNKNOWN_SUBSTITUTION = -5.0
"""Weight of a substitution that was never observed (Hautier et al., Inorg. Chem. 50, 656, 2011)."""

SAME = 5.0
"""Weight of an ion that stands for itself; about what the table gives the common ones."""


@dataclass(frozen=True)
class Weights:
    """How much each reason counts.

    Attributes:
        substitution: of the mean data-mined weight of the substitutions.
        unknown: of the share of substitutions that were never observed.
        state: of the mean difference of oxidation states.
        described: of the share of elements whose oxidation state is known in one compound alone.
        electronegativity: of the mean difference of Pauling electronegativities.
        group: of the share of elements of one group of the periodic table.
        element: of the share of elements that stand for themselves.
        period: of the mean difference of periods.
        order: of the mean difference of Mendeleev numbers, in tens (Pettifor, Solid State Commun. 51, 31, 1984).
        least: of the smallest weight of the substitutions.
        radius: of the spread of the logarithms of the radii's ratios, by atoms; only it counts, as the cell is scaled.
        radius_of_elements: of the same spread, every element counted once.
        ionicity: of the difference of the ranges of electronegativities.
        pattern: of the spread of the differences of electronegativities.
        anion: of whether the most electronegative elements stand for one another.
        anion_group: of whether that one's site is held by an element of its group, and `anion_element`: by itself.
        members: of the logarithm of how many known compounds the template's prototype has.
        family: of the same for prototypes of its Pearson symbol and space group.
        polymorphs: of the logarithm of how many known structures the template's compound has.
        compressed: of the logarithm of how much smaller the template is than its elements usually are.
        sites: of the logarithm of the number of its Wyckoff orbits.
    """

    substitution: float = 0.0
    unknown: float = 0.0
    state: float = 0.0
    described: float = 0.0
    electronegativity: float = 0.0
    group: float = 0.0
    element: float = 0.0
    period: float = 0.0
    order: float = 0.0
    least: float = 0.0
    radius: float = 0.0
    radius_of_elements: float = 0.0
    ionicity: float = 0.0
    pattern: float = 0.0
    anion: float = 0.0
    anion_group: float = 0.0
    anion_element: float = 0.0
    members: float = 0.0
    family: float = 0.0
    polymorphs: float = 0.0
    compressed: float = 0.0
    sites: float = 0.0

    def vector(self) -> NDArray[np.float64]:
        """The weights in the order of `REASONS`, `(r,)`."""
        return np.array(astuple(self))


@dataclass(frozen=True)
class ScoreWeights:
    """Weights of the score of an assignment, which depend on how ionic the composition is.

    A conditional logit model: the score is the logarithm of the relative probability that an assignment to a template
    is the compound's own structure.

    Attributes:
        constant: weights of a compound without differences of electronegativity.
        ionic: added to them for each unit of the range of its Pauling electronegativities.
    """

    constant: Weights
    ionic: Weights = field(default_factory=Weights)

    def vector(self, electronegativities: NDArray[np.float64]) -> NDArray[np.float64]:
        """The weights for a composition in the order of `REASONS`, `(r,)`."""
        return self.constant.vector() + float(np.ptp(electronegativities)) * self.ionic.vector()


@lru_cache(maxsize=1)
def fitted_weights() -> ScoreWeights:
    """The weights that `python -m benchmarks.structures --weights` has fitted, as `score_weights.json` holds them.

    To the bundled compounds other than those that `benchmarks.structures` asks for, each without its own structures.
    """
    content = read_json(Path(__file__).with_name("score_weights.json"))
    return ScoreWeights(Weights(**content["constant"]), Weights(**content["ionic"]))


REASONS = tuple(one.name for one in fields(Weights))
OF_PAIRS = REASONS[:9]
OF_WHOLES = REASONS[9:17]
OF_TEMPLATES = REASONS[17:]


@dataclass(frozen=True)
class Ion:
    """An element as it stands in a compound.

    Attributes:
        symbol: of the element.
        state: mean oxidation state, None where the compound is not charge neutral by any assignment.
        radius: ionic radius for that state, atomic radius without one, angstrom.
    """

    symbol: str
    state: float | None
    radius: float


@lru_cache(maxsize=1)
def _substitutions() -> dict[frozenset[str], float]:
    """Data-mined weights of substitutions between species such as `Sr2+`, from pymatgen's table."""
    from pymatgen.core.structure_prediction.substitution_probability import SubstitutionProbability

    table = SubstitutionProbability()
    return {frozenset(str(species) for species in pair): weight for pair, weight in table._l.items()}


@lru_cache(maxsize=100_000)
def substitution(one: Ion, other: Ion) -> float:
    """The data-mined weight of one ion standing where another stood; the logarithm of a relative probability."""
    if one.symbol == other.symbol and one.state == other.state:
        return SAME
    if one.state is None or other.state is None:
        return UNKNOWN_SUBSTITUTION
    pair = frozenset(_species(ion) for ion in (one, other))
    return _substitutions().get(pair, UNKNOWN_SUBSTITUTION)


def _species(ion: Ion) -> str:
    state = round(ion.state or 0)
    return f"{ion.symbol}{abs(state)}{'+' if state >= 0 else '-'}"


@lru_cache(maxsize=256)
def _places(symbol: str) -> tuple[int, int, float]:
    """Group, period and Mendeleev number of an element."""
    from pymatgen.core import Element

    element = Element(symbol)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the heaviest elements nothing is tabulated
        return int(element.group), int(element.row), float(element.mendeleev_no or 50)


@lru_cache(maxsize=200_000)
def of_pair(a: Ion, b: Ion) -> tuple[float, ...]:
    """The reasons `OF_PAIRS` of one ion standing where another stood."""
    weight = substitution(a, b)
    chi = ELECTRONEGATIVITY[[ATOMIC_NUMBER[a.symbol], ATOMIC_NUMBER[b.symbol]]]
    apart = 0.0 if np.isnan(chi).any() else float(abs(chi[0] - chi[1]))
    charged = a.state is not None and b.state is not None
    states = abs(a.state - b.state) if charged else float(a.state != b.state)  # type: ignore[operator]
    (group, period, order), (other_group, other_period, other_order) = _places(a.symbol), _places(b.symbol)
    return (
        weight, float(weight <= UNKNOWN_SUBSTITUTION), states, float((a.state is None) != (b.state is None)), apart,
        float(group == other_group), float(a.symbol == b.symbol), float(abs(period - other_period)),
        abs(order - other_order) / 10,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class IonTables:
    """What ions are and how they compare, `n` and `m` of them.

    Attributes:
        pairs: `of_pair` of each one of the first and one of the second, `(n, m, 9)`.
        log_ratio: logarithm of the radius of the second over that of the first, `(n, m)`.
        old, new: Pauling electronegativities of the first, `(n,)`, and of the second, `(m,)`.
    """

    pairs: NDArray[np.float64]
    log_ratio: NDArray[np.float64]
    old: NDArray[np.float64]
    new: NDArray[np.float64]

    @classmethod
    def of(cls, old: list[Ion], new: list[Ion]) -> IonTables:
        """Tables of ions that stood somewhere and those that might take their places."""
        pairs = np.array([[of_pair(a, b) for b in new] for a in old])
        radii = [np.log([ion.radius for ion in ions]) for ions in (old, new)]
        chi = [np.nan_to_num(ELECTRONEGATIVITY[[ATOMIC_NUMBER[ion.symbol] for ion in ions]], nan=1.5)
               for ions in (old, new)]  # fmt: skip
        return cls(pairs, radii[1][None, :] - radii[0][:, None], *chi)

    def reasons(self, old: NDArray[np.int64], new: NDArray[np.int64], share: NDArray[np.float64]
                ) -> NDArray[np.float64]:  # fmt: skip
        """The reasons of pairs and wholes where ions take the places of others, `(..., 17)`.

        Args:
            old: numbers of ions whose places are taken, `(..., k)`.
            new: numbers of those that take them, `(..., k)`.
            share: of the atoms at each place, `(k,)`.
        """
        old, new = np.broadcast_arrays(old, new)
        pairs = self.pairs[old, new]
        log_ratio = self.log_ratio[old, new]
        before, after = self.old[old], self.new[new]
        place = after.argmax(axis=-1)
        anion = np.take_along_axis(pairs, place[..., None, None], axis=-2)[..., 0, :]
        apart = after - before
        wholes = (
            pairs[..., 0].min(axis=-1),
            _spread(log_ratio, share),
            _spread(log_ratio, np.full(len(share), 1 / len(share))),
            np.abs(np.ptp(after, axis=-1) - np.ptp(before, axis=-1)),
            _spread(apart, np.full(len(share), 1 / len(share))),
            (place == before.argmax(axis=-1)).astype(float),
            anion[..., OF_PAIRS.index("group")],
            anion[..., OF_PAIRS.index("element")],
        )
        return np.concatenate([pairs.mean(axis=-2), np.stack(wholes, axis=-1)], axis=-1)


def _spread(values: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted standard deviation over the last axis."""
    mean = (values @ share)[..., None]
    return np.asarray(np.sqrt((values - mean) ** 2 @ share))


def _logarithm(count: int) -> float:
    return float(np.log(max(count, 0.5)))  # a prototype without another compound counts half a one


class TemplateFacts:
    """The reasons `OF_TEMPLATES` of the templates of a library.

    Args:
        library: of templates.
        volume: what the atoms of a cell usually take together, angstrom^3.
    """

    def __init__(self, library: TemplateLibrary, volume: Callable[[dict[str, int]], float]) -> None:
        self._volume = volume
        self._members: dict[str, set[str]] = defaultdict(set)
        self._families: dict[tuple[str, ...], set[str]] = defaultdict(set)
        self._polymorphs = Counter(template.formula for template in library.templates)
        for template in library.templates:
            self._members[template.prototype].add(template.formula)
            self._families[family(template)].add(template.formula)

    def of(self, template: Template, without: str = "") -> tuple[float, ...]:
        """The facts of one template, a compound of a reduced formula not counted among its prototype's."""
        ratio = abs(np.linalg.det(template.lattice)) / self._volume(template.counts)
        letters = "_".join(template.prototype.split("_")[3:])
        orbits = sum(int(n or 1) for n, _ in re.findall(r"(\d*)([a-zA])", letters))
        return (
            _logarithm(len(self._members[template.prototype] - {without})),
            _logarithm(len(self._families[family(template)] - {without})),
            _logarithm(self._polymorphs[template.formula]),
            float(max(-np.log(ratio), 0.0)),
            _logarithm(orbits),
        )


def family(template: Template) -> tuple[str, ...]:
    """Pearson symbol and space group of a template: prototypes apart from which element is where."""
    return tuple(template.prototype.split("_")[1:3])
