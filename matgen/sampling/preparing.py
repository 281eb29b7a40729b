"""A request checked against a checkpoint: the mask, the filter, the prompt's tokens and the weights of conditions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from matgen.errors import OptionError
from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import FIRST_ELEMENT, vocabulary
from matgen.sampling.constraints.reachability import DecodingMask
from matgen.sampling.decoders.canvas import Limits
from matgen.sampling.known import known_compositions
from matgen.sampling.request import Accept, PreparedRequest, SampleRequest

if TYPE_CHECKING:
    from matgen.models.checkpoint import Checkpoint
    from matgen.sampling.constraints.definition import Constraints

MOST_DRAWS = 100
"""Samples drawn at most, for each row that is asked for, where not every sample is kept."""

_COUNTED = 100_000
"""Compositions up to which those that exist under the constraints are counted."""


def prepare(request: SampleRequest, checkpoint: Checkpoint, block_size: int) -> PreparedRequest:
    """All that the blocks of a request need of a model.

    Raises:
        OptionError: nothing satisfies the constraints, or the model cannot take a mask, a prompt, conditions or a
            trace.
        DataError: a table of `novel_to` cannot be read.
    """
    mask, accept = constraint_filters(request.constraints, checkpoint, rejection=request.rejection)
    weights = condition_weights(request.conditions, checkpoint)
    if weights is None and request.decoding.guidance != 1:
        raise OptionError(
            "guidance is how closely samples follow conditions: give one, such as --condition band_gap=2..3"
        )
    prompt = check_prompt(request.prompt, checkpoint, mask)
    if request.trace and checkpoint.architecture.objective.decoder != "canvas":
        title = checkpoint.architecture.title
        raise OptionError(f"a trace is of a blank language model's steps: {title} has none")
    novel_to, references = known_compositions(request.novel_to)
    return PreparedRequest(
        request,
        block_size,
        _most_draws(request, accept),
        tuple(prompt),
        mask,
        accept,
        weights,
        novel_to,
        references,
        _existing(request, mask),
    )


def constraint_filters(
    constraints: Constraints | None, checkpoint: Checkpoint, *, rejection: bool
) -> tuple[DecodingMask | None, Accept | None]:
    """The mask for masked constraints, the filter for rejection, or both where a mask does not hold all of them.

    Raises:
        OptionError: nothing satisfies the constraints; the message has the reason.
    """
    if constraints is None:
        return None, None
    # Built for rejection too, since it refuses what cannot be before drawing goes on for ever.
    mask = DecodingMask(constraints, checkpoint.notation, known=checkpoint.known_elements())
    if rejection:
        return None, constraints.satisfied
    return mask, constraints.satisfied if checkpoint.architecture.objective.constraints == "some" else None


def condition_weights(conditions: Sequence[str], checkpoint: Checkpoint) -> np.ndarray | None:
    """How probable each combination of bins is under conditions, float64 `(combinations,)`; None without any.

    Raises:
        OptionError: the model takes no conditions, or these cannot be read or are outside of what it knows.
    """
    if not conditions:
        return None
    known = checkpoint.conditions
    if known is None:
        raise OptionError(
            f"{checkpoint.folder.name} takes no conditions: train a model with `matgen train --condition "
            "band_gap`, or screen by --screen"
        )
    return known.requested(conditions)


def check_prompt(prompt: str, checkpoint: Checkpoint, mask: DecodingMask | None) -> list[int]:
    """Token ids of a prompt, once it is known that the model can begin with it, and be masked.

    Raises:
        OptionError: it cannot, the prompt has an unknown word, or no sequence under the mask begins with it.
    """
    title, objective = checkpoint.architecture.title, checkpoint.architecture.objective
    if objective.constraints == "none" and (mask is not None or prompt.strip()):
        raise OptionError(
            f"{title} writes tokens in any order: it takes constraints with --rejection only, and no prompt"
        )
    tokens = prompt_ids(prompt, checkpoint.notation)
    if objective.decoder == "canvas" and len(tokens) > MAX_POSITIONS - 3:
        raise OptionError(f"prompt: {len(tokens)} tokens, {title} holds {MAX_POSITIONS - 3} and the blank after them")
    if mask is not None and tokens:
        if objective.decoder == "canvas":
            Limits.of(mask).check_prompt(tokens, checkpoint.notation)
        else:
            mask.check_prompt(tokens)
    return tokens


def prompt_ids(prompt: str, notation: str) -> list[int]:
    """Token ids of a prompt, blanks between tokens.

    Raises:
        OptionError: a word that is not a token of the notation.
    """
    words = vocabulary(notation)
    known = {token: i for i, token in enumerate(words.tokens) if i >= FIRST_ELEMENT}
    for word in prompt.split():
        if word not in known:
            example = "Sr Ti O O" if notation == "expanded" else "Sr Ti O2"
            raise OptionError(f"prompt: {word!r} is not a token of the notation {notation} (write it as: {example})")
    return [known[word] for word in prompt.split()]


def _most_draws(request: SampleRequest, accept: Accept | None) -> int:
    if request.keeps_all and accept is None and not request.screen:
        return min(request.n, request.most_draws or request.n)
    return request.most_draws or MOST_DRAWS * request.n


def _existing(request: SampleRequest, mask: DecodingMask | None) -> int | None:
    """Compositions that the constraints leave, where they are few enough to count and the answer is of use."""
    if not request.unique or mask is None:
        return None
    limit = max(request.n, _COUNTED)
    existing = mask.count_compositions(limit)
    if existing < request.n:
        raise OptionError(f"only {existing:,} compositions satisfy the constraints, fewer than n = {request.n:,}")
    return existing if existing < limit else None
