"""Well-known compounds with their structure types, for `benchmarks.structures`.

Each has its structure in the bundled table, and so has at least one other compound of the same prototype. Elements are
left out. The list was written before anything was measured, by structure type, and serves no fit.
"""

from __future__ import annotations

from dataclasses import dataclass

TYPES = {
    "rock salt": (
        "cF8 225",
        "MgO periclase, NaCl halite, LiF griceite, CaO lime, NiO bunsenite, PbS galena, TiN osbornite, TiC "
        "titanium carbide, AgCl chlorargyrite, KBr potassium bromide, MnS alabandite, EuO europium oxide, FeO "
        "wustite, ScN scandium nitride, TePb altaite",
    ),
    "caesium chloride": (
        "cP2 221",
        "CsCl caesium chloride, CsI caesium iodide, TlBr thallium bromide, AlNi nickel aluminide, ZnCu beta "
        "brass, FeCo wairauite",
    ),
    "zinc blende": (
        "cF8 216",
        "ZnS sphalerite, GaAs gallium arsenide, InSb indium antimonide, CuCl nantokite, HgTe coloradoite, BP "
        "boron phosphide, ZnSe stilleite, AlP aluminium phosphide",
    ),
    "wurtzite": ("hP4 186", "ZnO zincite, GaN gallium nitride, AlN aluminium nitride, CdS greenockite, BeO bromellite"),
    "nickel arsenide": (
        "hP4 194",
        "NiAs nickeline, NiSb breithauptite, TiS titanium sulfide, CoTe cobalt telluride, MnTe manganese telluride",
    ),
    "fluorite": (
        "cF12 225",
        "CaF2 fluorite, BaF2 frankdicksonite, CeO2 cerianite, UO2 uraninite, ThO2 thorianite, SrF2 "
        "strontiofluorite, CoSi2 cobalt disilicide",
    ),
    "antifluorite": ("cF12 225", "Li2O lithia, Na2S sodium sulfide, Mg2Si magnesium silicide, K2O potassium oxide"),
    "rutile": (
        "tP6 136",
        "TiO2 rutile, SnO2 cassiterite, MnO2 pyrolusite, MgF2 sellaite, RuO2 ruthenium dioxide, PbO2 plattnerite,"
        " ZnF2 zinc fluoride, GeO2 argutite",
    ),
    "pyrite": ("cP12 205", "FeS2 pyrite, CoS2 cattierite, NiS2 vaesite, MnS2 hauerite, RuS2 laurite, As2Pt sperrylite"),
    "marcasite": ("oP6 58", "FeAs2 loellingite, CaCl2 hydrophilite, FeSb2 seinajokite"),
    "cadmium iodide": ("hP3 164", "CdI2 cadmium iodide, TiS2 titanium disulfide, PbI2 lead iodide, NiTe2 melonite"),
    "cadmium chloride": (
        "hR9 166",
        "CdCl2 cadmium chloride, MgCl2 chloromagnesite, NiCl2 nickel chloride, CdBr2 cadmium bromide",
    ),
    "molybdenite": ("hP6 194", "MoS2 molybdenite, WS2 tungstenite, NbSe2 niobium diselenide"),
    "cotunnite": ("oP12 62", "PbCl2 cotunnite, PbBr2 lead bromide, Co2Si cobalt silicide, HgCl2 mercury chloride"),
    "baddeleyite": ("mP12 14", "ZrO2 baddeleyite, HfO2 hafnia"),
    "molybdenum disilicide": ("tI6 139", "Si2Mo molybdenum disilicide"),
    "Laves phase, cubic": ("cF24 227", "MgCu2 magnesium copper, CaAl2 calcium aluminium, BiAu2 maldonite"),
    "aluminium diboride": ("hP3 191", "B2Mo molybdenum diboride, MnB2 manganese diboride"),
    "cuprite": ("cP6 224", "Cu2O cuprite, Ag2O silver oxide"),
    "corundum": ("hR30 167", "Al2O3 corundum, Cr2O3 eskolaite, Fe2O3 haematite, V2O3 karelianite, Ti2O3 tistarite"),
    "bixbyite": ("cI80 206", "Y2O3 yttria, Sc2O3 kangite"),
    "tetradymite": (
        "hR15 166",
        "Bi2Te3 tellurobismuthite, Bi2Se3 bismuth selenide, Sb2Te3 tellurantimony, Bi2Te2S tetradymite",
    ),
    "stibnite": ("oP20 62", "Sb2S3 stibnite, Bi2S3 bismuthinite, Sb2Se3 antimonselite"),
    "perovskite, cubic": (
        "cP5 221",
        "SrTiO3 tausonite, KMgF3 parascandolaite, CsCdBr3 caesium cadmium bromide, MgNi3C magnesium nickel "
        "carbide, Mn3SnN manganese tin nitride, Mn3GaN manganese gallium nitride",
    ),
    "perovskite, tetragonal": ("tP5 99", "TiPbO3 macedonite, BaTiO3 barium titanate"),
    "perovskite, orthorhombic": (
        "oP20 62",
        "CaTiO3 perovskite, NaMgF3 neighborite, DyCrO3 dysprosium chromite, TbFeO3 terbium ferrite, CaSnO3 "
        "lakargiite, PrNiO3 praseodymium nickelate, LaVO3 lanthanum vanadate",
    ),
    "ilmenite": ("hR30 148", "TiFeO3 ilmenite, MgTiO3 geikielite, TiMnO3 pyrophanite, TiNiO3 nickel titanate"),
    "lithium niobate": ("hR30 161", "LiNbO3 lithium niobate, FeBiO3 bismuth ferrite"),
    "calcite": (
        "hR30 167",
        "CaCO3 calcite, MgCO3 magnesite, FeCO3 siderite, NaNO3 nitratine, MnCO3 rhodochrosite, CdCO3 otavite",
    ),
    "aragonite": ("oP20 62", "BaCO3 witherite, SrCO3 strontianite, PbCO3 cerussite, KNO3 niter"),
    "potassium hexachloroplatinate": (
        "cF36 225",
        "K2PtCl6 potassium hexachloroplatinate, K2SiF6 hieratite, Cs2SnCl6 caesium hexachlorostannate, Cs2SnI6 "
        "caesium hexaiodostannate",
    ),
    "elpasolite": ("cF40 225", "K2NaAlF6 elpasolite, Ba2MgUO6 barium magnesium uranate"),
    "spinel": (
        "cF56 227",
        "MgAl2O4 spinel, Al2ZnO4 gahnite, Cr2FeO4 chromite, Zn(FeO2)2 franklinite, MgCr2O4 magnesiochromite, "
        "Co3O4 guite, Fe3O4 magnetite, Fe3S4 greigite, In2FeS4 indite, Cd(InS2)2 cadmoindite, Fe(NiS2)2 violarite",
    ),
    "olivine": (
        "oP28 62",
        "Mg2SiO4 forsterite, Fe2SiO4 fayalite, LiFePO4 triphylite, CaMgSiO4 monticellite, BeAl2O4 chrysoberyl",
    ),
    "zircon": ("tI24 141", "ZrSiO4 zircon, YPO4 xenotime, HfSiO4 hafnon, ThSiO4 thorite, YVO4 wakefieldite"),
    "scheelite": ("tI24 88", "CaWO4 scheelite, CaMoO4 powellite, MoPbO4 wulfenite, NaIO4 sodium periodate"),
    "wolframite": ("mP12 13", "FeWO4 ferberite, MgWO4 huanzalaite, CdWO4 cadmium tungstate"),
    "monazite": ("mP24 14", "CePO4 monazite, LaPO4 lanthanum phosphate, CrPbO4 crocoite"),
    "barite": ("oP24 62", "BaSO4 barite, PbSO4 anglesite, SrSO4 celestine, KClO4 potassium perchlorate"),
    "berlinite": ("hP18 152", "AlPO4 berlinite, FePO4 iron phosphate, GaAsO4 gallium arsenate"),
    "delafossite": ("hR12 166", "FeCuO2 delafossite, NaCrS2 caswellsilverite, CoHO2 heterogenite"),
    "chalcopyrite": (
        "tI16 122",
        "FeCuS2 chalcopyrite, GaCuS2 gallite, InCuS2 roquesite, GaAgS2 silver gallium sulfide",
    ),
    "matlockite": (
        "tP6 129",
        "PbClF matlockite, BiClO bismoclite, LiFeAs lithium iron arsenide, BaBrF barium bromofluoride, LaClO "
        "lanthanum oxychloride",
    ),
    "Heusler": ("cF16 225", "Fe3Si gupeiite, BiF3 gananite"),
    "auricupride": ("cP4 221", "Cu3Au auricupride, FeNi3 awaruite, FePt3 isoferroplatinum, InPt3 platinum indium"),
    "copper gold": ("tP2 123", "CuAu tetraauricupride, FeNi tetrataenite, FePt tetraferroplatinum"),
    "Cr3Si": ("cP8 223", "Cr3Si chromium silicide"),
    "CaCu5": ("hP6 191", "LaNi5 lanthanum nickel, CaCu5 calcium copper"),
    "calcium hexaboride": ("cP7 221", "CaB6 calcium hexaboride, LaB6 lanthanum hexaboride, EuB6 europium hexaboride"),
    "BaAl4": ("tI10 139", "BaAl4 barium aluminium, SrGa4 strontium gallium"),
    "iron silicide": ("cP8 198", "FeSi fersilicite, MnSi brownleeite, CoSi cobalt silicide"),
    "manganese phosphide": (
        "oP8 62",
        "MnP manganese phosphide, FeP iron phosphide, CrAs chromium arsenide, SnS herzenbergite, GeSe germanium "
        "selenide",
    ),
    "litharge": ("tP4 129", "SnO romarchite, PbO litharge, FeSe iron selenide"),
    "gallium sulfide": ("hP8 194", "GaS gallium sulfide, GaSe gallium selenide"),
    "skutterudite": ("cI32 204", "CoAs3 skutterudite, CoSb3 kieftite, Sb3Ir iridium antimonide"),
    "rhenium trioxide": ("cP4 221", "ReO3 rhenium trioxide, Cu3N copper nitride"),
    "bismuth iodide": ("hR24 148", "BiI3 bismuth iodide, AsI3 arsenic iodide"),
    "iron fluoride": ("hR24 167", "FeF3 iron fluoride, VF3 vanadium fluoride"),
    "cementite": ("oP16 62", "Fe3C cementite, Co3B cobalt boride"),
    "sodium arsenide": ("hP8 194", "K3As potassium arsenide, Na3Bi sodium bismuthide, Ni3Sn nickel tin"),
    "diopside": ("mC40 15", "CaMg(SiO3)2 diopside, NaAl(SiO3)2 jadeite, LiAl(SiO3)2 spodumene, NaFe(SiO3)2 aegirine"),
    "thenardite": ("oF56 70", "Na2SO4 thenardite, Ag2SO4 silver sulfate"),
    "arcanite": ("oP28 62", "K2SO4 arcanite, K2CrO4 tarapacaite"),
    "goethite": ("oP16 62", "AlHO2 diaspore, FeHO2 goethite"),
    "brucite": ("hP5 164", "Mg(HO)2 brucite, Ca(HO)2 portlandite"),
    "pyrochlore": ("cF88 227", "Nb2Cd2O7 cadmium niobate, Ca2Ta2O7 calcium tantalate"),
    "columbite": ("oP36 60", "Nb2FeO6 ferrocolumbite, CaNb2O6 fersmite"),
    "melilite": ("tP24 113", "Ca2MgSi2O7 akermanite, Ca2Al2SiO7 gehlenite"),
    "ullmannite": ("cP12 198", "NiSbS ullmannite, NiAsS gersdorffite"),
    "arsenopyrite": ("mP12 14", "FeAsS arsenopyrite, FeSbS gudmundite"),
    "titanite": ("mP32 14", "CaTiSiO5 titanite"),
    "tin iodide": ("cP40 205", "SnI4 tin iodide, SiI4 silicon iodide"),
}
"""Structure type to Pearson symbol and space group, and to formulas (as pymatgen writes them) with common names."""

ALSO = {
    "CaCO3": "oP20 62",
    "CdS": "cF8 216",
    "CoHO2": "hP8 194",
    "FeS2": "oP6 58",
    "FeSe": "hP4 194",
    "K2SiF6": "hP18 186",
    "MnO2": "oP12 62",
    "MoS2": "hR9 160",
    "PbO": "oP8 57",
    "TiO2": "tI12 141, oP24 61",
    "WS2": "hR9 160",
    "ZnS": "hP4 186",
}
"""Other structures of a listed compound at ambient conditions: minerals, or grown as crystals."""


@dataclass(frozen=True)
class Known:
    """A compound of the list.

    Attributes:
        formula: reduced formula as pymatgen writes it.
        name: common name, of the mineral where it is one.
        structure_type: name of the prototype.
        cells: Pearson symbol and space group of each of its structures at ambient conditions.
    """

    formula: str
    name: str
    structure_type: str
    cells: tuple[str, ...]


def known_structures() -> list[Known]:
    """The list, in the order of the structure types."""
    known = []
    for structure_type, (cell, compounds) in TYPES.items():
        for compound in compounds.split(", "):
            formula, name = compound.split(" ", 1)
            others = ALSO[formula].split(", ") if formula in ALSO else []
            known.append(Known(formula, name, structure_type, (cell, *others)))
    return known
