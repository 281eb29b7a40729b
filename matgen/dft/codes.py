"""The density-functional codes by name: what `matgen export`, `matgen dft run` and `matgen dft collect` know of each.

The command line builds its help from these rows, so the modules of the codes import heavy packages inside functions.
"""

from __future__ import annotations

from matgen.dft import espresso, gpaw, vasp, vasp_output
from matgen.dft.interface import DFTCode
from matgen.dft.settings import RESULT
from matgen.errors import unknown_name

CODES: dict[str, DFTCode] = {
    code.name: code
    for code in (
        DFTCode(
            name="vasp",
            title="VASP",
            write=vasp.write,
            command=("vasp_std",),
            stdout="vasp.out",
            outputs=("vasprun.xml", "vasprun.xml.gz", "OUTCAR", "OSZICAR"),
            parse=vasp_output.parse,
            install="VASP is licensed: name yours by --command",
            applies_hubbard_u=vasp.applies_hubbard_u,
            has_flow=True,
        ),
        DFTCode(
            name="espresso",
            title="Quantum ESPRESSO",
            write=espresso.write,
            command=("pw.x", "-in", espresso.INPUT),
            stdout=espresso.OUTPUT,
            outputs=(espresso.OUTPUT,),
            parse=espresso.parse,
            install="apt install quantum-espresso",
            require_usable=espresso.family_folder,
            with_common=espresso.with_common_cutoffs,
            known_elements=espresso.known_elements,
        ),
        DFTCode(
            name="gpaw",
            title="GPAW",
            write=gpaw.write,
            command=("gpaw", "python", gpaw.SCRIPT),
            stdout="stdout.txt",
            outputs=(RESULT, gpaw.LOG),
            parse=gpaw.parse,
            install="apt install gpaw gpaw-data",
            known_elements=gpaw.known_elements,
        ),
    )
}
"""The codes, in the order in which help and documentation name them."""


def code_named(name: str) -> DFTCode:
    """The code of a name.

    Raises:
        OptionError: there is none.
    """
    if name not in CODES:
        raise unknown_name("engine", name, CODES)
    return CODES[name]
