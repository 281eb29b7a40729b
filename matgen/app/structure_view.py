"""A crystal structure to turn with the mouse."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from nicegui import ui

if TYPE_CHECKING:
    from pymatgen.core import Structure

SCALE = 0.6
"""Radius of a sphere over the atomic radius, so that none hides its neighbors."""

COLORS = ("#0b5394", "#d9730d", "#2e7d32", "#8e24aa", "#9c1c1c", "#00796b", "#5d4037", "#37474f")


def show_structure(structure: Structure) -> None:
    """One cell, its atoms as spheres with a legend, in the room that the page leaves."""
    symbols = sorted({site.specie.symbol for site in structure})
    colors = dict(zip(symbols, itertools.cycle(COLORS), strict=False))
    corners = {c: structure.lattice.get_cartesian_coords(c) for c in itertools.product((0, 1), repeat=3)}
    middle = corners[1, 1, 1] / 2
    lengths = ", ".join(f"{length:.2f}" for length in structure.lattice.abc)
    ui.label(f"{structure.composition.formula}; a, b, c = {lengths} Å; {structure.get_space_group_info()[0]}")
    with ui.row().classes("q-gutter-md"):
        for symbol in symbols:
            ui.html(f'<span style="color:{colors[symbol]}" aria-hidden="true">●</span> {symbol}', sanitize=False)
    size = float(max(structure.lattice.abc))
    with ui.scene(width=290, height=290, grid=False, background_color="#ffffff") as scene:
        for site in structure:
            radius = SCALE * float(site.specie.atomic_radius or 1.2)
            scene.sphere(radius).move(*map(float, site.coords - middle)).material(colors[site.specie.symbol])
        for one, other in itertools.combinations(corners, 2):
            if np.abs(np.subtract(one, other)).sum() == 1:
                ends = ([*map(float, corners[corner] - middle)] for corner in (one, other))
                scene.line(*ends).material("#5f6570")
    scene.move_camera(x=1.1 * size, y=-1.1 * size, z=0.8 * size, look_at_x=0, look_at_y=0, look_at_z=0, duration=0)
