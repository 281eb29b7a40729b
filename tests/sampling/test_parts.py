from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matgen.errors import OutputError
from matgen.io.files import write_json
from matgen.sampling import SampleBlock
from matgen.sampling.parts import Parts


def block(number: int, trace: bool) -> SampleBlock:
    return SampleBlock(
        number,
        5,
        1,
        np.array(["NaCl", "Na …"], dtype=object),
        np.array([-1.5, np.nan]),
        np.array([True, False]),
        np.array([[1, 2], [0, 0]], dtype=np.uint64),
        np.array(["_ | Na _ | Na Cl", "_ | Na _"], dtype=object) if trace else None,
    )


@pytest.mark.parametrize("trace", [False, True])
def test_blocks_are_read_as_written_up_to_the_first_missing(tmp_path: Path, trace: bool) -> None:
    parts = Parts(tmp_path / "parts")
    parts.open({"n": 5}, resume=False, force=False)
    for number in (0, 1, 3):
        parts.write(block(number, trace))
    assert [parts.holds(number) for number in range(4)] == [True, True, False, True]
    assert [one.number for one in parts] == [0, 1]
    written, expected = parts.read(3), block(3, trace)
    assert (written.number, written.drawn, written.unfinished) == (3, 5, 1)
    for name in ("formulas", "canonical", "keys"):
        assert getattr(written, name).tolist() == getattr(expected, name).tolist()
    assert np.array_equal(written.log_prob, expected.log_prob, equal_nan=True)
    assert (written.trace is None) == (not trace)
    assert not trace or written.trace.tolist() == expected.trace.tolist()
    parts.remove()
    assert not parts.folder.exists()


NO_CONSTRAINTS = {"constraints": None, "constraints_meaning": None}


@pytest.mark.parametrize(
    ("former", "present"),
    [
        ({"told": {"size=1..2": 1.0}, **NO_CONSTRAINTS}, {"condition_bins": {"size=1..2": 1.0}, **NO_CONSTRAINTS}),
        (
            {"told": {}, "constraints": {"elements": "2"}, "constraints_meaning": "exact"},
            {"condition_bins": {}, "constraints": {"num_elements": "2"}, "constraints_meaning": "rejection"},
        ),
    ],
)
def test_a_plan_of_0_2_is_read_under_the_names_of_today(tmp_path: Path, former: Any, present: Any) -> None:
    parts = Parts(tmp_path)
    write_json(tmp_path / "plan.json", former)
    parts.open(present, resume=True, force=False)
    with pytest.raises(OutputError, match="parts of another request"):
        parts.open(present | {"condition_bins": {"size=2..3": 1.0}}, resume=True, force=False)
