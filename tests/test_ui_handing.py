"""Files that go out and come in, and the fence around the page's own routes: hosts, origins, kinds, odd names."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import studio
from studio.keeping.recipe import Recipe
from ui.web.fence import MOST_DROP
from workspace.errors import DataError

HOST = "http://127.0.0.1:7860"


def png(side: int = 8) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (side, side), "green").save(made, "PNG")
    return made.getvalue()


@pytest.fixture
def client(home: Path, scripted_studio: Any) -> Iterator[Any]:
    from fastapi.testclient import TestClient

    from ui.desk.door import FrontDoor
    from ui.desk.run.desk import Desk
    from ui.desk.table import ACTIONS, READERS
    from ui.web.routes import routes

    door = FrontDoor()
    app = routes(door, Desk(door).picture, READERS, ACTIONS)
    with TestClient(app, base_url=HOST) as made:
        yield made


@pytest.mark.parametrize(
    ("format", "media", "begins"),
    [
        ("html", "text/html; charset=utf-8", b"<!doctype html>"),
        ("pdf", "application/pdf", b"%PDF"),
        ("md", "text/markdown; charset=utf-8", b"# "),
        ("json", "application/json", b"{"),
        ("zip", "application/zip", b"PK"),
        ("prov", "application/json", b"{"),
    ],
)
def test_a_run_is_handed_out_by_its_title(client: Any, format: str, media: str, begins: bytes) -> None:
    run = studio.design("a tough panel", seed=5, images=1)
    answer = client.get(f"/export/{run.run_id}.{format}")
    assert answer.status_code == 200 and answer.content.startswith(begins)
    assert answer.headers["content-type"] == media
    ending = "prov.json" if format == "prov" else format
    assert run.design is not None
    name = "-".join(run.design.title.lower().split())
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="{name}.{ending}"')
    assert "sandbox" in answer.headers["content-security-policy"]


def test_a_title_without_plain_letters_gives_the_run_its_name() -> None:
    from studio.sharing.exporting import slug

    assert slug("\u86db\u7f51", "r1") == "r1" and slug('../../x\r\ny: \u00e4\u00df"', "r1") == "x-y-a"
    assert len(slug("long " * 50, "r1")) <= 60


def test_a_run_is_named_by_its_id_alone(client: Any, home: Path) -> None:
    run = studio.design("a tough panel", seed=5, images=1)
    names = [f"{run.run_id}.exe", run.run_id, f"{run.run_id}.html.zip", ".html", "..%2f..%2fledger.db", "x.html",
             f"..%2f{run.run_id}.html", "%00.html", "a%ff.pdf", "%F0%9F%95%B8.pdf",
             "a" * 500 + ".pdf", "ledger.db"]  # fmt: skip
    for name in names:
        assert client.get(f"/export/{name}").status_code == 404, name


def test_a_waiting_run_is_handed_out_and_a_damaged_one_is_one_line(client: Any) -> None:
    run = studio.design("a tough panel", seed=5, ask=True)
    assert client.get(f"/export/{run.run_id}.html").status_code == 200
    (run.folder / "design.json").write_text("[5]")
    answer = client.get(f"/export/{run.run_id}.pdf")
    assert answer.status_code == 422 and "\n" not in answer.text


def test_a_run_that_goes_on_is_not_handed_out(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = studio.design("a tough panel", seed=5)
    monkeypatch.setattr("studio.runs.report.state_of", lambda home, row: "running")
    assert client.get(f"/export/{run.run_id}.md").status_code == 409


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    got: list[bytes] = []

    def recipe_of(data: bytes, **options: Any) -> Recipe:
        got.append(data)
        if len(got) > 1:
            raise DataError("this picture holds no recipe")
        return Recipe(source="studio", prompt="fine lines", seed=5)

    monkeypatch.setattr(studio, "recipe_of", recipe_of)
    return got


PNG = {"content-type": "image/png"}


def test_a_dropped_picture_gives_its_recipe(client: Any, recipes: list[bytes]) -> None:
    answer = client.post("/drop", content=png(), headers=PNG)
    assert answer.status_code == 200 and answer.json()["seed"] == 5 and recipes == [png()]
    again = client.post("/drop", content=png(), headers=PNG)
    assert again.status_code == 422 and again.json()["error"] == "this picture holds no recipe"


def test_a_picture_that_says_how_it_was_made_is_read(client: Any) -> None:
    from PIL.PngImagePlugin import PngInfo

    told, made = PngInfo(), io.BytesIO()
    told.add_text("parameters", "fine lines\nSteps: 8, Seed: 5, Size: 64x64")
    Image.new("RGB", (8, 8), "green").save(made, "PNG", pnginfo=told)
    answer = client.post("/drop", content=made.getvalue(), headers=PNG)
    assert answer.status_code == 200, answer.text
    assert answer.json()["prompt"] == "fine lines" and answer.json()["seed"] == 5
    assert client.post("/drop", content=png(), headers=PNG).status_code == 422


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"GIF89a" + b"x" * 100, png()[:20], b"\xff\xd8\xff" + png(), png()[:16] + b"\xff" * 8 + png()[24:],
     png()[:16] + b"\0" * 8 + png()[24:], png()[:12] + b"XXXX" + png()[16:]],
)  # fmt: skip
def test_what_is_no_png_is_refused_by_its_bytes(client: Any, recipes: list[bytes], content: bytes) -> None:
    assert client.post("/drop", content=content, headers=PNG).status_code == 415
    assert recipes == []


def test_a_drop_is_bounded_and_of_its_kind(client: Any, recipes: list[bytes]) -> None:
    large = png() + b"\0" * 1_500_000
    assert client.post("/drop", content=large, headers=PNG).status_code == 200
    assert client.post("/drop", content=b"x", headers={**PNG, "content-length": str(MOST_DROP + 1)}).status_code == 413
    assert client.post("/drop", content=iter([png()]), headers=PNG).status_code == 413
    for kind in ("multipart/form-data; boundary=x", "text/plain", "application/json", ""):
        assert client.post("/drop", content=png(), headers={"content-type": kind}).status_code == 415
    assert client.post("/desk/jobs/stop", content=b"{" + b" " * 1_000_000 + b"}").status_code == 413
    assert client.get("/drop").status_code == 405


@pytest.mark.parametrize("path", ["/desk/jobs/stop", "/drop", "/api/v1/designs"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:8000"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example:7860"}, 421),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "text/plain; application/json"}, 415),
        ({"content-type": ""}, 415),
        ({"content-length": "-1"}, 413),
        ({"content-length": "\u00b2".encode("latin-1")}, 413),
        ({"transfer-encoding": "chunked"}, 413),
    ],
)
def test_no_other_site_can_send_to_the_page(client: Any, path: str, headers: dict[str, Any], status: int) -> None:
    kind = "image/png" if path == "/drop" else "application/json"
    answer = client.post(path, content=b"{}", headers={"content-type": kind, **headers})
    assert answer.status_code == status
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("name", ["host", "origin", "content-type", "content-length"])
def test_what_is_believed_stands_once(client: Any, name: str) -> None:
    given = {"host": "127.0.0.1:7860", "origin": HOST, "content-type": "application/json", "content-length": "2"}
    headers = [*given.items(), (name, given[name])]
    assert client.post("/desk/jobs/stop", content=b"{}", headers=headers).status_code == 400


def test_own_calls_go_through(client: Any) -> None:
    headers = {"origin": HOST, "sec-fetch-site": "same-origin", "content-type": "application/json; charset=utf-8"}
    assert client.post("/desk/nope", content=b"{}", headers=headers).status_code == 404
    assert client.post("/desk/jobs/stop", json={"job": "nope"}, headers={"origin": HOST}).status_code == 422
    for body in (b"[]", b"5", b"", b"{", b'{"job": "\\ud800"}', b'{"\\udfff": 1}'):
        assert client.post("/desk/jobs/stop", content=body, headers=headers).status_code == 400


ODD = ["%00", "%ff", "..%2f..%2fetc%2fpasswd", "%F0%9F%95%B8", "a%0d%0ab", "%ED%A0%80", "%2e%2e", "'", "%22",
       "%5c..%5c", "a" * 3000, "-", "%E2%80%AE", "{x}", "*", "%25s"]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_odd_names_are_not_found_and_never_a_fault(client: Any, odd: str) -> None:
    for place in ("desk", "export", "batches", "pictures", "thumbnails"):
        paths = [f"/{place}/{odd}", f"/{place}/{odd}/{odd}", f"/{place}/{odd}/01.png"]
        for path in paths:
            assert client.get(path).status_code == 404, path
            assert client.head(path).status_code in (404, 405), path
    for query in (f"run={odd}", f"job={odd}&run={odd}", f"runs={odd},{odd}", odd):
        for name in ("run", "jobs", "library", "compare", "training", "models"):
            assert client.get(f"/desk/{name}?{query}").status_code < 500, (name, query)


def test_headers_stay_on_every_answer(client: Any) -> None:
    for path in ("/desk/jobs", "/desk/nope", "/export/x.pdf", "/nowhere"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
    assert client.get("/api/v1/designs").status_code == 404
