"""A campaign from end to end: with a program in GPAW's place for what can go wrong, and with GPAW and pw.x."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from matgen.dft.campaign.steps import dry_run
from matgen.dft.export import export
from matgen.io.files import read_json
from tests.dft.programs import NEEDS_GPAW, NEEDS_PW, StandIn, is_alive

Matgen = Callable[..., tuple[int, str]]

NACL, MGO = "0001-NaCl-1", "0002-MgO-1"
LOW = {NACL: {"energy": -8.0}, MGO: {"energy": -9.0}}
"""Per cell of two atoms, of which each element has -3 eV: formation energies of -1.0 and -1.5 eV/atom."""


def campaign(program: StandIn, *more: object) -> tuple[object, ...]:
    return ("dft", "campaign", "structures", "--engine", "gpaw", "--command", program.command, *more)


def results(folder: str = "campaign") -> pd.DataFrame:
    return pd.read_csv(f"{folder}/results.csv", keep_default_na=False, na_values=[""]).set_index("formula")


@pytest.mark.usefixtures("no_competition")
def test_from_structures_to_a_report(relaxed, program: StandIn, matgen: Matgen) -> None:
    program.becomes(LOW)
    relaxed("NaCl", "MgO")
    status, said = matgen(*campaign(program))
    assert status == 0, said
    assert "3/4 calculations: 6 calculations, 17 atoms: 2 candidates, 4 elements, 0 competing phases" in said
    # The first candidate is complete before anything of the second is run.
    assert program.called() == ["element-Mg", "element-O", MGO, "element-Na", "element-Cl", NACL]
    frame = results()
    assert frame.index.to_list() == ["MgO", "NaCl"]  # lowest first
    assert frame["energy_above_hull_dft"].to_list() == pytest.approx([-1.5, -1.0])
    products = [set(text.split(" + ")) for text in frame["decomposition_dft"]]
    assert products == [{"0.50 Mg", "0.50 O"}, {"0.50 Na", "0.50 Cl"}]
    assert frame["mine"].to_list() == ["note MgO", "note NaCl"]
    assert frame["reason"].to_list() == ["the user's"] * 2 and frame["reason_dft"].isna().all()
    content = read_json("campaign/report/report.json")
    assert (content["stable"], content["within_0.1"], content["with_energy_above_hull"]) == (2, 2, 2)
    assert content["calculations"] == {"done": 6, "failed": 0, "waiting": 0} and content["core_hours"] is None
    page = Path("campaign/report/index.html").read_text()
    assert "2 of 2 candidates are on or below the hull by DFT" in page and frame.loc["MgO", "decomposition_dft"] in page
    assert pd.read_csv("campaign/calculations.csv")["state"].to_list() == ["done"] * 6
    assert "MgO: -1.500 eV/atom above the hull by DFT, against 0.50 " in said
    # Said again, nothing is run.
    status, said = matgen(*campaign(program))
    assert status == 0 and "there from an earlier call" in said and "6 done before" in said
    assert len(program.called()) == 6


@pytest.mark.usefixtures("no_competition")
def test_a_failed_calculation_is_told_and_tried_again_on_request(relaxed, program: StandIn, matgen: Matgen) -> None:
    program.becomes(LOW | {"element-Cl": {"says": "MemoryError: no room"}})
    relaxed("NaCl", "MgO")
    status, said = matgen(*campaign(program))
    assert status == 1 and "element-Cl: failed (GPAW left no result: MemoryError: no room)" in said
    frame = results()
    assert frame.loc["NaCl", "state_dft"] == "done" and "no reference of Cl" in frame.loc["NaCl", "reason_dft"]
    assert pd.isna(frame.loc["NaCl", "energy_above_hull_dft"]) and frame.loc["MgO", "energy_above_hull_dft"] < 0
    assert read_json("campaign/report/report.json")["calculations"] == {"done": 5, "failed": 1, "waiting": 0}
    program.becomes(LOW)
    assert matgen(*campaign(program))[0] == 1  # a failed one waits for --retry-failed
    assert matgen(*campaign(program, "--retry-failed"))[0] == 0
    assert program.called()[6:] == ["element-Cl"]
    assert results().loc["NaCl", "energy_above_hull_dft"] == pytest.approx(-1.0)


@pytest.mark.usefixtures("no_competition")
def test_ctrl_c_leaves_a_report_and_the_next_call_goes_on(relaxed, program: StandIn, matgen: Matgen) -> None:
    program.becomes(LOW | {"element-Na": {"sleep": 600}})
    relaxed("NaCl", "MgO")

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while "element-Na" not in program.called() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread = threading.Thread(target=interrupt)
        thread.start()
        status, said = matgen(*campaign(program))
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert status == 130 and "the same command goes on" in said
    assert not is_alive(program.processes()[-1])
    frame = results()
    assert frame["state_dft"].to_dict() == {"MgO": "done", "NaCl": "waiting"}
    assert frame.loc["MgO", "energy_above_hull_dft"] == pytest.approx(-1.5)
    program.becomes(LOW)
    assert matgen(*campaign(program))[0] == 0
    assert program.called()[3:] == ["element-Na", "element-Na", "element-Cl", NACL]


@pytest.mark.slow
@pytest.mark.usefixtures("no_competition")
def test_hours_of_a_call(relaxed, program: StandIn, matgen: Matgen) -> None:
    program.becomes(LOW | {"element-O": {"sleep": 600}})
    relaxed("NaCl", "MgO")
    assert matgen(*campaign(program, "--hours", 1e-9))[0] == 1  # all but the calculations
    status, said = matgen(*campaign(program, "--hours", 6 / 3600))
    assert status == 1 and "1 done, 0 failed, 5 still to be run (say the same again)" in said
    program.becomes(LOW)
    assert matgen(*campaign(program))[0] == 0 and results()["energy_above_hull_dft"].notna().all()


@pytest.mark.usefixtures("no_competition")
def test_inputs_that_a_kill_left_half_written_are_written_again(
    relaxed, program: StandIn, matgen: Matgen, monkeypatch: pytest.MonkeyPatch
) -> None:
    relaxed("NaCl")

    def killed(jobs, out, *arguments, **options):
        export(jobs, out, *arguments, **options)
        (out / "manifest.json").unlink()
        (out.parent / ".dft.abc").mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("matgen.dft.campaign.inputs.export", killed)
        assert matgen(*campaign(program))[0] == 130
    assert matgen(*campaign(program))[0] == 0
    assert sorted(path.name for path in Path("campaign").iterdir() if path.name.startswith(".")) == []


@pytest.mark.usefixtures("no_competition")
def test_other_settings_are_refused(relaxed, program: StandIn, matgen: Matgen, refused: Callable[..., str]) -> None:
    relaxed("NaCl", "MgO")
    assert matgen(*campaign(program))[0] == 0
    before = {path: path.read_bytes() for path in Path("campaign").rglob("*") if path.is_file()}
    for options, message in [
        (("--cutoff", 300), "campaign was begun with other --cutoff: repeat them, or choose another --out"),
        (("--top", 1, "--max-atoms", 4), "begun with other --max-atoms, --top: "),
        (("--calculation", "relax"), "other --calculation"),
        (("--out", "structures"), "structures exists and holds no campaign.json: choose another --out"),
        (("--hours", 0), "--hours is 0, it must be above 0"),
        (("--top", 0), "top is 0"),
        (("--workers", 0), "workers is 0"),
        (("--potential", "nothing"), "unknown potential 'nothing'"),
        (("--engine", "siesta"), "unknown engine 'siesta'"),
    ]:
        assert message in refused(*campaign(program, *options)), options
    assert "no such file: no.csv" in refused(
        "dft", "campaign", "no.csv", "--engine", "gpaw", "--command", program.command
    )
    after = {path: path.read_bytes() for path in Path("campaign").rglob("*") if path.is_file()}
    assert before == after and len(program.called()) == 6


def test_an_engine_that_is_missing(relaxed, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    relaxed("NaCl")
    monkeypatch.setenv("PATH", "/nowhere")
    line = refused("dft", "campaign", "structures", "--engine", "gpaw")
    assert line == "matgen dft: gpaw is not installed: apt install gpaw gpaw-data" and not Path("campaign").exists()


def test_no_pseudopotentials(relaxed, program: StandIn, refused, monkeypatch: pytest.MonkeyPatch) -> None:
    relaxed("NaCl")
    monkeypatch.delenv("ESPRESSO_PSEUDO", raising=False)
    monkeypatch.setattr("matgen.dft.espresso.SYSTEM_FAMILY", Path("/nowhere"))
    line = refused("dft", "campaign", "structures", "--engine", "espresso", "--command", program.command)
    assert "pw.x needs pseudopotentials: give --pseudopotentials FOLDER (SSSP or PseudoDojo)" in line
    assert not Path("campaign").exists()


@pytest.mark.usefixtures("no_competition")
def test_candidates_that_cannot_be_compared_are_left_out(relaxed, program: StandIn, matgen: Matgen) -> None:
    program.becomes(LOW)
    relaxed("EuO", "MgO", "MgS", "MnO")
    status, said = matgen(*campaign(program, "--max-atoms", 3))
    assert status == 0, said
    frame = results()
    assert frame["state_dft"].to_dict() == dict.fromkeys(("EuO", "MgS", "MnO"), "left out") | {"MgO": "done"}
    assert frame.loc["EuO", "reason_dft"] == "GPAW has no PBE data of Eu here"
    assert frame.loc["MgS", "reason_dft"].startswith("no formation energy: no structure of S with at most 4 atoms")
    assert frame.loc["MnO", "reason_dft"] == "4 atoms, above --max-atoms 3"
    assert "left out EuO: GPAW has no PBE data of Eu here" in said
    assert sorted(program.called()) == [MGO, "element-Mg", "element-O"]
    assert read_json("campaign/report/report.json")["left_out"] == 3
    assert "4 atoms, above --max-atoms 3" in Path("campaign/report/index.html").read_text()


def test_nothing_to_calculate(relaxed, program: StandIn, refused: Callable[..., str]) -> None:
    relaxed("EuO")
    assert "no candidate can be calculated; EuO: GPAW has no PBE data" in refused(*campaign(program))


@pytest.mark.slow
def test_a_competing_phase_without_a_structure(
    relaxed, program: StandIn, matgen: Matgen, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.becomes(LOW)
    relaxed("NaCl", "MgO")
    lacking = "Na31Cl29"
    monkeypatch.setattr("matgen.dft.campaign.steps.competing_formulas", lambda formulas: ["MgO2", lacking])
    status, said = matgen(*campaign(program))
    assert status == 0 and f"no structure of the competing phase {lacking}: " in said
    frame = results()
    assert pd.isna(frame.loc["NaCl", "energy_above_hull_dft"]) and frame.loc["NaCl", "formation_energy_dft"] == -1.0
    assert f"{lacking} competes and is lacking" in frame.loc["NaCl", "reason_dft"]
    assert frame.loc["MgO", "energy_above_hull_dft"] == pytest.approx(-1.5)
    assert lacking in Path("campaign/report/index.html").read_text()
    shutil.rmtree("campaign/dft")
    status, said = matgen(*campaign(program))
    assert status == 0 and "structures there from an earlier call" in said


@NEEDS_GPAW
@pytest.mark.slow
def test_from_a_table_with_gpaw(matgen: Matgen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Structures, competing phases and elements of two compounds; lithium fluoride is known to be very stable."""
    Path("ranked.csv").write_text("composition,energy_above_hull\nLiF,-0.5\nEuF3,0.0\nFLi,-0.5\nLi2F,0.1\nBaO,0\n")
    low = ("--cutoff", 250, "--kpoint-density", 0.6, "--max-atoms", 6, "--per-formula", 1, "--finish", "none")
    line = ("dft", "campaign", "ranked.csv", "--top", 3, "--engine", "gpaw", *low, "--out", "out")
    status, said = matgen(*line, "--dry-run")
    assert status == 0 and "left out EuF3" in said and not Path("out").exists(), said
    counted = [text for text in said.splitlines() if text.startswith("about ")]
    status, said = matgen(*line)
    assert status == 0, said
    frame = results("out")
    assert frame.index.to_list() == ["LiF", "Li2F", "EuF3"]
    assert -4 < frame.loc["LiF", "formation_energy_dft"] < -2
    assert frame.loc["LiF", "energy_above_hull_dft"] < -1 < 0 < frame.loc["Li2F", "energy_above_hull_dft"]
    assert {"energy_above_hull_chgnet_uncorrected", "seconds_dft", "energy_above_hull"} <= set(frame)
    n = len(read_json("out/dft/manifest.json")["jobs"])
    assert len(counted) == 1 and f"about {n} calculations" in counted[0]
    assert read_json("out/report/report.json")["core_hours"] > 0
    status, said = matgen(*line, "--dry-run")
    assert f"{n} of them done" in said
    Path("ranked.csv").write_text("composition\nMgO\n")
    assert matgen(*line)[0] == 2


@NEEDS_PW
@pytest.mark.slow
@pytest.mark.usefixtures("no_competition")
def test_with_pw(relaxed, matgen: Matgen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pseudopotentials that come with Quantum ESPRESSO have silicon and carbon."""
    monkeypatch.delenv("ESPRESSO_PSEUDO", raising=False)
    relaxed("NaCl", "SiC")
    status, said = matgen("dft", "campaign", "structures", "--engine", "espresso", "--cutoff", 200,
                          "--kpoint-density", 1.5)  # fmt: skip
    assert status == 0, said
    assert "left out NaCl: Quantum ESPRESSO has no PBE data of Cl, Na here" in said
    frame = results()
    assert frame.index.to_list() == ["SiC", "NaCl"] and -2 < frame.loc["SiC", "formation_energy_dft"] < 0


def test_a_dry_run_of_given_structures(relaxed, monkeypatch: pytest.MonkeyPatch) -> None:
    from matgen.dft.campaign.plan import CampaignPlan

    monkeypatch.setattr("matgen.dft.campaign.steps.competing_formulas", lambda formulas: [])
    relaxed("NaCl", "EuO", "MgO")
    lines = dry_run("structures", "campaign", CampaignPlan("gpaw"))
    assert lines == [
        "left out EuO: GPAW has no PBE data of Eu here",
        "about 6 calculations, 17 atoms: 2 candidates, 4 elements, 0 competing phases",
    ]
    assert not Path("campaign").exists()
