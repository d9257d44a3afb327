"""The distil stage: rows valid and with their sources, nothing asked twice, wrong rows dropped with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from models.filling.slots import lay_out
from pipelines.corpus.passages import Passage, Source, read_passages
from studio import train_distil
from tests.fixtures_chat import Fault, ScriptedServer
from training.distil import checks
from training.distil import config as options_of
from training.distil.answers import Kept
from training.distil.asking import excerpt, messages, version
from training.distil.config import USUAL, DistilConfig
from training.distil.documents import KINDS, Document
from training.distil.report import DistilReport, DistilResult
from training.distil.rows import Gathering, candidates
from training.distil.stage import Maker, main, open_maker
from training.language.rows import read_rows
from ui.cli import app
from ui.cli import main as command
from workspace.errors import DataError, Interrupted, ServiceError, Unfinished, UsageError
from workspace.files import claim, verify
from workspace.progress import Progress
from workspace.settings import ChatSettings, RoleCall, SamplingSettings, load_settings

pytest_plugins = ["tests.fixtures_local"]
FEW = settings(deadline=None, max_examples=80)

TEXTS = (
    "Nacre stacks aragonite tablets about 0.5 um thick with thin protein films between them. A crack that meets the "
    "films turns aside, and the tablets slide over each other, so nacre is 3,000 times tougher than plain aragonite.",
    "Bamboo holds its stiff fibre bundles mostly near the outer wall of the culm. Bending strains the outer wall most, "
    "so the bundles lie where the load is, and a culm of 2 kg bears more than a rod of equal mass.",
    "Dragline silk holds crystals of 2 nm to 7 nm that tie its soft chains together. Water breaks the hydrogen bonds "
    "of the chains, and a free thread then shrinks to half its length.",
)
ANSWERS: tuple[dict[str, Any], ...] = (
    {
        "title": {"title": "How nacre turns cracks aside"},
        "summary": {"summary": "Nacre stacks aragonite tablets with protein films. Cracks turn aside at the films."},
        "insights": {
            "insights": ["Thin protein films between stiff tablets make nacre tough, as a crack turns aside."]
        },
        "facts": {
            "facts": ["Tablets of aragonite in nacre are about 0.5 um thick.", "Tablets are 9 um thick in nacre."]
        },
        "details": {"details": ["Nacre is 3000 times tougher than plain aragonite."]},
        "comparisons": {
            "comparisons": [
                {"one": "nacre", "other": "plain aragonite", "difference": "Nacre is tougher than plain aragonite."}
            ]
        },
        "open": {
            "pairs": [{"question": "Why is nacre so tough?", "answer": "A crack turns aside at its protein films."}]
        },
        "choice": {
            "questions": [
                {
                    "question": "What lies between the tablets of nacre?",
                    "answer": "protein films",
                    "first_wrong": "steel wires",
                    "second_wrong": "sea water",
                    "third_wrong": "quartz sand",
                }
            ]
        },
        "truth": {
            "statements": [
                {"right": "The tablets of nacre slide over each other.", "wrong": "The tablets of nacre are welded."}
            ]
        },
        "reasoning": {
            "question": "Why do the films of nacre stop a crack?",
            "premise": "Thin protein films lie between the tablets of nacre.",
            "link": "A crack that meets the films turns aside and the tablets slide.",
            "conclusion": "Nacre is tough because its films turn a crack aside.",
        },
        "conversation": {
            "turns": [
                {"question": "What is nacre stacked from?", "answer": "It is stacked from aragonite tablets."},
                {"question": "And what does a crack do?", "answer": "The crack turns aside at the protein films."},
            ]
        },
        "preference": {
            "pairs": [
                {
                    "question": "How thick are the tablets of nacre?",
                    "chosen": "The aragonite tablets are about 0.5 um thick.",
                    "rejected": "The aragonite tablets are about 80 um thick.",
                }
            ]
        },
        "style": {
            "question": "What happens to a crack in nacre?",
            "chosen": "A crack turns aside at the protein films.",
            "rejected": "It is really wonderful how a crack in all its glory does so many things in there.",
        },
    },
)


def passage(number: int = 0, **source: Any) -> Passage:
    told = {"document": f"{number}.pdf", "doi": f"10.1/{number}", "page": number + 1, "heading": "Results"} | source
    return Passage(id=f"p{number}", text=TEXTS[number], source=Source(**told))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = [passage(number).model_dump_json() for number in range(len(TEXTS))]
    (folder / "passages.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def pair(question: str, answer: str) -> dict[str, Any]:
    return {"pairs": [{"question": question, "answer": answer}]}


OPEN = (
    pair("Why is nacre so tough?", "A crack turns aside at its protein films."),
    pair("Where do the bundles of bamboo lie?", "They lie near the outer wall of the culm."),
    pair("What does water do to dragline silk?", "Water breaks the hydrogen bonds of its chains."),
)


@pytest.fixture
def far(openai_server: ScriptedServer, home: Path) -> Maker:
    chat = ChatSettings(model="tiny", server=openai_server.url, timeout=10, retries=0)
    return open_maker(RoleCall(chat=chat, sampling=SamplingSettings()), home)


def run(corpus: Path, made_by: Maker, out: Path, **options: Any) -> DistilResult:
    return main(corpus, DistilConfig(**{"kinds": ("open",), "workers": 1, **options}), made_by, out)


def rows(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "data" / f"{name}.jsonl").read_text("utf-8").splitlines()]


class TestRows:
    def test_every_kind_becomes_rows_with_their_sources(
        self, corpus: Path, far: Maker, openai_server: ScriptedServer, tmp_path: Path
    ) -> None:
        openai_server.script = [ANSWERS[0][kind] for kind in KINDS]
        out = tmp_path / "out"
        report = run(corpus, far, out, kinds=tuple(KINDS), limit=1)
        assert report.rows == {"text": 1, "messages": 7, "preferences": 2} and report.dropped == {"figure": 1}
        for name, stage in (("text", "cpt"), ("messages", "sft"), ("preferences", "dpo")):
            for suffix in ("jsonl", "parquet"):
                assert len(read_rows(out / "data" / f"{name}.{suffix}", stage)) == report.rows[name]
            assert pyarrow.parquet.read_table(out / "data" / f"{name}.parquet").to_pylist() == rows(out, name)
            for row in rows(out, name):
                assert row["passage"] == "p0" and row["source"] == passage().source.model_dump()
        [prose] = rows(out, "text")
        assert prose["text"].startswith("How nacre turns cracks aside\n\nNacre stacks") and "9 um" not in prose["text"]
        assert verify(out / "data") == []

    def test_the_card_says_what_and_by_which_model(
        self, corpus: Path, far: Maker, openai_server: ScriptedServer, tmp_path: Path
    ) -> None:
        openai_server.script = list(OPEN)
        run(corpus, far, tmp_path / "out", seed=9)
        card = (tmp_path / "out" / "data" / "README.md").read_text(encoding="utf-8")
        assert "- model: tiny" in card and "- seed: 9" in card and "messages.jsonl, for sft: 3" in card
        assert "Licence" in card and "DOI" in card
        assert not (tmp_path / "out" / "data" / "preferences.jsonl").exists()

    def test_wrong_answers_never_equal_right_ones(self) -> None:
        like = {"question": "How thick are the tablets of nacre?", "chosen": "The tablets are about 0.5 um thick."}
        for rejected in ("The tablets are about 0.50 um thick!", "About 0.5 um thick are the tablets."):
            document = KINDS["preference"].model_validate({"pairs": [{**like, "rejected": rejected}]})
            [one] = candidates("preference", document, passage(), 0.4, 1)
            assert one.fault and one.fault[0] == "same"
        choice = ANSWERS[0]["choice"]["questions"][0] | {"second_wrong": "Protein films"}
        [one] = candidates("choice", KINDS["choice"].model_validate({"questions": [choice]}), passage(), 0.4, 1)
        assert one.fault == ("options", "two options are the same")

    @FEW
    @given(st.integers(0, 10**6))
    def test_the_letter_of_a_choice_is_the_right_options(self, seed: int) -> None:
        document = KINDS["choice"].model_validate(ANSWERS[0]["choice"])
        [one] = candidates("choice", document, passage(), 0.4, seed)
        question, answer = (turn["content"] for turn in one.rows[0]["messages"])
        assert answer in question.splitlines() and answer.endswith(". protein films")

    def test_the_same_question_stands_once_in_the_whole_output(self) -> None:
        gathering = Gathering(0.45, 0.2, 1)
        asked = ("Why is nacre so very tough and strong?", "Why is nacre so very tough and so strong?")
        for number, question in enumerate((asked[0], asked[0].replace("so very", "so, very"), asked[1])):
            document = KINDS["open"].model_validate(pair(question, "A crack turns aside at its protein films."))
            one = passage().model_copy(update={"id": f"p{number}"})
            gathering.add(one, {"open": document})
        assert len(gathering.made.rows["messages"]) == 1
        assert [row["check"] for row in gathering.made.dropped] == ["exact duplicate", "near duplicate"]
        assert "p0/open/0" in gathering.made.dropped[0]["why"]

    def test_a_benchmarks_words_are_dropped(
        self, corpus: Path, far: Maker, openai_server: ScriptedServer, tmp_path: Path
    ) -> None:
        openai_server.script = list(OPEN)
        held = tmp_path / "held-out.json"
        held.write_text(json.dumps(["Where, in short, do they lie? They lie near the outer wall of the culm."]))
        report = run(corpus, far, tmp_path / "out", benchmarks=(held,))
        assert report.dropped == {"contamination": 1} and report.benchmarks == ("held-out.json",)
        assert "of held-out" in rows(tmp_path / "out", "dropped")[0]["why"]

    def test_facts_that_differ_in_a_figure_are_two(self) -> None:
        gathering = Gathering(0.5, 0.2, 1)
        told = "The tablets of nacre are stacked with thin films and are about {} um thick."
        document = KINDS["facts"].model_validate({"facts": [told.format("0.5"), told.format("3000")]})
        gathering.add(passage(), {"facts": document})
        assert not gathering.made.dropped


class TestResuming:
    def test_nothing_is_asked_twice_and_the_rows_stay_the_same(
        self, corpus: Path, far: Maker, openai_server: ScriptedServer, tmp_path: Path
    ) -> None:
        openai_server.script = list(OPEN)
        first = run(corpus, far, tmp_path / "out")
        files = {path.name: path.read_bytes() for path in (tmp_path / "out" / "data").iterdir()}
        again = run(corpus, far, tmp_path / "out")
        assert first.asked == 3 and again.asked == 0 and len(openai_server.requests) == 3
        assert files == {path.name: path.read_bytes() for path in (tmp_path / "out" / "data").iterdir()}

    def test_two_at_once_are_refused(self, corpus: Path, far: Maker, tmp_path: Path) -> None:
        with claim(tmp_path / "out" / ".lock"), pytest.raises(Unfinished, match="held by process"):
            run(corpus, far, tmp_path / "out")

    def test_another_kind_asks_only_for_that(
        self, corpus: Path, far: Maker, openai_server: ScriptedServer, tmp_path: Path
    ) -> None:
        openai_server.script = [OPEN[0], ANSWERS[0]["title"]]
        run(corpus, far, tmp_path / "out", limit=1)
        more = run(corpus, far, tmp_path / "out", limit=1, kinds=("open", "title"))
        assert more.asked == 1 and more.rows["messages"] == 1

    def test_another_seed_or_prompt_is_another_answer(
        self, corpus: Path, far: Maker, openai_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        openai_server.script = [OPEN[0]]
        for options, asked in (({}, 1), ({"seed": 7}, 1), ({"seed": 7}, 0)):
            assert run(corpus, far, tmp_path / "out", limit=1, **options).asked == asked
        monkeypatch.setattr("training.distil.answers.version", lambda kind: f"new-{kind}")
        assert run(corpus, far, tmp_path / "out", limit=1).asked == 1

    @pytest.mark.parametrize("workers", [1, 3])
    def test_a_server_that_goes_down_midway(
        self, corpus: Path, far: Maker, openai_server: ScriptedServer, tmp_path: Path, workers: int
    ) -> None:
        openai_server.script = [OPEN[0], Fault("drop")]
        with pytest.raises(Unfinished, match=r"1 of 3 passages are done and kept in .*the same command goes on"):
            run(corpus, far, tmp_path / "out", workers=workers)
        assert not (tmp_path / "out" / "data").exists()
        before = len(openai_server.requests)
        openai_server.script = list(OPEN)
        report = run(corpus, far, tmp_path / "out", workers=workers, grounding=0)
        assert len(openai_server.requests) == before + 2 and report.asked == 2

    def test_a_server_that_was_never_there(self, corpus: Path, closed_url: str, home: Path, tmp_path: Path) -> None:
        chat = ChatSettings(model="tiny", server=closed_url, timeout=5, retries=0)
        with pytest.raises(ServiceError, match="cannot be reached"):
            run(corpus, open_maker(RoleCall(chat=chat, sampling=SamplingSettings()), home), tmp_path / "out")

    @pytest.mark.parametrize("fault", [KeyboardInterrupt, RuntimeError])
    def test_a_kill_in_the_middle_of_a_passage(
        self,
        corpus: Path,
        far: Maker,
        openai_server: ScriptedServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        fault: type[BaseException],
    ) -> None:
        openai_server.script = [ANSWERS[0]["title"], OPEN[0]]
        keep: Callable[..., None] = Kept.keep

        def killed(self: Kept, kind: str, answer: Document | str) -> None:
            if kind == "open":
                raise fault
            keep(self, kind, answer)

        with monkeypatch.context() as patch:
            patch.setattr(Kept, "keep", killed)
            with pytest.raises(Interrupted if fault is KeyboardInterrupt else fault):
                run(corpus, far, tmp_path / "out", limit=1, kinds=("title", "open"))
        report = run(corpus, far, tmp_path / "out", limit=1, kinds=("title", "open"))
        assert report.asked == 1 and report.rows["messages"] == 1

    def test_what_could_not_be_written_is_kept_with_its_reason_and_tried_again(
        self, corpus: Path, far: Maker, openai_server: ScriptedServer, tmp_path: Path
    ) -> None:
        openai_server.script = ["no JSON", "no JSON", "no JSON", *OPEN]
        told: list[Progress] = []
        config = DistilConfig(kinds=("open",), workers=1, grounding=0)
        report = main(corpus, config, far, tmp_path / "out", told.append)
        [refused] = report.refused
        assert refused.passage == "p0" and "not a valid OpenQuestions" in refused.why
        rows = [event for event in told if event.type == "passage_distilled"]
        assert rows[0].why.startswith("open: ") and [row.passages for row in rows] == [1, 2, 3]
        assert run(corpus, far, tmp_path / "out", grounding=0).asked == 0
        openai_server.script = [OPEN[0]]
        again = run(corpus, far, tmp_path / "out", grounding=0, retry=True)
        assert again.asked == 1 and again.refused == ()
        assert openai_server.requests[-1]["seed"] != openai_server.requests[0]["seed"]

    def test_a_request_that_a_server_refuses_is_that_passages_fault(
        self, corpus: Path, far: Maker, openai_server: ScriptedServer, tmp_path: Path
    ) -> None:
        openai_server.script = [Fault("status", status=400), *OPEN]
        report = run(corpus, far, tmp_path / "out", grounding=0)
        assert [one.passage for one in report.refused] == ["p0"] and "HTTP 400" in report.refused[0].why


class TestAsking:
    def test_a_served_model_reads_the_whole_passage_and_no_schema_in_prose(self) -> None:
        for kind, schema in KINDS.items():
            system, task = messages(kind, passage(title="On nacre"))
            assert TEXTS[0] in str(task.content) and "On nacre" in str(task.content) and system.type == "system"
            assert not set(lay_out(schema).slots[0].where.split("_")[1:]) & set(str(task.content).split())
            assert "JSON" not in str(task.content)

    def test_every_string_and_list_is_bounded_and_described(self) -> None:
        def check(schema: Any, where: str) -> None:
            if isinstance(schema, dict):
                if schema.get("type") == "string":
                    assert "maxLength" in schema and "minLength" in schema, where
                if schema.get("type") == "array":
                    assert "maxItems" in schema and "description" in schema, where
                if schema.get("type") == "object":
                    assert schema["additionalProperties"] is False, where
                for key, value in schema.items():
                    check(value, f"{where}.{key}")

        for kind, schema in KINDS.items():
            check(schema.model_json_schema(), kind)

    def test_kinds_may_stand_with_commas(self) -> None:
        assert DistilConfig.model_validate({"kinds": "choice, open"}).kinds == ("open", "choice")
        assert DistilConfig.model_validate({"kinds": ["title,open", "facts"]}).kinds == ("title", "facts", "open")

    def test_a_report_on_disk_is_read_again(
        self, corpus: Path, far: Maker, openai_server: ScriptedServer, tmp_path: Path
    ) -> None:
        openai_server.script = list(OPEN)
        made = run(corpus, far, tmp_path / "out")
        text = (tmp_path / "out" / "data" / "report.json").read_text(encoding="utf-8")
        read = DistilReport.model_validate_json(text)
        assert dict(made) == {**dict(read), "data": made.data, "asked": 3, "minutes": made.minutes}
        assert json.loads(text) == read.model_dump(mode="json")

    def test_the_tables_agree(self) -> None:
        assert tuple(KINDS) == options_of.KINDS
        assert set(KINDS) - set(USUAL) == {"style"} and len({version(kind) for kind in KINDS}) == len(KINDS)

    @FEW
    @given(st.integers(0, 40), st.integers(0, 2))
    def test_an_excerpt_is_whole_sentences_of_the_passage(self, number: int, which: int) -> None:
        told = excerpt(TEXTS[which], number)
        assert told and told in TEXTS[which] and told.endswith(".")

    def test_a_local_model_fills_field_by_field(
        self, corpus: Path, word_llama: Path, home: Path, tmp_path: Path
    ) -> None:
        chat = ChatSettings(model=str(word_llama), dtype="float32", device="cpu")
        made_by = open_maker(RoleCall(chat=chat, sampling=SamplingSettings()), home)
        report = run(corpus, made_by, tmp_path / "out", kinds=("title",), limit=1, grounding=0)
        assert len(report.model["fingerprint"]) == 64 and report.rows["text"] == 1
        again = run(corpus, made_by, tmp_path / "out", kinds=("title",), limit=1, grounding=0)
        assert again.asked == 0


class TestChecks:
    @FEW
    @given(st.lists(st.integers(0, 10**7), max_size=6), st.integers(0, 10**7))
    def test_a_figure_is_strange_if_the_passage_has_it_not(self, known: list[int], one: int) -> None:
        text = "It holds " + " and ".join(f"{each:,}" for each in known)
        strange = checks.strange_figures(f"It holds {one} parts.", text)
        assert (strange is None) == (one in known)

    @pytest.mark.parametrize(
        ("text", "passage", "fine"),
        [
            ("It is 0.50 um thick.", "about .5 or 0.5 um", True),
            ("3,000 times", "3000 times", True),
            ("It has 2 layers.", "It has two layers.", True),
            ("It holds 40% of it.", "about 40 per cent", True),
            ("It holds 41% of it.", "about 40 per cent", False),
            ("It is 1.5 nm.", "It is 15 nm.", False),
        ],
    )
    def test_figures_are_told_by_value(self, text: str, passage: str, fine: bool) -> None:
        assert (checks.strange_figures(text, passage) is None) == fine

    @FEW
    @given(st.text(max_size=200))
    def test_no_text_is_another_wrong_answer_than_itself(self, text: str) -> None:
        assert checks.same(text, text) and checks.same(text, f" {text}. ")
        assert checks.stands(text, f"{text} And more.")

    @FEW
    @given(st.text(max_size=200), st.text(max_size=200))
    def test_checks_take_any_text(self, one: str, other: str) -> None:
        for told in (
            checks.echo(one, other),
            checks.same(one, other),
            checks.astray(one, other, 0.4),
            checks.strange_figures(one, other),
            checks.options(one, [other]),
            checks.leaning(one),
            checks.thin(one, 3),
            checks.strange_names(one, other),
            checks.beside(one, other),
            checks.uneven(one, other),
            checks.vague(one),
        ):
            assert told is None or told

    def test_what_is_refused_and_why(self) -> None:
        assert "says the question again" in str(checks.echo("Why is nacre tough?", "Nacre is tough."))
        assert checks.echo("Why is nacre tough?", "Its films stop cracks.") is None
        assert "the passage" in str(checks.leaning("What does the passage say of silk?")) or checks.leaning(
            "the passage"
        )
        assert checks.leaning("What holds silk together?") is None
        assert "0%" in str(checks.astray("Steel wires rust.", TEXTS[0], 0.4))
        assert checks.astray("The tablets slide on films.", TEXTS[0], 0.4) is None
        assert "holds the right one" in str(checks.options("films", ["protein films", "sand", "salt"]))
        assert checks.same("Silk is strong.", "Silk is not strong.") is None
        assert "stands in the passage" in str(checks.stands("the tablets slide over each other", TEXTS[0]))
        assert "'Amurotlis'" in str(checks.strange_names("Silk of Amurotlis is strong. It lasts.", "Silk of Nephila."))
        assert checks.strange_names("Silk of Nephila and MaSp2. It lasts.", "MaSp2 in silk of NEPHILA") is None
        assert "something else" in str(checks.beside("Bread is baked.", "Nacre is hard.", TEXTS[0]))
        assert "4 times as long" in str(checks.uneven("It is so.", "It is so and will be so for ever and always."))
        assert checks.vague("How does it break?") and checks.vague("How does nacre break?") is None


class TestErrors:
    def test_a_corpus_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"is not there .*studio train corpus"):
            read_passages(tmp_path / "none", None)
        file = tmp_path / "passages.jsonl"
        good = passage().model_dump_json()
        for text, why in (
            ("", "holds no passages"),
            ("{", "line 1: .*JSON"),
            (f'{good}\n{{"id": "x", "text": "y"}}', "line 2: source: Field required"),
            (f"{good}\n{good}", "line 2: id: 'p0' stands twice"),
        ):
            file.write_text(text, encoding="utf-8")
            with pytest.raises(DataError, match=why):
                read_passages(tmp_path, None)
        file.write_bytes(b"\xff\xfe")
        with pytest.raises(DataError, match="cannot read"):
            read_passages(file, None)

    def test_the_same_text_is_distilled_once(self, tmp_path: Path) -> None:
        file = tmp_path / "passages.jsonl"
        twin = passage().model_copy(update={"id": "other"})
        file.write_text(f"{passage().model_dump_json()}\n{twin.model_dump_json()}\n", encoding="utf-8")
        assert [one.id for one in read_passages(file, None)[1]] == ["p0"]

    def test_no_row_left_says_why(
        self, corpus: Path, far: Maker, openai_server: ScriptedServer, tmp_path: Path
    ) -> None:
        openai_server.script = [pair("Why is steel so strong?", "Carbon hardens iron a lot.")]
        with pytest.raises(DataError, match="no row is left of 3 passages: 3 dropped as astray"):
            run(corpus, far, tmp_path / "out")

    def test_a_damaged_answer_is_named(
        self, corpus: Path, far: Maker, openai_server: ScriptedServer, tmp_path: Path
    ) -> None:
        openai_server.script = list(OPEN)
        run(corpus, far, tmp_path / "out")
        [file, *_] = (tmp_path / "out" / "ledger").rglob("*.json")
        file.write_text("{", encoding="utf-8")
        with pytest.raises(DataError, match=r"cannot read .*remove it"):
            run(corpus, far, tmp_path / "out")

    def test_options_are_worded(self, corpus: Path, home: Path, tmp_path: Path) -> None:
        for options, why in (
            ({"kinds": ("opne",)}, "kinds: unknown kind 'opne'; did you mean 'open'"),
            ({"limit": 0}, "limit must be 1 or more, not 0"),
            ({"server": "localhost"}, "server: must begin with http"),
            ({"model": "no-such-model"}, "no-such-model"),
        ):
            with pytest.raises(UsageError, match=why):
                train_distil(corpus, out=tmp_path / "out", settings=load_settings(), **options)
        with pytest.raises(ServiceError, match="smollm2-360m"):
            train_distil(corpus, out=tmp_path / "out", model="smollm2-360m-instruct", settings=load_settings())

    def test_the_command(
        self,
        corpus: Path,
        openai_server: ScriptedServer,
        home: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        openai_server.script = list(OPEN)
        out = str(tmp_path / "out")
        line = ["train", "distil", str(corpus), "--out", out, "--server", openai_server.url, "--model", "tiny"]
        line += ["--kinds", "open", "--workers", "1"]
        made = CliRunner().invoke(app, [*line, "--json"])
        assert made.exit_code == 0 and json.loads(made.stdout)["rows"]["messages"] == 3
        assert "passages/min" in made.stderr
        shown = CliRunner().invoke(app, line)
        assert "messages.jsonl" in shown.stdout and "3 rows" in shown.stdout
        openai_server.script = [Fault("drop")]
        codes = [command([*line, "--kinds", "opne"]), command([*line[:2], str(tmp_path), *line[3:]])]
        codes += [command([*line, "--seed", "3"]), command([*line, "--kinds", "open,title"])]
        assert codes == [2, 65, 69, 75]
        assert "are done and kept in" in capsys.readouterr().err

    def test_help_shows_an_example(self) -> None:
        told = CliRunner().invoke(app, ["train", "distil", "--help"])
        assert told.exit_code == 0 and "studio train distil corpus --out distilled" in told.stdout
