"""PostgreSQL as the ledger that several machines share, on a real server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import studio
from studio.doctor import examine
from studio.queue.claims import elsewhere, job_claimed, ledger_of, place_claimed, place_of
from studio.queue.post import at_work, in_turn, next_job
from studio.queue.workers import start_workers
from studio.runs.request import DesignOptions, prepare
from tests import test_studio_jobs as jobs
from tests.fixtures_postgres import PASSWORD, Postgres
from tests.fixtures_threads import until
from tests.test_workspace_checkpoints import _config, _graph
from tests.test_workspace_ledger import ENVIRONMENT, ROOT
from workspace.database import connect
from workspace.errors import DataError, ServiceError, StudioError, Unfinished, UsageError
from workspace.ledger import Ledger
from workspace.postgres import connection as server
from workspace.postgres import leases, text
from workspace.postgres.address import Address, database_of
from workspace.settings import LedgerSettings, Settings, load_settings

CLOSED = Address("postgresql://studio:hush-hush@127.0.0.1:1/studio")


@pytest.fixture
def ledger(address: Address) -> Iterator[Ledger]:
    with Ledger(address) as opened:
        opened.create_run("run-1", {"text": "a leaf"}, {}, 7, "runs/run-1")
        yield opened


@pytest.fixture
def home_by_password(shared_home: Path, address: Address, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared ledger whose address holds a password."""
    options = address.url.partition("&options=")[2]
    monkeypatch.setenv("STUDIO_LEDGER__URL", postgres.by_password(options=f"options={options}").url)


def end_connections(postgres: Postgres) -> None:
    """End all connections but the one that says so."""
    postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'studio'")


class TestAddress:
    def test_environment_and_home_say_where_the_ledger_is(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert database_of(home, "ledger.db") == home / "ledger.db"
        (home / "studio.toml").write_text('[ledger]\nurl = "postgresql://me@here/one"\n')
        assert database_of(home, "ledger.db") == Address("postgresql://me@here/one")
        assert load_settings().ledger.url == "postgresql://me@here/one"
        monkeypatch.setenv("STUDIO_LEDGER__URL", "postgres://me@there/two")
        assert database_of(home, "ledger.db") == Address("postgres://me@there/two")
        assert load_settings().origins["ledger.url"] == "STUDIO_LEDGER__URL"
        monkeypatch.setenv("STUDIO_LEDGER__URL", "none")
        assert database_of(home, "ledger.db") == home / "ledger.db"
        assert load_settings().ledger.url is None

    def test_nothing_else_says_so(self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        said = '[ledger]\nurl = "postgresql://me:hush-hush@here/one"\n'
        (tmp_path / "studio.toml").write_text(said)
        monkeypatch.setenv("STUDIO_TRUST_FOLDER", str(tmp_path))
        (tmp_path / "mine.toml").write_text(said)
        for load, place in (
            (lambda: load_settings(cwd=tmp_path), r"studio\.toml, line 2"),
            (lambda: load_settings(str(tmp_path / "mine.toml")), r"mine\.toml, line 2"),
            (lambda: load_settings(overrides={"ledger.url": "postgresql://me@here/one"}), "command line"),
        ):
            with pytest.raises(UsageError, match=f"{place}: ledger.url cannot be set here") as told:
                load()
            assert "hush" not in str(told.value)

    def test_ready_settings_name_no_other_ledger(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        data = load_settings().model_dump()
        other = {"ledger": LedgerSettings(url="postgresql://me:hush-hush@here/one")}
        with pytest.raises(ValueError, match=r"STUDIO_LEDGER__URL alone") as told:
            Settings(**(data | other))
        monkeypatch.setenv("STUDIO_LEDGER__URL", "postgresql://me:hush-hush@here/one")
        settings = Settings(**(data | other))
        assert "hush" not in repr(settings) and "***@here/one" in repr(settings)
        assert "hush" not in str(told.value)

    @pytest.mark.parametrize(
        "url", ["mysql://me:hush-hush@here/one", "postgresql://me:hush-hush @here/one", f"x:{'hush' * 40}@here", "5"]
    )
    def test_what_is_no_address_is_told_without_its_text(
        self, url: str, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STUDIO_LEDGER__URL", url)
        for use in (load_settings, lambda: database_of(home, "ledger.db")):
            with pytest.raises(
                UsageError, match=r"STUDIO_LEDGER__URL: ledger.url must be an address of PostgreSQL"
            ) as told:
                use()
            assert "hush" not in str(told.value)

    def test_a_section_that_is_a_text_is_told_without_it(self, home: Path) -> None:
        (home / "studio.toml").write_text(f'ledger = "postgresql://me:{"hush" * 40}@here/one"\n')
        with pytest.raises(UsageError, match="ledger should be a section") as told:
            load_settings()
        assert "hush" not in str(told.value)

    @pytest.mark.usefixtures("postgres")
    @pytest.mark.parametrize(
        "url", ["postgresql://me:hu%zzsh@here/one", "postgresql://me:hush@here:port/one?x=1", "postgresql://[me:hush@/"]
    )
    def test_what_libpq_cannot_read_is_told_without_its_text(self, url: str) -> None:
        with pytest.raises(StudioError) as told:
            Ledger(Address(url))
        assert told.value.exit_code in (2, 69) and "sh@" not in str(told.value) and "hush" not in str(told.value)

    @pytest.mark.usefixtures("home_by_password", "scripted_studio")
    def test_no_record_holds_the_password(self, home: Path) -> None:
        run = studio.design("a tough panel", seed=5)
        job_id = studio.train_corpus.submit([str(home)], out=home / "corpus")
        list(studio.watch_job(job_id))
        assert run.status == "finished"
        with ledger_of(home) as ledger:
            rows = ledger.read("SELECT * FROM runs") + ledger.read("SELECT * FROM jobs")
        assert len(rows) == 3
        told = json.dumps(examine(settings=load_settings()).to_json())
        files = [path.read_text(errors="replace") for path in home.rglob("*") if path.is_file()]
        assert len(files) > 10
        for word in (PASSWORD, "s3cret"):
            assert not [one for one in (str(rows), told, *files) if word in one]


class TestText:
    @given(st.lists(st.text(st.sampled_from('a0\\u1\ue000\0\ud800é"')), min_size=2, max_size=2))
    def test_any_texts_come_back_and_no_two_are_written_alike(self, texts: list[str]) -> None:
        one, other = map(text.written, texts)
        assert "\0" not in one + other
        assert [text.read(one), text.read(other)] == texts
        assert (one == other) == (texts[0] == texts[1])

    @given(st.recursive(st.text(st.sampled_from('a0\\u1\ue000\0é"n')), lambda inner: st.dictionaries(st.text(), inner)))
    def test_any_json_comes_back(self, data: Any) -> None:
        sent = text.json_written(data)
        assert text.json_read(json.dumps(json.loads(sent), ensure_ascii=False)) == data  # as the server unpacks it
        assert "\0" not in str(json.loads(sent))

    def test_names_and_messages_with_any_letter(self, ledger: Ledger) -> None:
        odd = "nul \0, private \ue000, quote ' \" \\ %s ? ; --, 竹 \U0001f33f"
        ledger.jobs.add(odd, odd, odd, {odd: [odd]})
        ledger.jobs.set_state(odd, "failed", odd, {odd: odd})
        row = ledger.jobs.job(odd)
        assert (row.kind, row.title, row.payload, row.message, row.result) == (odd, odd, {odd: [odd]}, odd, {odd: odd})
        ledger.artifact("run-1", odd, odd, odd, {odd: odd})
        ledger.artifact("run-1", odd, "new", odd, {})
        assert [(one.path, one.sha256) for one in ledger.artifacts("run-1")] == [(odd, "new")]

    def test_large_values(self, ledger: Ledger) -> None:
        large = "ä" * 5_000_000
        assert ledger.once("run-1", "large", lambda: large, kind="turn") == (large, False)
        assert ledger.once("run-1", "large", lambda: "", kind="turn") == (large, True)
        with pytest.raises(DataError, match="cannot hold that: index row"):
            ledger.once("run-1", os.urandom(4000).hex(), lambda: "", kind="turn")
        ledger.jobs.set_state("run-1", "failed")

    def test_figures_come_back_to_the_last_bit(self, ledger: Ledger) -> None:
        row = ledger.jobs.job("run-1")
        query = "SELECT created, queued FROM jobs WHERE created = ?"
        assert ledger.read(query, row.created) == [(row.created, row.queued)]
        ledger.create_run("run-2", {}, {}, 2**62, "")
        assert ledger.run("run-2").seed == 2**62


TABLE = "CREATE TABLE IF NOT EXISTS shelf (name TEXT PRIMARY KEY, high REAL NOT NULL) STRICT"


class TestTables:
    def test_an_older_version_is_brought_up_to_date_whole_or_not_at_all(self, address: Address) -> None:
        with closing(connect(address, schema=TABLE, version=3)) as one:
            one.execute("INSERT INTO shelf VALUES ('a', 1.5)")
        broken = {3: "ALTER TABLE shelf ADD COLUMN wide REAL", 4: "UPDATE shelf SET wide = high; SELECT * FROM nothing"}
        with pytest.raises(DataError, match=r"holds other tables than Studio's"):
            connect(address, schema=TABLE, version=5, upgrades=broken)
        with closing(connect(address, schema=TABLE, version=3)) as one:
            assert one.execute("SELECT * FROM shelf").fetchall() == [("a", 1.5, 1)]
        with closing(
            connect(address, schema=TABLE, version=5, upgrades=broken | {4: "UPDATE shelf SET wide = 2"})
        ) as one:
            assert one.execute("SELECT wide FROM shelf").fetchall() == [(2.0,)]
        with pytest.raises(DataError, match=r"made by a newer Studio \(tables 5, known are 3\)"):
            connect(address, schema=TABLE, version=3)

    def test_tables_of_something_else_are_left_alone(self, address: Address) -> None:
        with closing(server.open_server(address)) as one:
            one.execute("CREATE TABLE jobs (of_ours INTEGER)")
        with pytest.raises(
            DataError, match=r"holds tables of something else: jobs \(give Studio a database of its own"
        ):
            Ledger(address)

    def test_a_database_that_is_not_utf_8_is_refused(self, postgres: Postgres) -> None:
        postgres.run("CREATE DATABASE plain ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
        with pytest.raises(DataError, match="holds text as SQL_ASCII"):
            Ledger(Address(postgres.address().url.replace("/postgres?", "/plain?")))
        postgres.run("DROP DATABASE plain")

    def test_many_open_an_empty_database_at_once(self, address: Address) -> None:
        faults: list[Exception] = []
        start = threading.Barrier(6)

        def open_it() -> None:
            from workspace.postgres.saver import ServerCheckpoints

            start.wait()
            try:
                with Ledger(address), ServerCheckpoints(address):
                    pass
            except Exception as error:
                faults.append(error)

        threads = [threading.Thread(target=open_it) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []

    def test_rows_and_letters_are_in_the_order_of_sqlite(self, ledger: Ledger) -> None:
        for key in ("b", "Z", "ä", "a"):
            ledger.once("run-1", key, lambda: 0, kind="turn")
        assert [row.key for row in ledger.keys("run-1")] == ["b", "Z", "ä", "a"]
        assert ledger.read("SELECT key FROM onces ORDER BY key") == [("Z",), ("a",), ("b",), ("ä",)]


class TestTransactions:
    def test_one_writes_at_a_time_and_reads_what_the_one_before_left(self, ledger: Ledger) -> None:
        def add() -> None:
            with Ledger(ledger.path) as mine:
                for _ in range(20):
                    with mine.write() as connection:
                        [(seed,)] = connection.execute("SELECT seed FROM runs").fetchall()
                        connection.execute("UPDATE runs SET seed = ?", (seed + 1,))

        threads = [threading.Thread(target=add) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ledger.run("run-1").seed == 7 + 80

    def test_a_fault_that_is_swallowed_within_a_transaction_is_not_taken_for_success(self, ledger: Ledger) -> None:
        with pytest.raises(ServiceError, match="a transaction could not be kept"), ledger.write() as connection:
            connection.execute("UPDATE runs SET seed = 8")
            with pytest.raises(UsageError, match="already"):
                ledger.jobs.insert(connection, "run-1", "design", "", {})
        assert ledger.run("run-1").seed == 7

    def test_another_ledger_of_the_same_server_does_not_wait(self, ledger: Ledger, new_address: Any) -> None:
        with ledger.write(), Ledger(new_address()) as other:
            other.create_run("run-2", {}, {}, 1, "")

    def test_ctrl_c_while_another_writes_leaves_a_ledger_that_works(self, ledger: Ledger, postgres: Postgres) -> None:
        def interrupt() -> None:
            until(lambda: postgres.run("SELECT 1 FROM pg_locks WHERE NOT granted"))
            os.kill(os.getpid(), signal.SIGINT)

        with Ledger(ledger.path) as other, other.write():
            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                ledger.jobs.set_state("run-1", "waiting")
            thread.join()
        ledger.jobs.set_state("run-1", "waiting")
        assert ledger.run("run-1").status == "waiting"


class TestConnections:
    def test_one_that_was_lost_while_idle_is_opened_anew(self, ledger: Ledger, postgres: Postgres) -> None:
        end_connections(postgres)
        assert ledger.run("run-1").status == "queued"
        end_connections(postgres)
        ledger.jobs.set_state("run-1", "waiting")
        assert ledger.run("run-1").status == "waiting"

    def test_a_transaction_that_was_under_way_fails_whole(self, ledger: Ledger, postgres: Postgres) -> None:
        with pytest.raises(ServiceError, match="does not answer as it should") as told, ledger.write() as connection:
            connection.execute("UPDATE runs SET seed = 8")
            end_connections(postgres)
            connection.execute("UPDATE runs SET folder = 'new'")
        assert told.value.exit_code == 69
        with pytest.raises(ServiceError), ledger.write() as connection:
            connection.execute("UPDATE runs SET seed = 9")
            end_connections(postgres)
        with pytest.raises(ServiceError, match="lost within a transaction"), ledger.write() as connection:
            connection.execute("UPDATE runs SET seed = 10")
            end_connections(postgres)
            with pytest.raises(Exception, match=r"terminat|closed"):
                connection.execute("SELECT 1")
            connection.execute("UPDATE runs SET seed = 11")  # not on a new connection, alone
        assert (ledger.run("run-1").seed, ledger.run("run-1").folder) == (7, "runs/run-1")

    def test_a_server_that_is_started_again_is_found_again(self, ledger: Ledger, postgres: Postgres) -> None:
        stored = ledger.once("run-1", "turn/1", lambda: "said", kind="turn")
        postgres.stop()
        postgres.start(wait=False)
        assert ledger.once("run-1", "turn/1", lambda: "again", kind="turn") == (stored[0], True)
        postgres.wait()
        postgres.stop(signal.SIGQUIT)
        postgres.start()
        assert ledger.once("run-1", "turn/2", lambda: "more", kind="turn") == ("more", False)

    def test_a_server_that_stays_away_is_told(
        self, ledger: Ledger, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server, "RETURN_SECONDS", 0.0)
        postgres.stop()
        try:
            for use in (lambda: ledger.run("run-1"), lambda: ledger.jobs.set_state("run-1", "waiting")):
                with pytest.raises(
                    ServiceError, match=r"postgresql://\*\*\*@/postgres\?.* does not answer as it should"
                ):
                    use()
        finally:
            postgres.start()
        ledger.jobs.set_state("run-1", "waiting")

    def test_a_closed_one_stays_closed(self, address: Address) -> None:
        ledger = Ledger(address)
        ledger.close()
        ledger.close()
        with pytest.raises(ServiceError, match="closed"):
            ledger.runs()

    @pytest.mark.usefixtures("postgres")
    def test_a_server_that_is_down_is_one_line_and_exit_69(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from ui.cli import main

        monkeypatch.setenv("STUDIO_LEDGER__URL", CLOSED.url)
        assert main(["jobs", "list"]) == 69
        told = capsys.readouterr()
        assert told.out == "" and told.err.count("\n") == 1
        assert "postgresql://***@127.0.0.1:1/studio" in told.err and "refused" in told.err and "hush" not in told.err

    def test_a_wrong_password_is_not_told(self, postgres: Postgres) -> None:
        with pytest.raises(ServiceError, match="password authentication failed") as told:
            Ledger(postgres.by_password("hush-hush"))
        assert "hush" not in str(told.value)

    def test_without_psycopg_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(ServiceError, match=r"psycopg is not installed \(pip install .*'\.\[postgres\]'\)"):
            Ledger(CLOSED)

    def test_doctor_tells_where_it_is_and_whether_it_answers(
        self, shared_home: Path, address: Address, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        [row] = [row for row in examine().servers if row[1] == "ledger and checkpoints"]
        assert row[0] == str(address) and row[2].startswith("answers: PostgreSQL 1") and "no tables yet" in row[2]
        Ledger(address).close()
        assert any(row[2].endswith("tables 2") for row in examine().servers)
        monkeypatch.setenv("STUDIO_LEDGER__URL", CLOSED.url)
        report = examine()
        [missing] = [one for one in report.missing if "127.0.0.1:1/" in one.what]
        assert missing.command == "mend ledger.url, or start PostgreSQL there"
        assert "hush" not in json.dumps(report.to_json())


CLAIM = """
import json, sys
from workspace.ledger import Ledger
from workspace.postgres.address import Address

with Ledger(Address(sys.argv[1])) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    mine = []
    while rows := ledger.jobs.queued("heavy"):
        mine += [row.job_id for row in rows[:1] if ledger.jobs.begin(row.job_id, sys.argv[2])]
    print(json.dumps(mine), flush=True)
"""


def test_several_processes_claim_jobs_without_a_double(address: Address) -> None:
    with Ledger(address) as ledger:
        for number in range(60):
            ledger.jobs.add(f"job-{number}", "odd", "", {})
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": ENVIRONMENT}
    workers = [
        subprocess.Popen([sys.executable, "-c", CLAIM, address.url, f"w{number}"], **pipes) for number in range(3)
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    claimed = [json.loads(worker.communicate()[0]) for worker in workers]
    assert sorted(job for mine in claimed for job in mine) == sorted(f"job-{number}" for number in range(60))
    with Ledger(address) as ledger:
        rows = ledger.jobs.jobs(-1)
    assert {row.job_id: row.worker for row in rows} == {
        job: f"w{number}" for number, mine in enumerate(claimed) for job in mine
    }
    assert {row.attempts for row in rows} == {1}


class TestWatchingThere(jobs.TestWatching):
    """What watching promises, with the ledger in PostgreSQL."""

    @pytest.fixture(autouse=True)
    def in_postgres(self, shared_home: Path) -> None:
        """It is there before any worker is, and goes after."""


class TestQueueThere(jobs.TestQueue):
    """What the queue promises, with the ledger in PostgreSQL."""

    @pytest.fixture(autouse=True)
    def in_postgres(self, shared_home: Path) -> None:
        """It is there before any worker is, and goes after."""


@pytest.fixture
def two_homes(shared_home: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The homes of two machines that share a ledger and no files."""
    other = tmp_path / "other"
    (other / "locks").mkdir(parents=True)
    (shared_home / "locks").mkdir()
    return shared_home, other


@pytest.mark.usefixtures("shared_home", "scripted_studio")
class TestMachines:
    def test_a_job_that_one_works_on_is_not_taken_by_another(self, two_homes: tuple[Path, Path]) -> None:
        here, there = two_homes
        run_id = prepare("a tough panel", DesignOptions()).run_id
        with job_claimed(there, run_id), ledger_of(here) as ledger:
            assert ledger.jobs.begin(run_id, f"farm-7:{os.getpid()}")
            assert studio.open_job(run_id).state == "running"
            assert str(elsewhere(here, ledger, run_id)).endswith(f":{os.getpid()}")
            with pytest.raises(Unfinished, match="carried out by another process: it is held by"):
                studio.retry_job(run_id)
            with pytest.raises(Unfinished, match="is carried out on"):
                studio.stop_job(run_id)
        assert studio.open_job(run_id).state == "interrupted"
        assert studio.resume(run_id).status == "finished"

    def test_what_a_machine_held_that_is_not_heard_of_is_taken_over(
        self, two_homes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, there = two_homes
        monkeypatch.setattr(leases, "RENEW_SECONDS", 3600.0)
        run_id = prepare("a tough panel", DesignOptions()).run_id
        with job_claimed(there, run_id), ledger_of(here) as ledger:
            assert ledger.jobs.begin(run_id, "farm-7:1")
            with at_work(there, ledger.jobs.job(run_id)) as post:
                post.ledger.once(run_id, "turn/0", lambda: "said", kind="turn")
                with ledger.write() as connection:
                    connection.execute("UPDATE leases SET until = 0")  # a minute without a word
                assert studio.open_job(run_id).state == "interrupted"
                assert studio.resume(run_id).status == "finished"
                with pytest.raises(Unfinished, match=f"{run_id} is no longer farm-7:1's: it was taken over"):
                    post.ledger.once(run_id, "late", lambda: "said", kind="turn")
                with pytest.raises(Unfinished, match="taken over"):
                    post.ledger.jobs.set_state(run_id, "failed", "late")
            assert studio.open_job(run_id).state == "finished"
            assert "late" not in {row.key for row in ledger.keys(run_id)}

    def test_a_lease_is_renewed_while_it_is_held_and_goes_with_it(
        self, two_homes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, there = two_homes
        monkeypatch.setattr(leases, "RENEW_SECONDS", 0.01)
        with ledger_of(here) as ledger:
            with job_claimed(there, "job-1"):
                with ledger.write() as connection:
                    connection.execute("UPDATE leases SET until = 0")
                until(lambda: elsewhere(here, ledger, "job-1"))
                with ledger.write() as connection:
                    connection.execute("UPDATE leases SET token = 'of another', machine = 'another'")
                [renewing] = [one for one in threading.enumerate() if one.name == "lease of job-1"]
                until(lambda: not renewing.is_alive())
            assert ledger.read("SELECT token FROM leases") == [("of another",)]
            with ledger.write() as connection:
                connection.execute("DELETE FROM leases")
            with job_claimed(there, "job-1"):
                assert len(ledger.read("SELECT token FROM leases")) == 1
            assert ledger.read("SELECT token FROM leases") == []

    def test_a_server_that_is_away_for_a_while_costs_no_lease(
        self, two_homes: tuple[Path, Path], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, there = two_homes
        monkeypatch.setattr(leases, "RENEW_SECONDS", 0.01)
        with job_claimed(there, "job-1"):
            postgres.stop()
            postgres.start()
            with ledger_of(here) as ledger:
                with ledger.write() as connection:
                    connection.execute("UPDATE leases SET until = 0")
                until(lambda: elsewhere(here, ledger, "job-1"))

    def test_a_job_that_waits_for_a_place_elsewhere_keeps_nobody_waiting(self, two_homes: tuple[Path, Path]) -> None:
        here, there = two_homes
        queue = load_settings().queue
        with place_claimed(here, "heavy", 1):
            first, second, third = (prepare(f"panel {number}", DesignOptions()).run_id for number in range(3))
        with job_claimed(there, first), ledger_of(here) as ledger:
            with next_job(here, "heavy", queue) as row:
                assert row is not None and row.job_id == second
            with in_turn(here, third, queue) as row:
                assert row.job_id == third
            ledger.jobs.cancel(first, "")
        start_workers(here, queue)

    def test_places_are_those_of_a_machine(self, shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with place_claimed(shared_home, "heavy", 1) as free, place_claimed(shared_home, "heavy", 1) as again:
            assert (free, again) == (True, False)
            monkeypatch.setattr("socket.gethostname", lambda: "farm-7")
            with place_claimed(shared_home, "heavy", 1) as there:
                assert there
        assert place_of(shared_home, "heavy", 0).name == "farm-7-heavy-0.lock"


DESIGN = """
import os, signal, sys
import pytest
import studio
from tests.fixtures_run import scripted_profile
from workspace.postgres import leases

if sys.argv[1] == "another machine":
    leases.machine = lambda locks: sys.argv[1]
patch = pytest.MonkeyPatch()
scripted_profile.__wrapped__(patch, None)
patch.setattr("studio.runs.preflight.needs", lambda settings: [])

def listen(event):
    if event.type == "picture_ready":
        os.kill(os.getpid(), signal.SIGKILL)

studio.design("a tough panel", seed=5, listener=listen)
"""


def killed(where: str) -> str:
    """A design whose process is killed at its first picture, on this machine or another that shares all files."""
    command = [sys.executable, "-c", DESIGN, where]
    assert subprocess.run(command, env=ENVIRONMENT | dict(os.environ), cwd=ROOT, check=False).returncode == -9
    return studio.list_runs()[0].run_id


@pytest.mark.usefixtures("shared_home", "scripted_studio")
def test_a_design_whose_process_was_killed_goes_on_at_once_on_its_machine(shared_home: Path) -> None:
    run_id = killed("this machine")
    assert studio.open_run(run_id).status == "interrupted"
    with ledger_of(shared_home) as ledger:
        assert len(ledger.read("SELECT * FROM leases")) == 1
        studio.retry_job(run_id)
        assert list(studio.watch(run_id))[-1].type == "run_finished"
        assert ledger.jobs.job(run_id).attempts == 2


@pytest.mark.usefixtures("shared_home", "scripted_studio")
def test_a_design_whose_machine_died_goes_on_at_another(shared_home: Path) -> None:
    whole = studio.design("a tough panel", seed=5)
    run_id = killed("another machine")
    assert studio.open_run(run_id).status == "running"  # for all that is known here
    with pytest.raises(Unfinished, match="carried out by another process: it is held by"):
        studio.resume(run_id)
    with ledger_of(shared_home) as ledger:
        before = [row.key for row in ledger.keys(run_id)]
        assert 0 < len(before) < len(ledger.keys(whole.run_id))
        assert ledger.read("SELECT count(*) > 0 FROM checkpoints WHERE thread_id = ?", run_id) == [(True,)]
        with ledger.write() as connection:
            connection.execute("UPDATE leases SET until = 0")
        assert studio.open_run(run_id).status == "interrupted"
        run = studio.resume(run_id)
        assert [image.pixels_sha256 for image in run.images] == [image.pixels_sha256 for image in whole.images]
        assert (run.status, run.design, run.prompt) == ("finished", whole.design, whole.prompt)
        after = [row.key for row in ledger.keys(run_id)]
        assert after[: len(before)] == before
        assert sorted(after) == sorted(row.key for row in ledger.keys(whole.run_id))
        assert ledger.jobs.job(run_id).attempts == 2
        assert ledger.read("SELECT * FROM leases") == []
    assert not (shared_home / "ledger.db").exists() and not (shared_home / "checkpoints.db").exists()


class TestCheckpoints:
    @pytest.fixture
    def saver(self, address: Address) -> Iterator[Any]:
        from workspace.postgres.saver import ServerCheckpoints

        with ServerCheckpoints(address) as opened:
            _graph(opened).invoke({"words": ["a long enough word"]}, _config(), durability="sync")
            yield opened

    def test_one_changed_byte_is_found(self, saver: Any, address: Address) -> None:
        with closing(server.open_server(address)) as one:
            change = "UPDATE {0} SET blob = set_byte(blob, length(blob) - 1, get_byte(blob, length(blob) - 1) # 1)"
            for table in ("checkpoint_blobs", "checkpoint_writes"):
                one.execute(change.format(table) + " WHERE length(blob) > 0")
                with pytest.raises(DataError, match="a checkpoint does not match its checksum"):
                    _graph(saver).get_state(_config())
                one.execute(change.format(table) + " WHERE length(blob) > 0")
        assert _graph(saver).get_state(_config()).values["words"] == ["a long enough word", "first"]

    @pytest.mark.parametrize("kind", ["json", "msgpack", "pickle", "pickle+crc32"])
    def test_a_crafted_row_is_refused(self, kind: str, saver: Any, address: Address) -> None:
        with closing(server.open_server(address)) as one:
            one.execute("UPDATE checkpoint_blobs SET type = ?, blob = ? WHERE type != 'empty'", (kind, b'{"lc": 2}'))
        with pytest.raises(DataError, match="postgresql:"):
            _graph(saver).invoke(None, _config())

    @pytest.mark.parametrize("column", ["checkpoint", "metadata"])
    @pytest.mark.parametrize("damage", ["[]", "{}", "null", '"word"', '{"v": "one"}'])
    def test_damaged_json_is_an_error_or_reads_as_what_it_is(
        self, column: str, damage: str, saver: Any, address: Address
    ) -> None:
        with closing(server.open_server(address)) as one:
            one.execute(f"UPDATE checkpoints SET {column} = '{damage}'")
        for read in (lambda: saver.get_tuple(_config()), lambda: list(saver.list(_config()))):
            if column == "checkpoint":
                with pytest.raises(DataError, match="is damaged: a checkpoint cannot be read"):
                    read()
            else:
                assert read()

    def test_texts_with_nul(self, saver: Any) -> None:
        from langgraph.checkpoint.base import empty_checkpoint

        odd = "nul \0, private \ue000, \\u0000"
        config = {"configurable": {"thread_id": odd, "checkpoint_ns": ""}}
        made = {**empty_checkpoint(), "channel_values": {"plain": odd, "deep": [odd]},
                "channel_versions": {"plain": "1", "deep": "1"}}  # fmt: skip
        saver.put(config, made, {"source": "input", "step": -1, "said": odd}, made["channel_versions"])
        found = saver.get_tuple(config)
        assert found.checkpoint["channel_values"] == {"plain": odd, "deep": [odd]}
        assert found.metadata["said"] == odd.replace("\0", "")  # which is LangGraph's own doing
        assert [one.config["configurable"]["thread_id"] for one in saver.list(config)] == [odd]

    def test_a_connection_that_was_lost_is_opened_anew(self, saver: Any, postgres: Postgres) -> None:
        end_connections(postgres)
        assert _graph(saver).get_state(_config()).next == ("ask",)
        postgres.stop()
        postgres.start()
        assert _graph(saver).get_state(_config()).next == ("ask",)

    def test_what_a_step_wrote_is_kept_whole_or_not_at_all(self, saver: Any, address: Address) -> None:
        with closing(server.open_server(address)) as one:
            before = one.execute("SELECT count(*) FROM checkpoint_blobs").fetchall()
            one.execute("ALTER TABLE checkpoints ADD CONSTRAINT none CHECK (checkpoint ->> 'id' < '0') NOT VALID")
            with pytest.raises(Exception, match="none"):
                _graph(saver).invoke({"words": ["another"]}, _config("other"), durability="sync")
            assert one.execute("SELECT count(*) FROM checkpoint_blobs").fetchall() == before

    def test_those_of_a_newer_langgraph_are_refused(self, saver: Any, address: Address) -> None:
        with closing(server.open_server(address)) as one:
            one.execute("INSERT INTO checkpoint_migrations VALUES (1000)")
        with pytest.raises(DataError, match="of a newer LangGraph"):
            type(saver)(address)
