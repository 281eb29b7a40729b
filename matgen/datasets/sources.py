"""Where data comes from: pinned wheels of the Python package index, the Materials Project, matminer's datasets."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matgen.errors import DataError, MatgenError, MissingDependencyError, OutputError, first_line, without_secrets
from matgen.io.files import file_sha256
from matgen.runtime.cache import cache_folder
from matgen.runtime.progress import ProgressFactory, silent

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 1 << 20
_TIMEOUT = 60  # seconds without a byte
_ATTEMPTS = 3
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")

MOST_UNPACKED = 1 << 30
"""Bytes of one file in a wheel; what unpacks to more is refused."""


@dataclass(frozen=True)
class Wheel:
    """A wheel of the Python package index that is used as a file and never installed."""

    name: str
    version: str
    sha256: str

    @property
    def requirement(self) -> str:
        """Name and version as pip takes them."""
        return f"{self.name}=={self.version}"

    @property
    def file(self) -> str:
        """The wheel's file name."""
        return f"{self.name}-{self.version}-py3-none-any.whl"


CRABNET = Wheel("crabnet", "2.0.8", "4901565abaa5b4cd1a7841b9de647a3906df21676b226a7abf972d113f92054a")
MATMINER = Wheel("matminer", "0.10.1", "eb66571c2a961b996855fa2a4cc90a67bdc7a12fa24e254e02681910c3f2e31f")


def fetch_wheel(wheel: Wheel, progress: ProgressFactory = silent) -> Path:
    """The path of a wheel in the cache, downloaded first where it is not there. Its SHA-256 is checked either way.

    Raises:
        DataError: it cannot be found or downloaded, or is not the file it should be.
        OutputError: the cache cannot be written.
    """
    path = cache_folder() / "wheels" / wheel.file
    if path.exists():
        if file_sha256(path) == wheel.sha256:
            return path
        _remove(path)  # damaged since it was downloaded
    try:
        fetch(locate(wheel), path, wheel.sha256, progress)
    except DataError as error:
        raise DataError(f"{error} (or put {wheel.file} into {path.parent} yourself)") from error
    return path


def locate(wheel: Wheel) -> str:
    """The address of a wheel, as pip finds it on whatever index it is set up for.

    Raises:
        DataError: pip is missing, offline or does not know the wheel.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--dry-run", "--report", "-"]
    command += ["--quiet", "--no-deps", "--ignore-requires-python", "--ignore-installed", "--only-binary=:all:"]
    done = subprocess.run([*command, wheel.requirement], capture_output=True, text=True, check=False)
    try:
        return str(json.loads(done.stdout)["install"][0]["download_info"]["url"])
    except (ValueError, LookupError) as error:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        reason = lines[-1].removeprefix("ERROR: ") if lines else "no message"
        raise DataError(f"pip cannot find {wheel.requirement}: {without_secrets(reason)}") from error


def fetch(url: str, path: Path, sha256: str | None, progress: ProgressFactory = silent) -> None:
    """Download a file whole: into `<path>.part`, which a later call takes up where it ended, then checked and renamed.

    Args:
        url: its address.
        path: where it goes.
        sha256: what it must be; None where it is not known.
        progress: counts bytes.

    Raises:
        DataError: an address that is not https, no connection, a download cut short (kept, to be taken up), or a file
            of another SHA-256 (removed).
        OutputError: the folder cannot be written or the disk is full; what has arrived is kept.
    """
    place = urllib.parse.urlsplit(url)
    if place.scheme not in ("https", "file") and place.hostname not in _THIS_MACHINE:
        raise DataError(f"refused to download {path.name} over {place.scheme or 'no protocol'}: only https is taken")
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                _download(url, part, progress)
                break
            except (
                _CutShort,
                http.client.HTTPException,
                urllib.error.URLError,
                ConnectionError,
                TimeoutError,
            ) as error:
                refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
                if attempt == _ATTEMPTS or refused:
                    reason = getattr(error, "reason", None) or error
                    raise DataError(f"cannot download {path.name}: {reason}; run it again to go on") from error
                time.sleep(attempt)
        digest = file_sha256(part) if sha256 is not None else None
        if digest is not None and sha256 is not None and digest != sha256:
            _remove(part)
            raise DataError(
                f"refused {path.name}: its SHA-256 is {digest[:12]}..., not {sha256[:12]}... "
                "(wrong or damaged; removed)"
            )
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


class _CutShort(Exception):
    """The connection ended before the file did."""


def _download(url: str, part: Path, progress: ProgressFactory) -> None:
    """Append to `part` what it lacks of the file, or begin anew where the server cannot go on from there."""
    have = part.stat().st_size if part.exists() else 0
    # Identity: a compressed transfer would make byte ranges and lengths those of another file.
    headers = {"User-Agent": "matgen", "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to send, or the part is longer than the file
            size = (error.headers.get("Content-Range") or "").rpartition("/")[2]
            if size == str(have):
                return
            _remove(part)
            raise _CutShort("the partial file did not fit and was removed") from error
        raise
    with response:
        goes_on = getattr(response, "status", 200) == 206 and (
            response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        )
        have = have if goes_on else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        counted = progress(total, f"download {part.stem}", "B", done=have)
        with open(part, "ab" if goes_on else "wb") as out, counted as count:
            while chunk := response.read(_CHUNK):
                out.write(chunk)
                have += len(chunk)
                count.update(len(chunk))
    if total is not None and have < total:
        raise _CutShort(f"the connection ended after {have:,} of {total:,} bytes")


def read_member(archive: Path, member: str) -> bytes:
    """One file inside a wheel, read in memory (nothing is ever extracted to a path that the archive chose).

    Raises:
        DataError: the archive is damaged or has no such member.
    """
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as stream:
            content = stream.read(MOST_UNPACKED + 1)  # whatever size the archive states
    except KeyError as error:
        raise DataError(f"{archive.name} holds no {member}") from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError) as error:
        raise DataError(f"cannot read {archive}: {error}") from error
    if len(content) > MOST_UNPACKED:
        raise DataError(f"refused {member} of {archive.name}: it unpacks to more than {MOST_UNPACKED >> 20} MiB")
    return content


def materials_project(api_key: str | None = None) -> pd.DataFrame:
    """All entries of the Materials Project, through its own client (online).

    Columns: `material_id`, `formula`, `formation_energy` (eV/atom), `energy_above_hull` (eV/atom), `band_gap` (eV),
    `theoretical`. These carry today's corrections, so they do not mix with the bundled labels.

    Args:
        api_key: by default the environment's `MP_API_KEY`.

    Raises:
        MissingDependencyError: `mp_api` is not installed.
        DataError: no key, or the server refuses or cannot be reached.
    """
    import pandas as pd

    api_key = api_key or os.environ.get("MP_API_KEY")
    if not api_key:
        raise DataError("the Materials Project needs an API key: set MP_API_KEY (free, from your account page there)")
    try:
        from mp_api.client import MPRester
    except ImportError as error:
        raise MissingDependencyError("the Materials Project source needs its client: pip install mp-api") from error
    names = {
        "material_id": "material_id",
        "formula_pretty": "formula",
        "formation_energy_per_atom": "formation_energy",
        "energy_above_hull": "energy_above_hull",
        "band_gap": "band_gap",
        "theoretical": "theoretical",
    }
    try:
        with MPRester(api_key, use_document_model=False, mute_progress_bars=True) as rester:
            documents = rester.materials.summary.search(fields=list(names))
    except Exception as error:  # the client raises its own, requests' and boto's errors
        raise DataError(
            f"the Materials Project did not answer: {first_line(error).replace(api_key, '(key)')}"
        ) from error
    rows = [{new: document.get(old) for old, new in names.items()} for document in documents]
    frame = pd.DataFrame(rows, columns=list(names.values()))
    if frame.empty:
        raise DataError("the Materials Project sent no entries")
    frame["material_id"] = frame["material_id"].astype(str)
    return frame


def matminer_dataset(name: str) -> pd.DataFrame:
    """One of matminer's datasets as it gives it, with a text column `formula` besides (online on first use).

    Raises:
        MissingDependencyError: matminer is not installed.
        DataError: an unknown dataset, no connection, or one without formulas, compositions or structures.
    """
    try:
        from matminer.datasets import get_available_datasets, load_dataset
    except ImportError as error:
        raise MissingDependencyError("matminer's datasets need matminer: pip install matminer") from error
    known = get_available_datasets(print_format=None)
    if name not in known:
        raise DataError(f"matminer has no dataset {name!r}; it has: {', '.join(known)}")
    # Its own folder is in site-packages, which need not be writable.
    folder = os.environ.get("MATMINER_DATA") or str(cache_folder() / "matminer")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        frame: pd.DataFrame = load_dataset(name, data_home=folder)
    except MatgenError:
        raise
    except Exception as error:  # whatever the download, the hash check or the reader of JSON raises
        raise DataError(f"matminer could not load {name}: {first_line(error)}") from error
    if "formula" not in frame.columns:
        for column in ("composition", "pretty_formula", "structure"):
            if column in frame.columns:
                values = frame[column]
                if column == "structure":
                    values = values.map(lambda structure: structure.composition)
                frame["formula"] = values.map(lambda value: getattr(value, "reduced_formula", value)).astype(str)
                break
    return frame


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot remove {path}: {error.strerror or error}") from error
