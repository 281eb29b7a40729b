"""How images become columns: gray values as the paper has them, coarse ones, or words for patches.

A language model reads a column in a few tokens, so 784 pixels of 256 gray values are long sentences and few of them a
minute. Patches are a vocabulary that is learned from the training images (vector quantization: Gray, IEEE ASSP Magazine
1, 4 (1984)): each patch of 4 x 4 pixels is written as its nearest word, and a word means the same wherever it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from matgen.errors import DataError, OptionError, unknown_name

ENCODINGS = ("patches", "coarse", "pixels")
_PATCHES_TO_LEARN_FROM = 60_000
_AT_ONCE = 20_000
_WHITE = 255


class Encoding(Protocol):
    """Images as the columns of a table, and back."""

    def table(self, pixels: np.ndarray) -> pd.DataFrame:
        """Images, uint8 `(n, height, width)`, as `n` rows."""

    def images(self, table: pd.DataFrame) -> np.ndarray:
        """Rows as images, float64 `(n, height, width)` from 0 to 255; what is missing is nan, what was cropped 0."""

    def as_json(self) -> dict[str, Any]:
        """The encoding as JSON takes it."""


@dataclass(frozen=True)
class GrayLevels:
    """A column for each pixel, or for each block of pixels, with its gray value in whole levels.

    Attributes:
        side: pixels along each side of an image.
        crop: pixels at each edge that are left out; published: 5 of 28.
        block: pixels along each side of a block, whose mean is taken; 1 takes every pixel.
        levels: gray values, from 0 on; 256 keeps them all.
    """

    side: int
    crop: int = 5
    block: int = 1
    levels: int = 256

    def __post_init__(self) -> None:
        _require_grid(self.side, self.crop, self.block, "block")
        if not 2 <= self.levels <= _WHITE + 1:
            raise OptionError(f"levels is {self.levels}, it must be from 2 to 256")

    @property
    def columns(self) -> list[str]:
        """Names, row by row from the upper left."""
        return _names("pixel", (self.side - 2 * self.crop) // self.block)

    def table(self, pixels: np.ndarray) -> pd.DataFrame:
        """See `Encoding.table`; whole numbers from 0 to `levels - 1`."""
        means = _patches(_cropped(pixels, self.side, self.crop), self.block).mean(axis=2)  # (n, columns)
        levels = np.minimum(np.floor(means * (self.levels / (_WHITE + 1))), self.levels - 1)
        return pd.DataFrame(levels.astype(np.int16), columns=self.columns)

    def images(self, table: pd.DataFrame) -> np.ndarray:
        """See `Encoding.images`; each level as the middle of its gray values."""
        levels = table[self.columns].to_numpy(np.float64)
        values = (levels + 0.5) * ((_WHITE + 1) / self.levels) - 0.5
        values = np.where(levels == 0, 0.0, values)  # the background stays empty
        return _whole(np.repeat(values[:, :, None], self.block**2, axis=2), self.block, self.side, self.crop)

    def as_json(self) -> dict[str, Any]:
        """See `Encoding.as_json`."""
        return {"encoding": "coarse" if self.block > 1 else "pixels", **asdict(self)}


@dataclass(frozen=True)
class PatchWords:
    """A column for each patch, with the word that is nearest to it.

    Attributes:
        side: pixels along each side of an image.
        crop: pixels at each edge that are left out.
        patch: pixels along each side of a patch.
        words: gray values of each word, float64 `(words, patch * patch)`, from dark to bright; the first is blank.
    """

    side: int
    crop: int
    patch: int
    words: np.ndarray

    def __post_init__(self) -> None:
        _require_grid(self.side, self.crop, self.patch, "patch")
        if self.words.ndim != 2 or self.words.shape[1] != self.patch**2 or len(self.words) < 2:
            raise DataError(f"words of patches of {self.patch} x {self.patch} pixels have another number of values")

    @classmethod
    def learned(
        cls, pixels: np.ndarray, *, crop: int = 0, patch: int = 4, words: int = 256, seed: int = 0
    ) -> PatchWords:
        """The words that are nearest to the patches of images, by k-means; the first stands for what is blank.

        Args:
            pixels: training images, uint8 `(n, side, side)`.
            crop: pixels at each edge that are left out.
            patch: pixels along each side of a patch.
            words: at most.
            seed: of the patches that are drawn, and of k-means.

        Raises:
            OptionError: patches that do not fill the image, or fewer than two words.
            DataError: images that are no squares, or all blank.
        """
        from sklearn.cluster import MiniBatchKMeans

        side = _side(pixels)
        _require_grid(side, crop, patch, "patch")
        if words < 2:
            raise OptionError(f"words is {words}, it must be at least 2")
        seen = _patches(_cropped(pixels, side, crop), patch).reshape(-1, patch**2)
        seen = seen[seen.any(axis=1)]
        if not len(seen):
            raise DataError("all images are blank")
        rng = np.random.default_rng(seed)
        drawn = seen[rng.permutation(len(seen))[:_PATCHES_TO_LEARN_FROM]].astype(np.float32)
        means = MiniBatchKMeans(
            min(words - 1, len(np.unique(drawn, axis=0))), random_state=seed, n_init=1, batch_size=2_048, max_iter=30
        )
        centers = np.rint(means.fit(drawn).cluster_centers_.astype(np.float64))
        centers = np.unique(centers[centers.any(axis=1)], axis=0)
        centers = centers[np.argsort(centers.sum(axis=1), kind="stable")]
        return cls(side, crop, patch, np.vstack([np.zeros((1, patch**2)), centers]))

    @property
    def columns(self) -> list[str]:
        """Names, row by row from the upper left."""
        return _names("patch", (self.side - 2 * self.crop) // self.patch)

    @property
    def spelled(self) -> list[str]:
        """The words as they are written."""
        digits = len(str(len(self.words) - 1))
        return [f"w{i:0{digits}d}" for i in range(len(self.words))]

    def table(self, pixels: np.ndarray) -> pd.DataFrame:
        """See `Encoding.table`; every column is a category with all words."""
        seen = _patches(_cropped(pixels, self.side, self.crop), self.patch)  # (n, columns, patch * patch)
        codes = self._nearest(seen.reshape(-1, self.patch**2)).reshape(seen.shape[:2])
        spelled = pd.Index(self.spelled)
        made = {name: pd.Categorical.from_codes(codes[:, i], spelled) for i, name in enumerate(self.columns)}
        return pd.DataFrame(made)

    def _nearest(self, patches: np.ndarray) -> np.ndarray:
        """The word of least squared distance to each patch, int64 `(n,)`."""
        words = self.words.astype(np.float32)
        half_squares = 0.5 * (words**2).sum(axis=1)
        out = np.empty(len(patches), dtype=np.int64)
        for first in range(0, len(patches), _AT_ONCE):  # products of bytes are too large for bytes
            part = patches[first : first + _AT_ONCE].astype(np.float32)
            out[first : first + _AT_ONCE] = (half_squares - part @ words.T).argmin(axis=1)
        return out

    def images(self, table: pd.DataFrame) -> np.ndarray:
        """See `Encoding.images`.

        Raises:
            DataError: a cell that is none of the words.
        """
        code = {word: i for i, word in enumerate(self.spelled)}
        values = np.vstack([self.words, np.full(self.patch**2, np.nan)])
        codes = np.full((len(table), len(self.columns)), len(self.words))
        for i, name in enumerate(self.columns):
            cells = table[name].astype(object)
            known = cells.notna().to_numpy()
            odd = next((cell for cell in cells[known] if cell not in code), None)
            if odd is not None:
                raise DataError(f"column {name!r}: {odd!r} is none of the {len(code):,} words")
            codes[known, i] = [code[cell] for cell in cells[known]]
        return _whole(values[codes], self.patch, self.side, self.crop)

    def as_json(self) -> dict[str, Any]:
        """See `Encoding.as_json`."""
        return {"encoding": "patches", **asdict(self), "words": self.words.astype(int).tolist()}


def make_encoding(name: str, pixels: np.ndarray, *, crop: int = 0, seed: int = 0) -> Encoding:
    """An encoding by its name: `patches` of 4 x 4 pixels in 256 words, `coarse` means of 2 x 2 pixels in ten levels, or
    `pixels`, the gray values of the central 18 x 18 as published.

    Args:
        name: one of `ENCODINGS`.
        pixels: training images, uint8 `(n, 28, 28)`, which words are learned from.
        crop: pixels at each edge that patches leave out.
        seed: of the words.

    Raises:
        OptionError: another name, or images that it does not fit.
    """
    if name == "patches":
        return PatchWords.learned(pixels, crop=crop, seed=seed)
    if name not in ENCODINGS:
        raise unknown_name("encoding", name, ENCODINGS)
    side = _side(pixels)
    return GrayLevels(side, crop=4, block=2, levels=10) if name == "coarse" else GrayLevels(side)


def encoding_of_json(content: Mapping[str, Any]) -> Encoding:
    """The encoding that `as_json` described.

    Raises:
        DataError: it is none.
    """
    try:
        options = dict(content)
        if options.pop("encoding") == "patches":
            return PatchWords(**options | {"words": np.array(options["words"], dtype=np.float64)})
        return GrayLevels(**options)
    except (KeyError, TypeError, ValueError, OptionError) as error:
        raise DataError(f"it describes no encoding of images: {error}") from error


def _side(pixels: np.ndarray) -> int:
    if pixels.ndim != 3 or pixels.shape[1] != pixels.shape[2] or not len(pixels):
        raise DataError(f"images are squares, (n, side, side), and not {pixels.shape}")
    return int(pixels.shape[1])


def _require_grid(side: int, crop: int, block: int, what: str) -> None:
    inner = side - 2 * crop
    if crop < 0 or block < 1 or inner < block or inner % block:
        raise OptionError(f"{what} is {block} and crop {crop}: they leave a rest of images of {side} x {side} pixels")


def _names(what: str, grid: int) -> list[str]:
    return [f"{what} {row} {column}" for row in range(grid) for column in range(grid)]


def _cropped(pixels: np.ndarray, side: int, crop: int) -> np.ndarray:
    if pixels.shape[1:] != (side, side):
        raise DataError(f"images of {side} x {side} pixels are expected, not {pixels.shape[1:]}")
    return pixels[:, crop : side - crop, crop : side - crop]


def _patches(pixels: np.ndarray, block: int) -> np.ndarray:
    """Blocks of images, row by row, `(n, blocks, block * block)`."""
    n, height, width = pixels.shape
    cut = pixels.reshape(n, height // block, block, width // block, block).transpose(0, 1, 3, 2, 4)
    return cut.reshape(n, -1, block * block)


def _whole(blocks: np.ndarray, block: int, side: int, crop: int) -> np.ndarray:
    """What `_patches` cut, `(n, blocks, block * block)`, as images again, float64 `(n, side, side)`."""
    inner = side - 2 * crop
    cut = blocks.reshape(len(blocks), inner // block, inner // block, block, block).transpose(0, 1, 3, 2, 4)
    return np.pad(cut.reshape(-1, inner, inner), ((0, 0), (crop, crop), (crop, crop)))
