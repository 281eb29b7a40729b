from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import N_ELEMENTS, ORDER_RANK, SYMBOLS
from matgen.datasets import load_dataset
from matgen.errors import OptionError
from matgen.models.tokenizer import (
    BOS,
    EOS,
    FIRST_ELEMENT,
    MASK,
    NOTATIONS,
    PAD,
    SPECIAL_TOKENS,
    decode,
    encode,
    hugging_face_tokenizer,
    sequence_lengths,
    to_text,
    vocabulary,
)


def batch_of(*formulas: str) -> CompositionBatch:
    return CompositionBatch.from_formulas(formulas)


@pytest.mark.parametrize("notation", NOTATIONS)
def test_every_bundled_formula_round_trips(notation: str) -> None:
    batch = load_dataset("hybrid").batch
    by_length = np.argsort(sequence_lengths(batch, notation), kind="stable")
    for rows in np.array_split(by_length, 40):
        part = batch[rows]
        ids, lengths = encode(part, notation)
        assert ((ids != PAD).sum(axis=1) == lengths).all()
        read = decode(ids, notation)
        assert read.rows.tolist() == list(range(len(part)))
        assert read.canonical.all()
        assert (read.batch.keys() == part.keys()).all()


@pytest.mark.parametrize(
    ("formula", "expanded", "counted"),
    [
        ("SrTiO3", "Sr Ti O O O", "Sr Ti O3"),
        ("CaCO3", "Ca C O O O", "Ca C O3"),  # the released scripts counted two C here, and in the next
        ("CClO", "C Cl O", "C Cl O"),
        ("CO2", "C O O", "C O2"),
        ("PbWO4", "W Pb O O O O", "W Pb O4"),  # SMACT's electronegativities: W 1.7, Pb 1.8
        ("Y3Al5O12", "Y Y Y Al Al Al Al Al O O O O O O O O O O O O", "Y3 Al5 O12"),
        ("KH20", "K " + " ".join(["H"] * 20), "K H16 H4"),
        ("KH32", "K " + " ".join(["H"] * 32), "K H16 H16"),
    ],
)
def test_notations(formula: str, expanded: str, counted: str) -> None:
    for notation, text in (("expanded", expanded), ("counted", counted)):
        ids, lengths = encode(batch_of(formula), notation)
        assert to_text(ids[0], notation) == text
        assert ids[0, 0] == BOS
        assert ids[0, lengths[0] - 1] == EOS


@pytest.mark.parametrize("notation", NOTATIONS)
def test_hugging_face_tokenizer_gives_the_same_ids(notation: str, tmp_path) -> None:
    from transformers import AutoTokenizer

    hugging_face_tokenizer(notation).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    batch = load_dataset("hybrid-pure").batch[::4001]
    ids, lengths = encode(batch, notation)
    for row, length in zip(ids, lengths, strict=True):
        assert tokenizer(to_text(row, notation))["input_ids"] == row[:length].tolist()
        assert tokenizer.decode(row[:length], skip_special_tokens=True) == to_text(row, notation)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (BOS, EOS, PAD)
    assert tokenizer.mask_token_id == MASK
    assert len(tokenizer) == len(vocabulary(notation))


def test_ids_are_fixed_so_that_checkpoints_stay_loadable() -> None:
    assert SPECIAL_TOKENS[:6] == ("<pad>", "<bos>", "<eos>", "<unk>", "<mask>", "<blank>")
    assert len(SPECIAL_TOKENS) == FIRST_ELEMENT == 32
    expanded, counted = vocabulary("expanded"), vocabulary("counted")
    assert (len(expanded), len(counted)) == (32 + 118, 32 + 118 * 16)
    assert expanded.tokens[32] == "H"
    assert expanded.tokens[-1] == "Og"
    assert counted.tokens[32:35] == ("H", "H2", "H3")
    # The released models had bos = eos = 120 in a vocabulary of 120, so nothing ever stopped.
    for words in (expanded, counted):
        assert max(PAD, BOS, EOS, MASK) < len(words)
        assert len(set(words.tokens)) == len(words)


compositions = st.dictionaries(st.integers(1, N_ELEMENTS), st.integers(1, 40), min_size=1, max_size=8)


@given(compositions, st.sampled_from(NOTATIONS), st.randoms(use_true_random=False))
def test_any_order_reads_as_the_same_composition(atoms: dict[int, int], notation: str, random) -> None:
    batch = batch_of("".join(f"{SYMBOLS[z]}{count}" for z, count in atoms.items()))
    ids, lengths = encode(batch, notation)
    tokens = ids[0, 1 : lengths[0] - 1].tolist()
    shuffled = random.sample(tokens, len(tokens))
    read = decode(np.array([[BOS, *shuffled, EOS, PAD]]), notation)
    assert (read.batch.keys() == batch.keys()).all()
    assert read.canonical[0] == (shuffled == tokens)
    order = ORDER_RANK[vocabulary(notation).atomic_number[tokens]]
    assert (np.diff(order.astype(int)) >= 0).all()


def test_unreduced_multiples_are_read_but_not_canonical() -> None:
    words = vocabulary("expanded").tokens
    ids = [BOS, *(words.index(s) for s in ["Na", "Na", "Cl", "Cl"]), EOS]
    read = decode(np.array([ids]), "expanded")
    assert read.batch.formulas().tolist() == ["NaCl"]
    assert not read.canonical[0]


def test_malformed_sequences_are_left_out() -> None:
    sodium = FIRST_ELEMENT + 10
    rows = np.array(
        [
            [BOS, sodium, EOS, PAD],
            [BOS, sodium, sodium, sodium],  # no end
            [BOS, EOS, PAD, PAD],  # no atom
            [BOS, MASK, sodium, EOS],
            [sodium, sodium, EOS, PAD],  # no beginning
            [BOS, sodium, EOS, sodium],  # what follows the end does not count
        ]
    )
    read = decode(rows, "expanded")
    assert read.rows.tolist() == [0, 5]
    assert read.batch.formulas().tolist() == ["Na", "Na"]


def test_bad_input() -> None:
    with pytest.raises(OptionError, match="unknown notation 'letters'; known: expanded, counted"):
        encode(batch_of("NaCl"), "letters")
    with pytest.raises(OptionError, match="KH200 takes 201 tokens"):
        encode(batch_of("NaCl", "KH200"), "expanded", max_tokens=126)
    ids, lengths = encode(batch_of("NaCl")[:0], "expanded")
    assert ids.shape == (0, 2)
    assert lengths.shape == (0,)
