"""A graph of what came from what: asked, told in lines, and written as W3C PROV-JSON. Knows no run.

In W3C PROV's words a thing is an entity, a step an activity, a model or a person an agent.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from workspace.errors import UsageError, unknown
from workspace.letters import harmless

Kind = Literal["entity", "activity", "agent"]
Relation = Literal["derived", "generated", "used", "associated", "attributed"]


@dataclass(frozen=True)
class Node:
    """A thing, a step or an agent: its id in the graph, what it is in a line, and all that is known of it."""

    id: str
    kind: Kind
    label: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Graph:
    """Nodes by id, and arrows from what came later to what it came from."""

    nodes: dict[str, Node] = field(default_factory=dict)
    arrows: dict[str, dict[tuple[str, Relation], None]] = field(default_factory=dict)

    def add(self, id: str, kind: Kind, label: str, detail: Mapping[str, Any] | None = None) -> str:
        """Add a node, unless it is there; returns its id."""
        known = {key: value for key, value in (detail or {}).items() if value not in (None, "", [], {})}
        self.nodes.setdefault(id, Node(id, kind, label, known))
        return id

    def link(self, later: str, earlier: str, relation: Relation) -> None:
        """Add an arrow, once."""
        self.arrows.setdefault(later, {})[earlier, relation] = None

    def from_(self, id: str) -> list[tuple[str, Relation]]:
        """What a node came from."""
        return list(self.arrows.get(id, {}))


def chosen(graph: Graph, what: str) -> list[str]:
    """The nodes that a person asks about: a field's path, a picture's number, a word of either; ``all`` for every one.

    Of a run that has made neither yet ``all`` is its brief.

    Raises:
        UsageError: There is none.
    """
    askable = [id for id in graph.nodes if re.fullmatch(r"picture-\d+|[a-z]+(?:\.\d+)?", id) and id != "person"]
    made = [id for id in askable if id != "brief"]
    wanted = what.strip().casefold().replace("[", ".").replace("]", "").replace("picture ", "picture-")
    if wanted in ("", "all"):
        return made or askable
    exact = [id for id in askable if id == wanted]
    found = exact or [id for id in askable if re.split(r"[.-]", id)[0] == wanted]
    found = found or [id for id in made if wanted in graph.nodes[id].label.casefold()]
    if not found:
        raise UsageError(unknown("field or picture", what, askable))
    return found


def paths(graph: Graph, start: str) -> list[tuple[int, Node, Relation | None]]:
    """A node and all that it came from, each once, where it lies nearest, with how deep that is."""
    below: dict[str, list[tuple[str, Relation]]] = {start: []}
    left = deque([start])
    while left:
        id = left.popleft()
        for earlier, how in graph.from_(id):
            if earlier not in below:
                below[earlier] = []
                below[id].append((earlier, how))
                left.append(earlier)
    found: list[tuple[int, Node, Relation | None]] = []
    held: list[tuple[int, str, Relation | None]] = [(0, start, None)]
    while held:
        depth, id, relation = held.pop()
        found.append((depth, graph.nodes[id], relation))
        held += [(depth + 1, earlier, how) for earlier, how in reversed(below[id])]
    return found


_PROV: Mapping[Relation, tuple[str, str, str]] = {
    "derived": ("wasDerivedFrom", "prov:generatedEntity", "prov:usedEntity"),
    "generated": ("wasGeneratedBy", "prov:entity", "prov:activity"),
    "used": ("used", "prov:activity", "prov:entity"),
    "associated": ("wasAssociatedWith", "prov:activity", "prov:agent"),
    "attributed": ("wasInfluencedBy", "prov:influencee", "prov:influencer"),
}


def prov_json(graph: Graph, run_id: str) -> dict[str, Any]:
    """The graph as W3C PROV-JSON.

    Source: Huynh, Jewell, Keshavarz, Michaelides, Yang and Moreau, "The PROV-JSON serialization", W3C member
    submission (2013).
    """
    made: dict[str, Any] = {"prefix": {"run": f"urn:studio:run:{run_id}:", "studio": "urn:studio:"}}
    for node in graph.nodes.values():
        told = {f"studio:{_escaped(key)}": _literal(value) for key, value in node.detail.items()}
        made.setdefault(node.kind, {})[_name(node.id)] = {"prov:label": node.label, **told}
    arrows = [(later, *one) for later in graph.arrows for one in graph.from_(later)]
    for number, (later, earlier, relation) in enumerate(arrows):
        name, one, other = _PROV[relation]
        made.setdefault(name, {})[f"_:{number}"] = {one: _name(later), other: _name(earlier)}
    return made


def _name(id: str) -> str:
    return f"run:{_escaped(id)}"


def _escaped(name: str) -> str:
    """A name that may stand in an IRI; different ones stay different."""
    return quote(name, safe="/", errors="surrogatepass")


def _literal(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    plain = isinstance(value, str | int | float | bool)
    return value if plain else json.dumps(value, ensure_ascii=False, default=str)


def lines(graph: Graph, starts: Sequence[str]) -> list[str]:
    """What came from what, in lines for people: each field or picture and what lies behind it, further in."""
    return list(_lines(graph, starts))


def _lines(graph: Graph, starts: Sequence[str]) -> Iterator[str]:
    words = {"derived": "from", "generated": "made by", "used": "with", "associated": "by", "attributed": "after"}
    for place, start in enumerate(starts):
        if place:
            yield ""
        for depth, node, relation in paths(graph, start):
            mark = "" if relation is None else f"{words[relation]} "
            yield f"{'  ' * depth}{mark}{harmless(' '.join(node.label.split()))}"
