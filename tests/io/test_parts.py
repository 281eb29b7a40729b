from __future__ import annotations

from pathlib import Path

import pytest

from matgen.errors import OutputError
from matgen.io.parts import PartsFolder


def test_parts_are_resumed_by_the_same_plan_alone(tmp_path: Path) -> None:
    parts = PartsFolder(tmp_path / "out.parts")
    parts.open({"n": 1}, resume=False, force=False)
    parts.path(3).touch()
    assert parts.holds(3) and not parts.holds(0)
    with pytest.raises(OutputError, match="holds an unfinished run"):
        parts.open({"n": 1}, resume=False, force=False)
    with pytest.raises(OutputError, match="parts of another request"):
        parts.open({"n": 2}, resume=True, force=False)
    parts.open({"n": 1}, resume=True, force=False)
    parts.remove_if_empty()
    assert parts.holds(3)
    parts.open({"n": 2}, resume=False, force=True)
    assert not parts.holds(3)
    parts.remove_if_empty()
    assert not parts.folder.exists()
