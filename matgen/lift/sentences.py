"""Rows of a table as sentences, and sentences as rows again, exactly.

`When we have sepal length=5.1 cm, petal width=0.2 cm, what should be the species?###` is completed by `setosa@@@`
(Dinh et al., "LIFT: Language-Interfaced Fine-Tuning for Non-Language Machine Learning Tasks", NeurIPS 2022, section 3).
A value is written bare where it can be distinguished from the words around it, and as a JSON string where it cannot,
so every sentence reads back to the row it was made from, whatever the cells hold.
"""

from __future__ import annotations

import json
import math
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from matgen.errors import DataError, OptionError, unknown_name
from matgen.lift.columns import Column

TEMPLATES = ("named", "x1", "shuffled")
_NO_FRACTIONS = " ()"
"""What follows a text that is no formula but looks like one with its fractions."""

FORMULAS_AS = ("text", "fractions", "both")
END_OF_PROMPT, END_OF_COMPLETION = "###", "@@@"
MISSING = "missing"
"""What stands for an empty cell; a text of these letters is quoted."""
_FRACTION_DECIMALS = 4


@dataclass(frozen=True)
class Sentences:
    """How the rows of one table are written.

    Attributes:
        columns: what is given, in the order of the sentence.
        target: column of the completions; None where there is none (sentences of whole rows).
        template: `named`, `x1` (x1, x2 ... and y for names), `shuffled` (names of other columns), or a text of the user
            with `{column}` in it, which ends in the question.
        formulas_as: how formulas are written: their `text`, element `fractions`, or `both`.
        seed: of the shuffling of names.
    """

    columns: tuple[Column, ...]
    target: Column | None = None
    template: str = "named"
    formulas_as: str = "text"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.formulas_as not in FORMULAS_AS:
            raise unknown_name("way to write formulas", self.formulas_as, FORMULAS_AS)
        if not self.columns:
            raise DataError("there is no column of features")
        self.pieces  # noqa: B018  checked now, not at the first row

    @property
    def names(self) -> dict[str, str]:
        """What each column is called in the sentence, the target too."""
        own = [column.name for column in self.columns]
        target = self.target.name if self.target else "y"
        if self.template == "x1":
            return {name: f"x{i + 1}" for i, name in enumerate(own)} | {target: "y"}
        if self.template == "shuffled":
            order = np.random.default_rng(self.seed).permutation(len(own))
            return {name: own[j] for name, j in zip(own, order, strict=True)} | {target: target}
        return {name: name for name in [*own, target]}

    @cached_property
    def pieces(self) -> list[tuple[str, Column | None]]:
        """The prompt as constant words, each followed by the column whose value comes after them (None at the end).

        Raises:
            OptionError: a template that names no column or one that is not there, or leaves no word between two values.
        """
        if "{" in self.template:
            return self._own_pieces()
        if self.template not in TEMPLATES:
            raise OptionError(
                f"template {self.template!r}: give {', '.join(TEMPLATES)} or a text with the names of columns in braces"
            )
        names, made = self.names, []
        before = "When we have "
        for column in self.columns:
            made.append((f"{before}{names[column.name]}=", column))
            before = f"{_after(column)}, "
        target = names[self.target.name] if self.target else "rest"
        question = "y value" if self.template == "x1" else target
        return [*made, (f"{before}what should be the {question}?{END_OF_PROMPT}", None)]

    def _own_pieces(self) -> list[tuple[str, Column | None]]:
        by_name = {column.name: column for column in self.columns}
        made: list[tuple[str, Column | None]] = []
        after = ""
        try:
            parts = list(string.Formatter().parse(self.template))
        except ValueError as error:
            raise OptionError(f"template {self.template!r}: {error}") from error
        for words, field, specification, conversion in parts:
            if field is None:
                made.append((after + words, None))
                break
            name = field + (f"!{conversion}" if conversion else "") + (f":{specification}" if specification else "")
            if name not in by_name:
                raise OptionError(f"template: there is no column {name!r}; there are {', '.join(list(by_name)[:20])}")
            if made and not after + words:
                raise OptionError(f"template: words are needed between {{{made[-1][1].name}}} and {{{name}}}")  # type: ignore[union-attr]
            made.append((after + words, by_name[name]))
            after = _after(by_name[name])
        else:
            made.append((after, None))
        if not any(column for _, column in made):
            raise OptionError("template: it names no column")
        return [*made[:-1], (made[-1][0] + END_OF_PROMPT, None)]

    def prompt(self, row: Mapping[str, Any]) -> str:
        """The prompt of a row; cells are as `typed` returns them."""
        pieces, text = self.pieces, []
        for (words, column), (following, _) in pairwise(pieces):
            assert column is not None
            text.append(words + self.written(column, row[column.name], following))
        return "".join(text) + pieces[-1][0]

    def completion(self, value: Any) -> str:
        """The target, as the model is to write it."""
        assert self.target is not None
        return self.written(self.target, value, END_OF_COMPLETION) + END_OF_COMPLETION

    def prompts(self, frame: pd.DataFrame) -> list[str]:
        """`prompt` of each row."""
        return [self.prompt(row) for row in rows_of(frame)]

    def sentences(self, frame: pd.DataFrame) -> list[str]:
        """Prompt and completion of each row."""
        assert self.target is not None
        return [self.prompt(row) + self.completion(row[self.target.name]) for row in rows_of(frame)]

    def parse(self, sentence: str) -> dict[str, Any]:
        """The row that a sentence was made from, with the target where a completion follows the prompt.

        Numbers come back as they were rounded, missing cells as None (nan of numbers), formulas written as fractions
        as a formula with those fractions.

        Raises:
            DataError: the text is no sentence of this kind; the message says where it departs.
        """
        row: dict[str, Any] = {}
        at, pieces = 0, self.pieces
        for i, (words, column) in enumerate(pieces):
            if not sentence.startswith(words, at):
                raise DataError(f"character {at + 1} of the sentence: {words!r} is expected")
            at += len(words)
            if column is not None:
                row[column.name], at = self.read(column, sentence, at, pieces[i + 1][0])
        if at < len(sentence):
            if self.target is None:
                raise DataError(f"character {at + 1} of the sentence: nothing is expected")
            row[self.target.name] = self.parse_completion(sentence[at:])
        return row

    def parse_completion(self, text: str) -> Any:
        """The target that a completion stands for.

        Raises:
            DataError: it is not valid: not a number, not a known label, or without an end.
        """
        assert self.target is not None
        value, at = self.read(self.target, text, 0, END_OF_COMPLETION)
        if text[at:] != END_OF_COMPLETION:
            raise DataError(f"character {at + 1} of the completion: {END_OF_COMPLETION!r} is expected, then nothing")
        if self.target.type == "category" and value not in self.target.values:
            raise DataError(f"{value!r} is none of the labels {', '.join(self.target.values[:20])}")
        return value

    def written(self, column: Column, value: Any, following: str) -> str:
        """A value as text, quoted where it would run into the words that follow."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return MISSING
        if column.type == "number":
            assert column.format is not None
            return _bare_or_quoted(column.format.text(float(value)), following)
        text = str(value)
        if column.type == "formula" and self.formulas_as != "text":
            fractions = element_fractions(text)
            if fractions is not None:
                text = fractions if self.formulas_as == "fractions" else f"{text} ({fractions})"
            elif _formula_of(text, self.formulas_as) != text:
                text += _NO_FRACTIONS  # else it would be read back as a formula with its fractions
        return _bare_or_quoted(text, following)

    def read(self, column: Column, text: str, at: int, following: str) -> tuple[Any, int]:
        """The value that begins at a character of a text, and where it ends.

        Raises:
            DataError: nothing that such a column can hold stands there.
        """
        quoted = text.startswith('"', at)
        if quoted:
            try:
                text_of_value, end = json.JSONDecoder().raw_decode(text, at)
            except ValueError as error:
                raise DataError(f"character {at + 1} of the sentence: a quoted text does not end") from error
        else:
            end = text.find(following, at)
            if end < 0:
                raise DataError(f"character {at + 1} of the sentence: {following!r} does not follow")
            text_of_value = text[at:end]
            if text_of_value == MISSING:
                return (math.nan if column.type == "number" else None), end
        if column.type == "number":
            try:
                value = float(text_of_value)
            except ValueError as error:
                raise DataError(f"character {at + 1} of the sentence: {text_of_value!r} is not a number") from error
            if not math.isfinite(value):
                raise DataError(f"character {at + 1} of the sentence: {text_of_value!r} is not a finite number")
            return value, end
        if column.type == "formula" and self.formulas_as != "text":
            text_of_value = _formula_of(text_of_value, self.formulas_as)
        return text_of_value, end


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as mappings by the names of columns."""
    return [{str(name): cell for name, cell in row.items()} for row in frame.to_dict("records")]


def element_fractions(formula: str) -> str | None:
    """Atomic fractions, `Fe 0.4000 O 0.6000`, by element in order of electronegativity; None of what is no formula."""
    from matgen.composition.batch import parse_formulas
    from matgen.composition.elements import SYMBOLS

    parsed = parse_formulas([formula])
    if not len(parsed.batch):
        return None
    elements, counts = parsed.batch.elements[0], parsed.batch.counts[0]
    present = elements > 0
    shares = counts[present] / counts[present].sum()
    return " ".join(
        f"{SYMBOLS[z]} {share:.{_FRACTION_DECIMALS}f}" for z, share in zip(elements[present], shares, strict=True)
    )


def _formula_of(text_of_value: str, formulas_as: str) -> str:
    if formulas_as == "both":
        text, _, fractions = text_of_value.rpartition(" (")
        if text and fractions.endswith(")") and element_fractions(text) == fractions[:-1]:
            return text
        if text_of_value.endswith(_NO_FRACTIONS):
            return text_of_value.removesuffix(_NO_FRACTIONS)
        return text_of_value  # what could not be read as a formula was written as it stood
    parts = text_of_value.split(" ")
    if len(parts) % 2 == 0 and all(part.replace(".", "", 1).isdigit() for part in parts[1::2]):
        return "".join(parts)
    return text_of_value


def _after(column: Column) -> str:
    return f" {column.unit}" if column.unit else ""


def _bare_or_quoted(text: str, following: str) -> str:
    marked = END_OF_PROMPT in text or END_OF_COMPLETION in text
    plain = (
        text not in ("", MISSING)
        and not text.startswith('"')
        and text.isprintable()
        and not marked
        and (text + following).find(following) == len(text)
    )
    if plain:
        return text
    lone_surrogate = any("\ud800" <= letter <= "\udfff" for letter in text)
    quoted = json.dumps(text, ensure_ascii=lone_surrogate)
    # The marks of a sentence's ends occur at its ends only, whatever the cells hold.
    return quoted.replace("#", "\\u0023").replace("@", "\\u0040") if marked else quoted
