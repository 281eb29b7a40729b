from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from matgen.errors import OptionError, OutputError
from matgen.files import read_json
from matgen.sample import Decoding, Sampler, SampleRequest, sample_to_file
from matgen.sample.engine import BLOCK_SIZE


@pytest.fixture(scope="module")
def sampler(checkpoints) -> Sampler:
    return Sampler(checkpoints("gpt2"))


class StopAfter:
    """Progress that fails in the middle of the work, as a kill would."""

    def __init__(self, blocks: int) -> None:
        self.left = blocks

    def start(self, total: int, done: int = 0) -> None: ...

    def advance(self, amount: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def close(self) -> None: ...


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_file_and_metadata(sampler: Sampler, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"candidates{suffix}"
    metadata = sample_to_file(sampler, SampleRequest(BLOCK_SIZE + 50, seed=2), out)
    frame = pd.read_csv(out, keep_default_na=False) if suffix == ".csv" else pd.read_parquet(out)
    assert list(frame.columns) == ["formula", "log_prob", "canonical"]
    assert len(frame) == BLOCK_SIZE + 50 == metadata["rows"]
    drawn = [formula for block in sampler.sample(BLOCK_SIZE + 50, seed=2) for formula in block.formulas]
    assert frame["formula"].tolist() == drawn
    assert json.loads(Path(f"{out}.json").read_text()) == metadata
    assert {"model_sha256", "seed", "n", "temperature", "versions", "formulas_per_second"} <= set(metadata)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([out.name, f"{out.name}.json"])


def test_a_kill_loses_at_most_a_block_and_resuming_ends_at_the_same_file(sampler: Sampler, tmp_path: Path) -> None:
    request = SampleRequest(3 * BLOCK_SIZE, seed=1)
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
        sample_to_file(sampler, SampleRequest(3 * BLOCK_SIZE, seed=9), out, resume=True)
    assert parts[0].stat().st_mtime_ns == kept
    sample_to_file(sampler, request, out, resume=True)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not Path(f"{out}.parts").exists()


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
        ids = original(*arguments, **options)
        ids[0, 1:] = 40
        return ids

    monkeypatch.setattr(sampler, "draw_ids", without_end)
    metadata = sample_to_file(sampler, SampleRequest(20), tmp_path / "a.csv")
    assert metadata["unfinished"] == 1
    assert pd.read_csv(tmp_path / "a.csv")["formula"][0].endswith("…")
    assert read_json(tmp_path / "a.csv.json")["unfinished"] == 1


def test_temperature_is_recorded(sampler: Sampler, tmp_path: Path) -> None:
    metadata = sample_to_file(sampler, SampleRequest(20, decoding=Decoding(0.8, 10, 0.9)), tmp_path / "a.csv")
    assert (metadata["temperature"], metadata["top_k"], metadata["top_p"]) == (0.8, 10, 0.9)
