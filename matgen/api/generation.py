"""Calls on a language model of compositions: drawing, scoring, and changing formulas."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from matgen.api.arguments import arguments_of, as_asked
from matgen.api.candidates import Candidates, Replacements
from matgen.api.inputs import table_of
from matgen.api.options import SampleOptions, ScoreOptions, TinkerOptions
from matgen.cli.options import pick_device
from matgen.cli.shared import bars

if TYPE_CHECKING:
    import argparse
    from typing import Unpack

    from matgen.sampling import Sampler, TinkerRequest
    from matgen.sampling.block import SampleBlock
    from matgen.sampling.request import Accept


def sample(n: int = 10_000, **options: Unpack[SampleOptions]) -> Candidates:
    """Draw compositions, as `matgen sample` does.

    Args:
        n: rows wanted.
        options: of `matgen sample`, for example `contains="Li-O"`, `exclude="toxic"`, `valid=True`, `unique=True`,
            `novel_to="hybrid"`, `num_elements=(3, 5)`, `seed=1`; `model` may be a `Sampler` too. With `out` the table
            is written to that file as well.

    Returns:
        Columns `formula`, `log_prob` (ln probability of the canonical sequence) and `canonical`.

    Raises:
        OptionError: an unknown option, a value out of range, or constraints that nothing satisfies.
        CheckpointError: no checkpoint of that name.
    """
    from matgen.cli.sample import sample_request_of, screen_of
    from matgen.sampling import sample_to_file

    arguments = arguments_of("sample", "sample", SampleOptions, options, n=n)
    with as_asked(arguments):
        screen = screen_of(arguments)
        request = sample_request_of(arguments, screen)
        sampler = _sampler(arguments, screen, precision=arguments.precision, width=arguments.batch_size)
        if arguments.out is not None:
            summary = sample_to_file(sampler, request, arguments.out, force=arguments.force, progress=bars(arguments))
            return Candidates(*table_of(arguments.out), summary=summary)
        with bars(arguments)(n, "sample", "formulas") as count:
            blocks = []
            for block in sampler.sample(request):
                count.update(len(block))
                blocks.append(block)
    return _drawn(blocks)


def _drawn(blocks: list[SampleBlock]) -> Candidates:
    import numpy as np
    import pandas as pd

    names = {"formula": "formulas", "log_prob": "log_prob", "canonical": "canonical", "trace": "trace"}
    columns = {
        column: np.concatenate([getattr(block, name) for block in blocks])
        for column, name in names.items()
        if getattr(blocks[0], name) is not None
    }
    summary = {"rows": len(columns["formula"]), "drawn": sum(block.drawn for block in blocks)}
    return Candidates(pd.DataFrame(columns), summary=summary)


def score(formulas: Any, **options: Unpack[ScoreOptions]) -> Candidates:
    """Compute the log-probability of formulas under a model, as `matgen score` does.

    Args:
        formulas: in any form, see `matgen.api.inputs.table_of`.
        options: of `matgen score`; `model` may be a `Sampler` too.

    Returns:
        The rows of the input with a column `log_prob`, in nats.

    Raises:
        DataError: no formula can be read.
        OptionError: an unknown option, or a value out of range.
        CheckpointError: no checkpoint of that name.
    """
    from matgen.io.outputs import process_table
    from matgen.sampling.likelihood import check_n_mc
    from matgen.sampling.scoring import score_table

    arguments = arguments_of("score", "score", ScoreOptions, options)
    check_n_mc(arguments.n_mc)
    with as_asked(arguments):
        frame, column = table_of(formulas, arguments.column)
        work = partial(
            score_table, _sampler(arguments, precision="fp32"), n_mc=arguments.n_mc, progress=bars(arguments)
        )
        if arguments.out is None:
            scored = work(frame, column)
        else:
            scored = process_table(arguments.out, lambda: (frame, column), work, force=arguments.force)
    return Candidates(scored.frame, column, scored.summary, scored.bad)


def tinker(formula: Any, request: TinkerRequest | str | None = None, **options: Unpack[TinkerOptions]) -> Replacements:
    """Rank what could replace an element of a formula, as `matgen tinker` does.

    Args:
        formula: such as `SrTiO3`, or with blanks, such as `_ Ti O3`; an object of pymatgen or ASE.
        request: where the first argument is a `Sampler`, what `matgen.sampling.tinker` takes.
        options: of `matgen tinker`, for example `mask="Sr"`, `exclude="radioactive"`, `dope="1/8"`; `model` may be a
            `Sampler` too.

    Returns:
        One row a way, most probable first, with `formula`, `probability`, `fill_1` ..., `valid`, `novel` and more;
        notebooks show a periodic table of the probabilities.

    Raises:
        FormulaError: the formula cannot be read.
        OptionError: an unknown option, or a request that makes no sense.
        CheckpointError: no checkpoint of that name.
    """
    from matgen.cli.tinker import tinker_request_of
    from matgen.sampling.tinkering.ranking import tinker as ranked_ways
    from matgen.sampling.tinkering.ranking import tinker_to_file

    if request is not None:
        made = ranked_ways(formula, request, **options)
        return Replacements(made.frame, summary=made.summary, positions=made.positions)
    if not isinstance(formula, str):
        formula = table_of(formula)[0]["formula"].iloc[0]
    arguments = arguments_of("tinker", "tinker", TinkerOptions, options, formula=formula)
    with as_asked(arguments):
        asked = tinker_request_of(arguments)
        sampler = _sampler(arguments, precision="fp32")
        if arguments.out is not None:
            made = tinker_to_file(
                sampler, asked, arguments.out, top=arguments.top, force=arguments.force, progress=bars(arguments)
            )
        else:
            made = ranked_ways(sampler, asked, progress=bars(arguments))
    frame = made.frame if arguments.top is None else made.frame.head(arguments.top)
    return Replacements(frame, summary=made.summary, positions=made.positions)


def _sampler(
    arguments: argparse.Namespace, accept: Accept | None = None, *, precision: str, width: int | None = None
) -> Sampler:
    """The sampler that the options name; weights that the caller has loaded are not loaded again."""
    from matgen.models import Checkpoint
    from matgen.models.locate import find_checkpoint
    from matgen.sampling import Sampler

    model = arguments.model
    if isinstance(model, Sampler):
        model = model.checkpoint
    elif not isinstance(model, Checkpoint):
        model = find_checkpoint(None if model is None else str(model))
    device = pick_device(arguments.device)
    return Sampler(model, device=device, accept=accept, precision=precision, width=width)
