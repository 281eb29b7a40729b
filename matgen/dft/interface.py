"""What matgen needs of a density-functional code to write its inputs, run it and read its outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matgen.dft.settings import DFTSettings, Job

Writer = Callable[[Job, Path, DFTSettings], list[str]]
"""Writes the inputs of one job into its folder; returns warnings."""


def accept_any(settings: DFTSettings) -> None:
    """Refuse no settings."""


def keep_settings(jobs: Sequence[Job], settings: DFTSettings) -> DFTSettings:
    """The settings as they are."""
    return settings


def any_elements(settings: DFTSettings) -> frozenset[str] | None:
    """None: which elements it has data of is not known."""
    return None


def asked_for_u(settings: DFTSettings) -> bool:
    """Whether the user asks for U (`--hubbard-u`)."""
    return settings.hubbard_u


@dataclass(frozen=True)
class DFTCode:
    """A density-functional code.

    Attributes:
        name: as `--format` and `--engine` take it.
        title: as people write it.
        write: writes the inputs of one job into its folder; returns warnings.
        command: what is run in a job's folder, by default.
        stdout: file that takes what it prints.
        outputs: files that show that it ran, by whomever it was started; an earlier run's are removed before the next.
        parse: reads the outputs in a job's folder: `energy` (eV), `n_atoms`, `max_force` (eV/angstrom), `volume`
            (angstrom^3), `magnetic_moment` (Bohr magnetons, of the cell), `converged` and `structure` (`symbols`,
            `cell`, `scaled_positions`). Raises `DataError` where no complete result is there.
        install: how to get it, for the error where it is missing.
        require_usable: raises `OptionError` for settings with which no input can be written.
        with_common: settings that all jobs of a folder must share, such as cutoffs, filled in from the jobs.
        known_elements: symbols of the elements that it has data of (setups, pseudopotentials), None where that is not
            known. Raises `OptionError` where it has none at all.
        applies_hubbard_u: whether inputs written by these settings have U.
        has_flow: whether `--flow` can write its calculations as a flow of atomate2.
    """

    name: str
    title: str
    write: Writer
    command: tuple[str, ...]
    stdout: str
    outputs: tuple[str, ...]
    parse: Callable[[Path], dict[str, Any]]
    install: str
    require_usable: Callable[[DFTSettings], object] = accept_any
    with_common: Callable[[Sequence[Job], DFTSettings], DFTSettings] = keep_settings
    known_elements: Callable[[DFTSettings], frozenset[str] | None] = any_elements
    applies_hubbard_u: Callable[[DFTSettings], bool] = asked_for_u
    has_flow: bool = False
