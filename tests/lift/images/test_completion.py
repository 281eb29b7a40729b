from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from matgen.errors import OptionError
from matgen.lift import LiftGenerator
from matgen.lift.images.completion import completed, draw_grid
from matgen.lift.images.encoding import PatchWords
from matgen.lift.images.tables import table_to_complete
from tests.lift.images.digits import small_digits

DIGITS = small_digits()


def completing(n: int, options: dict) -> tuple[PatchWords, LiftGenerator]:
    some = DIGITS[np.arange(n)]
    encoding = PatchWords.learned(some.pixels, patch=2, words=24)
    model = LiftGenerator(order="table", backend_options=options)
    return encoding, model.fit(table_to_complete(some, encoding))


def test_the_upper_half_stays_and_the_lower_is_drawn() -> None:
    encoding, model = completing(100, {"steps": 5, "width": 32, "layers": 1, "batch_size": 32})
    some = DIGITS[np.arange(100, 120)]
    truth = encoding.images(encoding.table(some.pixels))
    plain = completed(model, encoding, some.pixels, seed=1)
    for made in (plain, completed(model, encoding, some.pixels, some.labels, seed=1)):
        assert np.array_equal(made[:, :4], truth[:, :4])
        assert not np.isnan(made).any() and not np.array_equal(made, truth)
    assert np.array_equal(plain, completed(model, encoding, some.pixels, seed=1))
    upper = completed(model, encoding, some.pixels, rows=0.75)
    assert np.array_equal(upper[:, :6], truth[:, :6])
    for odd in (0.0, 1.0):
        with pytest.raises(OptionError, match="some rows of 4"):
            completed(model, encoding, some.pixels, rows=odd)


@pytest.mark.slow
def test_completions_are_of_the_digit_that_is_given() -> None:
    from sklearn.svm import SVC

    encoding, model = completing(1_500, {"steps": 300})
    judge = SVC().fit(DIGITS.pixels[:1_500].reshape(1_500, -1), DIGITS.labels[:1_500])
    some = DIGITS[np.arange(1_500, 1_797)]
    asked = np.random.default_rng(0).permutation(some.labels)

    def seen(made: np.ndarray, labels: np.ndarray) -> float:
        return float((judge.predict(made.reshape(len(made), -1)) == labels).mean())

    made = completed(model, encoding, some.pixels, some.labels)
    other = made.copy()
    other[:, 4:] = np.roll(made, 7, axis=0)[:, 4:]
    assert seen(made, some.labels) > seen(other, some.labels) + 0.2
    # A digit that the upper half does not show moves the drawn half towards it.
    assert seen(completed(model, encoding, some.pixels, asked), asked) > seen(made, asked) + 0.1


def test_pictures_show_what_they_are_given(tmp_path) -> None:
    from matplotlib.image import imread

    rows = [("black", np.full((3, 8, 8), 255.0)), ("hole", np.full((3, 8, 8), np.nan)), ("white", np.zeros((3, 8, 8)))]
    path = draw_grid(rows, tmp_path / "grid.png")
    picture = pd.DataFrame(imread(path)[:, :, :3].reshape(-1, 3).round(2)).value_counts(normalize=True)
    assert picture[0.0, 0.0, 0.0] > 0.15
    assert picture[round(0xDD / 255, 2), round(0xE6 / 255, 2), round(0xF0 / 255, 2)] > 0.15
