"""Image tables as files: rows to train on, rows to test on, and how they are read back as images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matgen.errors import DataError
from matgen.io.files import atomic_write_files
from matgen.io.folders import read_description, verify_files, write_description
from matgen.io.parquet import read_parquet, write_parquet
from matgen.lift.images.encoding import Encoding, encoding_of_json, make_encoding
from matgen.lift.images.moving import with_copies
from matgen.lift.images.sources import Images, image_set, load_images
from matgen.runtime.progress import ProgressFactory, silent

LABEL = "label"
TRAIN, TEST, DESCRIPTION = "train.parquet", "test.parquet", "images.json"
FILES = (TRAIN, TEST, DESCRIPTION)
"""Of a folder of image tables; the last one is written last."""


def labeled_table(images: Images, encoding: Encoding) -> pd.DataFrame:
    """Rows of images: their label, then the columns of the encoding."""
    table = encoding.table(images.pixels)
    table.insert(0, LABEL, images.labels)
    return table


def table_to_complete(images: Images, encoding: Encoding, *, seed: int = 0) -> pd.DataFrame:
    """`labeled_table` in which half of the labels, drawn at random, are missing.

    A `LiftGenerator` of order `table` learns from it to complete images with the label given, and without.
    """
    table = labeled_table(images, encoding)
    hidden = np.random.default_rng(seed).random(len(table)) < 0.5
    table[LABEL] = table[LABEL].astype(str).astype(object).where(~hidden, None)
    return table


def write_image_tables(
    name: str,
    folder: Path,
    *,
    encoding: str = "patches",
    copies: int = 0,
    seed: int = 0,
    progress: ProgressFactory = silent,
) -> dict[str, Any]:
    """Fetch a set of images and write it as tables for `matgen lift`: `train.parquet`, `test.parquet`, `images.json`.

    Args:
        name: `mnist` or `fashion-mnist`.
        folder: where; other files in it stay.
        encoding: of the pixels, see `make_encoding`; words are learned from the training images.
        copies: of each training image, moved by up to a pixel (and every second one mirrored, where that keeps the
            label), in `train.parquet` after the images themselves.
        seed: of words and copies.
        progress: counts what is downloaded.

    Returns:
        What `images.json` holds: rows, columns, encoding, split, source and license.

    Raises:
        OptionError: another name or encoding.
        DataError: the images cannot be fetched.
        OutputError: the folder cannot be written.
    """
    of = image_set(name)
    train, test = load_images(name, progress)
    made = make_encoding(encoding, train.pixels, crop=of.crop, seed=seed)
    more = with_copies(train, copies, mirror=of.mirrors, seed=seed)
    with atomic_write_files(folder, FILES) as stage:
        table = labeled_table(more, made)
        write_parquet(table, stage / TRAIN)
        write_parquet(labeled_table(test, made), stage / TEST)
        content = {
            "images": name,
            "rows": {TRAIN: len(more), TEST: len(test)},
            "columns": table.shape[1] - 1,
            "copies": copies,
            "seed": seed,
            "split": of.split,
            "source": of.source,
            "license": of.license,
            "package": {"file": of.file, "sha256": of.sha256},
            "encoding": made.as_json(),
        }
        write_description(stage, DESCRIPTION, content)
    return content


def read_encoding(folder: Path) -> Encoding:
    """The encoding of a folder that `write_image_tables` wrote.

    Raises:
        DataError: there is none, or it is damaged.
    """
    return encoding_of_json(_checked(folder)["encoding"])


def read_images(folder: Path, part: str = TEST) -> Images:
    """Images of a folder that `write_image_tables` wrote, as its columns have them.

    Raises:
        DataError: there is none, or it is damaged.
    """
    content = _checked(folder)
    try:
        table = read_parquet(folder / part)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / part} is missing or damaged: run `matgen lift data` again") from error
    pixels = encoding_of_json(content["encoding"]).images(table)
    return Images(np.rint(pixels).astype(np.uint8), table[LABEL].to_numpy())


def _checked(folder: Path) -> Mapping[str, Any]:
    content = read_description(folder, DESCRIPTION)
    verify_files(folder, DESCRIPTION, content, "run `matgen lift data` again")
    return content
