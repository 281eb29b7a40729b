"""Progress on a pseudo terminal: one line at a time, nothing of it elsewhere."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

SCRIPT = """
import sys, time, warnings
from matgen.runtime.progress import TerminalProgress, waiting
progress = TerminalProgress()
with waiting("working"):
    time.sleep(1.3)
    with progress(4, "outer", "formulas") as outer:
        for i in range(4):
            with progress(10, "inner", "steps") as inner:
                inner.update(5, rate=1234.5)
                print(f"remark {i}", file=sys.stderr)
                print(f"result {i}")
                warnings.warn(f"warning {i}")
                time.sleep(0.3)
                inner.update(5)
            outer.update()
    time.sleep(0.6)
print("the end")
"""


def on_a_terminal(script: str) -> str:
    """What a terminal of 100 columns gets of a script, control sequences and all."""
    master, slave = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=slave, stdout=slave, stderr=slave, env=environment
    )  # fmt: skip
    os.close(slave)
    got = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        got += part
    os.close(master)
    assert process.wait() == 0
    return got.decode()


def rows(text: str) -> list[str]:
    """Every state that any line of the terminal was in, of the sequences that rich writes."""
    return [row.strip() for row in re.split(r"\r\n|\r|\n|\x1b\[\d*[AK]|\x1b\[2K", re.sub(r"\x1b\[[\d;]*m", "", text))]


def left_on_screen(text: str) -> list[str]:
    """What is on the screen at the end: cursor up, carriage return, erase line are followed."""
    screen, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if token == "\n":
            row += 1
            screen += [""] * (row + 1 - len(screen))
        elif token == "\r":
            column = 0
        elif token.startswith("\x1b["):
            number = int(re.sub(r"\D", "", token) or 1)
            if token.endswith("A"):
                row -= number
            elif token.endswith("K"):
                screen[row] = ""
        else:
            screen[row] = screen[row][:column].ljust(column) + token + screen[row][column + len(token) :]
            column += len(token)
    return [line.rstrip() for line in screen if line.strip()]


def test_bars_and_remarks_never_share_a_line_and_time_goes_on() -> None:
    text = on_a_terminal(SCRIPT)
    states = rows(text)
    assert not [row for row in states if "outer" in row and "inner" in row]
    assert not [row for row in states if ("outer" in row or "inner" in row) and ("remark" in row or "result" in row)]
    assert any("inner" in row and "5/10 steps" in row and "1,234 formulas/s" in row for row in states)
    assert any("working" in row and "0:00:01" in row for row in states)  # nothing was counted meanwhile
    screen = left_on_screen(text)
    assert [line for line in screen if line.startswith(("remark", "result"))] == [
        f"{what} {i}" for i in range(4) for what in ("remark", "result")
    ]
    assert sum("warning" in line and "UserWarning" in line for line in screen) == 4
    assert screen[-1] == "the end"
    assert not [line for line in screen if "working" in line or "outer" in line]


def test_nothing_is_drawn_where_standard_error_is_no_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert [line for line in done.stderr.splitlines() if "warn" not in line] == [f"remark {i}" for i in range(4)]
    assert "\x1b" not in done.stdout + done.stderr


def test_a_forked_process_writes_by_itself() -> None:
    script = """
import os, sys
from matgen.runtime.progress import waiting
with waiting("working"):
    child = os.fork()
    if child == 0:
        print("of the child", file=sys.stderr)
        os._exit(type(sys.stderr).__name__ == "FileProxy")
    status = os.waitpid(child, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status))
"""
    assert "of the child" in on_a_terminal(script)
