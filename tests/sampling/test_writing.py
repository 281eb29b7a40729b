from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from matgen.cli import main
from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError, OutputError
from matgen.io.files import read_json, write_json
from matgen.sampling import Constraints, Decoding, Sampler, SampleRequest, sample_to_file
from tests.conftest import TWO_PROCESSES
from tests.progress import StopAfter

SIZE = 200


@pytest.fixture(scope="module")
def sampler(checkpoints) -> Sampler:
    return Sampler(checkpoints("gpt2"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_file_and_metadata(sampler: Sampler, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"candidates{suffix}"
    metadata = sample_to_file(sampler, SampleRequest(SIZE + 50, seed=2, block_size=SIZE), out)
    frame = pd.read_csv(out, keep_default_na=False) if suffix == ".csv" else pd.read_parquet(out)
    assert list(frame.columns) == ["formula", "log_prob", "canonical"]
    assert len(frame) == SIZE + 50 == metadata["rows"]
    drawn = [formula for block in sampler.sample(SIZE + 50, seed=2, block_size=SIZE) for formula in block.formulas]
    assert frame["formula"].tolist() == drawn
    assert json.loads(Path(f"{out}.json").read_text()) == metadata
    assert {"model_sha256", "seed", "n", "temperature", "versions", "formulas_per_second"} <= set(metadata)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([out.name, f"{out.name}.json"])


def test_a_kill_loses_at_most_a_block_and_resuming_ends_at_the_same_file(sampler: Sampler, tmp_path: Path) -> None:
    request = SampleRequest(3 * SIZE, seed=1, block_size=SIZE)
    sample_to_file(sampler, request, tmp_path / "whole.csv")
    out = tmp_path / "cut.csv"
    with pytest.raises(KeyboardInterrupt):
        sample_to_file(sampler, request, out, progress=StopAfter(2))
    assert not out.exists()
    parts = sorted(Path(f"{out}.parts").glob("*.parquet"))
    assert len(parts) == 2
    kept = parts[0].stat().st_mtime_ns
    with pytest.raises(OutputError, match="add --resume to go on"):
        sample_to_file(sampler, request, out)
    with pytest.raises(OutputError, match="parts of another request"):
        sample_to_file(sampler, SampleRequest(3 * SIZE, seed=9, block_size=SIZE), out, resume=True)
    assert parts[0].stat().st_mtime_ns == kept
    sample_to_file(sampler, request, out, resume=True)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not Path(f"{out}.parts").exists()


@pytest.mark.parametrize("rejection", [False, True])
def test_a_run_that_an_earlier_version_began_under_constraints_is_resumed(
    sampler: Sampler, tmp_path: Path, rejection: bool
) -> None:
    constraints = Constraints.from_options(num_elements="2..3")
    request = SampleRequest(3 * SIZE, seed=1, block_size=SIZE, constraints=constraints, rejection=rejection)
    sample_to_file(sampler, request, tmp_path / "whole.csv")
    out = tmp_path / "cut.csv"
    with pytest.raises(KeyboardInterrupt):
        sample_to_file(sampler, request, out, progress=StopAfter(1))
    plan = Path(f"{out}.parts", "plan.json")
    former = read_json(plan)
    former["constraints"]["elements"] = former["constraints"].pop("num_elements")
    former["constraints_meaning"] = "exact" if rejection else "masked"
    former["told"] = former.pop("condition_bins")
    write_json(plan, former)
    with pytest.raises(OutputError, match="parts of another request"):
        other = dataclasses.replace(request, constraints=Constraints.from_options(num_elements="2..4"))
        sample_to_file(sampler, other, out, resume=True)
    with pytest.raises(OutputError, match="parts of another request"):
        sample_to_file(sampler, dataclasses.replace(request, rejection=not rejection), out, resume=True)
    sample_to_file(sampler, request, out, resume=True)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize("options", [{}, {"unique": True, "most_draws": 10 * SIZE}], ids=["plain", "unique"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_reading_ahead_changes_no_file_resumed_or_not(
    sampler: Sampler, tmp_path: Path, monkeypatch, suffix: str, options: dict
) -> None:
    request = SampleRequest(3 * SIZE, seed=1, block_size=SIZE, **options)
    expected = tmp_path / f"expected{suffix}"
    sample_to_file(sampler, request, expected)
    monkeypatch.setattr(sampler, "reads_ahead", True)
    straight = tmp_path / f"straight{suffix}"
    sample_to_file(sampler, request, straight)
    assert straight.read_bytes() == expected.read_bytes()
    resumed = tmp_path / f"resumed{suffix}"
    with pytest.raises(KeyboardInterrupt):
        sample_to_file(sampler, request, resumed, progress=StopAfter(2))
    assert len(list(Path(f"{resumed}.parts").glob("*.parquet"))) == 2  # a block launched ahead was not read
    Path(f"{resumed}.parts", "part-000000.parquet").unlink()
    sample_to_file(sampler, request, resumed, resume=True)
    assert resumed.read_bytes() == expected.read_bytes()


def test_only_missing_blocks_are_drawn(sampler: Sampler, tmp_path: Path, monkeypatch) -> None:
    request = SampleRequest(4 * SIZE, seed=1, block_size=SIZE)
    out = tmp_path / "a.csv"
    with pytest.raises(KeyboardInterrupt):
        sample_to_file(sampler, request, out, progress=StopAfter(3))
    Path(f"{out}.parts", "part-000001.parquet").unlink()
    drawn, draw_ids = [], sampler.draw_ids

    def recorded(*arguments: object, block: int, **options: object):
        drawn.append(block)
        return draw_ids(*arguments, block=block, **options)

    monkeypatch.setattr(sampler, "draw_ids", recorded)
    sample_to_file(sampler, request, out, resume=True)
    assert drawn == [1, 3]


def test_resume_without_parts_starts(sampler: Sampler, tmp_path: Path) -> None:
    assert sample_to_file(sampler, SampleRequest(20), tmp_path / "a.csv", resume=True)["rows"] == 20


def test_existing_file_is_kept_unless_forced(sampler: Sampler, tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    out.write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        sample_to_file(sampler, SampleRequest(20), out)
    assert out.read_text() == "precious"
    sample_to_file(sampler, SampleRequest(20), out, force=True)
    assert out.read_text().startswith("formula,log_prob,canonical\n")


def test_bad_requests(sampler: Sampler, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"must end in \.csv or \.parquet"):
        sample_to_file(sampler, SampleRequest(20), tmp_path / "a.xlsx")
    with pytest.raises(OptionError, match="n is 0"):
        SampleRequest(0)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        sample_to_file(sampler, SampleRequest(20), tmp_path / "file" / "a.csv")


def test_unfinished_sequences_stay_as_unreadable_rows(sampler: Sampler, tmp_path: Path, monkeypatch) -> None:
    original = sampler.draw_ids

    def without_end(*arguments: object, **options: object):
        ids, log_prob = original(*arguments, **options)
        ids[0, 1:] = 40
        return ids, log_prob

    monkeypatch.setattr(sampler, "draw_ids", without_end)
    metadata = sample_to_file(sampler, SampleRequest(20), tmp_path / "a.csv")
    assert metadata["unfinished"] == 1
    assert pd.read_csv(tmp_path / "a.csv")["formula"][0].endswith("…")
    assert read_json(tmp_path / "a.csv.json")["unfinished"] == 1


def test_temperature_is_recorded(sampler: Sampler, tmp_path: Path) -> None:
    metadata = sample_to_file(sampler, SampleRequest(20, decoding=Decoding(0.8, 10, 0.9)), tmp_path / "a.csv")
    assert (metadata["temperature"], metadata["top_k"], metadata["top_p"]) == (0.8, 10, 0.9)


def test_unique_and_novel_rows_until_there_are_enough(sampler: Sampler, tmp_path: Path, formulas_csv) -> None:
    plain = [f for block in sampler.sample(4 * SIZE, seed=3, block_size=SIZE) for f in block.formulas if "…" not in f]
    known = formulas_csv(sorted(set(plain[:150]))[::2], "known.csv")
    ours = set(pd.read_csv(known, keep_default_na=False)["formula"])
    request = SampleRequest(300, seed=3, block_size=SIZE, unique=True, novel_to=(str(known),))
    metadata = sample_to_file(sampler, request, tmp_path / "new.csv")
    rows = pd.read_csv(tmp_path / "new.csv", keep_default_na=False)["formula"].tolist()
    expected = [f for f in dict.fromkeys(plain) if f not in ours]
    assert rows == expected[: len(rows)]
    assert len(rows) == 300 == metadata["rows"]
    assert metadata["stopped"] == "reached"
    tally = metadata["tally"]
    assert tally["kept"] == 300 <= tally["drawn"]
    assert tally["known"] == len(ours & set(plain[: tally["drawn"]]))
    assert metadata["yield"] == 300 / tally["drawn"]
    assert metadata["novel_to"][0]["size"] == len(ours)


def test_a_budget_of_draws_ends_it_with_what_there_is(sampler: Sampler, tmp_path: Path) -> None:
    request = SampleRequest(10_000, block_size=SIZE, unique=True, most_draws=2 * SIZE + 10)
    metadata = sample_to_file(sampler, request, tmp_path / "a.csv")
    assert metadata["stopped"] == "budget"
    assert metadata["tally"]["drawn"] == 2 * SIZE + 10
    assert 0 < metadata["rows"] == len(pd.read_csv(tmp_path / "a.csv")) <= 2 * SIZE + 10
    timed = SampleRequest(10_000, block_size=SIZE, unique=True, max_minutes=1e-6)
    assert sample_to_file(sampler, timed, tmp_path / "b.csv")["stopped"] == "time"


def test_drawing_stops_once_every_composition_is_kept(sampler: Sampler, tmp_path: Path) -> None:
    constraints = Constraints.from_options(within="Na-Cl-K", max_atoms=2)
    request = SampleRequest(6, block_size=SIZE, unique=True, constraints=constraints, most_draws=10**6)
    metadata = sample_to_file(sampler, request, tmp_path / "a.csv")
    assert metadata["stopped"] == "reached"
    assert sorted(pd.read_csv(tmp_path / "a.csv")["formula"]) == ["Cl2", "K", "KCl", "KNa", "Na", "NaCl"]
    more = dataclasses.replace(request, n=7)
    with pytest.raises(OptionError, match="only 6 compositions satisfy the constraints, fewer than n = 7"):
        sample_to_file(sampler, more, tmp_path / "b.csv")
    assert not list(tmp_path.glob("b.csv*"))


def test_constraints_are_kept_and_recorded(sampler: Sampler, tmp_path: Path) -> None:
    constraints = Constraints.from_options(contains="O", exclude="toxic", valid=True)
    masked = sample_to_file(sampler, SampleRequest(300, constraints=constraints), tmp_path / "m.csv")
    exact = sample_to_file(
        sampler, SampleRequest(50, constraints=constraints, rejection=True, block_size=SIZE), tmp_path / "e.csv"
    )
    for name in ("m.csv", "e.csv"):
        formulas = pd.read_csv(tmp_path / name, keep_default_na=False)["formula"]
        assert constraints.satisfied(CompositionBatch.from_formulas(formulas)).all()
    assert (masked["rows"], masked["constraints_meaning"], masked["yield"]) == (300, "masked", 1.0)
    assert (exact["rows"], exact["constraints_meaning"]) == (50, "rejection")
    assert exact["tally"]["refused"] > 0
    assert Constraints.from_options(**exact["constraints"]) == constraints


@pytest.mark.slow
def test_two_processes_write_the_file_of_one(sampler: Sampler, checkpoints, tmp_path: Path) -> None:
    """By `accelerate launch`, with and without filters."""
    command = [*TWO_PROCESSES, "-m", "matgen"]
    model = ["--model", str(checkpoints("gpt2")), "--block-size", str(SIZE), "--seed", "5", "--quiet"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_PORT": "29631"}
    for name, n, options in (("plain", 900, []), ("picked", 350, ["--unique", "--novel-to", "hybrid-strict"])):
        verb = ["sample", "-n", str(n), *model, *options]
        assert main([*verb, "--out", str(tmp_path / f"{name}-one.csv")]) == 0
        subprocess.run([*command, *verb, "--out", str(tmp_path / f"{name}-two.csv")], check=True, env=environment)
        one, two = (tmp_path / f"{name}-{count}.csv" for count in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
        metadata = read_json(Path(f"{two}.json"))
        assert metadata["processes"] == 2
        assert metadata["rows"] == n
        assert not Path(f"{two}.parts").exists()


@pytest.mark.slow
def test_processes_fail_together(checkpoints, tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    out.write_text("precious")
    command = [*TWO_PROCESSES, "-m", "matgen"]
    verb = ["sample", "-n", "10", "--model", str(checkpoints("gpt2")), "--out", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_PORT": "29632"}
    done = subprocess.run([*command, *verb], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode != 0
    assert "exists" in done.stderr
    assert out.read_text() == "precious"


def test_plain_draws_stop_at_their_limits_too(sampler: Sampler, tmp_path: Path) -> None:
    few = sample_to_file(sampler, SampleRequest(500, block_size=SIZE, most_draws=250), tmp_path / "few.csv")
    assert (few["rows"], few["stopped"]) == (250, "budget")
    timed = sample_to_file(sampler, SampleRequest(500, block_size=SIZE, max_minutes=1e-6), tmp_path / "timed.csv")
    assert (timed["rows"], timed["stopped"]) == (SIZE, "time")


def test_a_model_that_cannot_take_constraints_leaves_nothing_behind(checkpoints, tmp_path: Path) -> None:
    masked = Sampler(checkpoints("roberta"))
    constraints = Constraints.from_options(contains="O")
    with pytest.raises(OptionError, match="writes tokens in any order"):
        sample_to_file(masked, SampleRequest(20, constraints=constraints), tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())
    exact = SampleRequest(20, constraints=constraints, rejection=True, block_size=SIZE)
    assert sample_to_file(masked, exact, tmp_path / "a.csv")["rows"] == 20
