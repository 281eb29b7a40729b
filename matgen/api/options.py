"""Options of the calls: those of the command line, by the same names with underscores, for type checkers and editors.

What an option means and what it is by default is said once, by the parsers of `matgen.cli`; here it has its type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from matgen.datasets import Dataset
    from matgen.models import Checkpoint
    from matgen.prediction import Predictor
    from matgen.sampling import Sampler

Text = str | Sequence[str]
"""One or several: `"Li-O"`, `["Li", "O"]`."""

Number = int | str | tuple[int, int] | range
"""A number or a range of numbers: `3`, `"3..5"`, `(3, 5)`."""


class ReadingOptions(TypedDict, total=False):
    """How references are read, and whether the call is silent."""

    allow_unreadable: bool
    reference_column: str
    quiet: bool


class FileOptions(ReadingOptions, total=False):
    """Where the result is written, besides being returned."""

    out: Path | str
    force: bool


class TableOptions(FileOptions, total=False):
    """Which column of a table holds the formulas."""

    column: str


class DrawingOptions(TypedDict, total=False):
    """How to draw, under which constraints, and which rows are kept."""

    seed: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    guidance: float
    condition: Text | Mapping[str, Any]
    chemsys: Text
    within: Text
    contains: Text
    exclude: Text
    num_elements: Number
    max_atoms: int
    anonymous_formula: str
    stoichiometry: str
    count: Text | Mapping[str, Any]
    valid: bool
    rejection: bool
    unique: bool
    novel_to: Text
    screen: str
    max_draws: int
    device: str


class SampleOptions(DrawingOptions, FileOptions, total=False):
    """Options of `sample`."""

    model: str | Path | Sampler | Checkpoint
    prompt: str
    trace: bool
    predictor: str | Path | Sequence[str | Path]
    source: str
    max_minutes: float
    batch_size: int
    block_size: int
    precision: str


class ScoreOptions(TableOptions, total=False):
    """Options of `score`."""

    model: str | Path | Sampler | Checkpoint
    n_mc: int
    device: str


class TinkerOptions(FileOptions, total=False):
    """Options of `tinker`."""

    mask: str | int | Sequence[str | int]
    dope: str | float
    insert: int
    delete: bool
    within: Text
    exclude: Text
    model: str | Path | Sampler | Checkpoint
    n_mc: int
    top: int
    novel_to: Text
    device: str


class RuleOptions(TypedDict, total=False):
    """How validity is judged."""

    oxidation_states: str
    consensus: int
    commonality: str | float
    include_zero: bool
    include_alloys: bool
    mixed_valence: bool


class JudgingOptions(RuleOptions, total=False):
    """How validity is judged, by a named protocol too, and what counts as held out of the references."""

    reference_split: str
    protocol: str


class ReferenceOptions(TypedDict, total=False):
    """What novelty refers to."""

    reference: str | Path | Dataset | Sequence[str | Path | Dataset]


class EvaluateOptions(JudgingOptions, TableOptions, total=False):
    """Options of `evaluate`, without the references."""

    seed: int
    reference_structures: Path | str
    no_baselines: bool
    scheduler: str
    pareto: Text


class PredictOptions(TableOptions, total=False):
    """Options of `predict`, without the property."""

    source: str
    model: str | Path | Predictor
    predictor: str | Path | Predictor
    entries: str | Path
    no_hull: bool


class ScreenOptions(TableOptions, total=False):
    """Options of `screen`, without the condition."""

    max_per_system: int
    family: str
    pareto: Text


class RankOptions(ReferenceOptions, JudgingOptions, ReadingOptions, total=False):
    """Options of `rank`: those of `evaluate`, and the predictor of `discover`."""

    column: str
    predictor: str | Path


class DiscoverOptions(DrawingOptions, ReferenceOptions, JudgingOptions, FileOptions, total=False):
    """Options of `discover`, without the number of compositions."""

    model: str | Path
    predictor: str | Path
    structures: int
    finish_top: int
    dft_format: str
    architecture: str
    dataset: str
    notation: str
    preset: str
    max_minutes: float
    reward: str
    reward_minutes: float
    diversity: float
    allow_out_of_domain: bool
    pareto: Text
    resume: bool


class StructureOptions(TableOptions, total=False):
    """Options of `make_structures`."""

    seed: int
    top: int
    per_formula: int
    max_atoms: int
    templates: Path | str
    templates_from: Text
    only_own_templates: bool
    symmetric: int
    no_templates: bool
    space_group: int | str | Sequence[int | str]
    proposals: Path | str
    host: Path | str
    compensate: bool
    potential: str
    max_force: float
    max_steps: int
    relax_all: bool
    workers: int
    scheduler: str
    finish: str
    finish_lowest: int
    finish_top: int
    hull: str
    phonons: int
    no_relax: bool
    resume: bool
