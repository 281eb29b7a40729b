from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from matgen.errors import OptionError
from matgen.lift.images.encoding import GrayLevels
from matgen.lift.images.moving import NEAR, averaged_probabilities, moved, with_copies
from tests.lift.images.digits import small_digits

DIGITS = small_digits()[np.arange(60)]


@pytest.mark.parametrize("down", [-2, -1, 0, 1, 9])
@pytest.mark.parametrize("right", [-8, -1, 0, 2])
def test_images_move_as_scipy_moves_them(down: int, right: int) -> None:
    expected = ndimage.shift(DIGITS.pixels, (0, down, right), order=0, mode="constant")
    assert np.array_equal(moved(DIGITS.pixels, down, right), expected)


@pytest.mark.parametrize("mirror", [False, True])
def test_copies_are_their_images_moved(mirror: bool) -> None:
    made = with_copies(DIGITS, 3, most=2, mirror=mirror, seed=4)
    assert np.array_equal(made.pixels[:60], DIGITS.pixels) and made.labels.tolist() == DIGITS.labels.tolist() * 4
    moves = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
    flipped = 0
    for i, copy in enumerate(made.pixels[60:]):
        own = DIGITS.pixels[[i % 60]]
        plain = any(np.array_equal(moved(own, *by)[0], copy) for by in moves)
        flipped += not plain
        assert plain or any(np.array_equal(moved(own, *by)[0, :, ::-1], copy) for by in moves)
    assert flipped == 0 if not mirror else 60 < flipped < 120


def test_no_copies_and_fewer() -> None:
    assert np.array_equal(with_copies(DIGITS, 0).pixels, DIGITS.pixels)
    with pytest.raises(OptionError, match="copies is -1"):
        with_copies(DIGITS, -1)


def test_predictions_are_averaged_over_all_moves() -> None:
    class Brightest:
        """Its first probability is the brightness of the upper left pixel."""

        def predict_proba(self, table):
            first = table["pixel 0 0"].to_numpy() / 255
            return np.stack([first, 1 - first], axis=1)

    encoding = GrayLevels(8, crop=0)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    corners = [ndimage.shift(pixels, (0, *by), order=0)[:, 0, 0] / 255 for by in NEAR]
    found = averaged_probabilities(Brightest(), encoding, pixels)
    assert found[:, 0] == pytest.approx(np.mean(corners, axis=0))
    both = averaged_probabilities(Brightest(), encoding, pixels, mirror=True)
    corners += [ndimage.shift(pixels[:, :, ::-1], (0, *by), order=0)[:, 0, 0] / 255 for by in NEAR]
    assert both[:, 0] == pytest.approx(np.mean(corners, axis=0))
