"""What a person keeps: marks, boards, the bin, the shelf that is searched, small copies, recipes of pictures."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import studio
from studio.keeping import rows
from studio.queue.claims import ledger_of
from ui import cli
from workspace.errors import DataError, StudioError, UsageError
from workspace.ledger import ArtifactRow, Ledger

ROOT = Path(__file__).parent.parent
SHA = "ab" * 32


def _png(side: int = 64, colour: tuple[int, int, int] = (9, 8, 7), info: PngInfo | None = None) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def entered(
    home: Path,
    run_id: str,
    words: str = "a tough panel",
    *,
    pictures: int = 2,
    state: Any = "finished",
    fits: tuple[int, ...] = (4, 9),
    **record: Any,
) -> Path:
    """A run as it stands in a home when it is done."""
    import hashlib

    folder = home / "runs" / run_id
    (folder / "images").mkdir(parents=True)
    made = []
    for place in range(pictures):
        data = _png(colour=(place, len(words) % 256, len(run_id) % 256))
        name = f"images/{place + 1:02d}.png"
        (folder / name).write_bytes(data)
        spec = {"prompt": f"lines {place}", "long_prompt": f"long lines {place}", "width": 64, "height": 64}
        spec |= {"model": "tiny-flux", "adapter": record.get("adapter")}
        meta = {"seed": 70 + place, "index": place, "pixels_sha256": "", "spec": spec}
        made.append(ArtifactRow(name, hashlib.sha256(data).hexdigest(), "picture", meta, 1000.0 + place))
    documents: dict[str, Any] = {
        "design.json": {"title": f"The {words}", "summary": "Überall Wabenzellen, 100% of them."},
        "prompts.json": [{"long": "slow parallel waves"}],
        "critiques.json": [{"picture": place, "fit": fit} for place, fit in enumerate(fits[:pictures])],
        "manifest.json": {"best": 1 if pictures > 1 else 0, "models": {"scientist": {"model": "writer-1"}}},
    }
    for name, content in documents.items():
        (folder / name).write_text(json.dumps(content))
    settings = {"settings": {"flow": {"images": 2}}, "program": {"name": record.get("program", "relate-and-design")}}
    settings |= {"branch": record["branch"]} if "branch" in record else {}
    with ledger_of(home) as ledger:
        ledger.create_run(run_id, {"text": words}, settings, 7, str(folder), state, artifacts=made)
    return folder


def ids(**asked: Any) -> list[str]:
    return [one.run_id for one in studio.find_runs(**asked).runs]


def pictures(**asked: Any) -> list[tuple[str, str]]:
    return [(one.run_id, one.name) for one in studio.find_pictures(**asked).pictures]


@pytest.fixture
def three(home: Path) -> Path:
    """A home with three finished runs; the last one is a branch of the first."""
    entered(home, "r1", "a tough panel of nacre")
    entered(home, "r2", "a light deck of bone", program="city", adapter="leaf-lora", fits=(2, 3))
    entered(home, "r3", "a tough panel of nacre", branch={"root": "r1", "parent": "r1", "at": "x", "how": "retried"})
    return home


@pytest.mark.usefixtures("three")
class TestFinding:
    def test_runs_come_newest_first_with_all_that_a_tile_shows(self) -> None:
        found = studio.find_runs()
        assert [one.run_id for one in found.runs] == ["r3", "r2", "r1"] and found.next == "" and found.pending == 0
        one = found.runs[-1]
        assert (one.title, one.brief, one.status) == (
            "The a tough panel of nacre",
            "a tough panel of nacre",
            "finished",
        )
        assert (one.score, one.best, one.pictures, one.names) == (9.0, "02.png", 2, ("02.png", "01.png"))
        assert one.models == ("tiny-flux", "writer-1") and one.program == "relate-and-design" and one.fault == ""
        assert (one.star, one.rating, one.boards, one.binned) == (False, 0, (), 0)

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({"search": "NACRE tough"}, ["r3", "r1"]),
            ({"search": "uberall wabenzellen"}, ["r3", "r2", "r1"]),
            ({"search": "parallel waves deck"}, ["r2"]),
            ({"search": "100% xylophone"}, []),
            ({"search": "%"}, ["r3", "r2", "r1"]),
            ({"search": "bon_"}, ["r2"]),
            ({"program": "city"}, ["r2"]),
            ({"model": "writer-1"}, ["r3", "r2", "r1"]),
            ({"model": "writer"}, []),
            ({"adapter": "leaf-lora"}, ["r2"]),
            ({"family": "r1"}, ["r3", "r1"]),
            ({"min_score": 4}, ["r3", "r1"]),
            ({"max_score": 3}, ["r2"]),
            ({"status": ("failed",)}, []),
            ({"status": ("finished", "failed")}, ["r3", "r2", "r1"]),
            ({"until": "2001-01-01"}, []),
            ({"since": "2001-01-01"}, ["r3", "r2", "r1"]),
            ({"sort": "best"}, ["r3", "r1", "r2"]),
        ],
    )
    def test_runs_are_narrowed(self, asked: dict[str, Any], found: list[str]) -> None:
        assert ids(**asked) == found

    def test_pictures_are_narrowed_by_their_own_score_and_marks(self) -> None:
        assert len(pictures()) == 6 and pictures(min_score=9) == [("r3", "02.png"), ("r1", "02.png")]
        one = studio.find_pictures(program="city", count=1).pictures[0]
        assert (one.seed, one.round, one.score, one.width, one.prompt, one.best) == (71, 1, 3.0, 64, "lines 1", True)
        studio.mark_picture("r2", picture="01.png", star=True, rating=3, board=("façades",))
        assert pictures(star=True) == pictures(rating=2) == pictures(board="façades") == [("r2", "01.png")]
        assert pictures(rating=4) == [] and len(pictures(star=False)) == 5
        assert ids(star=True) == ids(rating=3) == ids(board="façades") == ["r2"] and ids(star=False) == ["r3", "r1"]

    @pytest.mark.parametrize("sort", ["newest", "best"])
    def test_pages_hold_everything_once(self, sort: Any) -> None:
        finds: dict[Any, tuple[str, int]] = {studio.find_pictures: ("pictures", 6), studio.find_runs: ("runs", 3)}
        for find, (what, whole) in finds.items():
            seen: list[Any] = []
            after = ""
            while True:
                page = find(sort=sort, count=2, after=after)
                seen += getattr(page, what)
                after = page.next
                if not after:
                    break
            assert len(seen) == whole == len({(one.run_id, getattr(one, "name", "")) for one in seen})

    @pytest.mark.parametrize("after", ["x", "bm9uZQ==", "WzEsIDJd", "W251bGwsICJhIl0=", "ä"])
    def test_a_place_that_no_page_gave_is_refused(self, after: str) -> None:
        with pytest.raises(UsageError, match="after is none"):
            studio.find_runs(after=after)

    @pytest.mark.parametrize("day", ["soon", "2026-13-01", "-9"])
    def test_a_day_that_is_none_is_refused(self, day: str) -> None:
        with pytest.raises(UsageError, match="no day"):
            studio.find_runs(since=day)

    def test_what_the_filters_can_be_set_to(self) -> None:
        studio.find_runs()
        studio.mark_run("r1", board=("b",))
        made = studio.find_choices()
        assert (made.programs, made.adapters, made.boards) == (("city", "relate-and-design"), ("leaf-lora",), ("b",))
        assert made.models == ("tiny-flux", "writer-1")

    def test_a_page_is_read_off_an_index_and_no_folder_is_opened(self, three: Path, monkeypatch: Any) -> None:
        from studio.keeping import finding

        studio.find_runs()
        monkeypatch.setattr(rows, "read_inside", lambda *a, **k: pytest.fail("a folder was opened"))
        assert len(ids()) == 3 and len(pictures()) == 6
        with ledger_of(three, reading=True) as ledger:
            for select, table, order in (
                (finding._PICTURES, "shelf_pictures_by_time", "p.created DESC, p.run_id DESC, p.name DESC"),
                (finding._RUNS, "shelf_runs_by_time", "r.created DESC, r.run_id DESC"),
            ):
                told = ledger.read(f"EXPLAIN QUERY PLAN {select} AND r.binned = 0 ORDER BY {order} LIMIT 9")
                plan = " ".join(str(line[-1]) for line in told)
                assert table in plan and "TEMP B-TREE" not in plan


def test_a_damaged_run_among_good_ones_ends_no_list(home: Path) -> None:
    entered(home, "good")
    entered(home, "no-row")
    broken = entered(home, "bad-files")
    (broken / "design.json").write_text("[" * 100_000)
    (broken / "critiques.json").write_text('{"a": 1}')
    (broken / "prompts.json").unlink()
    (broken / "prompts.json").symlink_to("/etc/passwd")
    with ledger_of(home) as ledger, ledger.write() as connection:
        connection.execute("UPDATE runs SET brief = '{half' WHERE run_id = 'no-row'")
        connection.execute("UPDATE artifacts SET meta = '{\"seed\": \"x\"}' WHERE run_id = 'no-row'")
    found = {one.run_id: one for one in studio.find_runs().runs}
    assert sorted(found) == ["bad-files", "good", "no-row"] and found["good"].fault == ""
    assert "design.json cannot be read" in found["bad-files"].fault and "link" in found["bad-files"].fault
    assert found["bad-files"].pictures == 2 and found["bad-files"].title == "a tough panel"
    assert "not JSON" in found["no-row"].fault and found["no-row"].title == "a tough panel"
    assert len(pictures()) == 4


def test_a_row_follows_its_run_and_its_marks_stay(home: Path) -> None:
    entered(home, "r1", state="running", fits=())
    [one] = studio.find_runs().runs
    assert (one.status, one.score) == ("interrupted", None)  # nobody holds it
    studio.mark_run("r1", star=True)
    (home / "runs" / "r1" / "critiques.json").write_text('[{"picture": 0, "fit": 7}]')
    with ledger_of(home) as ledger:
        ledger.artifact("r1", "images/03.png", SHA, "picture", {"seed": 1, "index": 2, "spec": {}})
    assert studio.find_runs().runs[0].pictures == 3  # it grew, though its job did not change
    with ledger_of(home) as ledger:
        ledger.jobs.set_state("r1", "finished")
    [one] = studio.find_runs().runs
    assert (one.status, one.star, one.pictures) == ("finished", True, 3)
    (home / "runs" / "r1" / "chosen.json").write_text('{"picture": 0}')
    rows.shelve(home, "r1")
    assert studio.find_runs().runs[0].best == "01.png" and studio.find_runs().runs[0].score == 7


def test_rows_of_earlier_runs_are_made_bit_by_bit(home: Path) -> None:
    for number in range(5):
        entered(home, f"r{number}", pictures=0)
    assert rows.refresh(home, 0.0) == 4 and rows.refresh(home, 0.0) == 3
    assert rows.refresh(home) == 0 == rows.refresh(home)
    assert len(ids()) == 5


def test_a_home_without_runs_has_an_empty_shelf(home: Path) -> None:
    assert studio.find_runs().runs == () and studio.find_pictures().pictures == () and studio.boards() == ()
    assert studio.find_choices().programs == () and studio.empty_bin([]).deleted == ()
    for act in (
        lambda: studio.mark_run("r1", star=True),
        lambda: studio.bin_run("r1"),
        lambda: studio.empty_bin(["r1"]),
        lambda: studio.thumbnail("r1", picture="01.png"),
        lambda: studio.feedback_add("r1", value="up"),
        lambda: studio.remove_board("b"),
    ):
        with pytest.raises(UsageError):
            act()
    assert not (home / "ledger.db").exists()  # nothing is made by looking


@pytest.mark.usefixtures("three")
class TestMarks:
    def test_marks_are_set_and_taken_away(self) -> None:
        made = studio.mark_run("r1", star=True, rating=5, board=(" for  the façade ", "b"))
        assert (made.star, made.rating, made.boards) == (True, 5, ("b", "for the façade"))
        made = studio.mark_run("r1", rating=0, off=("b",))
        assert (made.star, made.rating, made.boards) == (True, 0, ("for the façade",))
        assert studio.mark_picture("r1", picture="02.png", board=("b",)).boards == ("b",)
        told = [(one.name, one.runs, one.pictures) for one in studio.boards()]
        assert told == [("b", 0, 1), ("for the façade", 1, 0)]
        assert studio.remove_board("b") == 1 and len(studio.boards()) == 1

    def test_what_is_not_there_cannot_be_marked(self) -> None:
        with pytest.raises(UsageError, match="unknown run 'r9'"):
            studio.mark_run("r9", star=True)
        with pytest.raises(UsageError, match=r"unknown picture '09\.png'"):
            studio.mark_picture("r1", picture="09.png", star=True)
        with pytest.raises(UsageError, match="1 to 80 letters"):
            studio.mark_run("r1", board=("\u200b",))
        with pytest.raises(UsageError, match="rating"):
            studio.mark_run("r1", rating=6)

    def test_two_processes_mark_at_once(self, three: Path) -> None:
        script = (
            "import sys, studio\nsys.stdin.readline()\n"
            "for number in range(20):\n"
            "    studio.mark_run('r1', star=True, rating=number % 6, board=(f'{sys.argv[1]}-{number}',))\n"
            "    studio.mark_picture('r1', picture='01.png', rating=3)\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "STUDIO_HOME": str(three)}
        workers = [
            subprocess.Popen([sys.executable, "-c", script, name], stdin=subprocess.PIPE, env=environment)
            for name in ("a", "b")
        ]
        for worker in workers:
            assert worker.stdin
            worker.stdin.write(b"\n")
            worker.stdin.close()
        assert [worker.wait(100) for worker in workers] == [0, 0]
        assert len(studio.boards()) == 40 and studio.find_runs(star=True, rating=1).runs[0].run_id == "r1"


class TestBin:
    def test_a_run_is_hidden_restored_and_deleted(self, three: Path) -> None:
        studio.mark_run("r1", star=True, board=("b",))
        studio.feedback_add("r1", about="picture:01.png", kind="vote", over="picture:02.png")
        studio.thumbnail("r1", picture="01.png")
        studio.bin_run("r1")
        assert (
            ids() == ["r3", "r2"]
            and len(pictures()) == 4
            and [one.run_id for one in studio.list_runs()] == ["r3", "r2"]
        )
        assert [one.run_id for one in studio.list_runs(limit=1)] == ["r3"]
        assert [one.run_id for one in studio.list_bin().runs] == ["r1"] and studio.boards() == ()
        assert studio.feedback_list() == () and len(pictures(binned=True)) == 2
        studio.restore_run("r1")
        assert ids(star=True) == ["r1"] and len(studio.feedback_list()) == 1 and studio.boards()[0].runs == 1
        with pytest.raises(UsageError, match="not in the bin"):
            studio.restore_run("r1")
        with pytest.raises(UsageError, match="not in the bin"):
            studio.empty_bin(["r1"])
        studio.bin_run("r1")
        studio.bin_run("r2")
        assert studio.empty_bin([], days=1).deleted == ()
        emptied = studio.empty_bin(["r1"])
        assert emptied.deleted == ("r1",) and emptied.bytes > 0 and not (three / "runs" / "r1").exists()
        assert len(list((three / "thumbnails").rglob("*.webp"))) == 1  # the branch has the same picture
        with pytest.raises(UsageError, match="unknown run"):
            studio.open_run("r1")
        with ledger_of(three) as ledger:
            for table in ("runs", "artifacts", "onces", "shelf_runs", "shelf_pictures", "boards", "feedback"):
                assert ledger.read(f"SELECT 1 FROM {table} WHERE run_id = 'r1'") == []
            assert ledger.read("SELECT 1 FROM jobs WHERE job_id = 'r1'") == []
        studio.bin_run("r3")
        assert studio.empty_bin([]).deleted == ("r3", "r2") and ids() == []
        assert not list((three / "thumbnails").rglob("*.webp"))

    def test_what_is_at_work_is_not_binned_and_what_was_killed_midway_is_finished(self, three: Path) -> None:
        entered(three, "r4", state="queued")
        with pytest.raises(UsageError, match="r4 is queued; stop it first"):
            studio.bin_run("r4")
        studio.bin_run("r1")
        import shutil

        shutil.rmtree(three / "runs" / "r1")  # as far as a kill let it come
        assert studio.empty_bin([]).deleted == ("r1",)

    def test_files_outside_the_run_stay(self, three: Path, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "mine.txt").write_text("mine")
        (three / "runs" / "r1" / "link").symlink_to(outside)
        studio.bin_run("r1")
        studio.empty_bin([])
        assert (outside / "mine.txt").is_file()

    @pytest.mark.usefixtures("scripted_studio")
    def test_a_designed_run_goes_with_its_checkpoints(self, home: Path) -> None:
        run_id = studio.design.submit("a tough panel", seed=1)
        assert list(studio.watch(run_id))[-1].type == "run_finished"
        studio.bin_run(run_id)
        assert studio.empty_bin([]).deleted == (run_id,)
        from workspace.checkpoints import Checkpoints

        saver = Checkpoints(home / "checkpoints.db")
        assert saver.get_tuple({"configurable": {"thread_id": run_id}}) is None
        saver.close()


class TestThumbnails:
    def test_it_is_made_once_of_the_picture_that_was_made(self, three: Path) -> None:
        small = studio.thumbnail("r1", picture="01.png", side=512)
        with Image.open(io.BytesIO(small)) as image:
            assert (image.format, max(image.size)) == ("WEBP", 64)
        (three / "runs" / "r1" / "images" / "01.png").unlink()
        assert studio.thumbnail("r1", picture="01.png", side=512) == small
        (three / "runs" / "r1" / "images" / "02.png").write_bytes(_png(32))
        with pytest.raises(DataError, match="not what was made"):
            studio.thumbnail("r1", picture="02.png")
        for wrong in ("../../ledger.db", "99.png", "", "01.PNG"):
            with pytest.raises(UsageError):
                studio.thumbnail("r1", picture=wrong)
        with pytest.raises(UsageError, match="256, 512"):
            studio.thumbnail("r1", picture="01.png", side=8)

    def test_copies_take_no_more_than_their_share(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import hashlib

        from studio import thumbnails

        folder = home / "runs" / "r"
        folder.mkdir(parents=True)
        monkeypatch.setattr(thumbnails, "MOST_BYTES", 256 * 200)
        made = []
        for number in range(3000):
            data = _png(8, (number % 256, number // 256, 0))
            if (sha := hashlib.sha256(data).hexdigest()).startswith("0"):
                (folder / "p.png").write_bytes(data)
                thumbnails.small_copy(folder, "p.png", sha, home, 256)
                made.append(sha)
        kept = list((home / "thumbnails").rglob("*.webp"))
        assert len({path.parent for path in kept}) <= 16 and len(kept) < len(made)
        for shelf in {path.parent for path in kept}:
            held = [path.stat().st_size for path in shelf.iterdir()]
            assert sum(held) <= 200 or len(held) == 1


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _with_text(**texts: str) -> bytes:
    info = PngInfo()
    for key, text in texts.items():
        info.add_itxt(key, text)
    return _png(info=info)


A1111 = (
    "a pale honeycomb, thin walls <lora:leaf-micro:0.8>\nin ink\nNegative prompt: blur\n"
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 965400086, Size: 512x768, "
    'Model hash: abc, Model: "x, y", Version: 1'
)


class TestRecipe:
    @pytest.mark.usefixtures("scripted_studio")
    def test_a_picture_of_ours_says_all_and_which_run_made_it(self, home: Path) -> None:
        made = studio.design("a tough panel", inspirations=["nacre", "leaves"], seed=5)
        studio.find_runs()
        data = made.images[0].path.read_bytes()
        told = studio.recipe_of(data)
        assert (told.source, told.seed, told.width, told.height) == ("studio", made.images[0].seed, 64, 64)
        assert told.prompt and told.steps == 2 and told.guidance == 1.0 and told.adapter == ""
        assert (told.run, told.picture, told.run_seed) == (made.run_id, made.images[0].path.name, 5)
        assert told.brief == "a tough panel" and told.inspirations == ("nacre", "leaves") and told.program
        assert studio.recipe_of(_with_text(parameters=_parameters(data))).seed == told.seed

    @pytest.mark.usefixtures("home")
    def test_what_others_write_is_read(self) -> None:
        for data in (A1111.encode(), _with_text(parameters=A1111), _with_text(parameters=A1111, studio="{}")):
            told = studio.recipe_of(data)
            assert told.prompt == "a pale honeycomb, thin walls \nin ink".replace(" \n", " \n")
            assert (told.seed, told.width, told.height, told.steps) == (965400086, 512, 768, 20)
            assert (told.guidance, told.negative, told.model) == (7.0, "blur", "x, y")
            assert (told.adapter, told.adapter_scale, told.run) == ("leaf-micro", 0.8, "")

    @pytest.mark.usefixtures("home")
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x89PNG\r\n\x1a\n",
            _png(),
            _png()[:40],
            b"GIF89a" + bytes(100),
            b"a wish without settings",
            bytes(1000),
            _with_text(studio="[" * 90_000),
            _with_text(studio='{"prompt": 5}'),
            _with_text(parameters="Steps: " + "9" * 90_000),
            _with_text(parameters="a" * 99_000),
            _with_text(parameters=('x: "' + "\\" * 30_000) * 3),
            b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 2**31) + b"tEXt",
            b"\x89PNG\r\n\x1a\n" + _chunk(b"zTXt", b"parameters\0\0" + b"no zlib"),
            b"\x89PNG\r\n\x1a\n" + _chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(50_000_000))),
            b"\x89PNG\r\n\x1a\n" + _chunk(b"tEXt", b"") * 50_000,
        ],
        ids=range(16),
    )
    def test_a_hostile_file_is_one_line(self, data: bytes) -> None:
        with pytest.raises(StudioError) as fault:
            studio.recipe_of(data)
        assert "\n" not in str(fault.value)

    @pytest.mark.usefixtures("home")
    def test_what_does_not_hold_is_left_out(self) -> None:
        spec = {
            "prompt": "\x1b[2Jlines",
            "seed": True,
            "width": 10**9,
            "guidance": 1e999,
            "model": "/home/me/x",
            "steps": "9",
        }
        told = studio.recipe_of(_with_text(studio=json.dumps(spec)))
        assert (told.prompt, told.seed, told.width, told.steps, told.guidance) == ("[2Jlines", None, None, None, None)
        assert told.model == "x"
        with pytest.raises(UsageError, match="at most"):
            studio.recipe_of(bytes(64_000_001))


def _parameters(data: bytes) -> str:
    with Image.open(io.BytesIO(data)) as image:
        return str(image.info["parameters"])


class TestLedger:
    def test_an_older_one_is_upgraded_and_one_that_cannot_be_written_is_read(self, three: Path) -> None:
        with ledger_of(three) as ledger, ledger.write() as connection:
            for table in ("shelf_runs", "shelf_pictures", "boards", "shelf_filled", "feedback"):
                connection.execute(f"DROP TABLE {table}")
            connection.execute("PRAGMA user_version = 1")
        place = three / "ledger.db"
        with pytest.MonkeyPatch.context() as patch:
            from workspace import ledger as module
            from workspace.errors import StorageError

            def full(*_: Any, **__: Any) -> Any:
                raise StorageError("no space is left on the disk")

            patch.setattr(module, "connect", full)
            with Ledger(place, reading=True) as old:
                assert [one.run_id for one in old.runs()] == ["r3", "r2", "r1"]
            assert [one.run_id for one in studio.list_runs()] == ["r3", "r2", "r1"]
            with pytest.raises(StorageError):
                Ledger(place)
        assert ids() == ["r3", "r2", "r1"]
        with Ledger(place) as ledger:
            assert ledger.read("PRAGMA user_version") == [(2,)]

    @pytest.mark.usefixtures("shared_home")
    def test_all_of_it_in_postgresql(self, home: Path) -> None:
        entered(home, "r1", "a tough panel of nacre")
        entered(home, "r2", "a light deck of bone", fits=(2, 3))
        assert ids(search="nacre") == ["r1"] and ids(sort="best") == ["r1", "r2"] and len(pictures()) == 4
        page = studio.find_pictures(count=3)
        assert len(studio.find_pictures(count=3, after=page.next).pictures) == 1
        assert studio.mark_picture("r1", picture="01.png", star=True, board=("b",)).boards == ("b",)
        assert ids(star=True) == ["r1"] and studio.boards()[0].pictures == 1
        studio.feedback_add("r1", about="picture:01.png", kind="vote", over="picture:02.png")
        assert len(studio.feedback_list()) == 1
        studio.bin_run("r1")
        assert ids() == ["r2"] and studio.empty_bin([]).deleted == ("r1",) and studio.feedback_list() == ()


@pytest.mark.usefixtures("three")
def test_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["mark", "r1", "--star", "--board", "b"]) == 0
    assert "r1  star, on b" in capsys.readouterr().out
    assert cli.main(["list", "--star", "--search", "nacre", "--json"]) == 0
    assert [one["run_id"] for one in json.loads(capsys.readouterr().out)["runs"]] == ["r1"]
    assert cli.main(["bin", "put", "r1"]) == 0 and cli.main(["bin", "list"]) == 0
    assert "a tough panel of nacre" in capsys.readouterr().out
    assert cli.main(["bin", "restore", "r1"]) == 0 and cli.main(["bin", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2])["runs"] == []
    assert cli.main(["bin", "empty", "r1"]) == 2
    assert "not in the bin" in capsys.readouterr().err
    assert cli.main(["bin", "put", "r1"]) == 0 and cli.main(["bin", "empty"]) == 0
    assert "deleted 1 runs" in capsys.readouterr().out
