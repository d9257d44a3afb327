"""How a run came to what it made: pictures to prompts, to fields, to turns, to models and their data, to passages.

The graph is read off the ledger, where every step of a run stands as it was made: its key, its value and what it was
made with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.evidence.citations import cited
from studio.queue.claims import ledger_of
from studio.runs.figures import numeral
from studio.runs.origins import Graph, Relation, chosen, lines, paths, prov_json
from studio.runs.record import open_run, row_of

__all__ = ["Graph", "chosen", "lines", "paths", "prov_json", "provenance"]

EDITED = " (edited by a person)"
_OF_A_MERGE = ("parents", "method", "base", "yaml")  # what its record tells that its card may not
_KINDS = ("evidence", "sources", "turn", "design", "prompt", "answer", "edited", "redirect")


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
            if one.kind in _KINDS
        }
        pictures = [one for one in ledger.artifacts(run_id) if one.kind == "picture"]
    manifest = _json(open_run(run_id, home).folder / "manifest.json")
    made = _Making(home, manifest.get("models") or _asked_for(row.settings["settings"]))
    made.brief(row.brief)
    last = next((key for key in reversed(steps) if key.startswith("engineer/")), "")
    for key, value in steps.items():
        made.step(key, value, last=key == last)
    for one in pictures:
        made.picture(one.path, one.sha256, one.meta)
    return made.graph


def _asked_for(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Which models a run that has not ended asks for, role by role."""
    shared, own = settings.get("chat") or {}, settings.get("roles") or {}
    asked = {}
    for role in ("scientist", "engineer", "illustrator"):
        mine = {key: value for key, value in (own.get(role) or {}).items() if value is not None}
        other = mine.get("model", shared.get("model")) != shared.get("model")
        asked[role] = {
            "model": mine.get("model", shared.get("model")),
            "adapter": mine.get("adapter", None if other else shared.get("adapter")),
        }
    return asked


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class _Making:
    """A graph on its way."""

    def __init__(self, home: Path, models: Mapping[str, Any]) -> None:
        self.home, self.models, self.graph = home, models, Graph()
        self.known: dict[int, str] = {}
        self.turns: list[str] = []
        self.fields: list[str] = []
        self.last: dict[str, str] = {}
        self.worded: dict[str, str] = {}
        self.edited: dict[str, Any] = {}

    def brief(self, brief: Mapping[str, Any]) -> None:
        """What a person asked for."""
        self.graph.add("person", "agent", "the person who asked")
        self.graph.add("brief", "entity", f"brief: {brief['text']}", brief)
        self.graph.link("brief", "person", "attributed")

    def step(self, key: str, value: Any, *, last: bool) -> None:
        """A step of the run, as the ledger has it; ``last`` if it wrote the design that was kept."""
        match key.partition("/"):
            case ("edited", _, step):
                self.edited[step] = value["before"]
            case ("redirect", _, step):
                self.graph.add(key, "entity", f"wish: {value['wish']}", value)
                self.graph.link(key, "person", "attributed")
                self.graph.link(step, key, "used")
            case ("scientist", _, "candidates"):
                self._candidates(key, value)
            case ("scientist", _, "inspirations"):
                self.last["sources"] = self._done(key, f"sources: {', '.join(value)}", "scientist")
            case ("scientist", _, rest) if rest.startswith("evidence"):
                self._evidence(key, value)
            case ("scientist", _, _):
                self._turn(key, str(value))
            case ("engineer", _, _):
                self._design(key, value["design"], last)
            case ("illustrator", _, _):
                self._prompt(key, value)
            case ("answer", _, _):
                self._answer(key, value)

    def _candidates(self, key: str, found: Sequence[Mapping[str, Any]]) -> None:
        """Materials that were proposed for the wish, each from the atlas."""
        text = f"{key}/text"
        self.graph.add(key, "activity", "looking for organisms that do this")
        self.graph.add(text, "entity", f"proposed: {', '.join(one['name'] for one in found) or 'nothing'}")
        self.graph.link(text, key, "generated")
        self.graph.link(key, "brief", "used")
        for one in found:
            id = self.graph.add(f"candidate/{one['name']}", "entity", f"{one['name']}: {one['mechanism']}", one)
            self.graph.link(id, self._cited(one["source"]), "derived")
            self.graph.link(id, key, "generated")
        self.last["sources"] = text

    def _answer(self, key: str, given: Mapping[str, Any]) -> None:
        """What a person said to a question of the run."""
        told = "; ".join(f"{name}: {_listed(value)}" for name, value in given.items())
        self.graph.add(key, "entity", f"answer: {told}", given)
        self.graph.link(key, "person", "attributed")
        if isinstance(given.get("prompt"), str):
            self.worded[given["prompt"].strip()] = key
        if "sources" in self.last and not self.turns:
            self.graph.link(key, self.last["sources"], "derived")
            self.last["sources"] = key

    def _evidence(self, key: str, found: Sequence[Mapping[str, Any]]) -> None:
        """The passages that were looked up, by number."""
        self.graph.add(key, "activity", "looking up what is known")
        self.graph.link(key, "brief", "used")
        for one in found:
            passage = self._passage(one, one["text"])
            self.graph.link(key, passage, "used")
            self.known[int(one["number"])] = passage

    def _passage(self, one: Mapping[str, Any], quotation: str) -> str:
        """A sentence and the document that it stands in."""
        document = f"document/{one['document']}"
        where = {name: one.get(name) for name in ("doi", "file", "title")}
        self.graph.add(document, "entity", one.get("title") or one["document"], where)
        page = f", page {one['page']}" if one.get("file") else ""
        label = f"\u201c{quotation}\u201d ({one['document']}{page})"
        id = f"passage/{one['passage']}/{_short(quotation)}"
        self.graph.add(id, "entity", label, {"cite": one.get("cite"), "page": one.get("page")})
        self.graph.link(id, document, "derived")
        if one.get("cite"):
            self.graph.link(id, self._cited(one["cite"]), "derived")
        return id

    def _cited(self, cite: str) -> str:
        return self.graph.add(f"source/{_short(cite)}", "entity", cite)

    def _turn(self, key: str, text: str) -> None:
        """What the Scientist said, and which passages it had and cites."""
        made = self._done(key, f"turn: {text}", "scientist")
        for number in cited(text):
            if number in self.known:
                self.graph.link(made, self.known[number], "derived")
        for earlier in [*self.known.values(), *self.turns[-1:], *filter(None, [self.last.get("sources")])]:
            self.graph.link(key, earlier, "used")
        self.turns.append(made)

    def _done(self, key: str, label: str, role: str) -> str:
        """A step of a role, what came of it, and the model that did it."""
        text = f"{key}/text"
        self.graph.add(key, "activity", key)
        self.graph.add(text, "entity", f"{label}{EDITED}" if key in self.edited else label)
        self.graph.link(text, key, "generated")
        self.graph.link(key, "brief", "used")
        if key in self.edited:
            return self._written(text, self.edited[key])
        used = self.models.get(role) or {}
        if used.get("model"):
            self.graph.link(key, self._model(used), "associated")
        return text

    def _written(self, text: str, before: Any) -> str:
        """What a person wrote, in the place of what stood there."""
        self.graph.link(text, "person", "attributed")
        if before is not None:
            words = before if isinstance(before, str) else json.dumps(before, ensure_ascii=False)
            self.graph.link(text, self.graph.add(f"{text}/before", "entity", f"in the place of: {words}"), "derived")
        return text

    def _model(self, used: Mapping[str, Any]) -> str:
        """A model, its adapter, and what these were made from."""
        id = self.graph.add(f"model/{used['model']}", "agent", f"model {used['model']}", used)
        self._made_from(id, str(used["model"]))
        if adapter := used.get("adapter"):
            other = self.graph.add(f"adapter/{adapter}", "entity", f"adapter {adapter}", used)
            self.graph.link(id, other, "attributed")
            self._made_from(other, str(adapter))
        return id

    def _made_from(self, id: str, name: str) -> None:
        """The recipe, the parents and the data of a model that was trained or merged, as its folder tells."""
        from models.catalogue.fetch import VARIANTS
        from models.catalogue.table import MODELS

        how: Relation = "attributed" if id.startswith("model/") else "derived"
        folder = self.home / VARIANTS / name
        merged = {key: one for key, one in _json(folder / "merge.json").items() if key in _OF_A_MERGE}
        card = {**merged, **_json(folder / "variant.json")}
        if card and f"recipe/{name}" not in self.graph.nodes:
            recipe = self.graph.add(f"recipe/{name}", "entity", f"how {name} was made", card)
            for parent in _parents(card):
                self.graph.add(f"model/{parent}", "agent", f"model {parent}")
                self.graph.link(recipe, f"model/{parent}", "attributed")
                self._made_from(f"model/{parent}", parent)
            if data := card.get("data"):
                told = f"training data of {name}: {_listed(data)}"
                rows = self.graph.add(f"rows/{name}", "entity", told, {"data": data})
                self.graph.link(recipe, rows, "derived")
        elif not card and name in MODELS and (note := MODELS[name].note):
            self.graph.add(f"recipe/{name}", "entity", f"card of {name}: {note}")
        if f"recipe/{name}" in self.graph.nodes:
            self.graph.link(id, f"recipe/{name}", how)

    def _design(self, key: str, design: Mapping[str, Any], last: bool) -> None:
        """A design from the turns before it; of the last one each field, and the sentence that bears it out."""
        whole = self._done(key, f"design: {design['title']}", "engineer")
        for turn in self.turns:
            self.graph.link(key, turn, "used")
        for passage in self.known.values():
            self.graph.link(key, passage, "used")
        self.last["design"] = whole
        before = ((self.edited.get(key) or {}).get("design") or {}) if key in self.edited else design
        as_before = {path: text for path, text, *_ in _fields(before)} if before else {}
        for path, text, evidence, claimed in _fields(design) if last else ():
            mark = "" if as_before.get(path) == text else EDITED
            self.fields.append(self.graph.add(path, "entity", f"{path}: {text}{mark}", {"claimed": claimed}))
            if mark:
                self.graph.link(path, "person", "attributed")
            if evidence:
                self.graph.link(path, self._passage(evidence, evidence["quotation"]), "derived")
            if path.startswith("inspirations."):
                self._chosen(path, text)
            self.graph.link(path, whole, "derived")

    def _chosen(self, path: str, text: str) -> None:
        """Why a source was taken: it was proposed, or a person or the Scientist chose it."""
        found = [id for id in self.graph.nodes if id.startswith("candidate/") and text.startswith(f"{id[10:]}: ")]
        for earlier in [*found, *filter(None, [self.last.get("sources")])]:
            self.graph.link(path, earlier, "derived")

    def _prompt(self, key: str, made: Mapping[str, Any]) -> None:
        """What the painter was told, from the design's structure."""
        text = self._done(key, f"prompt: {made.get('long') or made.get('short') or ''}", "illustrator")
        for path in self.fields:
            if path.startswith(("inspirations.", "architecture")):
                self.graph.link(text, path, "derived")
        if "design" in self.last:
            self.graph.link(key, self.last["design"], "used")
        self.last["prompt"] = text
        self.worded |= {made[name]: text for name in ("short", "long") if made.get(name)}

    def picture(self, path: str, sha256: str, meta: Mapping[str, Any]) -> None:
        """A picture, from the prompt that its own record holds."""
        spec = meta.get("spec") or {}
        number = int(meta.get("index", 0)) + 1
        told = f"picture {number}: {path}, seed {meta.get('seed')}"
        id = self.graph.add(f"picture-{number}", "entity", told, {"sha256": sha256})
        step = self.graph.add(f"painting-{number}", "activity", f"painting {path}", spec)
        self.graph.link(id, step, "generated")
        if painter := spec.get("model"):
            held = {"fingerprint": spec.get("model_fingerprint")}
            self.graph.add(f"model/{painter}", "agent", f"painter {painter}", held)
            self.graph.link(step, f"model/{painter}", "associated")
            self._made_from(f"model/{painter}", str(painter))
        if adapter := spec.get("adapter"):
            held = {"scale": spec.get("adapter_scale"), "fingerprint": spec.get("adapter_fingerprint")}
            self.graph.add(f"adapter/{adapter}", "entity", f"adapter {adapter}", held)
            self.graph.link(step, f"adapter/{adapter}", "used")
            self._made_from(f"adapter/{adapter}", str(adapter))
        for prompt in self._prompts_of(spec):
            self.graph.link(id, prompt, "derived")
            self.graph.link(step, prompt, "used")

    def _prompts_of(self, spec: Mapping[str, Any]) -> list[str]:
        """The prompt whose words a picture was painted from; where a person worded them, that and what it replaced."""
        words = [str(spec.get(name) or "") for name in ("long_prompt", "prompt")]
        same = next((self.worded[text] for text in words if text in self.worded), None)
        if same is None:  # a person's words may have been cut, or got the adapter's word before them
            whole = [key for text, key in self.worded.items() if key.startswith("answer/") and _cut(text, words[0])]
            same = whole[-1] if whole else self.last.get("prompt")
        held = [same] if same and not same.startswith("answer/") else [same, self.last.get("prompt")]
        return [one for one in held if one]


def _cut(text: str, painted: str) -> bool:
    """Whether a prompt was painted as its beginning, maybe behind an adapter's word."""
    mine, theirs = " ".join(text.split()), " ".join(painted.split())
    return bool(theirs) and (mine.startswith(theirs) or mine.startswith(theirs.partition(" ")[2] or theirs))


def _listed(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_listed(one)}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _short(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _parents(card: Mapping[str, Any]) -> list[str]:
    """What a model was made from, as its card lists it: names in a list or between commas."""
    found = card.get("parents") or card.get("parent") or card.get("base") or []
    names = found if isinstance(found, list | tuple) else str(found).split(",")
    return [str(one).strip() for one in names if str(one).strip()]


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
        told = f"{one['name']} {numeral(one['value'])} {one['unit']}, {one.get('status', 'assumed')}"
        first = one.get("claimed")
        told += f"; {numeral(first['value'])} {first['unit']} was claimed" if first else ""
        yield f"properties.{n}", told, one.get("evidence"), first
    for name in ("fabrication", "applications", "risks"):
        for n, text in enumerate(design[name], 1):
            yield f"{name}.{n}", str(text), None, None
