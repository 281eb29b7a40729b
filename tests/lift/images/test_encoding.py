from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.errors import DataError, OptionError
from matgen.lift.columns import describe
from matgen.lift.images.encoding import GrayLevels, PatchWords, encoding_of_json, make_encoding
from tests.lift.images.digits import large_digits, small_digits


@pytest.fixture(scope="module")
def words() -> PatchWords:
    return PatchWords.learned(small_digits().pixels, patch=2, words=32, seed=1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2), st.integers(1, 3), st.integers(1, 3), st.integers(2, 256), st.integers(0, 99))
def test_gray_levels_are_means_of_blocks(crop: int, block: int, grid: int, levels: int, seed: int) -> None:
    side = 2 * crop + block * grid
    pixels = np.random.default_rng(seed).integers(0, 256, (3, side, side), dtype=np.uint8)
    table = GrayLevels(side, crop, block, levels).table(pixels)
    for i, image in enumerate(pixels):
        for row in range(grid):
            for column in range(grid):
                top, left = crop + row * block, crop + column * block
                mean = image[top : top + block, left : left + block].astype(float).mean()
                assert table[f"pixel {row} {column}"][i] == min(int(mean * levels / 256 + 1e-12), levels - 1)


def test_every_pixel_comes_back() -> None:
    pixels = small_digits().pixels
    encoding = GrayLevels(8, crop=0)
    assert np.array_equal(encoding.images(encoding.table(pixels)), pixels)


def test_coarse_images_come_back_near_their_means_and_with_a_blank_edge() -> None:
    pixels = large_digits(50).pixels
    encoding = make_encoding("coarse", pixels)
    table = encoding.table(pixels)
    back = encoding.images(table)
    assert table.shape == (50, 100) and table.to_numpy().max() == 9
    means = pixels[:, 4:24, 4:24].reshape(50, 10, 2, 10, 2).mean(axis=(2, 4)).repeat(2, axis=1).repeat(2, axis=2)
    assert np.abs(back[:, 4:24, 4:24] - means).max() <= 25.6
    assert not back[:, :4].any() and not back[:, :, 24:].any()


def test_each_patch_is_its_nearest_word(words: PatchWords) -> None:
    from scipy.spatial.distance import cdist

    pixels = small_digits().pixels[:200]
    table = words.table(pixels)
    for row in range(4):
        for column in range(4):
            patches = pixels[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(200, 4).astype(float)
            distances = cdist(patches, words.words)
            found = [words.spelled.index(word) for word in table[f"patch {row} {column}"]]
            assert distances[np.arange(200), found] == pytest.approx(distances.min(axis=1), abs=1e-3)


def test_images_made_of_words_come_back_as_they_were(words: PatchWords) -> None:
    once = words.images(words.table(small_digits().pixels[:100]))
    again = words.images(words.table(once.astype(np.uint8)))
    assert np.array_equal(once, again)


def test_words_keep_what_tells_digits_apart(words: PatchWords) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    digits = small_digits()
    flat = words.images(words.table(digits.pixels)).reshape(len(digits), -1)
    assert KNeighborsClassifier(1).fit(flat[:1000], digits.labels[:1000]).score(flat[1000:], digits.labels[1000:]) > 0.9


def test_the_first_word_is_blank_and_words_are_of_one_seed(words: PatchWords) -> None:
    assert not words.words[0].any() and words.words[1:].any(axis=1).all()
    assert (np.diff(words.words.sum(axis=1)) >= 0).all()
    assert len(np.unique(words.words, axis=0)) == len(words.words) <= 32
    same = PatchWords.learned(small_digits().pixels, patch=2, words=32, seed=1)
    assert np.array_equal(same.words, words.words)


def test_a_missing_patch_is_nan_and_an_odd_one_is_named(words: PatchWords) -> None:
    table = words.table(small_digits().pixels[:2])
    table.loc[0, "patch 1 2"] = None
    image = words.images(table)[0]
    assert np.isnan(image[2:4, 4:6]).all() and np.isnan(image).sum() == 4
    table["patch 1 2"] = table["patch 1 2"].astype(object)
    table.loc[0, "patch 1 2"] = "w99"
    with pytest.raises(DataError, match="'patch 1 2': 'w99' is none of the 32 words"):
        words.images(table)


def test_patches_are_categories_and_coarse_pixels_numbers(words: PatchWords) -> None:
    pixels = small_digits().pixels[:50]
    assert {column.type for column in describe(words.table(pixels))} == {"category"}
    numbers = describe(GrayLevels(8, crop=0, block=2, levels=10).table(pixels))
    assert {column.type for column in numbers} == {"number"} and all(column.whole for column in numbers)


def test_encodings_survive_json(words: PatchWords) -> None:
    pixels = small_digits().pixels[:20]
    for encoding in (words, GrayLevels(8, 1, 2, 10), GrayLevels(8, 1)):
        read = encoding_of_json(json.loads(json.dumps(encoding.as_json())))
        assert read.table(pixels).equals(encoding.table(pixels))
    for odd in ({}, {"encoding": "patches", "words": [[1]]}, {"encoding": "pixels", "side": 8, "blocks": 2}):
        with pytest.raises(DataError, match="no encoding"):
            encoding_of_json(odd)


def test_what_does_not_fit_is_refused() -> None:
    pixels = small_digits().pixels
    with pytest.raises(OptionError, match="patch is 3 and crop 0"):
        PatchWords.learned(pixels, patch=3)
    with pytest.raises(OptionError, match="words is 1"):
        PatchWords.learned(pixels, words=1)
    with pytest.raises(OptionError, match="levels is 1"):
        GrayLevels(8, 0, 1, 1)
    with pytest.raises(OptionError, match="patches"):
        make_encoding("tokens", pixels)
    with pytest.raises(DataError, match="blank"):
        PatchWords.learned(np.zeros_like(pixels))
    with pytest.raises(DataError, match="squares"):
        PatchWords.learned(pixels[:, :4])
    with pytest.raises(DataError, match="8 x 8 pixels are expected"):
        GrayLevels(8, 0).table(large_digits(2).pixels)
