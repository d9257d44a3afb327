"""Where things come from: from a picture back to the passage, in lines and as W3C PROV-JSON."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prov.model import ProvDocument

import studio
from studio.runs.provenance import Graph, lines, paths, prov_json, provenance
from tests.fixtures_run import MAKERS, ScriptedChat
from ui import cli
from workspace.atlas.table import atlas
from workspace.errors import Interrupted
from workspace.events import Event

BRIEF = "a panel that stops cracks"
WORDED = "wavy thin green lines on a gold ground"
ENDS = {
    "wasDerivedFrom": ("entity", "entity"),
    "wasGeneratedBy": ("entity", "activity"),
    "used": ("activity", "entity"),
    "wasAssociatedWith": ("activity", "agent"),
}


def call(*words: str) -> int:
    return cli.main(list(words))


def behind(graph: Graph, start: str) -> list[str]:
    return [node.id for _, node, _ in paths(graph, start)]


def labels(graph: Graph, start: str) -> str:
    return "\n".join(lines(graph, [start]))


def ends(made: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    for one in made.get(name, {}).values():
        later, earlier = one.values()
        yield later, earlier


def whole(made: Mapping[str, Any]) -> ProvDocument:
    """The document as the W3C's own model reads it: every arrow between things that are there and of the right kind."""
    held = {name: set(made.get(name, {})) for name in ("entity", "activity", "agent")}
    for name, (later, earlier) in ENDS.items():
        for one, other in ends(made, name):
            assert one in held[later] and other in held[earlier], (name, one, other)
    every = set.union(*held.values())
    assert {id for pair in ends(made, "wasInfluencedBy") for id in pair} <= every
    read = ProvDocument.deserialize(content=json.dumps(made, allow_nan=False), format="json")
    names = [str(record.identifier) for record in read.get_records() if record.is_element()]
    assert set(names) == every and len(names) == len(every)
    assert len(read.get_records()) == len(every) + sum(len(made.get(name, {})) for name in (*ENDS, "wasInfluencedBy"))
    return read


@pytest.fixture
def run(home: Path, scripted_studio: Any) -> studio.Design:
    """A finished run for which sources were proposed."""
    return studio.design(BRIEF, seed=4, images=2)


def test_every_picture_leads_back_to_what_it_was_made_from(home: Path, run: studio.Design) -> None:
    graph = provenance(run.run_id, home)
    design = json.loads((run.folder / "design.json").read_text())
    assert [id for id in graph.nodes if id.startswith("picture-")] == ["picture-1", "picture-2"]
    for number, image in enumerate(run.images, 1):
        found = behind(graph, f"picture-{number}")
        assert graph.nodes[f"picture-{number}"].detail["sha256"] == image.sha256
        for id in (
            "illustrator/prompt-1/text",
            "engineer/design-1/text",
            "scientist/turn-1/text",
            "scientist/turn-3/text",
            "model/scripted-for-tests",
            "model/instant-for-tests",
            f"painting-{number}",
            "inspirations.1",
            "brief",
            "person",
        ):
            assert id in found, id
        kinds = {id.split("/")[0] for id in found}
        assert {"passage", "document", "source", "candidate"} <= kinds
        assert design["inspirations"][0]["name"] in labels(graph, f"picture-{number}")
        assert graph.nodes[f"painting-{number}"].detail["seed"] == image.seed


def test_a_claim_leads_to_the_sentence_that_bears_it_out(
    home: Path, scripted_studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    nacre = atlas()["abalone-nacre"]

    def written(messages: Any, seed: int) -> dict[str, Any]:
        made = MAKERS["of before"](messages, seed)
        made["inspirations"][0]["principle"] = nacre.mechanisms[0]
        made["mechanisms"].append(nacre.mechanisms[0])
        made["properties"] = [
            {"name": "Tensile strength", "value": 900, "unit": "MPa", "basis": "It is near that of nacre."}
        ]
        return made

    monkeypatch.setitem(MAKERS, "of before", MAKERS["MaterialDesign"])
    monkeypatch.setitem(MAKERS, "MaterialDesign", written)
    run = studio.design("a tile with a high tensile strength", inspirations=["nacre"], seed=4)
    design = json.loads((run.folder / "design.json").read_text())
    graph, borne = provenance(run.run_id, home), []
    for kind in ("inspirations", "mechanisms", "properties"):
        for number, one in enumerate(design[kind], 1):
            near = [id for id, _ in graph.from_(f"{kind}.{number}") if id.startswith("passage/")]
            assert len(near) == (1 if one["evidence"] else 0)
            if one["evidence"]:
                borne.append(f"{kind}.{number}")
                assert one["evidence"]["quotation"] in graph.nodes[near[0]].label
                assert one["evidence"]["cite"] in labels(graph, borne[-1])
    place = [one["name"] for one in design["properties"]].index("Tensile strength") + 1
    assert {"inspirations.1", "mechanisms.2", f"properties.{place}"} <= set(borne) and "mechanisms.1" not in borne
    assert "overridden; 900 MPa was claimed" in graph.nodes[f"properties.{place}"].label


def test_a_turn_leads_to_what_it_cites_and_to_the_turn_before(
    home: Path, scripted_studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ScriptedChat._text
    monkeypatch.setattr(ScriptedChat, "_text", lambda self, *given: f"{said(self, *given)} Its parts slide [2, 77].")
    graph = provenance(studio.design(BRIEF, inspirations=["nacre"], seed=4).run_id, home)
    cites = [id for id, how in graph.from_("scientist/turn-2/text") if how == "derived"]
    assert len(cites) == 1 and cites[0].startswith("passage/")  # there is no passage 77
    had = [id for id, _ in graph.from_("scientist/turn-2")]
    assert "scientist/turn-1/text" in had and "scientist/turn-3/text" not in had and cites[0] in had
    assert sum(id.startswith("passage/") for id in had) > 1


def test_a_prompt_that_a_person_worded_leads_to_the_person(home: Path, scripted_studio: Any) -> None:
    run_id = studio.design(BRIEF, inspirations=["nacre"], seed=5, ask=True).run_id
    studio.resume(run_id, prompt=WORDED)
    studio.resume(run_id, approve=True)
    graph = provenance(run_id, home)
    answers = [id for id, _ in graph.from_("picture-1") if id.startswith("answer/")]
    assert [graph.nodes[id].label for id in answers] == [f"answer: prompt: {WORDED}"]
    assert ("person", "attributed") in graph.from_(answers[0])
    assert "engineer/design-1/text" in behind(graph, "picture-1")  # what it took the place of is told too


def test_each_round_leads_to_its_own_prompt_and_a_rethought_design_to_its_own_fields(
    home: Path, scripted_studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = studio.design(BRIEF, inspirations=["nacre"], seed=5, images=1, ask=True).run_id
    studio.resume(run_id, approve=True)
    studio.resume(run_id, choice="rethink")
    first = {path.name: path.read_bytes() for path in (home / "runs" / run_id).glob("design.json")}
    studio.resume(run_id, approve=True)
    studio.resume(run_id, approve=True)
    made = studio.open_run(run_id)
    assert made.status == "finished" and len(made.images) == 2 and made.design is not None and first
    graph = provenance(run_id, home)
    prompts = [[id for id, _ in graph.from_(f"picture-{n}") if id.startswith("illustrator/")] for n in (1, 2)]
    assert prompts == [["illustrator/prompt-1/text"], ["illustrator/prompt-2/text"]]
    assert graph.nodes["title"].label == f"title: {made.design.title}"
    assert [id for id, _ in graph.from_("title")] == ["engineer/design-2/text"]
    before = [id for id, how in graph.from_("engineer/design-1") if how == "used"]
    assert "scientist/turn-3/text" in before and "scientist/turn-4/text" not in before
    assert "engineer/design-2/text" not in behind(graph, "picture-1")
    whole(prov_json(graph, run_id))


def test_show_tells_why(run: studio.Design, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("show", run.run_id, "--why", "mechanisms.1") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("mechanisms.1: Fibres uncrimp") and not told[1].startswith("mechanisms")
    assert any(line.lstrip().startswith("with turn: ") for line in told)
    assert "picture" not in told[0] and not any("painting" in line for line in told)
    for spelled in ("picture-1", "picture 1", "Picture-1", "images/01.png"):
        assert call("show", run.run_id, "--why", spelled) == 0
        told = capsys.readouterr().out.splitlines()
        assert told[0].startswith("picture 1: images/01.png") and not any(line.startswith("picture 2") for line in told)
    assert call("show", run.run_id, "--why", "mechanisms[1]") == 0
    assert call("show", run.run_id, "--why", "inspirations") == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in told if line.startswith("inspirations")] == [
        "inspirations.1",
        "inspirations.2",
    ]


def test_why_without_a_name_is_about_everything(run: studio.Design, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for words in (
        ("show", run.run_id, "--why"),
        ("show", "--why", "--", run.run_id),
        ("show", run.run_id, "--why", "all"),
        ("show", run.run_id, "--why="),
    ):
        assert call(*words) == 0
        told.append(capsys.readouterr().out)
    assert len(set(told)) == 1
    for name in ("title: ", "mechanisms.1: ", "properties.1: ", "risks.1: ", "picture 1: ", "picture 2: "):
        assert sum(line.startswith(name) for line in told[0].splitlines()) == 1
    assert call("show", "--why", "--json", run.run_id) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"picture-1", "mechanisms.1", "title"} <= set(found["asked"]) and "brief" not in found["asked"]


def test_why_as_json_is_one_object_with_the_whole_graph(run: studio.Design, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("show", run.run_id, "--why", "picture-2", "--json") == 0
    said = capsys.readouterr()
    assert said.out.count("\n") == 1 and said.err == ""
    told = json.loads(said.out)
    assert (told["run_id"], told["asked"]) == (run.run_id, ["picture-2"])
    assert told["lines"][0].startswith("picture 2: ")
    whole(told["prov"])


def test_a_name_that_is_none_is_one_line_with_the_choices(
    run: studio.Design, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("mechanisms.9", "picture-3", "pictures!", "person"):
        assert call("show", run.run_id, "--why", name) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1
        assert said.err.startswith(f"error: unknown field or picture '{name}'") and "mechanisms.1" in said.err


def test_the_export_is_read_by_the_w3cs_model(
    run: studio.Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("export", run.run_id, "--format", "prov") == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == tmp_path / f"{run.run_id}.prov.json"
    made = json.loads(path.read_text())
    read = whole(made)
    assert made["prefix"]["run"] == f"urn:studio:run:{run.run_id}:"
    uri = f"urn:studio:run:{run.run_id}:picture-1"
    [picture] = [one for one in read.get_records() if one.is_element() and one.identifier.uri == uri]
    assert picture.label.startswith("picture 1: ")


def stopped(kind: str) -> Any:
    def listen(event: Event) -> None:
        if event.type == kind:
            raise KeyboardInterrupt

    return listen


@pytest.mark.parametrize("kind", ["run_started", "token", "design_ready", "prompt_ready", "picture_ready"])
def test_an_unfinished_run_tells_how_far_it_has_come(
    home: Path, scripted_studio: Any, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    with pytest.raises(Interrupted):
        studio.design(BRIEF, seed=4, listener=stopped(kind))
    run_id = studio.list_runs()[0].run_id
    assert call("show", run_id, "--why") == 0
    told = capsys.readouterr().out
    assert told.startswith(
        "title: " if kind in ("design_ready", "prompt_ready", "picture_ready") else f"brief: {BRIEF}"
    )
    assert ("\npicture 1: " in told) == (kind == "picture_ready")
    assert ("by model smollm2-135m-instruct" in told) == told.startswith("title: ")  # what it asks for
    whole(prov_json(provenance(run_id, home), run_id))


def test_a_run_of_before_there_was_evidence_tells_where_its_pictures_come_from(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(Path(__file__).parent / "home_of_version_0.zip") as archive:
        archive.extractall(home)
    for row in studio.list_runs():
        assert call("show", row.run_id, "--why") == 0
        told = capsys.readouterr().out
        assert "mechanisms.1: " in told or row.status == "interrupted"
        assert ("picture 1: " in told) == (row.status == "finished")
        whole(prov_json(provenance(row.run_id, home), row.run_id))
    [done] = [row for row in studio.list_runs() if row.status == "finished"]
    found = behind(provenance(done.run_id, home), "picture-1")
    assert {"brief", "engineer/design-1/text", "scientist/turn-1/text"} <= set(found)


def variant(home: Path, name: str, card: Mapping[str, Any], record: Mapping[str, Any] | None = None) -> None:
    folder = home / "variants" / name
    folder.mkdir(parents=True)
    (folder / "variant.json").write_text(json.dumps(card))
    if record is not None:
        (folder / "merge.json").write_text(json.dumps(record))


def test_a_merged_model_leads_to_its_parents_and_their_training_data(
    home: Path, scripted_studio: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("models.chat.choose.describe", lambda call, home: {"model": "silk-slerp", "fingerprint": "1"})
    data = {"rows": 1200, "sha256": "abc", "files": "papers.jsonl"}
    odd = {"kind": "x", "id": "y", "label": "z", "loss per token": float("nan"), "a:b": 1, "zero": 0}
    variant(home, "silk-slerp", {"name": "silk-slerp", "merge": "slerp", **odd}, {"parents": ["silk-sft", "round"]})
    variant(home, "silk-sft", {"parent": "silk-cpt", "stage": "sft", "data": data})
    variant(home, "silk-cpt", {"parent": "smollm2-135m-instruct", "stage": "cpt"})
    variant(home, "round", {"parents": "silk-slerp, nobody"})  # in a circle, and one that is not here
    run = studio.design(BRIEF, inspirations=["nacre"], seed=4)
    graph = provenance(run.run_id, home)
    found = behind(graph, "picture-1")
    for name in ("silk-slerp", "silk-sft", "silk-cpt", "round", "nobody", "smollm2-135m-instruct"):
        assert f"model/{name}" in found, name
    assert graph.nodes["rows/silk-sft"].detail["data"] == data and "rows/silk-sft" in found
    assert graph.nodes["recipe/silk-slerp"].detail["zero"] == 0
    assert call("show", run.run_id, "--why", "picture-1") == 0
    assert "training data of silk-sft: rows 1200, sha256 abc, files papers.jsonl" in capsys.readouterr().out
    whole(prov_json(graph, run.run_id))


def test_names_with_odd_signs_stay_apart(home: Path) -> None:
    graph = Graph()
    names = [
        "a/b c",
        "a/b_c",
        "a/b%20c",
        "a/b:c",
        "a/b\tc",
        "a/b\u00e9",
        "a/b\u0065\u0301",
        "a/b\u7af9",
        "a/b#c",
        "a/b?c",
    ]
    for name in names:
        graph.add(name, "entity", name)
        graph.link(name, names[0], "derived")
    made = prov_json(graph, "odd")
    assert len(made["entity"]) == len(names)
    whole(made)


def test_what_a_run_says_is_shown_on_one_line_and_obeyed_by_no_terminal(
    home: Path, scripted_studio: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = studio.design("a panel\nthat \x1b[31mstops\x1b[0m cracks", inspirations=["nacre"], seed=4)
    assert call("show", run.run_id, "--why", "picture-1") == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert any(line.lstrip().startswith("with brief: a panel that") and "cracks" in line for line in told.splitlines())
