"""Every number of a report against loops over rows, and the same numbers however the rows are cut into chunks."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition, Element
from scipy.spatial.distance import jensenshannon

from matgen.composition.batch import CompositionBatch
from matgen.evaluation import Report, evaluate, metrics, passes
from matgen.evaluation.labels import COLUMNS, DISTRIBUTIONS
from matgen.evaluation.limits import Limits
from matgen.evaluation.membership import Membership
from matgen.validity import explain
from tests.frames import assert_same, listed

from .brute_force import BruteForceMembership
from .standin import FORMULAS, Reference
from .test_neighbors import loop as swaps_of

pytestmark = pytest.mark.filterwarnings("ignore:No Pauling electronegativity")

N = 2_000
POINTS = [10, 20, 50, 100, 200, 500, 1_000, N]
BAD = ["", "Xx2O3", "Fe2O3)", "hello", "Fe0"]
ENTRIES = ["jensen_shannon", "jensen_shannon_floor", "coverage", "coverage_floor", "generated", "reference"]
SYMBOLS = ["Li", "Na", "K", "Mg", "Ca", "Al", "Ti", "Zr", "Fe", "Cu", "Ag", "Sb", "O", "S", "Cl", "Br", "N", "H", "Xe"]


def random_compositions(n: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [
        "".join(f"{symbol}{rng.randint(1, 4)}" for symbol in rng.sample(SYMBOLS, rng.choice([1, 2, 2, 3, 3, 4])))
        for _ in range(n)
    ]


def candidate_rows() -> list[str]:
    """Repeats, other orders, multiples, a pasted piece of the reference, and rows that cannot be read."""
    rng = random.Random(7)
    pool = [*FORMULAS, *random_compositions(900, 1)]
    rows = []
    for _ in range(N):
        parts = list(Composition(rng.choice(pool)).items())
        rng.shuffle(parts)
        multiple = rng.choice([1, 1, 2, 3])
        rows.append("".join(f"{element.symbol}{int(amount) * multiple}" for element, amount in parts))
    rows[300:316] = FORMULAS[20:36]
    for place in range(11, N, 97):
        rows[place] = BAD[place % len(BAD)]
    return rows


ROWS = candidate_rows()
REFERENCES = [
    Reference([*FORMULAS, *random_compositions(300, 1)[::2], *random_compositions(300, 2)], "first"),
    Reference(random_compositions(900, 1)[200:700:3], "second"),
]


@pytest.fixture(scope="module")
def report() -> Report:
    return evaluate(ROWS, REFERENCES, seed=3)


@pytest.fixture(scope="module")
def content(report: Report) -> dict[str, Any]:
    return report.content


class Brute:
    """One row at a time."""

    def __init__(self) -> None:
        self.compositions = [None if row in BAD else Composition(row).reduced_composition for row in ROWS]
        seen: set[Composition] = set()
        self.new = []
        for composition in self.compositions:
            self.new.append(composition is not None and composition not in seen)
            seen.add(composition)
        self.known = [
            {Composition(f).reduced_composition: part for f, part in zip(r.formulas, r.split, strict=True)}
            for r in (reversed_rows(reference) for reference in REFERENCES)
        ]
        everything = set().union(*self.known)
        self.novel = [c is not None and c not in everything for c in self.compositions]
        self.everything = everything
        self.explained = {c: explain(CompositionBatch.from_formulas([c.formula])) for c in seen if c is not None}

    def rows(self, n_elements: int | None = None, first: int = N) -> list[int]:
        return [
            i
            for i in range(first)
            if (c := self.compositions[i]) is not None and (n_elements is None or len(c) == n_elements)
        ]

    def valid(self, i: int) -> bool:
        return bool(self.explained[self.compositions[i]].validity.valid[0])

    def counts(self, rows: list[int]) -> dict[str, int]:
        return {
            "parsed": len(rows),
            "distinct": sum(self.new[i] for i in rows),
            "novel": sum(self.new[i] and self.novel[i] for i in rows),
            "valid": sum(self.valid(i) for i in rows),
            "valid_unique_novel": sum(self.new[i] and self.novel[i] and self.valid(i) for i in rows),
            "charge_neutral": sum(bool(self.explained[self.compositions[i]].validity.charge_neutral[0]) for i in rows),
            "balanced_common": sum(bool(self.explained[self.compositions[i]].balanced_common[0]) for i in rows),
            "rare_state": sum(bool(self.explained[self.compositions[i]].commonness.rare[0]) for i in rows),
            "intermetallic": sum(bool(self.explained[self.compositions[i]].intermetallic[0]) for i in rows),
        }

    def recovery(self, part: str, rows: list[int], number: int = 0, n_elements: int | None = None) -> float | None:
        of = {
            c
            for c, its_part in self.known[number].items()
            if its_part == part and (n_elements is None or len(c) == n_elements)
        }
        return len(of & {self.compositions[i] for i in rows}) / len(of) if of else None


def reversed_rows(reference: Reference) -> Any:
    """Rows from the last to the first, so that of repeated ones a dictionary keeps the first one's part."""

    class Reversed:
        formulas = reference.formulas[::-1]
        split = reference.split[::-1]

    return Reversed


@pytest.fixture(scope="module")
def brute() -> Brute:
    return Brute()


def test_curves(content: dict[str, Any], brute: Brute) -> None:
    curves = content["curves"]
    assert curves["n"] == POINTS
    for place, first in enumerate(POINTS):
        rows = brute.rows(first=first)
        count = brute.counts(rows)
        assert curves["unique"][place] == count["distinct"] / count["parsed"]
        assert curves["novel"][place] == count["novel"] / count["distinct"]
        assert curves["valid"][place] == count["valid"] / first
        assert curves["valid_unique_novel"][place] == count["valid_unique_novel"]
        for part in ("train", "test"):
            assert curves["recovery"][part][place] == brute.recovery(part, rows)
    assert curves["unique"][-1] == content["unique"] and curves["novel"][-1] == content["novel"]


def test_by_number_of_elements(content: dict[str, Any], brute: Brute) -> None:
    groups = content["by_n_elements"]
    assert list(groups) == ["1", "2", "3", "4"] + (["5"] if brute.rows(5) else [])
    for name, group in groups.items():
        rows = brute.rows(int(name))
        count = brute.counts(rows)
        assert group == {
            "n": len(rows),
            "distinct": count["distinct"],
            "unique": count["distinct"] / len(rows),
            "novel": count["novel"] / count["distinct"],
            "charge_neutral": count["charge_neutral"] / len(rows),
            "electronegativity_balanced": count["valid"] / len(rows),
            "valid": count["valid"] / len(rows),
            "balanced_common": count["balanced_common"] / len(rows),
            "rare_state": metrics.ratio(count["rare_state"], count["valid"]),
            "intermetallic": count["intermetallic"] / len(rows),
            "valid_unique_novel": count["valid_unique_novel"] / len(rows),
            "recovery": {part: brute.recovery(part, rows, n_elements=int(name)) for part in ("train", "test")},
        }
    assert sum(group["n"] for group in groups.values()) == content["counts"]["parsed"]


def test_references_apart(content: dict[str, Any], brute: Brute) -> None:
    rows = brute.rows()
    distinct = {c for c in brute.compositions if c is not None}
    assert [entry["name"] for entry in content["references"]] == ["first", "second"]
    for number, entry in enumerate(content["references"]):
        assert entry["sha256"] == REFERENCES[number].sha256
        assert entry["size"] == len(brute.known[number])
        assert entry["novel"] == len(distinct - set(brute.known[number])) / len(distinct)
        for part in ("train", "test"):
            assert entry["recovery"][part] == brute.recovery(part, rows, number)
    assert content["recovery"] == content["references"][0]["recovery"]
    assert content["novel"] == len(distinct - brute.everything) / len(distinct)


def test_chemical_systems(content: dict[str, Any], brute: Brute) -> None:
    def system(composition: Composition) -> str:
        return "-".join(sorted(element.symbol for element in composition))

    of_rows = Counter(system(brute.compositions[i]) for i in brute.rows())
    of_reference = Counter(system(c) for c in brute.known[0])
    of_any = {system(c) for c in brute.everything}
    entry = content["chemical_systems"]
    assert entry["distinct"] == len(of_rows)
    assert entry["novel"] == len(set(of_rows) - of_any)
    wanted = sorted(of_rows, key=lambda name: (-of_rows[name], name))[:50]
    assert [top["chemical_system"] for top in entry["top"]] == wanted
    for top in entry["top"]:
        rows = [i for i in brute.rows() if system(brute.compositions[i]) == top["chemical_system"]]
        assert top == {
            "chemical_system": top["chemical_system"],
            "n": len(rows),
            "distinct": sum(brute.new[i] for i in rows),
            "novel": sum(brute.new[i] and brute.novel[i] for i in rows),
            "valid": sum(brute.new[i] and brute.valid(i) for i in rows),
            "in_reference": of_reference[top["chemical_system"]],
        }


def test_near_duplicates(report: Report, brute: Brute) -> None:
    near = {}
    for i in brute.rows():
        if brute.novel[i] and brute.new[i]:
            hits = [c for c in swaps_of(ROWS[i]) if c.reduced_composition in brute.everything]
            near[brute.compositions[i]] = hits[0].reduced_formula if hits else None
    column = [None if c is None else near.get(c) for c in brute.compositions]
    assert listed(report.frame["near_duplicate_of"]) == column
    found = sum(formula is not None for formula in near.values())
    assert 0 < found < len(near)
    distinct = report.content["counts"]["distinct"]
    assert report.content["near_duplicates"] == {
        "of": len(near),
        "found": found,
        "fraction": found / len(near),
        "novel_beyond_substitution": pytest.approx((len(near) - found) / distinct),
    }


def test_copied(content: dict[str, Any], brute: Brute) -> None:
    rows = brute.rows()
    train, test = (brute.recovery(part, rows) for part in ("train", "test"))
    entry = content["memorization"]
    assert (entry["train_share"], entry["test_share"]) == (train, test)
    assert entry["ratio"] == pytest.approx(train / test)
    # The longest run, from every row of both sides.
    reference = [Composition(f).reduced_composition for f in REFERENCES[0].formulas]
    places: dict[Composition, list[int]] = {}
    for place, composition in enumerate(reference):
        places.setdefault(composition, []).append(place)
    longest = 0
    for i, composition in enumerate(brute.compositions):
        for place in places.get(composition, []):
            length = 0
            while (
                i + length < N
                and place + length < len(reference)
                and brute.compositions[i + length] == reference[place + length]
            ):
                length += 1
            longest = max(longest, length)
    # The run through rows 300 to 316 is cut by an unreadable row.
    assert entry["longest_run"] == longest >= 10
    assert "copied" in entry["verdict"]


def test_distributions(content: dict[str, Any], brute: Brute) -> None:
    # The first row of a repeated composition stands for it, as in a dataset.
    sides = {
        "generated": list(dict.fromkeys(c for c in brute.compositions if c is not None)),
        "reference": list(brute.known[0]),
    }
    for name in DISTRIBUTIONS:
        weights: dict[str, Counter] = {}
        for side, compositions in sides.items():
            weights[side] = counter = Counter()
            for composition in compositions:
                counter.update(categories(name, composition, brute))
        entry = content["distributions"][name]
        assert sorted(entry) == sorted(ENTRIES), name
        every = sorted(set(weights["generated"]) | set(weights["reference"]))
        p, q = ([weights[side][category] for category in every] for side in ("generated", "reference"))
        assert entry["jensen_shannon"] == pytest.approx(jensenshannon(p, q, base=2), abs=1e-12)
        covered = sum(b for a, b in zip(p, q, strict=True) if a)
        assert entry["coverage"] == pytest.approx(covered / sum(q))
        for side in sides:
            whole = sum(weights[side].values()) if name == "oxidation_states" else len(sides[side])
            listed = {category: share for category, share in entry[side].items() if share}
            largest = Counter(weights[side]).most_common(100)
            assert listed == pytest.approx({c: weights[side][c] / whole for c in listed})
            assert min(listed.values()) * whole <= largest[-1][1] or set(listed) == set(weights[side])
            assert {c for c, weight in largest if weight > largest[-1][1]} <= set(listed)
        assert list(entry["generated"]) == list(entry["reference"])
        assert 0 <= entry["jensen_shannon_floor"] <= 1 and 0 < entry["coverage_floor"] <= 1


def categories(name: str, composition: Composition, brute: Brute) -> list[str]:
    if name == "elements":
        return [element.symbol for element in composition]
    if name == "n_elements":
        return [str(len(composition))]
    if name == "n_atoms":
        return [str(sum(amounts(composition)))]
    if name == "anonymous_formulas":
        return [anonymous(composition)]
    found = brute.explained.get(composition) or explain(CompositionBatch.from_formulas([composition.formula]))
    text = found.oxidation_states[0]
    return [ion.lstrip("0123456789") for ion in text.split()] if text else []


def amounts(composition: Composition) -> list[int]:
    """Atoms of each element, without the common divisor that pymatgen leaves in O2 and Li2O2; ascending."""
    counts = sorted(int(amount) for amount in composition.values())
    return [count // math.gcd(*counts) for count in counts]


def anonymous(composition: Composition) -> str:
    counts = enumerate(amounts(composition))
    return "".join(chr(65 + i) + (str(count) if count > 1 else "") for i, count in counts)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [7, 1_000])
@pytest.mark.parametrize("in_memory", [True, False])
def test_chunks_change_nothing(rows: int, in_memory: bool, report: Report) -> None:
    again = evaluate(ROWS, REFERENCES, seed=3, limits=limits(rows, in_memory))
    assert again.content == report.content
    assert_same(again.frame, report.frame)


def limits(rows_per_chunk: int, in_memory: bool, **others: int) -> Limits:
    held = {} if in_memory else {"reference_keys_held": 10}
    return Limits(rows_per_chunk=rows_per_chunk, **held, **others)


def test_one_row_at_a_time() -> None:
    whole = evaluate(ROWS[:150], REFERENCES, baselines=False)
    again = evaluate(ROWS[:150], REFERENCES, baselines=False, limits=Limits(rows_per_chunk=1))
    assert again.content == whole.content
    assert_same(again.frame, whole.frame)


@pytest.mark.parametrize("limit", [1, 40, 200])
@pytest.mark.parametrize("in_memory", [True, False])
def test_only_the_first_novel_ones_are_examined(limit: int, in_memory: bool, report: Report) -> None:
    again = evaluate(ROWS, REFERENCES, baselines=False, limits=limits(90, in_memory, novel_examined=limit))
    whole = report.frame
    first = whole["duplicate_of"].fillna(pd.Series(np.arange(N), dtype="Int64")).to_numpy(np.int64)
    novel = np.flatnonzero(whole["novel"] & whole["duplicate_of"].isna())
    inside = first <= novel[limit - 1]
    assert listed(again.frame["near_duplicate_of"]) == listed(whole["near_duplicate_of"].where(inside, None))
    found = int(whole["near_duplicate_of"].iloc[novel[:limit]].notna().sum())
    entry = again.content["near_duplicates"]
    assert (entry["of"], entry["found"]) == (limit, found)
    beyond = again.content["novel"] * (1 - found / limit)
    assert entry["novel_beyond_substitution"] == pytest.approx(beyond)


def test_membership_by_brute_force_gives_the_same(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    assert passes.Membership is Membership
    monkeypatch.setattr(passes, "Membership", BruteForceMembership)
    assert evaluate(ROWS, REFERENCES, seed=3).content == report.content


def test_the_file_equals_the_frame(report: Report, tmp_path: Path) -> None:
    frame = pd.DataFrame({"formula": ROWS, "log_prob": np.linspace(-9, 0, N), "step": np.arange(N)})
    written = evaluate(frame, REFERENCES, baselines=False, out=tmp_path, limits=Limits(rows_per_chunk=333))
    stored = pd.read_parquet(tmp_path / "candidates.parquet")
    assert_same(stored, written.frame)
    assert_same(stored[list(COLUMNS)], report.frame[list(COLUMNS)])
    assert json.loads((tmp_path / "report.json").read_text()) == written.content


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl", "txt"])
def test_large_files_are_streamed(suffix: str, report: Report, tmp_path: Path) -> None:
    """A file of more rows than are held: nothing is kept but the file, and the numbers are those of the list."""
    rows = [row if row else "Xx" for row in ROWS]  # a blank line is no row of a text file
    path = tmp_path / f"big.{suffix}"
    frame = pd.DataFrame({"formula": rows})
    {
        "csv": lambda: frame.to_csv(path, index=False),
        "parquet": lambda: frame.to_parquet(path, row_group_size=300),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "txt": lambda: path.write_text("\n".join(rows)),
    }[suffix]()
    few = Limits(rows_per_chunk=450, rows_held=1_500)
    with pytest.raises(Exception, match="name a folder for the report") as error:
        evaluate(path, REFERENCES, baselines=False, limits=few)
    assert type(error.value).__name__ == "OptionError"
    streamed = evaluate(path, REFERENCES, seed=3, out=tmp_path / "report", limits=few)
    assert streamed._frame is None
    expected = evaluate(rows, REFERENCES, seed=3)
    different = ("protocol",)
    assert {k: v for k, v in streamed.content.items() if k not in different} == {
        k: v for k, v in expected.content.items() if k not in different
    }
    assert_same(streamed.frame, expected.frame)


def test_numbers_are_clean(content: dict[str, Any]) -> None:
    def walk(value: Any) -> None:
        if isinstance(value, dict):
            assert all(type(key) is str for key in value)
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
        else:
            assert value is None or type(value) in (str, int, float, bool), (value, type(value))
            assert not isinstance(value, float) or math.isfinite(value)

    walk(content)
    assert json.loads(json.dumps(content, allow_nan=False)) == content


def test_extreme_input_is_counted() -> None:
    everything = "".join(element.symbol for element in Element if element.symbol not in ("D", "T"))
    rows = [
        "D2O",
        "[2H]2O",
        "2H2O",
        everything,
        everything + "Uue",
        "Fe1000000O1500001",
        "Fe999999999999",
        "O" * 5_000,
        "XeOg",
        "NaCl",
        None,
        7,
        "Fe0.3333333333O",
        "É",
        "(" * 500,
    ]
    content = evaluate(rows, [Reference()]).content
    frame = evaluate(rows, [Reference()], baselines=False).frame
    assert content["n"] == len(rows)
    assert content["counts"]["bad"] == int((~frame["parsed"]).sum()) > 0
    assert frame["reason"][~frame["parsed"]].notna().all()
    assert frame["parsed"].tolist()[:1] == [True] and frame["reduced_formula"][0] == "H2O"
    assert content["by_n_elements"]["118"]["recovery"] == {"train": None, "test": None}
    assert "2500001" in content["distributions"]["n_atoms"]["generated"]
    assert json.dumps(content, allow_nan=False)
