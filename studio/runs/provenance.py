"""How a run came to what it made: pictures to prompts, to fields, to turns, to models and their data, to passages.

The graph is read off the ledger, where every step of a run stands as it was made: its key, its value and what it was
made with. In W3C PROV's words a thing is an entity, a step an activity, a model or a person an agent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from agents.evidence.citations import cited
from studio.queue.claims import ledger_of
from studio.runs.record import open_run, row_of
from workspace.errors import UsageError, unknown

Kind = Literal["entity", "activity", "agent"]
Relation = Literal["derived", "generated", "used", "associated", "attributed"]

_DEPTH = 12


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
    arrows: list[tuple[str, str, Relation]] = field(default_factory=list)

    def add(self, id: str, kind: Kind, label: str, **detail: Any) -> str:
        """Add a node, unless it is there; returns its id."""
        self.nodes.setdefault(id, Node(id, kind, label, {key: value for key, value in detail.items() if value}))
        return id

    def link(self, later: str, earlier: str, relation: Relation) -> None:
        """Add an arrow, once."""
        if (later, earlier, relation) not in self.arrows:
            self.arrows.append((later, earlier, relation))

    def from_(self, id: str) -> list[tuple[str, Relation]]:
        """What a node came from."""
        return [(earlier, relation) for later, earlier, relation in self.arrows if later == id]


def provenance(run_id: str, home: Path) -> Graph:
    """The graph of a run, as far as it has come.

    Raises:
        UsageError: There is no such run.
        DataError: It is damaged.
    """
    row = row_of(home, run_id)
    with ledger_of(home, reading=True) as ledger:
        steps: dict[str, Any] = {
            one.key: ledger.once(run_id, one.key, dict, kind=one.kind)[0]
            for one in ledger.keys(run_id)
            if one.kind in ("evidence", "sources", "turn", "design", "prompt", "answer")
        }
        pictures = [one for one in ledger.artifacts(run_id) if one.kind == "picture"]
    manifest = _json(open_run(run_id, home).folder / "manifest.json")
    made = _Making(home, manifest.get("models") or {}, row.settings["settings"])
    made.brief(row.brief)
    made.evidence({key: value for key, value in steps.items() if key.startswith("scientist/evidence")})
    made.turns({key: value for key, value in steps.items() if key.startswith("scientist/turn")})
    for key, value in steps.items():
        if key.startswith("engineer/design") and isinstance(value, dict):
            made.design(key, value["design"])
    made.prompts({key: value for key, value in steps.items() if key.startswith("illustrator/")})
    for one in pictures:
        made.picture(one.path, one.sha256, one.meta)
    return made.graph


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


class _Making:
    """A graph on its way."""

    def __init__(self, home: Path, models: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        self.home, self.models, self.settings, self.graph = home, models, settings, Graph()
        self.known: dict[int, str] = {}
        self.last: dict[str, str] = {}

    def brief(self, brief: Mapping[str, Any]) -> None:
        """What a person asked for."""
        self.graph.add("person", "agent", "the person who asked")
        self.graph.add("brief", "entity", f"brief: {brief['text']}", **brief)
        self.graph.link("brief", "person", "attributed")

    def evidence(self, steps: Mapping[str, Any]) -> None:
        """The passages that were looked up, by number."""
        for key, found in steps.items():
            self.graph.add(key, "activity", "looking up what is known")
            self.graph.link(key, "brief", "used")
            for one in found:
                passage = self._passage(one, one["text"])
                self.graph.link(key, passage, "used")
                self.known[int(one["number"])] = passage

    def _passage(self, one: Mapping[str, Any], quotation: str) -> str:
        """A sentence and the document that it stands in."""
        document = f"document/{one['document']}"
        where = {"doi": one.get("doi"), "file": one.get("file"), "title": one.get("title")}
        self.graph.add(document, "entity", one.get("title") or one["document"], **where)
        id = f"passage/{one['passage']}/{_short(quotation)}"
        page = f", page {one['page']}" if one.get("file") else ""
        self.graph.add(id, "entity", f"\u201c{quotation}\u201d ({one['document']}{page})", cite=one.get("cite"))
        self.graph.link(id, document, "derived")
        if one.get("cite"):
            source = self.graph.add(f"source/{_short(one['cite'])}", "entity", one["cite"])
            self.graph.link(id, source, "derived")
        return id

    def turns(self, steps: Mapping[str, Any]) -> None:
        """What the Scientist said, and which passages it cites."""
        for key, text in steps.items():
            self._step(key, f"turn: {text}", "scientist")
            for number in cited(str(text)):
                if number in self.known:
                    self.graph.link(f"{key}/text", self.known[number], "derived")
            if "turn" in self.last:
                self.graph.link(key, self.last["turn"], "used")
            else:
                for passage in self.known.values():
                    self.graph.link(key, passage, "used")
            self.last["turn"] = f"{key}/text"

    def _step(self, key: str, label: str, role: str) -> str:
        """A step of a role, what came of it, and the model that did it."""
        text = f"{key}/text"
        self.graph.add(key, "activity", key)
        self.graph.add(text, "entity", label)
        self.graph.link(text, key, "generated")
        self.graph.link(key, "brief", "used")
        if (model := self._model(role)) is not None:
            self.graph.link(key, model, "associated")
        return text

    def _model(self, role: str) -> str | None:
        """A role's model, its adapter, and what these were made from."""
        used = self.models.get(role) or {}
        name = used.get("model") or (self.settings.get("chat") or {}).get("model")
        if not name:
            return None
        id = self.graph.add(f"model/{name}", "agent", f"model {name}", **used)
        self._made_from(id, str(name))
        if adapter := used.get("adapter"):
            other = self.graph.add(f"adapter/{adapter}", "entity", f"adapter {adapter}", **used)
            self.graph.link(id, other, "attributed")
            self._made_from(other, str(adapter))
        return id

    def _made_from(self, id: str, name: str) -> None:
        """The recipe, the parents and the data of a model that was trained or merged, as its folder tells."""
        from models.catalogue.fetch import VARIANTS
        from models.catalogue.table import MODELS

        card = _json(self.home / VARIANTS / name / "variant.json")
        if card:
            recipe = self.graph.add(f"recipe/{name}", "entity", f"how {name} was made", **card)
            self.graph.link(id, recipe, "attributed" if id.startswith("model/") else "derived")
            for parent in _parents(card):
                self.graph.add(f"model/{parent}", "agent", f"model {parent}")
                self.graph.link(recipe, f"model/{parent}", "attributed")
            if data := card.get("data"):
                rows = self.graph.add(f"rows/{name}", "entity", f"training data of {name}", data=data)
                self.graph.link(recipe, rows, "derived")
        elif name in MODELS and (note := MODELS[name].note):
            told = self.graph.add(f"card/{name}", "entity", f"card of {name}: {note}")
            self.graph.link(id, told, "attributed" if id.startswith("model/") else "derived")

    def design(self, key: str, design: Mapping[str, Any]) -> None:
        """The document, field by field: each from the turns, and from the sentence that bears it out."""
        whole = self._step(key, f"design: {design['title']}", "engineer")
        for turn in [id for id in self.graph.nodes if re.fullmatch(r"scientist/turn-\d+/text", id)]:
            self.graph.link(key, turn, "used")
        for path, text, evidence, claimed in _fields(design):
            id = self.graph.add(path, "entity", f"{path}: {text}", claimed=claimed)
            if evidence:
                self.graph.link(id, self._passage(evidence, evidence["quotation"]), "derived")
            self.graph.link(id, whole, "derived")
        self.last["design"] = whole

    def prompts(self, steps: Mapping[str, Any]) -> None:
        """What the painter was told, from the design's structure."""
        for key, value in steps.items():
            made = value.get("prompt", value) if isinstance(value, dict) else {}
            text = self._step(key, f"prompt: {made.get('long') or made.get('short') or ''}", "illustrator")
            for path in [id for id in self.graph.nodes if id.startswith(("inspirations.", "architecture"))]:
                self.graph.link(text, path, "derived")
            if "design" in self.last:
                self.graph.link(key, self.last["design"], "used")
            self.last["prompt"] = text

    def picture(self, path: str, sha256: str, meta: Mapping[str, Any]) -> None:
        """A picture, from the prompt that its own record holds."""
        spec = meta.get("spec") or {}
        number = int(meta.get("index", 0)) + 1
        id = self.graph.add(
            f"picture-{number}", "entity", f"picture {number}: {path}, seed {meta.get('seed')}", sha256=sha256
        )
        step = self.graph.add(f"painting-{number}", "activity", f"painting {path}", **spec)
        self.graph.link(id, step, "generated")
        painter = spec.get("model")
        if painter:
            self.graph.add(f"model/{painter}", "agent", f"painter {painter}", fingerprint=spec.get("model_fingerprint"))
            self.graph.link(step, f"model/{painter}", "associated")
            self._made_from(f"model/{painter}", str(painter))
        if adapter := spec.get("adapter"):
            self.graph.add(f"adapter/{adapter}", "entity", f"adapter {adapter}", scale=spec.get("adapter_scale"))
            self.graph.link(step, f"adapter/{adapter}", "used")
            self._made_from(f"adapter/{adapter}", str(adapter))
        prompt = self._prompt_of(spec)
        if prompt is not None:
            self.graph.link(id, prompt, "derived")
            self.graph.link(step, prompt, "used")

    def _prompt_of(self, spec: Mapping[str, Any]) -> str | None:
        """The prompt whose words a picture was painted from; the last one where a person worded them."""
        words = str(spec.get("long_prompt") or spec.get("prompt") or "")
        held = [id for id in self.graph.nodes if id.startswith("illustrator/") and id.endswith("/text")]
        same = [id for id in held if words and self.graph.nodes[id].label.removeprefix("prompt: ") in words]
        return same[-1] if same else self.last.get("prompt")


def _short(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _parents(card: Mapping[str, Any]) -> list[str]:
    found = card.get("parents") or card.get("parent") or card.get("base") or []
    return [str(one) for one in (found if isinstance(found, list | tuple) else [found])]


def _fields(design: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any] | None, Any]]:
    """A design's fields: path, text, the sentence behind it, and the figure that stood there first."""
    for name in ("title", "summary"):
        yield name, str(design[name]), None, None
    for n, one in enumerate(design["inspirations"], 1):
        yield f"inspirations.{n}", f"{one['name']}: {one['principle']}", one.get("evidence"), None
    for n, one in enumerate(design["components"], 1):
        yield f"components.{n}", f"{one['name']} of {one['material']}", None, None
    yield "architecture", str(design["architecture"]["description"]), None, None
    for n, one in enumerate(design["mechanisms"], 1):
        plain = one if isinstance(one, Mapping) else {"text": one}
        yield f"mechanisms.{n}", str(plain["text"]), plain.get("evidence"), None
    for n, one in enumerate(design["properties"], 1):
        told = f"{one['name']} {one['value']:g} {one['unit']}, {one.get('status', 'assumed')}"
        yield f"properties.{n}", told, one.get("evidence"), one.get("claimed")
    for name in ("fabrication", "applications", "risks"):
        for n, text in enumerate(design[name], 1):
            yield f"{name}.{n}", str(text), None, None


def chosen(graph: Graph, what: str) -> list[str]:
    """The nodes that a person asks about: a field's path, a picture's number, a word of either; ``all`` for every one.

    Raises:
        UsageError: There is none.
    """
    askable = [id for id in graph.nodes if re.fullmatch(r"picture-\d+|[a-z]+(?:\.\d+)?", id) and id not in ("person",)]
    if what == "all":
        return [id for id in askable if id != "brief"]
    wanted = what.strip().casefold().replace("[", ".").replace("]", "").replace("picture ", "picture-")
    found = [id for id in askable if id == wanted or id.startswith(f"{wanted}.") or id.startswith(f"{wanted}-")]
    found = found or [id for id in askable if wanted in graph.nodes[id].label.casefold()]
    if not found:
        raise UsageError(unknown("field or picture", what, askable))
    return found


def paths(graph: Graph, start: str) -> list[tuple[int, Node, Relation | None]]:
    """A node and all that it came from, each once, with how deep it lies."""
    seen: set[str] = set()
    found: list[tuple[int, Node, Relation | None]] = []

    def walk(id: str, depth: int, relation: Relation | None) -> None:
        if id in seen or depth > _DEPTH:
            return
        seen.add(id)
        found.append((depth, graph.nodes[id], relation))
        for earlier, how in graph.from_(id):
            walk(earlier, depth + 1, how)

    walk(start, 0, None)
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
        told = {f"studio:{key}": _literal(value) for key, value in node.detail.items()}
        made.setdefault(node.kind, {})[_name(node.id)] = {"prov:label": node.label, **told}
    for number, (later, earlier, relation) in enumerate(graph.arrows):
        name, one, other = _PROV[relation]
        made.setdefault(name, {})[f"_:{number}"] = {one: _name(later), other: _name(earlier)}
    return made


def _name(id: str) -> str:
    return "run:" + re.sub(r"[^\w.-]", "_", id)


def _literal(value: Any) -> Any:
    plain = isinstance(value, str | int | float | bool)
    return value if plain else json.dumps(value, ensure_ascii=False, default=str)


def lines(graph: Graph, starts: Sequence[str]) -> list[str]:
    """What came from what, in lines for people: each field or picture and what lies behind it, further in."""
    words = {"derived": "from", "generated": "made by", "used": "with", "associated": "by", "attributed": "after"}
    told = []
    for start in starts:
        for depth, node, relation in paths(graph, start):
            mark = "" if relation is None else f"{words[relation]} "
            told.append(f"{'  ' * depth}{mark}{node.label}")
        told.append("")
    return told[:-1]
