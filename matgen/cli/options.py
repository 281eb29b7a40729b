"""Options that several verbs have, and what they stand for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from matgen.errors import OptionError, first_line

if TYPE_CHECKING:
    from matgen.cli.parser import Parser
    from matgen.sampling import Constraints, Decoding, SampleRequest
    from matgen.validity import ValidityRules


CONSTRAINTS = "constraints (always satisfied; they can be combined)"
"""Title of the group of what every drawn composition must satisfy."""


def device_option(parser: Parser, help_: str = "auto, cpu, cuda ... (default: auto)") -> None:
    """Where to compute."""
    parser.group("computation").add_argument("--device", default="auto", help=help_)


def column_option(parser: Parser, help_: str = "formula column (default: recognized by its name)") -> None:
    """The column of formulas of the table that is read."""
    parser.group("reading of tables").add_argument("--column", metavar="NAME", help=help_)


def model_option(parser: Parser) -> None:
    """The checkpoint to draw from."""
    parser.group("model").add_argument(
        "--model", metavar="CHECKPOINT", help="folder, bundled name or Hub id (default: the bundled one)"
    )


def n_mc_option(parser: Parser) -> None:
    """How long a likelihood is estimated where it is no simple product."""
    parser.group("computation").add_argument(
        "--n-mc",
        type=int,
        default=8,
        metavar="K",
        help="random orders for formulas of more than 8 tokens, where the model writes in any order (default: 8)",
    )


def decoding_options(parser: Parser) -> None:
    """How to draw."""
    group = parser.group("decoding")
    group.add_argument("--temperature", type=float, default=1.0, help="1 draws from the model itself (default: 1)")
    group.add_argument("--top-k", type=int, default=0, help="keep the k most probable tokens (default: 0, all)")
    group.add_argument(
        "--top-p",
        type=float,
        default=1.0,
        help="keep the most probable tokens that add up to this probability (default: 1, all)",
    )
    group.add_argument(
        "--min-p",
        type=float,
        default=0.0,
        help="keep tokens at least this probable relative to the best (default: 0, all)",
    )


def decoding_of(arguments: argparse.Namespace) -> Decoding:
    """How to draw, as the options say.

    Raises:
        OptionError: a value out of range.
    """
    from matgen.sampling import Decoding

    return Decoding(
        arguments.temperature, arguments.top_k, arguments.top_p, arguments.min_p, getattr(arguments, "guidance", 1.0)
    )


def condition_option(parser: Parser) -> None:
    """What a conditional model is asked for."""
    parser.group(CONSTRAINTS).add_argument(
        "--condition",
        nargs="+",
        default=[],
        metavar="band_gap=2..3",
        help="ranges of properties that the model was trained with; =2.. and =..3 are open",
    )
    parser.group("decoding").add_argument(
        "--guidance",
        type=float,
        default=1.0,
        metavar="STRENGTH",
        help="with --condition: above 1 samples follow it more closely and are less diverse (default: 1)",
    )


def keeping_options(parser: Parser) -> argparse._ArgumentGroup:
    """Which samples become rows; returns the group, for options of one verb alone."""
    group = parser.group("which rows are kept (-n then counts those)")
    group.add_argument("--unique", action="store_true", help="each composition only once")
    group.add_argument(
        "--novel-to", action="append", metavar="NAME", help="no composition of this dataset or file; may be repeated"
    )
    group.add_argument(
        "--screen",
        metavar="CONDITION",
        help="condition on predicted properties, such as 'band_gap > 1.98 and energy_above_hull <= 0.05'",
    )
    group.add_argument("--max-draws", type=int, metavar="N", help="stop after this many draws (default: 100 per row)")
    return group


def request_of(arguments: argparse.Namespace, screen: str, **more: Any) -> SampleRequest:
    """What to draw, as the options of decoding, constraints, conditions and kept rows say.

    Args:
        arguments: with the options of `decoding_options`, `constraint_options`, `condition_option` and
            `keeping_options`, `n` and `seed`.
        screen: what a filter of predicted properties keeps, in words; empty without one.
        more: fields of the request that have options of their own.

    Raises:
        OptionError: a value out of range, or constraints that cannot be read or contradict each other.
    """
    from matgen.sampling import SampleRequest

    return SampleRequest(
        arguments.n,
        arguments.seed,
        decoding_of(arguments),
        constraints=constraints_of(arguments),
        rejection=arguments.rejection,
        unique=arguments.unique,
        novel_to=tuple(arguments.novel_to or ()),
        conditions=tuple(arguments.condition),
        screen=screen,
        most_draws=arguments.max_draws,
        **more,
    )


def constraint_options(parser: Parser) -> None:
    """What every row must satisfy."""
    group = parser.group(CONSTRAINTS)
    group.add_argument("--chemsys", metavar="Li-Fe-P-O", help="exactly these elements")
    group.add_argument("--within", metavar="A-B-C", help="only these elements; groups may be named")
    group.add_argument("--contains", metavar="A-B", help="these elements, with any others")
    group.add_argument(
        "--exclude",
        metavar="A,GROUP",
        help="none of these: elements, or lanthanides, toxic, radioactive, noble_gases ...",
    )
    group.add_argument("--num-elements", metavar="3..5", help="number of different elements")
    group.add_argument("--max-atoms", metavar="N", help="largest number of atoms in the reduced formula")
    group.add_argument("--anonymous-formula", metavar="ABC3", help="anonymous formula, whatever the elements")
    group.add_argument("--stoichiometry", metavar="'Sr ? O3'", help="formula with some elements fixed and some open")
    group.add_argument(
        "--count", action="append", metavar="O:2..6", help="number of atoms of one element; may be repeated"
    )
    group.add_argument("--valid", action="store_true", help="charge neutral and balanced, guaranteed")
    group.add_argument(
        "--rejection",
        action="store_true",
        help="reject instead of masking tokens, which keeps the model's own distribution",
    )
    for old, new in (
        ("--elements", "--num-elements"),
        ("--anonymous", "--anonymous-formula"),
        ("--exact", "--rejection"),
    ):
        parser.rename(old, new)


def constraints_of(arguments: argparse.Namespace) -> Constraints | None:
    """The constraints that the options ask for, or None.

    Raises:
        OptionError: text that cannot be read, or constraints that contradict each other.
    """
    from matgen.sampling import Constraints

    names = (
        "chemsys", "within", "contains", "exclude", "num_elements", "max_atoms", "anonymous_formula", "stoichiometry",
        "count",
    )  # fmt: skip
    constraints = Constraints.from_options(**{name: getattr(arguments, name) for name in names}, valid=arguments.valid)
    if arguments.rejection and not constraints:
        raise OptionError("--rejection says how constraints are met: name one")
    return constraints or None


def reward_options(group: argparse._ArgumentGroup) -> None:
    """What draws earn."""
    group.add_argument(
        "--reward",
        metavar="EXPRESSION",
        help="arithmetic on columns of predict, evaluate and screen, such as 'probability_hull_0.05 * "
        "balanced_common * novel': + - * / **, comparisons, and, or, not (1 or 0), min, max, log, exp, sqrt, abs, "
        "contains(Li), fraction(transition_metals)",
    )
    group.add_argument(
        "--diversity",
        type=float,
        default=1.0,
        metavar="STRENGTH",
        help="how much less repeats and crowded chemical systems earn (default: 1; 0: no less)",
    )
    group.add_argument("--allow-out-of-domain", action="store_true", help="earn outside of the predictors' domain too")


def training_options(group: argparse._ArgumentGroup) -> None:
    """What every training needs to know."""
    group.add_argument("--dataset", default="hybrid-pure", help="name or file (default: hybrid-pure)")
    group.add_argument("--notation", help="expanded or counted (default: counted)")
    group.add_argument(
        "--preset", help="tiny, small, paper, large or a file of `matgen tune` (default: paper on a GPU, tiny without)"
    )
    group.add_argument(
        "--max-minutes", type=float, metavar="M", help="time budget in minutes, converted to a number of steps"
    )


def balance_options(group: argparse._ArgumentGroup) -> None:
    """What a model is conditioned on, and how rows are weighed."""
    group.add_argument(
        "--condition",
        nargs="+",
        default=[],
        metavar="PROPERTY",
        help="columns of numbers to condition on, for `matgen sample --condition`: band_gap, formation_energy",
    )
    group.add_argument(
        "--balance",
        metavar="FAMILY",
        help="anonymous_formula: rows of an anonymous formula (ABC3) with n rows weigh n^-A, so that none dominates; "
        "condition: likewise those of a bin of --condition",
    )
    group.add_argument(
        "--balance-exponent",
        type=float,
        metavar="A",
        help="exponent of --balance: 1 lets all families count the same (default: 0.5)",
    )


def balance_exponent_of(arguments: argparse.Namespace) -> float:
    """The exponent of the balance.

    Raises:
        OptionError: one is given, and no balance.
    """
    from matgen.training.balance import DEFAULT_EXPONENT

    if arguments.balance_exponent is None:
        return DEFAULT_EXPONENT
    if arguments.balance is None:
        raise OptionError("--balance-exponent needs --balance anonymous_formula or condition")
    return float(arguments.balance_exponent)


def default_preset() -> str:
    """The preset for this machine."""
    import torch

    return "paper" if torch.cuda.is_available() else "tiny"


def pick_device(name: str) -> str:
    """The device of that name.

    Raises:
        OptionError: it is not usable here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return str(torch.empty(0, device=name).device)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(f"device {name!r} is not usable here: {first_line(error)}") from error


def judging_options(parser: Parser) -> None:
    """How validity is judged. Defaults are None, so that options given beside `--protocol` are noticed."""
    rules = parser.group("judging")
    rules.add_argument(
        "--oxidation-states",
        metavar="TABLE",
        help="icsd24, icsd16, smact14, pymatgen, wiki or a file (default: icsd24)",
    )
    rules.add_argument(
        "--consensus",
        type=int,
        metavar="N",
        help="ICSD reports that an oxidation state needs, icsd24 only (default: 3)",
    )
    rules.add_argument(
        "--commonality",
        metavar="SHARE",
        help="least commonality of a state: low, medium, high, main or a percentage, icsd24 only (default: low)",
    )
    rules.add_argument("--include-zero", action="store_true", help="allow the oxidation state zero, icsd24 only")
    rules.add_argument(
        "--include-alloys", action="store_true", help="accept alloys (compositions of metals only) without a test"
    )
    rules.add_argument(
        "--mixed-valence", action="store_true", help="allow an element to have several oxidation states at once"
    )


def reference_options(parser: Parser) -> None:
    """What novelty refers to, and the named sets of rules."""
    group = parser.group("judging")
    group.add_argument(
        "--reference",
        action="append",
        metavar="NAME",
        help="dataset, file or folder that novelty refers to; may be repeated (default: hybrid)",
    )
    group.add_argument(
        "--reference-split",
        default="split",
        metavar="SPLIT",
        help="column that says what was held out: split (by formula) or split_chemsys (default: split)",
    )
    group.add_argument(
        "--protocol",
        choices=("default", "published"),
        help="published: the settings inferred for Fu et al. 2023, instead of those for validity",
    )


def pareto_option(parser: Parser, help: str) -> None:
    """Columns to be best in."""
    parser.group("ranking").add_argument(
        "--pareto",
        default="",
        metavar="COLUMNS",
        help=f"{help}, such as energy_above_hull,cost,novelty; +band_gap: more is better, --pareto=-band_gap: less is",
    )


def references_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The references that the options name, or the default one."""
    return tuple(arguments.reference or ("hybrid",))


def rules_of(arguments: argparse.Namespace) -> ValidityRules | None:
    """The rules that the options ask for, None where they ask for none.

    Raises:
        OptionError: a named protocol and settings of one's own at once.
    """
    from matgen.validity import ValidityRules

    own = {
        "oxidation_states": arguments.oxidation_states,
        "consensus": arguments.consensus,
        "commonality": _share(arguments.commonality),
        "include_zero": arguments.include_zero or None,
        "include_alloys": arguments.include_alloys or None,
        "mixed_valence": arguments.mixed_valence or None,
    }
    given = {name: value for name, value in own.items() if value is not None}
    protocol = getattr(arguments, "protocol", None)
    if protocol and given:
        raise OptionError(f"--protocol {protocol} sets the rules: leave out --{next(iter(given)).replace('_', '-')}")
    return ValidityRules(**given) if given else None


def _share(text: str | None) -> str | float | None:
    """A word for a commonality, or per cent."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text
