"""Compositions as token sequences, and the Hugging Face tokenizer that is saved with every checkpoint.

Two notations, both in matgen's element order (ascending electronegativity):

* `expanded`, the published one: one token an atom, `Sr Ti O O O`;
* `counted`: one token for an element and its count, `Sr Ti O3`, about half as many tokens. Counts above 16 take several
  tokens of the same element (`O16 O4`).

In both, the atoms of a sequence are the sum of its tokens, so any order can be read back. Whole batches are encoded and
decoded with array operations; the Hugging Face tokenizer gives the same ids for text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import N_ELEMENTS, ORDER_RANK, SYMBOLS
from matgen.composition.kernels import kernel_for
from matgen.errors import OptionError, unknown_name

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NOTATIONS = ("expanded", "counted")
DEFAULT_NOTATION = "counted"
"""What models are trained in by default: half the tokens, and in the same time a better likelihood."""

PAD, BOS, EOS, UNK, MASK, BLANK = range(6)
N_CONDITIONS = 24
"""Generic tokens `<condition_0>` ... for conditions on properties."""
FIRST_CONDITION = 6 + 2
"""Id of the first of them (two ids before it are spare)."""
FIRST_ELEMENT = FIRST_CONDITION + N_CONDITIONS
"""Id of the first element token; everything below is special."""
MAX_TOKEN_COUNT = 16
"""Largest count that one token of the notation `counted` carries."""

SPECIAL_TOKENS = (
    "<pad>",
    "<bos>",
    "<eos>",
    "<unk>",
    "<mask>",
    "<blank>",
    "<spare_0>",
    "<spare_1>",
    *(f"<condition_{i}>" for i in range(N_CONDITIONS)),
)


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a notation.

    Attributes:
        notation: `expanded` or `counted`.
        tokens: text of each token, by id.
        atomic_number: int64 `(vocabulary,)`, 0 for special tokens.
        count: int64 `(vocabulary,)`, atoms that a token stands for, 0 for special tokens.
    """

    notation: str
    tokens: tuple[str, ...]
    atomic_number: np.ndarray
    count: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)


@lru_cache(maxsize=len(NOTATIONS))
def vocabulary(notation: str) -> Vocabulary:
    """The vocabulary of a notation: special tokens, then elements by atomic number (and count, for `counted`).

    Raises:
        OptionError: unknown notation.
    """
    if notation not in NOTATIONS:
        raise unknown_name("notation", notation, NOTATIONS)
    per_element = MAX_TOKEN_COUNT if notation == "counted" else 1
    zeros = np.zeros(FIRST_ELEMENT, dtype=np.int64)
    atomic_number = np.concatenate([zeros, np.repeat(np.arange(1, N_ELEMENTS + 1), per_element)])
    count = np.concatenate([zeros, np.tile(np.arange(1, per_element + 1), N_ELEMENTS)])
    pairs = zip(atomic_number[FIRST_ELEMENT:], count[FIRST_ELEMENT:], strict=True)
    tokens = SPECIAL_TOKENS + tuple(SYMBOLS[z] + (str(c) if c > 1 else "") for z, c in pairs)
    return Vocabulary(notation, tokens, atomic_number, count)


def sequence_lengths(batch: CompositionBatch, notation: str) -> np.ndarray:
    """Tokens of each composition without `<bos>` and `<eos>`, int64 `(n,)`."""
    if notation == "expanded":
        return batch.n_atoms
    return (-(-batch.counts.astype(np.int64) // MAX_TOKEN_COUNT)).sum(axis=1)


def encode(batch: CompositionBatch, notation: str, *, max_tokens: int = 1022) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of each composition, as `<bos> ... <eos>`.

    Args:
        batch: `n` compositions.
        notation: `expanded` or `counted`.
        max_tokens: the longest sequence allowed, without `<bos>` and `<eos>`.

    Returns:
        `(ids, lengths)`: int16 `(n, longest + 2)`, right-padded with `<pad>`; int64 `(n,)`, with `<bos>` and `<eos>`.

    Raises:
        OptionError: a composition needs more than `max_tokens` tokens; it is named.
    """
    vocabulary(notation)  # refuses an unknown notation
    lengths = sequence_lengths(batch, notation)
    n = len(batch)
    if n and lengths.max() > max_tokens:
        worst = int(lengths.argmax())
        raise OptionError(
            f"{batch[worst : worst + 1].formulas()[0]} takes {lengths[worst]} tokens in the notation {notation}, "
            f"at most {max_tokens} fit: filter such rows out first"
        )
    ids = np.full((n, (int(lengths.max()) if n else 0) + 2), PAD, dtype=np.int16)
    ids[:, 0] = BOS
    present = batch.elements > 0
    row, slot = np.nonzero(present)
    z, count = batch.elements[row, slot].astype(np.int64), batch.counts[row, slot].astype(np.int64)
    if notation == "expanded":
        first_id, repeats = FIRST_ELEMENT + z - 1, count
        token = np.repeat(first_id, repeats)
    else:
        repeats = -(-count // MAX_TOKEN_COUNT)
        full_id = FIRST_ELEMENT + (z - 1) * MAX_TOKEN_COUNT + (MAX_TOKEN_COUNT - 1)
        token = np.repeat(full_id, repeats)
        last_of_element = np.cumsum(repeats) - 1
        token[last_of_element] -= repeats * MAX_TOKEN_COUNT - count
    token_row = np.repeat(row, repeats)
    start = np.cumsum(lengths) - lengths
    ids[token_row, 1 + np.arange(len(token)) - start[token_row]] = token
    ids[np.arange(n), lengths + 1] = EOS
    return ids, lengths + 2


@dataclass(frozen=True)
class DecodedSequences:
    """Compositions read from token ids.

    Attributes:
        batch: the `m` compositions of the sequences that could be read.
        rows: int64 `(m,)`, their rows.
        canonical: bool `(m,)`, True where the sequence is the one that `encode` writes for its composition (in order,
            with counts reduced).
    """

    batch: CompositionBatch
    rows: np.ndarray
    canonical: np.ndarray


def decode(ids: np.ndarray, notation: str) -> DecodedSequences:
    """Read sequences `<bos> tokens <eos> <pad> ...` back; the tokens of an element add up, in any order.

    Sequences without `<eos>`, without any element, or with another special token before `<eos>` are left out.

    Args:
        ids: integers `(n, length)`.
        notation: `expanded` or `counted`.
    """
    words = vocabulary(notation)
    # Columns that are padding in all rows say nothing.
    ids = ids[:, : max(2, int(np.flatnonzero((ids != PAD).any(axis=0)).max(initial=0)) + 1)]
    kernel = kernel_for(len(ids), "sequence_kernel")
    if kernel is not None:
        return _decode_by(kernel, ids, words)
    ids = np.asarray(ids, dtype=np.int64)
    length = ids.shape[1]
    is_eos = ids == EOS
    ended = is_eos.any(axis=1)
    end = np.where(ended, is_eos.argmax(axis=1), length)
    inside = np.arange(length)[None, :] < end[:, None]
    inside[:, 0] = False
    z = words.atomic_number[ids]
    good = ended & (ids[:, 0] == BOS) & ~(inside & (z == 0)).any(axis=1) & inside.any(axis=1)
    rows = np.flatnonzero(good)
    row, column = np.nonzero(inside[rows])
    tokens = ids[rows][row, column]
    batch = CompositionBatch.from_tokens(len(rows), row, words.atomic_number[tokens], words.count[tokens])
    expected, _ = encode(batch, notation, max_tokens=length)
    width = max(length, expected.shape[1])
    got = np.where(inside[rows] | (np.arange(length)[None, :] == end[rows, None]), ids[rows], PAD)
    got[:, 0] = BOS
    pad_got = np.pad(got, ((0, 0), (0, width - length)), constant_values=PAD)
    pad_expected = np.pad(expected, ((0, 0), (0, width - expected.shape[1])), constant_values=PAD)
    return DecodedSequences(batch, rows, (pad_got == pad_expected).all(axis=1))


def _decode_by(kernel: Any, ids: np.ndarray, words: Vocabulary) -> DecodedSequences:
    """`decode`, by compiled code."""
    elements = np.empty(ids.shape, dtype=np.uint8)
    counts = np.empty(ids.shape, dtype=np.int64)
    n_elements, canonical = np.empty(len(ids), dtype=np.int64), np.empty(len(ids), dtype=bool)
    special = np.array([BOS, EOS, words.count.max()])
    kernel.read_sequences(
        ids, special, words.atomic_number, words.count, ORDER_RANK, elements, counts, n_elements, canonical
    )
    rows = np.flatnonzero(n_elements)
    k = int(n_elements.max(initial=1))
    batch = CompositionBatch(elements[rows, :k], counts[rows, :k].astype(np.int32))
    return DecodedSequences(batch, rows, canonical[rows])


def to_text(ids: np.ndarray, notation: str) -> str:
    """One sequence as text, special tokens left out: `Sr Ti O O O`."""
    words = vocabulary(notation)
    return " ".join(words.tokens[i] for i in np.asarray(ids, dtype=np.int64) if i >= FIRST_ELEMENT)


def suppressed_ids(notation: str) -> list[int]:
    """Ids that a sampler never writes: every special token but `<eos>`."""
    return [i for i in range(FIRST_ELEMENT) if i != EOS]


def hugging_face_tokenizer(notation: str) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a notation: words split at blanks, `<bos>` and `<eos>` added."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = vocabulary(notation)
    core = Tokenizer(models.WordLevel({token: i for i, token in enumerate(words.tokens)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", BOS), ("<eos>", EOS)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        additional_special_tokens=list(SPECIAL_TOKENS[5:]),
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )
