"""Figures that follow: a design's density and stiffness from what its parts are made of, and figures of its sources.

Sources: the rule of mixtures; W. Voigt (1889) and A. Reuss (1929) for the bounds of stiffness, R. Hill, "The elastic
behaviour of a crystalline aggregate" (1952), for the mean between them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from pydantic import ValidationError

from agents.documents import CheckedProperty, Component, Evidence, Known
from agents.evidence import quantities
from agents.units import quantity
from workspace.atlas.engineering import EngineeringMaterial, Span, made_of

_PARTS = {"solid": 1.0, "foam": 1.0, "granular": 1.0, "fibre": 0.3, "film": 0.1, "powder": 0.2, "liquid": 0.2}
"""Volume that a part of each form is taken to have beside a solid one, where nobody says more."""

_FIGURE = re.compile(
    r"(?P<title>[^:]+): (?P<name>[^\d:(]+?) (?P<figure>\d\S*(?: to \d\S*)?)(?: (?P<unit>[^\s(]+))?(?: \(|\.$)"
)


@dataclass(frozen=True)
class Mixture:
    """What parts are made of: each known material and its share of the volume, 0 to 1."""

    shares: Mapping[str, float]
    materials: Mapping[str, EngineeringMaterial]

    @property
    def words(self) -> str:
        """The shares in words."""
        said = [f"{100 * share:.0f}% {name}" for name, share in self.shares.items()]
        return ", ".join(said[:-1]) + f" and {said[-1]}" if len(said) > 1 else said[0]


AIR = 1.2
"""kg/m3 at 20 degC (ISO 2533)."""


def mixture(components: Sequence[Component]) -> Mixture | None:
    """The parts' materials by volume; ``None`` where one is unknown, or all are of one material."""
    volumes: dict[str, float] = {}
    known: dict[str, EngineeringMaterial] = {}
    for part in components:
        found = made_of(part.material)
        if found is None:
            return None
        known[found.name] = found
        volumes[found.name] = volumes.get(found.name, 0.0) + _PARTS[found.form]
    if len(volumes) < 2:
        return None
    whole = sum(volumes.values())
    return Mixture({name: volume / whole for name, volume in volumes.items()}, known)


def computed(components: Sequence[Component]) -> list[CheckedProperty]:
    """Density, and stiffness where all parts have one, by the rule of mixtures."""
    mixed = mixture(components)
    if mixed is None:
        return []
    made = []
    densities = {name: _middle(one.density) for name, one in mixed.materials.items()}
    if all(value is not None for value in densities.values()):
        mean = sum(mixed.shares[name] * (value or 0.0) for name, value in densities.items())
        basis = f"The rule of mixtures gives it for assumed shares by volume of {mixed.words}."
        made.append(_property("Density", mean, "kg/m3", basis))
    stiff = {name: _middle(one.stiffness) for name, one in mixed.materials.items()}
    if all(stiff.values()):
        upper = sum(mixed.shares[name] * (value or 0.0) for name, value in stiff.items())
        lower = 1 / sum(mixed.shares[name] / (value or 1.0) for name, value in stiff.items())
        between = f"{_round(lower):g} to {_round(upper):g} GPa"
        basis = f"The mean of the bounds of Voigt and Reuss, {between}, for assumed shares of {mixed.words}."
        made.append(_property("Stiffness", (upper + lower) / 2, "GPa", basis))
    return made


def bounds(name: str, unit: str, components: Sequence[Component]) -> tuple[float, float] | None:
    """Between what a density or a stiffness must lie: at most the greatest of the parts' own; pores make less.

    Nothing solid is lighter than the air in its pores.

    Returns:
        In the property's unit; ``None`` for other properties, or where a part's material is unknown.
    """
    kind = "density" if re.search(r"\bdensity\b", name, re.IGNORECASE) and unit == "kg/m3" else ""
    if re.search(r"\bstiffness\b|young|\bmodulus\b", name, re.IGNORECASE) and unit in ("GPa", "MPa"):
        kind = "stiffness"
    found = [made_of(part.material) for part in components]
    spans = [getattr(one, kind, None) if one is not None else None for one in found] if kind else []
    if not spans or any(span is None for span in spans):
        return None
    factor = 1000.0 if unit == "MPa" else 1.0
    return AIR if kind == "density" else 0.0, factor * max(span[1] for span in spans if span is not None)


def within(unit: str, components: Sequence[Component], allowed: tuple[float, float], value: float) -> float:
    """What stands for a value beyond what is allowed: the parts' mixture, or the nearest that is."""
    made: dict[str, float] = {one.unit: one.value for one in computed(components)}
    if unit == "MPa" and "GPa" in made:
        return 1000 * made["GPa"]
    return made.get(unit, min(max(value, allowed[0]), allowed[1]))


def of_sources(held: Sequence[Known]) -> list[CheckedProperty]:
    """Figures of a design's sources as the atlas has them, each with its sentence."""
    made = []
    for one in held:
        told = _FIGURE.match(one.text)
        if not one.about or told is None or not told["unit"]:
            continue
        spans = quantities.found(f"{told['figure']} {told['unit']}")
        if len(spans) != 1:
            continue
        value, unit = quantity(_between(spans[0].low, spans[0].high), told["unit"])
        said = f"{told['figure']} {told['unit']}"
        try:
            made.append(
                CheckedProperty(
                    name=f"{told['name'].strip().capitalize()} of {one.about}",
                    value=value,
                    unit=unit,
                    basis=f"The natural model is given {said}, which is a guide for the design and no promise.",
                    status="verified",
                    evidence=evidence(one, one.text, "supports"),
                )
            )
        except ValidationError:  # a unit that designs do not have
            continue
    return made


def evidence(one: Known, quotation: str, verdict: str) -> Evidence:
    """A sentence of what is known as evidence."""
    return Evidence.model_validate(
        {
            "verdict": verdict,
            "quotation": quotation,
            **{name: getattr(one, name) for name in ("passage", "document", "title", "page", "doi", "cite", "file")},
        }
    )


def _property(name: str, value: float, unit: str, basis: str) -> CheckedProperty:
    given = {"name": name, "value": _round(value), "unit": unit, "basis": basis, "status": "computed"}
    return CheckedProperty.model_validate(given)


def _middle(span: Span) -> float | None:
    return None if span is None else sqrt(span[0] * span[1])


def _between(low: float, high: float) -> float:
    """A round figure within a range: its geometric middle, or its lower end where no round one lies within."""
    middle = float(f"{sqrt(low * high):.2g}") if low > 0 else low
    return middle if low <= middle <= high else low


def _round(value: float) -> float:
    return float(f"{value:.2g}")
