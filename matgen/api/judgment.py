"""Calls that say what compositions are worth: validity, reports, predictions, screening and ranking."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from matgen.api.arguments import arguments_of, as_asked
from matgen.api.candidates import Candidates
from matgen.api.checked import Checked
from matgen.api.inputs import batch_of, path_of, table_of
from matgen.api.options import (
    EvaluateOptions,
    PredictOptions,
    RankOptions,
    ReferenceOptions,
    RuleOptions,
    ScreenOptions,
)
from matgen.cli.shared import bars

if TYPE_CHECKING:
    from typing import Unpack

    from matgen.evaluation import Report
    from matgen.prediction import Predictor
    from matgen.runtime.progress import ProgressFactory
    from matgen.validity import ValidityRules


def check(
    formulas: Any,
    rules: ValidityRules | None = None,
    *,
    workers: int | None = None,
    progress: ProgressFactory | None = None,
    **options: Unpack[RuleOptions],
) -> Checked:
    """Judge whether compositions are charge neutral and electronegativity balanced, as `matgen check` does.

    Args:
        formulas: in any form, see `matgen.api.inputs.table_of`.
        rules: how validity is judged; or say so by options.
        workers: threads, by default the number of cores this process may use.
        progress: counts the compositions judged.
        options: of `matgen check`, for example `mixed_valence=True`.

    Returns:
        Arrays of verdicts such as `valid`, one a composition; printed, what speaks for and against each.

    Raises:
        FormulaError: a formula cannot be read.
        OptionError: an unknown option, or rules and options at once.
        DataError: the rules name a table that cannot be read.
    """
    from matgen.cli.options import rules_of
    from matgen.errors import OptionError
    from matgen.runtime.progress import silent
    from matgen.validity import ValidityRules
    from matgen.validity import check as verdicts

    if rules is not None and options:
        raise OptionError(f"the rules are given twice: leave out rules, or {', '.join(options)}")
    batch = batch_of(formulas)
    rules = rules or rules_of(arguments_of("check", "check", RuleOptions, options)) or ValidityRules()
    return Checked.of(batch, rules, verdicts(batch, rules, workers=workers, progress=progress or silent))


def evaluate(candidates: Any, reference: Any = None, **options: Unpack[EvaluateOptions]) -> Report:
    """Judge candidates against references and against chance, as `matgen evaluate` does.

    Args:
        candidates: in any form, see `matgen.api.inputs.table_of`; or a folder of `matgen structure`.
        reference: a dataset's name or file, or several, that novelty refers to; by default `hybrid`.
        options: of `matgen evaluate`. With `out` the report is written into that folder as well.

    Raises:
        DataError: no rows, no formula column, or no row that can be read; a reference without formulas.
        OptionError: an unknown option, or a value that makes no sense.
        OutputError: `out` holds a report and `force` is off.
    """
    from matgen.cli.evaluate import judging_of

    given = {**options, **({} if reference is None else {"reference": reference})}
    path = path_of(candidates)
    arguments = arguments_of("evaluate", "evaluate", _EvaluateOptions, given, candidates=path)
    table: Any = path
    if path is None:
        table, arguments.column = table_of(candidates, arguments.column)
    with as_asked(arguments):
        return judging_of(arguments)(table, out=arguments.out)


def predict(formulas: Any, property: str | None = None, **options: Unpack[PredictOptions]) -> Candidates:
    """Predict a property of compositions, with its uncertainty, as `matgen predict` does.

    Args:
        formulas: in any form, see `matgen.api.inputs.table_of`.
        property: `formation_energy`, `band_gap` or `is_metal`, or a bundled predictor such as `band_gap-mp`; by
            default formation energies and distances to the hull.
        options: of `matgen predict`, for example `source="mp"`; `model` may be a `Predictor` too.

    Returns:
        The rows of the input with the columns of `Predictor.predict`; of formation energies those of the hull too.

    Raises:
        DataError: no formula can be read.
        OptionError: an unknown option or property.
        CheckpointError: no predictor of that name.
    """
    from matgen.io.outputs import process_table
    from matgen.prediction.predicting import predict_table
    from matgen.prediction.writing import open_phases

    given = {**options, **({} if property is None else {"property": property})}
    arguments = arguments_of("predict", "predict", _PredictOptions, given)
    with as_asked(arguments):
        predictor = _predictor(arguments)
        frame, column = table_of(formulas, arguments.column)
        phases = None if arguments.entries is None else open_phases(str(arguments.entries))
        work = partial(predict_table, predictor, phases=phases, hull=arguments.hull, progress=bars(arguments))
        if arguments.out is None:
            predicted = work(frame, column)
        else:
            predicted = process_table(arguments.out, lambda: (frame, column), work, force=arguments.force)
    return Candidates(predicted.frame, column, predicted.summary, predicted.bad)


class _EvaluateOptions(EvaluateOptions, ReferenceOptions, total=False):
    pass


class _PredictOptions(PredictOptions, total=False):
    property: str


class _ScreenOptions(ScreenOptions, total=False):
    where: str


def _predictor(arguments: Any) -> Predictor:
    from matgen.cli.predict import predictor_folder
    from matgen.prediction import Predictor

    if isinstance(arguments.model, Predictor):
        return arguments.model
    return Predictor.load(predictor_folder(arguments))


def screen(candidates: Any, where: str | None = None, **options: Unpack[ScreenOptions]) -> Candidates:
    """Keep candidates that satisfy conditions, at most so many of a family, as `matgen screen` does.

    Args:
        candidates: in any form, see `matgen.api.inputs.table_of`, those to look at first first.
        where: a condition such as `cost < 50 and toxic = 0 and energy_above_hull < 0.1`.
        options: of `matgen screen`, for example `max_per_system=1`.

    Returns:
        The rows that are left, with price, abundance, supply risk, toxicity and radioactivity.

    Raises:
        DataError: no formula can be read.
        OptionError: an unknown option, or a condition that cannot be read or of no column.
    """
    from matgen.io.outputs import process_table
    from matgen.screening import screen as screened

    given = {**options, **({} if where is None else {"where": where})}
    arguments = arguments_of("screen", "screen", _ScreenOptions, given)
    with as_asked(arguments):
        frame, column = table_of(candidates, arguments.column)
        work = partial(
            screened,
            where=arguments.where,
            max_per_system=arguments.max_per_system,
            family=arguments.family,
            pareto=arguments.pareto,
        )
        if arguments.out is None:
            kept = work(frame, column)
        else:
            kept = process_table(arguments.out, lambda: (frame, column), work, force=arguments.force)
    return Candidates(kept.frame, column, kept.summary, kept.bad)


def rank(candidates: Any, **options: Unpack[RankOptions]) -> Candidates:
    """Rank candidates as `matgen discover` does: the valid, novel and distinct ones, the most promising first.

    Their order is that of `matgen.evaluation.ranking.score`; candidates without predictions are predicted first. With
    `predictor="none"` and a column
    `log_prob` it is that of the model's probability.

    Args:
        candidates: in any form, see `matgen.api.inputs.table_of`.
        options: `predictor` of formation energies, a folder or a bundled name; `reference` and the rules of validity
            as `evaluate` has them.

    Returns:
        Rows with `rank`, `score`, `novelty`, `nearest_known` and what was predicted and judged.

    Raises:
        DataError: no formula can be read.
        OptionError: an unknown option, or a value that makes no sense.
        CheckpointError: no predictor of that name.
    """
    from matgen.evaluation.ranking import PROBABILITY, chosen, ranked
    from matgen.prediction import Predictor
    from matgen.prediction.locate import ranking_predictor

    arguments = arguments_of("rank", "discover", RankOptions, _without_column(options))
    folder = ranking_predictor(None if arguments.predictor is None else str(arguments.predictor))
    frame, column = table_of(candidates, options.get("column"))
    if folder is not None and PROBABILITY not in frame:
        frame = predict(Candidates(frame, column), model=Predictor.load(folder)).frame
    judging: Any = {name: value for name, value in options.items() if name not in ("predictor", "column")}
    report = evaluate(Candidates(frame, column), no_baselines=True, **judging)
    order = ranked(chosen(report.frame)) if report.ranked is None else report.ranked
    return Candidates(order, column)


def _without_column(options: Any) -> dict[str, Any]:
    """`discover` has no table of its own, and so no such option."""
    return {name: value for name, value in options.items() if name != "column"}
