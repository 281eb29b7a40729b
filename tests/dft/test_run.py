"""Running a folder: going on, failing, stopping, two at once; by a stand-in for the program, and by the programs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from matgen.dft.collect import collect
from matgen.dft.export import export, jobs_of
from matgen.dft.run import RunSettings, run_folder
from matgen.dft.settings import DFTSettings
from matgen.dft.status import read_status
from matgen.errors import DataError, MissingDependencyError, OptionError
from matgen.io.files import read_json, write_json

from .programs import NEEDS_GPAW, NEEDS_PW, StandIn, is_alive

NAMES = ("NaCl", "Si", "MgO")
IDS = [f"000{rank}-{name}-1" for rank, name in enumerate(NAMES, start=1)]


@pytest.fixture
def dft(structures: Callable[..., Path], tmp_path: Path) -> Path:
    export(jobs_of(structures(*NAMES)), tmp_path / "dft", "gpaw")
    return tmp_path / "dft"


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[..., StandIn]:
    return lambda plan=None: StandIn(tmp_path / "programs", plan or {})


def run(folder: Path, program: StandIn, **changes: object):
    return run_folder(folder, "gpaw", RunSettings(command=program.command, **changes))


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def test_a_second_call_runs_nothing(dft: Path, stand_in) -> None:
    program = stand_in({IDS[0]: {"energy": -7.25}})
    first = run(dft, program)
    assert (first.done, first.failed, first.run_now) == (IDS, {}, 3)
    status = read_json(dft / IDS[0] / "status.json")
    assert status["state"] == "done" and status["result"]["energy"] == -7.25 and status["seconds"] >= 0
    again = run(dft, program)
    assert (again.done, again.run_now) == (IDS, 0)
    assert program.called() == IDS


def test_a_failed_one_is_recorded_and_the_rest_go_on(dft: Path, stand_in) -> None:
    program = stand_in({IDS[0]: {"says": "MemoryError: no room"}, IDS[1]: {"converged": False}})
    summary = run(dft, program)
    assert summary.done == [IDS[2]]
    assert summary.failed == {IDS[0]: "GPAW left no result: MemoryError: no room", IDS[1]: "it did not converge"}
    assert run(dft, program).run_now == 0  # failed ones wait for --retry-failed
    program.becomes({})
    summary = run(dft, program, again=True)
    assert summary.done == IDS and summary.run_now == 2
    assert program.called() == [*IDS, *IDS[:2]]


HALF = [
    '{"energy": -7.0, "n_ato',
    "",
    "{}",
    '{"energy": NaN, "n_atoms": 2, "max_force": 0, "volume": 9, "converged": true}',
]


@pytest.mark.parametrize("text", HALF)
def test_half_a_result_is_a_failure(dft: Path, stand_in, text: str) -> None:
    summary = run(dft, stand_in({IDS[1]: {"writes": text}}))
    assert list(summary.failed) == [IDS[1]] and summary.failed[IDS[1]]
    assert "result" not in read_json(dft / IDS[1] / "status.json")


def test_a_program_that_ends_badly_after_a_whole_result(dft: Path, stand_in) -> None:
    summary = run(dft, stand_in({IDS[1]: {"status": 5}}))
    assert summary.failed[IDS[1]].endswith("ended with status 5")


def test_results_of_an_earlier_run_are_not_taken_for_new_ones(dft: Path, stand_in) -> None:
    program = stand_in({IDS[0]: {"converged": False}})
    run(dft, program)
    assert (dft / IDS[0] / "result.json").exists()
    program.becomes({IDS[0]: {"says": "out of memory"}})
    assert run(dft, program, again=True).failed == {IDS[0]: "GPAW left no result: out of memory"}


def ended_elsewhere(dft: Path, id: str, stand_in, **plan: object) -> None:
    """As the SLURM script leaves a calculation: outputs, and no status."""
    run(dft, stand_in({id: plan}))
    for other in IDS:
        (dft / other / "status.json").unlink()
        if other != id:
            (dft / other / "result.json").unlink()


def test_what_ended_elsewhere_is_adopted(dft: Path, stand_in) -> None:
    ended_elsewhere(dft, IDS[1], stand_in, energy=-8.5)
    program = stand_in()
    before = program.called()
    summary = run(dft, program)
    assert (summary.run_now, summary.adopted, summary.done) == (2, [IDS[1]], IDS)
    assert program.called()[len(before) :] == [IDS[0], IDS[2]]
    status = read_json(dft / IDS[1] / "status.json")
    assert status["adopted"] is True and status["result"]["energy"] == -8.5
    assert run(dft, program).run_now == 0


@pytest.mark.parametrize(("age", "left_alone"), [(10, True), (3_600, False)])
def test_fresh_partial_outputs_are_left_alone(dft: Path, stand_in, age: float, left_alone: bool) -> None:
    (dft / IDS[1] / "gpaw.txt").write_text("iter: 1\n")
    for path in (dft / IDS[1]).iterdir():
        os.utime(path, (time.time() - age,) * 2)
    summary = run(dft, stand_in())
    assert summary.elsewhere == ([IDS[1]] if left_alone else [])
    assert (dft / IDS[1] / "gpaw.txt").exists() == left_alone
    row = collect(dft).set_index("structure_id").loc[IDS[1]]
    assert row["state"] == ("waiting" if left_alone else "done")
    assert not left_alone or row["reason"].startswith("still running or cut short: ")


def test_a_run_of_our_own_that_was_killed_is_not_spared(dft: Path, stand_in) -> None:
    (dft / IDS[1] / "gpaw.txt").write_text("iter: 1\n")
    write_json(dft / IDS[1] / "status.json", {"state": "running", "engine": "gpaw"})
    assert run(dft, stand_in()).run_now == 3


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": "done"}', '{"state": "done", "result": {"energy": null}}',
                                  '{"state": "odd"}'])  # fmt: skip
def test_a_damaged_status_is_run_again(dft: Path, stand_in, text: str) -> None:
    program = stand_in()
    run(dft, program)
    (dft / IDS[1] / "status.json").write_text(text)
    assert read_status(dft / IDS[1])["state"] == "waiting"
    assert run(dft, program).run_now == 1
    assert program.called() == [*IDS, IDS[1]]


def test_time_runs_out_for_a_program_and_its_children(dft: Path, stand_in) -> None:
    program = stand_in({IDS[0]: {"sleep": 600, "child": True}})
    began = time.monotonic()
    summary = run(dft, program, hours=2 / 3600)
    assert time.monotonic() - began < 60
    assert summary.failed[IDS[0]].startswith("stopped after 0.000555556 hours") and summary.done == IDS[1:]
    child = int((dft / IDS[0] / "child.pid").read_text())
    wait_for(lambda: not is_alive(child) and not is_alive(program.processes()[0]), 10)


def test_when_the_time_is_up_the_rest_waits(dft: Path, stand_in) -> None:
    program = stand_in({IDS[1]: {"sleep": 600}})
    summary = run(dft, program, until=time.time() + 2)
    assert (summary.done, summary.failed, summary.later, summary.elsewhere) == ([IDS[0]], {}, IDS[1:], [])
    assert not is_alive(program.processes()[1])
    assert read_status(dft / IDS[1])["reason"] == "stopped when the time was up"
    assert collect(dft)["state"].to_list() == ["done", "waiting", "waiting"]
    program.becomes({})
    assert run(dft, program, until=time.time() - 1).later == IDS[1:]
    again = run(dft, program, until=time.time() + 600, hours=1.0)
    assert (again.done, again.later, again.run_now) == (IDS, [], 2)


def test_a_calculations_own_limit_is_a_failure_before_the_time_is_up(dft: Path, stand_in) -> None:
    summary = run(dft, stand_in({IDS[0]: {"sleep": 600}}), hours=1 / 3600, until=time.time() + 600)
    assert summary.failed[IDS[0]].startswith("stopped after") and summary.later == []


def test_each_that_ends_is_told(dft: Path, stand_in) -> None:
    told: list[tuple[str, str]] = []
    settings = RunSettings(command=stand_in({IDS[1]: {"says": "no room"}}).command)
    run_folder(dft, "gpaw", settings, ended=lambda id: told.append((id, read_status(dft / id)["state"])))
    assert told == [(IDS[0], "done"), (IDS[1], "failed"), (IDS[2], "done")]


def background(dft: Path, program: StandIn, *options: str) -> subprocess.Popen[str]:
    # A suite that runs in a shell's background ignores Ctrl-C, and so would what it starts. The new process itself sets
    # that right: code between fork and exec (`preexec_fn`) can wait forever for a lock of a thread of torch or Dask.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from matgen.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["dft", "run", str(dft), "--engine", "gpaw", "--command", program.command]
    return subprocess.Popen([sys.executable, "-c", code, *arguments, *options], stderr=subprocess.PIPE, text=True)


def test_a_killed_run_goes_on(dft: Path, stand_in) -> None:
    program = stand_in({IDS[1]: {"sleep": 600}})
    process = background(dft, program)
    wait_for(lambda: len(program.called()) == 2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not is_alive(program.processes()[1]), 10)  # the program ends with it
    assert [read_status(dft / id)["state"] for id in IDS] == ["done", "waiting", "waiting"]
    program.becomes({})
    summary = run(dft, program)
    assert summary.done == IDS and summary.run_now == 2
    assert program.called() == [IDS[0], IDS[1], IDS[1], IDS[2]]


def test_ctrl_c_stops_the_program_and_leaves_the_rest(dft: Path, stand_in) -> None:
    program = stand_in({IDS[0]: {"sleep": 600}})
    process = background(dft, program)
    wait_for(lambda: len(program.called()) == 1)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said
    assert f"what is done is kept. Go on with: matgen dft run {dft} --engine gpaw" in said
    assert not is_alive(program.processes()[0])
    assert read_status(dft / IDS[0])["state"] == "waiting"


def test_two_runs_at_once_share_the_work(dft: Path, stand_in) -> None:
    program = stand_in({"*": {"sleep": 1.5}})
    first = background(dft, program)
    wait_for(lambda: len(program.called()) == 1)
    second = run(dft, program)
    assert second.elsewhere or second.done == IDS
    _, said = first.communicate(timeout=120)
    assert "Traceback" not in said
    assert sorted(program.called()) == IDS  # none was run twice
    assert run(dft, program).done == IDS and sorted(program.called()) == IDS


def test_one_in_another_runs_hands_is_left_alone(dft: Path, stand_in) -> None:
    program = stand_in({IDS[0]: {"sleep": 600}})
    first = background(dft, program)
    wait_for(lambda: len(program.called()) == 1)
    program.becomes({})
    second = run(dft, program)
    assert (second.elsewhere, second.done, second.run_now) == ([IDS[0]], IDS[1:], 2)
    first.kill()
    first.communicate()
    wait_for(lambda: not is_alive(program.processes()[0]), 10)
    assert run(dft, program).done == IDS  # the claim of the dead does not count


@pytest.mark.slow
def test_two_workers(dft: Path, stand_in) -> None:
    program = stand_in({IDS[1]: {"says": "no room"}, "*": {"sleep": 0.5}})
    summary = run(dft, program, workers=2)
    assert summary.done == [IDS[0], IDS[2]] and summary.failed == {IDS[1]: "GPAW left no result: no room"}
    assert sorted(program.called()) == IDS


def test_a_folder_that_is_gone(dft: Path, stand_in) -> None:
    shutil.rmtree(dft / IDS[0])
    summary = run(dft, stand_in())
    assert summary.failed[IDS[0]].endswith("is missing") and summary.done == IDS[1:]


def test_bad_requests(dft: Path) -> None:
    for settings, error, message in [
        ({"command": "no-such-program x"}, MissingDependencyError, "no-such-program is not installed"),
        ({"command": "a 'b"}, OptionError, "cannot be read"),
        ({"command": " "}, OptionError, "is empty"),
    ]:
        with pytest.raises(error, match=message):
            run_folder(dft, "gpaw", RunSettings(**settings))
    with pytest.raises(OptionError, match="unknown engine 'siesta'"):
        run_folder(dft, "siesta")
    with pytest.raises(OptionError, match="holds inputs of gpaw, not of vasp"):
        run_folder(dft, "vasp")
    with pytest.raises(DataError, match=r"holds no manifest\.json"):
        run_folder(dft / IDS[0], "gpaw")
    for changes in ({"hours": 0.0}, {"hours": float("nan")}, {"workers": 0}):
        with pytest.raises(OptionError):
            RunSettings(**changes)
    assert not list(dft.rglob("status.json"))


def test_a_program_named_from_here(dft: Path, stand_in) -> None:
    program = stand_in()
    Path("here.sh").write_text(f"#!/bin/sh\nexec {program.command}\n")
    Path("here.sh").chmod(0o755)
    assert run_folder(dft, "gpaw", RunSettings(command="./here.sh")).done == IDS


@NEEDS_PW
@pytest.mark.slow
def test_pw_itself(structures, tmp_path: Path) -> None:
    out = tmp_path / "dft"
    exported = export(jobs_of(structures("Si", "NaCl")), out, "espresso", DFTSettings(cutoff=200, kpoint_density=1.5))
    assert list(exported.failed) == ["0002-NaCl-1"] and "no pseudopotential of Cl, Na" in exported.failed["0002-NaCl-1"]
    text = (out / "0001-Si-1/pw.in").read_text()
    (out / "0001-Si-1/pw.in").write_text(text.replace("electron_maxstep = 200", "electron_maxstep = 1"))
    assert run_folder(out, "espresso").failed == {"0001-Si-1": "it did not converge"}
    assert "result" not in read_json(out / "0001-Si-1/status.json")
    odd, count = re.subn(r"ibrav( +)= 0", "ibrav = 999", text)
    assert count == 1
    (out / "0001-Si-1/pw.in").write_text(odd)
    summary = run_folder(out, "espresso", RunSettings(again=True))
    assert "pw.x did not end well: Error in routine" in summary.failed["0001-Si-1"]
    (out / "0001-Si-1/pw.in").write_text(text)
    assert run_folder(out, "espresso", RunSettings(again=True)).done == ["0001-Si-1"]
    assert -290 < read_status(out / "0001-Si-1")["result"]["energy"] < -200


@NEEDS_GPAW
@pytest.mark.slow
def test_gpaw_itself_says_why_it_fails(structures, tmp_path: Path) -> None:
    out = tmp_path / "dft"
    export(jobs_of(structures("NaCl")), out, "gpaw", DFTSettings(cutoff=200, kpoint_density=0.5))
    script = out / "0001-NaCl-1/run.py"
    script.write_text(script.read_text().replace('txt="gpaw.txt"', 'txt="gpaw.txt", maxiter=2'))
    reason = run_folder(out, "gpaw").failed["0001-NaCl-1"]
    assert "KohnShamConvergenceError" in reason


def test_a_lost_worker_leaves_a_reason(dft: Path, stand_in, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(work, tasks, **_):
        yield 0, RuntimeError("its worker was lost 3 times\nin two lines")
        for place, task in enumerate(tasks[1:], start=1):
            yield place, work(task)

    monkeypatch.setattr("matgen.dft.run.run_tasks", lost)
    assert run(dft, stand_in()).failed == {IDS[0]: "its worker was lost 3 times"}


def test_a_status_says_what_was_run(dft: Path, stand_in) -> None:
    program = stand_in()
    write_json(dft / IDS[1] / "status.json", {"state": "failed", "reason": "earlier"})
    run(dft, program)
    status = json.loads((dft / IDS[0] / "status.json").read_text())
    assert status["engine"] == "gpaw"
    assert status["command"][1:] == [
        str(program.script),
        str(program.plan),
        str(program.calls),
    ]
    assert read_status(dft / IDS[1])["reason"] == "earlier"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Dask's own ports and sockets
def test_a_scheduler_that_runs_elsewhere(dft: Path, stand_in) -> None:
    from dask.distributed import LocalCluster

    program = stand_in({IDS[1]: {"says": "no room"}})
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        summary = run(dft, program, scheduler=cluster.scheduler_address)
    assert summary.done == [IDS[0], IDS[2]] and list(summary.failed) == [IDS[1]]
    with pytest.raises(DataError, match="no Dask scheduler answers at tcp://127"):
        run(dft, program, scheduler="tcp://127.0.0.1:9", again=True)
