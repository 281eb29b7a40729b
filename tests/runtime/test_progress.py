"""Progress as a terminal shows it, and as parts of one count."""

from __future__ import annotations

import pytest

from matgen.runtime.progress import TerminalProgress, part_of, silent
from tests.progress import Recorder

FIGURES = {"step": 40, "epoch": 1.5, "train_loss": 3.25, "valid_loss": 3.5, "formulas_per_second": 1234.0}


def test_without_a_terminal_only_trainings_print(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress(loss_unit="eV")(10, "train", "steps") as count:
        count.update(10)
        assert capsys.readouterr().err == ""
        count.note(FIGURES)
    line = capsys.readouterr().err
    assert line.startswith("step      40") and "3.500 eV" in line and "1,234 formulas/s" in line


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    with silent(None, "train", "steps") as count:
        count.update()
        count.note(FIGURES)
    assert capsys.readouterr() == ("", "")


def test_parts_are_counted_in_the_one_count() -> None:
    recorder = Recorder()
    with recorder(5, "predict", "formulas") as count:
        for size in (2, 3):
            with part_of(count)(size, "hull", "compositions") as part:
                part.update(size)
    assert recorder.begun == [(5, "predict", "formulas", 0)]
    assert recorder.updates == [2, 3]
