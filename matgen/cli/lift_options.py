"""What several steps of `matgen lift` take and do alike."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.shared import say
from matgen.errors import OptionError
from matgen.lift.backends import BACKENDS

if TYPE_CHECKING:
    import pandas as pd

    from matgen.cli.parser import Parser


def learning_options(parser: Parser) -> None:
    """Options of what learns, and of the sentences it learns from."""
    examples = [kind for kind in BACKENDS.values() if kind.example]
    backend = parser.group("language model")
    backend.add_argument(
        "--backend",
        default="scratch",
        help=", ".join(kind.summary for kind in BACKENDS.values()) + " (default: scratch)",
    )
    backend.add_argument(
        "--base",
        "--base-model",
        metavar="NAME",
        help="for the backend path: folder or Hub id of a causal language model; for api: its name on the server",
    )
    backend.add_argument(
        "--base-url",
        metavar="URL",
        help="for the backend api: address of the server, such as http://localhost:8000/v1; its key is read from "
        "OPENAI_API_KEY",
    )
    sentences = parser.group("sentences")
    sentences.add_argument(
        "--task",
        metavar="TASK",
        help="classification or regression, or A=classification,B=regression (default: by each target's values)",
    )
    sentences.add_argument(
        "--template",
        default="named",
        help="named, x1, shuffled, or a text with {column} in it (default: named)",
    )
    sentences.add_argument("--formulas-as", default="text", help="text, fractions or both (default: text)")
    sentences.add_argument("--columns", metavar="A,B", help="columns to learn from (default: all but the target)")
    sentences.add_argument("--units", metavar="A=eV,B=K", help="units of columns, written after their values")
    sentences.add_argument(
        "--precision", metavar="A=2,B=0", help="decimals of columns (default: as many as keep the information)"
    )
    sentences.add_argument(
        "--column-types", metavar="A=category", help="types of columns: number, category, text or formula"
    )
    parser.rename("--kinds", "--column-types")
    training = parser.group("training")
    training.add_argument(
        "--retrieval", type=int, default=0, metavar="K", help="number of similar rows put into each prompt (default: 0)"
    )
    training.add_argument(
        "--pretext", type=int, default=0, metavar="N", help="number of synthetic tasks to learn first (default: 0)"
    )
    training.add_argument(
        "--noise", type=float, help="noise on numbers, in standard deviations (default: the backend's)"
    )
    training.add_argument("--mixup", type=float, help="largest share mixed in from another row (default: 0)")
    backend.add_argument(
        "--fine-tuning",
        metavar="WAY",
        help="for smollm2 and path: head (a linear head on fixed weights), top-layers (adapters in the top layers), "
        "ensemble (the mean of both) or adapters (in all layers) (default: head for smollm2, adapters for path)",
    )
    backend.add_argument(
        "--options",
        metavar="A=1,B=2",
        help="options of the backend, such as " + ", ".join(f"{kind.example} ({kind.name})" for kind in examples),
    )


def tell_requests(arguments: argparse.Namespace) -> None:
    """Print what is about to be asked of a server, before it is, and what it took."""
    import logging

    class Remarks(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(arguments, record.getMessage())

    log = logging.getLogger("matgen.lift.served")
    log.handlers, log.propagate = [Remarks()], False
    log.setLevel(logging.INFO)


def backend_options(arguments: argparse.Namespace, *, generator: bool = False) -> dict[str, Any]:
    """Options of the language model; `generator` adds what estimators take by themselves."""
    options = {name: _value(text) for name, text in (pairs(arguments.options) or {}).items()}
    if arguments.base_url:
        options["base_url"] = arguments.base_url
    if arguments.fine_tuning:
        options["fine_tuning"] = arguments.fine_tuning
    if generator:
        options |= {k: v for k, v in (("noise", arguments.noise), ("mixup", arguments.mixup)) if v is not None}
    return options


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def pairs(text: str | None) -> dict[str, str] | None:
    """`A=1,B=x` as a mapping; None of nothing.

    Raises:
        OptionError: a part has no `=`.
    """
    if not text:
        return None
    out: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise OptionError(f"{part!r} in {text!r}: give NAME=VALUE, with commas between several")
        out[name.strip()] = value.strip()
    return out


def whole_numbers(text: str | None) -> dict[str, int] | None:
    """`A=1,B=2` as numbers; raises as `pairs`."""
    parts = pairs(text)
    try:
        return None if parts is None else {name: int(value) for name, value in parts.items()}
    except ValueError as error:
        raise OptionError(f"precision {text!r}: decimals are whole numbers") from error


def chosen(frame: pd.DataFrame, arguments: argparse.Namespace) -> pd.DataFrame:
    """The columns that `--columns` names.

    Raises:
        OptionError: the table has none of that name.
    """
    if not arguments.columns:
        return frame
    names = [name.strip() for name in arguments.columns.split(",")]
    for name in names:
        if name not in frame.columns:
            raise OptionError(f"--columns: there is no column {name!r}; there are {', '.join(frame.columns[:20])}")
    return frame[names]


def predictor(estimator: Any, folder: Path) -> Any:
    """The estimator, which must be one that predicts a column.

    Raises:
        OptionError: it draws rows.
    """
    from matgen.lift import LiftGenerator

    if isinstance(estimator, LiftGenerator):
        raise OptionError(f"{folder} draws rows and predicts no column: fit with --target, or use matgen lift sample")
    return estimator


def given_parts(texts: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """Conditions, the name of a table of values ("" for none) and pairs such as `A=1`, from what --given names."""
    where = [text for text in texts if _is_condition(text) and not Path(text).is_file()]
    others = [text for text in texts if text not in where]
    return (where, others[0], []) if len(others) == 1 and "=" not in others[0] else (where, "", others)


def _is_condition(text: str) -> bool:
    """Whether a text is a comparison or a set, and not `name=value`."""
    return bool(re.search(r"[<>]|!=|==", text) or ("=" not in text and re.search(r"\S\s+(not\s+)?in\s+\S", text)))
