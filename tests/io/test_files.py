from __future__ import annotations

import math
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from matgen.errors import DataError, OutputError
from matgen.io.files import (
    atomic_write,
    atomic_write_files,
    lock,
    locked,
    next_free,
    read_checksummed,
    read_json,
    refuse_to_overwrite,
    write_checksummed,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_earlier_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    write_text(path, "earlier")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "earlier"
    assert [p.name for p in tmp_path.iterdir()] == ["result.txt"]


def test_a_full_disk_is_one_line_and_keeps_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    write_text(path, "earlier")
    message = "No space left on device"
    with pytest.raises(OutputError, match=message), atomic_write(path), open("/dev/full", "w") as full:
        full.write("x" * 10_000)
    assert path.read_text() == "earlier"


def test_an_impossible_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write .*file/below/out.json"):
        write_json(tmp_path / "file" / "below" / "out.json", {})


def test_written_files_have_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_text(tmp_path / "whole", "x")
    assert stat.S_IMODE((tmp_path / "whole").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_json(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"Å": 1})
    assert read_json(tmp_path / "a.json") == {"Å": 1}
    (tmp_path / "cut.json").write_text('{"a": [1,')
    with pytest.raises(DataError, match="not valid JSON"):
        read_json(tmp_path / "cut.json")
    with pytest.raises(DataError, match="cannot read .*missing.json"):
        read_json(tmp_path / "missing.json")


def test_next_free_counts_up(tmp_path: Path) -> None:
    path = tmp_path / "candidates.csv"
    assert next_free(path) == path
    path.write_text("x")
    assert next_free(path).name == "candidates-2.csv"
    (tmp_path / "candidates-2.csv.parts").mkdir()  # an unfinished run holds its name
    assert next_free(path).name == "candidates-3.csv"


def test_refuse_to_overwrite(tmp_path: Path) -> None:
    refuse_to_overwrite(tmp_path / "new", force=False)
    (tmp_path / "empty").mkdir()
    refuse_to_overwrite(tmp_path / "empty", force=False)
    (tmp_path / "file").write_text("x")
    refuse_to_overwrite(tmp_path / "file", force=True)
    with pytest.raises(OutputError, match="add --force"):
        refuse_to_overwrite(tmp_path / "file", force=False)
    with pytest.raises(OutputError, match="exists"):
        refuse_to_overwrite(tmp_path, force=False)


def test_a_second_run_at_an_output_is_refused_and_the_lock_goes(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out.csv"
    with lock(out), pytest.raises(OutputError, match="another run is writing"), lock(out):
        pass
    with lock(out):
        pass
    assert not list(tmp_path.iterdir())  # nor the folder that it lay in


def test_a_killed_run_leaves_no_lock_that_holds_and_its_half_written_file_goes(tmp_path: Path) -> None:
    out = tmp_path / "out[1].csv"
    program = (
        "import sys, time; from matgen.io.files import lock, atomic_write\n"
        "with lock(sys.argv[1]), atomic_write(sys.argv[1]) as t:\n"
        "    t.write_text('half'); print('ready', flush=True); time.sleep(60)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", program, str(out)], stdout=subprocess.PIPE)
    assert killed.stdout is not None and killed.stdout.readline() == b"ready\n"
    with pytest.raises(OutputError, match="another run"), lock(out):
        pass
    other = tmp_path / ".out1.csv.abcdefgh.tmp"  # a glob that took brackets for a class would take this one
    other.touch()
    killed.kill()
    killed.communicate()
    with lock(out):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".out1.csv.abcdefgh.tmp", ".out[1].csv.lock"]
    assert list(tmp_path.iterdir()) == [other]


def test_only_the_first_of_the_processes_of_a_run_holds_its_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @locked("out")
    def work(out: Path | None) -> int:
        return 1

    assert work(None) == 1
    with lock(tmp_path / "out"):
        with pytest.raises(OutputError, match="another run"):
            work(tmp_path / "out")
        monkeypatch.setenv("RANK", "1")
        assert work(out=tmp_path / "out") == 1


def test_a_sealed_file_tells_its_damage(tmp_path: Path) -> None:
    path = tmp_path / "told.json"
    content = {"rate": 0.1, "names": ("a", "ß"), "steps": {3: math.inf}}
    write_checksummed(path, content)
    assert read_checksummed(path) == {"rate": 0.1, "names": ["a", "ß"], "steps": {"3": math.inf}}
    path.write_text(path.read_text().replace("0.1", "0.2"))
    with pytest.raises(DataError, match="damaged or was changed"):
        read_checksummed(path)
    write_json(path, {"rate": 0.2})  # of an earlier version, or changed on purpose
    assert read_checksummed(path) == {"rate": 0.2}


def test_files_move_up_together(tmp_path: Path) -> None:
    names = ("table", "folder", "mark")
    with atomic_write_files(tmp_path, names) as stage:
        (stage / "folder").mkdir()
        for name in ("table", "folder/a", "mark"):
            (stage / name).write_text("first")
    with pytest.raises(OutputError), atomic_write_files(tmp_path, names) as stage:
        (stage / "table").write_text("second")
        raise OSError(28, "No space left on device")
    assert {path.name for path in tmp_path.iterdir()} == {"table", "folder", "mark"}
    assert (tmp_path / "table").read_text() == (tmp_path / "folder" / "a").read_text() == "first"
    with atomic_write_files(tmp_path, names) as stage:
        (stage / "mark").write_text("second")
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]
