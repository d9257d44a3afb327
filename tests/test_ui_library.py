"""The Library page on a real front door: found, marked, put away, used again; what a dropped picture fills the form."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import studio
from studio.queue.claims import ledger_of
from ui.desk.door import FrontDoor
from ui.desk.forms import FieldFault
from ui.desk.fragments import Reply
from ui.desk.library.seeking import number, view_of
from ui.desk.table import ACTIONS, READERS
from workspace.errors import UsageError

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def _idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits in the queue stays there: no worker is started."""
    monkeypatch.setattr("studio.designs.start_workers", lambda home, queue: None)


@pytest.fixture
def door(home: Path) -> FrontDoor:
    return FrontDoor()


@pytest.fixture
def client(home: Path) -> Iterator[Any]:
    from fastapi.testclient import TestClient

    from ui.desk.run.desk import Desk
    from ui.web.routes import routes

    door = FrontDoor()
    with TestClient(routes(door, Desk(door).picture, READERS, ACTIONS), base_url="http://localhost") as client:
        yield client


def entered(brief: str) -> str:
    """A design that waits in the queue: enough of one to be listed and marked."""
    return studio.submit(brief)


def stopped(home: Path, run_id: str) -> str:
    """The same, once its worker gave it up."""
    with ledger_of(home) as ledger, ledger.write() as connection:
        connection.execute("UPDATE jobs SET state = 'failed' WHERE job_id = ?", (run_id,))
    return run_id


def made(brief: str, **options: Any) -> Any:
    return studio.design(brief, **{"images": 2, "rounds": 1, "seed": 7, **options})


def read(door: FrontDoor, name: str, **query: str) -> str:
    return READERS[name](door, query)


def press(door: FrontDoor, name: str, **values: str) -> Reply:
    return ACTIONS[name](door, values)


def pressed(html: str, label: str) -> bool:
    """Whether the button of that name shows as pressed."""
    found = next(one for one in re.findall(r"<button[^>]*>", html) if f'aria-label="{label}"' in one)
    return 'aria-pressed="true"' in found


def png(texts: dict[str, str]) -> bytes:
    info, buffer = PngInfo(), io.BytesIO()
    for key, text in texts.items():
        info.add_text(key, text)
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


@pytest.mark.usefixtures("scripted_studio")
class TestFound:
    def test_designs_are_found_and_nothing_of_a_model_is_markup(self, door: FrontDoor) -> None:
        one, other = made(f"a tough panel {HOSTILE}"), made("a soft hinge of 50% less weight_x")
        html = read(door, "library")
        assert html.index(other.run_id) < html.index(one.run_id) and HOSTILE not in html
        assert html.count("/thumbnails/") == 4
        found = read(door, "library", search="HINGE soft")
        assert other.run_id in found and one.run_id not in found
        assert other.run_id in read(door, "library", search="50% weight_x")
        assert "Nothing fits" in read(door, "library", search="hinge xylophone")

    def test_a_damaged_run_stands_among_the_others(self, door: FrontDoor) -> None:
        one, other = made("a tough panel"), entered("a hinge")
        (one.folder / "design.json").write_text("{")
        studio.mark_run(one.run_id, star=True)
        with ledger_of(door.settings.home) as ledger, ledger.write() as connection:
            connection.execute("UPDATE shelf_runs SET seen = 0")
        html = read(door, "library")
        assert "cannot be read" in html and other in html

    def test_pages_follow_each_other_in_both_views(self, door: FrontDoor, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ui.desk.library.seeking.PAGE", 2)
        runs = [entered(f"panel number {place}") for place in range(3)]
        html = read(door, "library", search="panel")
        link = re.search(r'data-more="([^"]+)"', html)
        assert link is not None and runs[2] in html and runs[1] in html and runs[0] not in html
        query = dict(parse_qsl(link[1].replace("&amp;", "&")))
        assert query["search"] == "panel"
        rest = read(door, "library/more", **query)
        assert runs[0] in rest and runs[1] not in rest and "data-more" not in rest and "<form" not in rest
        assert "From the first" in read(door, "library", **query)
        with pytest.raises(UsageError, match="after is none"):
            read(door, "library", after="nonsense")

    def test_what_is_wrong_is_named_as_on_the_page(self, door: FrontDoor) -> None:
        entered("a hinge")
        with pytest.raises(FieldFault, match=r"^Score from must be a number"):
            read(door, "library", min_score="many")
        with pytest.raises(UsageError, match="is no day"):
            read(door, "library", since="yesterday")

    def test_filters_offer_what_there_is_and_show_what_is_set(self, door: FrontDoor) -> None:
        made("a tough panel")
        html = read(door, "library/filters", program="city", star="1", view="pictures")
        assert 'value="relate-and-design"' in html and 'value="city" selected' in html and "2 set" in html
        assert re.search(r'name="star" value="1" checked', html) and re.search(r'value="pictures" checked', html)
        chips = read(door, "library", program="city", star="1")
        assert "Leave out: program city" in chips and 'href="/library?star=1"' in chips

    def test_an_empty_home_says_how_to_begin(self, door: FrontDoor) -> None:
        assert "Begin with a brief" in read(door, "library")
        assert "The bin is empty" in read(door, "library", view="bin")
        assert "Newest first" in read(door, "library/filters")

    def test_views_and_numbers_are_read_leniently(self) -> None:
        assert view_of({"view": "attic"}) == "" and view_of({"view": "bin"}) == "bin"
        assert (number("03.png"), number("x.png")) == (3, 0)


@pytest.mark.usefixtures("scripted_studio")
class TestMarked:
    def test_marks_of_a_picture_show_after_a_reload(self, door: FrontDoor) -> None:
        run = made("a tough panel").run_id
        of = {"run": run, "picture": "02.png"}
        reply = press(door, "library/star", **of, star="1")
        assert list(reply.pieces) == [f"marks-{run}-02.png"] and reply.refresh == ("library/sheet",)
        press(door, "library/rate", **of, rating="4")
        press(door, "library/board", **of, board="  for the   facade ")
        press(door, "library/thumb", run=run, about="picture", at="02.png", value="down", reason="no  bricks")
        html = read(door, "library/sheet", **of)
        title = re.search(r"<h2>([^<]+)</h2>", html)
        assert title is not None and pressed(html, f"Star: {title[1]}")
        assert pressed(html, "4 of 5") and not pressed(html, "3 of 5")
        assert pressed(html, "Not good: the picture") and not pressed(html, "Good: the picture")
        assert 'value="no bricks"' in html and "Take off the board for the facade" in html
        for query in ({"star": "1"}, {"rating": "4"}, {"board": "for the facade"}):
            assert 'data-name="02.png"' in read(door, "library", view="pictures", **query)
            assert 'data-name="01.png"' not in read(door, "library", view="pictures", **query)

    def test_marks_are_taken_back(self, door: FrontDoor) -> None:
        run = entered("a hinge")
        press(door, "library/star", run=run, star="1")
        press(door, "library/board", run=run, board="b")
        assert run in read(door, "library", board="b", star="1")
        assert press(door, "library/star", run=run, star="").say == "The star is gone."
        assert press(door, "library/board", run=run, board="b", off="1").say == "It is off the board b."
        assert run not in read(door, "library", star="1") and run not in read(door, "library", board="b")

    def test_a_board_is_removed_and_its_designs_stay(self, door: FrontDoor) -> None:
        run = entered("a hinge")
        press(door, "library/board", run=run, board="b & c")
        assert "Remove this board" in read(door, "library", board="b & c")
        assert press(door, "library/unboard", board="b & c").go == "/library"
        assert run in read(door, "library") and studio.boards() == ()

    def test_what_cannot_be_is_refused_in_a_line(self, door: FrontDoor) -> None:
        run = entered("a hinge")
        assert press(door, "library/board", run=run, board=" ").at == "board"
        for name, values in (
            ("rate", {"run": run, "rating": "many"}),
            ("rate", {"run": run, "rating": "9"}),
            ("star", {"run": "nobody", "star": "1"}),
            ("star", {"run": run, "picture": "99.png", "star": "1"}),
            ("thumb", {"run": run, "about": "everything", "value": "up"}),
            ("unboard", {"board": "none"}),
            ("delete", {"run": run}),
        ):
            with pytest.raises(UsageError):
                press(door, f"library/{name}", **values)

    def test_thumbs_of_a_run_are_told_to_the_page_that_shows_it(self, door: FrontDoor) -> None:
        run = made("a tough panel").run_id
        press(door, "run/thumb", run=run, about="picture", at="01.png", value="up")
        press(door, "run/thumb", run=run, about="design", at="", value="down", reason="dull")
        html = read(door, "run/thumbs", run=run)
        assert 'data-about="picture" data-at="01.png" data-value="up"' in html
        assert 'data-about="design" data-at="" data-value="down"' in html
        press(door, "run/thumb", run=run, about="design", at="", value="")
        assert 'data-about="design"' not in read(door, "run/thumbs", run=run)


@pytest.mark.usefixtures("scripted_studio")
class TestUsedAgain:
    def form(self, door: FrontDoor, address: str) -> str:
        return read(door, "run/form", **dict(parse_qsl(urlsplit(address.replace("&amp;", "&")).query)))

    def links(self, html: str) -> dict[str, str]:
        return {label: address for address, label in re.findall(r'href="(/\?new=1[^"]+)"[^>]*>([^<]+)</a>', html)}

    def test_each_way_fills_the_form_with_what_it_says(self, door: FrontDoor) -> None:
        run = made("a tough panel", inspirations=["nacre"]).run_id
        links = self.links(read(door, "library/sheet", run=run, picture="01.png"))
        assert list(links) == ["Use all", "Remix", "Use prompt", "Use seed"]
        every, remix, prompt, seed = (self.form(door, links[name]) for name in links)
        assert "a tough panel</textarea>" in every and 'data-name="nacre"' in every
        assert 'name="seed" type="text" inputmode="numeric" value="7"' in every and 'value="1" checked> Keep' in every
        assert "a tough panel</textarea>" in remix and 'value="7"' not in remix and "checked> Keep" not in remix
        words = studio.find_pictures(run=run).pictures[0].prompt
        assert words[:20] in prompt and "a tough panel" not in prompt and "checked> Keep" not in prompt
        assert "a tough panel" not in seed and 'value="7"' in seed and "checked> Keep" in seed
        assert list(self.links(read(door, "library/sheet", run=run))) == ["Use all", "Remix", "Use seed"]
        assert "not here any more" in self.form(door, "/?new=1&from=nobody")

    def test_a_picture_is_painted_again_and_seen_again_in_a_branch(self, door: FrontDoor) -> None:
        run = made("a tough panel").run_id
        html = read(door, "library/sheet", run=run, picture="02.png")
        assert 'data-at="picture/round-1/01"' in html
        reply = press(door, "run/branch", run=run, at="picture/round-1/01")
        branch = reply.go.removeprefix("/?run=")
        assert [one.run_id for one in studio.family(run)] == [run, branch]
        assert "Its branches" in read(door, "library/sheet", run=run)
        found = read(door, "library", family=run)
        assert run in found and branch in found

    def test_why_goes_back_to_the_brief(self, door: FrontDoor) -> None:
        run = made("a tough panel").run_id
        html = read(door, "library/why", run=run, picture="01.png")
        assert "picture 1" in html and "brief: a tough panel" in html and "--depth: 1" in html
        assert "This design" in read(door, "library/why", run=run)


@pytest.mark.usefixtures("scripted_studio")
class TestBin:
    def test_what_is_deleted_lies_in_the_bin_first(self, door: FrontDoor, home: Path) -> None:
        run, other = stopped(home, entered("a hinge")), entered("a panel")
        press(door, "library/star", run=run, star="1")
        assert "restored" in press(door, "library/bin", run=run).say
        assert run not in read(door, "library") and run not in read(door, "library", view="pictures")
        html = read(door, "library", view="bin")
        assert run in html and other not in html and "for good?" in html and "put here" in html
        for name in ("run/past", "jobs", "compare"):
            assert run not in read(door, name)
        with pytest.raises(UsageError, match="not in the library"):
            read(door, "library/sheet", run=run)
        press(door, "library/restore", run=run)
        assert run in read(door, "library", star="1") and run in read(door, "jobs")

    def test_deleted_for_good_it_is_gone(self, door: FrontDoor, home: Path) -> None:
        runs = [stopped(home, entered(f"hinge {place}")) for place in range(3)]
        for run in runs:
            press(door, "library/bin", run=run)
        assert press(door, "library/delete", run=runs[0]).say.startswith("1 design deleted for good")
        assert not (home / "runs" / runs[0]).exists() and (home / "runs" / runs[1]).exists()
        assert press(door, "library/empty").say.startswith("2 designs deleted for good")
        assert "The bin is empty" in read(door, "library", view="bin")

    def test_a_run_in_the_bin_leaves_its_family(self, door: FrontDoor, home: Path) -> None:
        run = made("a tough panel").run_id
        first, second = (press(door, "run/branch", run=run, at="picture/round-1/00").go[6:] for _ in range(2))
        press(door, "library/bin", run=stopped(home, first))
        assert [one.run_id for one in studio.family(run)] == [run, second]
        assert [one.run_id for one in studio.family(first)] == [run, first, second]
        assert first not in read(door, "run/family", run=run)


class TestDropped:
    @pytest.mark.usefixtures("scripted_studio")
    def test_a_picture_of_this_home_leads_to_its_design(self, client: Any) -> None:
        run = made("a tough panel")
        answer = client.post("/drop", content=run.images[0].path.read_bytes(), headers={"content-type": "image/png"})
        assert answer.json()["run"] == run.run_id and answer.json()["picture"] == run.images[0].path.name

    def test_a_recipe_of_another_program_fills_what_the_form_has(self, client: Any) -> None:
        told = "a bone lattice\nNegative prompt: blur\nSteps: 20, Sampler: Euler, Seed: 77, Size: 512x512, Model: sdxl"
        answer = client.post("/drop", content=png({"parameters": told}), headers={"content-type": "image/png"})
        found = {name: str(value) for name, value in answer.json().items() if value not in (None, "", [])}
        query = {"new": "1", "recipe": found["source"], "brief": found["prompt"], **found}
        html = client.get("/desk/run/form", params=query).text
        assert "a bone lattice</textarea>" in html and 'value="77"' in html and "checked> Keep" in html
        assert 'name="size" type="text" inputmode="decimal" value="512"' in html
        assert "Left out: its painter sdxl" in html and "not to show" in html

    @pytest.mark.parametrize(
        ("query", "left"),
        [
            ({"width": "640", "height": "512"}, "its shape of 640 x 512 pixels"),
            ({"width": "99999", "height": "99999"}, "its size of 99999, which is out of bounds here"),
            ({"steps": "0"}, "its steps of 0"),
            ({"adapter": "leaf"}, "its picture style leaf, which is not here"),
        ],
    )
    def test_what_does_not_fit_is_told_and_left_out(self, door: FrontDoor, query: dict[str, str], left: str) -> None:
        html = read(door, "run/form", new="1", recipe="a1111", brief=f"bone {HOSTILE}", **query)
        assert f"Left out: {left}" in html and HOSTILE not in html

    @pytest.mark.parametrize(
        ("content", "status", "why"),
        [(b"GIF89a", 415, "no PNG"), (png({}), 422, "does not say what it was made from")],
    )
    def test_anything_else_is_told_in_a_line(self, client: Any, content: bytes, status: int, why: str) -> None:
        answer = client.post("/drop", content=content, headers={"content-type": "image/png"})
        assert answer.status_code == status and why in answer.text
