"""Lists of papers as real programs write them: right fields, a bad entry costs that entry, no paper is missed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.corpus.build import main
from pipelines.corpus.config import CorpusConfig
from pipelines.corpus.references.lists import Reference, is_list, read_references
from pipelines.corpus.references.matching import distinct, match
from pipelines.corpus.references.plain import doi_of, file_of, title_of, year_of
from training.sample import papers as sample_papers
from workspace.errors import DataError

SILK = "Hierarchical structure of spider dragline silk and its toughness"
WOS = (
    "FN Clarivate Analytics Web of Science\nVR 1.0\nPT J\nAU Doe, J\n   Roe, R\nTI Hierarchical structure of spider\n"
    "   dragline silk and its toughness\nSO ACTA\nAB Its 10 TI words.\nPY 2018\nDI 10.1038/ex.1\nUT WOS:1\nER\n\n"
    "PT J\nTI Collagen\nPY 2019\nER\n\nEF\n"
)
REAL: dict[str, tuple[str, list[tuple[str, str, str]]]] = {
    "mendeley.bib": (
        "@incollection{Doe2019,\nauthor = {Doe, Jane},\ntitle = {{A review of nacre: 50{\\%} of "
        "{\\textless}i{\\textgreater}Pinctada{\\textless}/i{\\textgreater}}},\n"
        "doi = {10.1007/978-3-030-01388-2{\\_}6},\nmonth = {jan},\nyear = {2019}\n}\n"
        '@article{Muster2020,\ntitle = {{{\\"{U}}ber die Z{\\"{a}}higkeit}},\n'
        "url = {http://link.springer.com/10.1007/s1{\\_}2},\nmonth = jun,\nyear = 2020\n}\n",
        [
            ("A review of nacre: 50% of Pinctada", "10.1007/978-3-030-01388-2_6", "2019"),
            ("Über die Zähigkeit", "10.1007/s1_2", "2020"),
        ],
    ),
    "dblp.bib": (
        "@article{DBLP:journals/corr/abs-1,\n  author       = {Jane Doe and\n                  R. Roe},\n"
        "  title        = "
        "{Strong {\\(\\alpha\\)}-Helices at\n                  10\\({}^{\\mbox{8}}\\) Pa},\n  year         = {2020},\n"
        "  doi          = {10.1007/978-3\\_12},\n  bibsource    = {dblp, https://dblp.org}\n}\n",
        [("Strong α-Helices at 10^8 Pa", "10.1007/978-3_12", "2020")],
    ),
    "zotero.bib": (
        '@comment{jabref-meta: databaseType:bibtex;}\n@string{ActaB = "Acta"}\n@article{doe,\n\ttitle = {Silk},\n'
        "\tkeywords = {a},\n\tkeywords = {b},\n\tdoi = {10.1038/ex.1},\n\tdate = {2018-03-01},\n"
        "\tfile = {Full Text PDF:"
        "/home/u/Zotero/storage/AA/Doe - 2018 - Silk.pdf:application/pdf},\n}\n@article{doe,\n"
        "\ttitle = {Collagen},\n}\n",
        [("Silk", "10.1038/ex.1", "2018"), ("Collagen", "", "")],
    ),
    "scopus.bib": (
        "Scopus\nEXPORT DATE: 01 March 2024\n\n@ARTICLE{Doe2018,\n\ttitle={Silk \\& more},\n\tdoi={10.1038/ex.1},\n"
        "\tyear={2018},\n}\n",
        [("Silk & more", "10.1038/ex.1", "2018")],
    ),
    "scopus.csv": (
        '\ufeff"Authors","Abstract","Title","Year","DOI","Link"\n"Doe J.; Roe R.","So-called ""tough, strong"" silk; a '
        'review, in short.","Silk, and its ""toughness""","2018","10.1038/ex.1","https://www.scopus.com/x"\n'
        '"Poe E.","Two\nlines; 3, 4","Collagen","2019","","https://doi.org/10.1038/EX.2"\n',
        [('Silk, and its "toughness"', "10.1038/ex.1", "2018"), ("Collagen", "10.1038/ex.2", "2019")],
    ),
    "zotero.csv": (
        '"Key","Item Type","Publication Year","Title","Publication Title","DOI","File Attachments"\n'
        '"AB12","journalArticle","2018","Silk","Acta","10.1038/ex.1","/home/u/silk.pdf; /home/u/silk.html"\n',
        [("Silk", "10.1038/ex.1", "2018")],
    ),
    "pubmed.csv": (
        "PMID,Title,Authors,Publication Year,DOI\n1,Silk.,Doe J.,2018,10.1038/ex.1\n",
        [("Silk.", "10.1038/ex.1", "2018")],
    ),
    "dimensions.csv": (
        '"About the data: exported on, 1 May"\nRank,DOI,Title,PubYear\n1,10.1038/ex.1,Silk,2018\n',
        [("Silk", "10.1038/ex.1", "2018")],
    ),
    "savedrecs.txt": (WOS, [(SILK, "10.1038/ex.1", "2018"), ("Collagen", "", "2019")]),
    "any-name.ciw": (WOS, [(SILK, "10.1038/ex.1", "2018"), ("Collagen", "", "2019")]),
    "savedrecs-tab.txt": (
        'PT\tAU\tTI\tSO\tDI\tPY\nJ\tDoe, J\t"Tough" silk, and a 5" fibre\tACTA\t10.1038/ex.1\t2018\n',
        [('"Tough" silk, and a 5" fibre', "10.1038/ex.1", "2018")],
    ),
    "set.nbib": (
        "\nPMID- 12345678\nOWN - NLM\nDP  - 2018 Mar 1\nTI  - Silk in tension and\n      under impact.\n"
        "LID - 123 [pii]\nLID - 10.1038/ex.1 [doi]\nAB  - Long.\n\nPMID- 2\nTI  - Collagen.\n"
        "SO  - Acta. 2019. doi: 10.1038/ex.2.\n",
        [("Silk in tension and under impact.", "10.1038/ex.1", "2018"), ("Collagen.", "10.1038/ex.2", "")],
    ),
    "pubmed-set.txt": ("PMID- 1\nTI  - Silk\nLID - 10.1038/ex.1 [doi]\n", [("Silk", "10.1038/ex.1", "")]),
    "endnote.ris": (
        "Provider: X\n\nTY  - JOUR\nAU  - Doe, J.\nT1  - Silk and\n<i>collagen</i>\nPY  - 2018/03/01/\n"
        "UR  - https://doi.org/10.1038/EX.1?nosfx=y\nER  -\nTY  - JOUR\nTI  - No end\nDO  - 10.1038/ex.2\n"
        "TY  - BOOK\nBT  - A book\nER  - \n",
        [("Silk and collagen", "10.1038/ex.1", "2018"), ("No end", "10.1038/ex.2", ""), ("A book", "", "")],
    ),
    "endnote.enw": (
        "%0 Journal Article\n%A Doe\n%T Silk\n%D 2018\n%R 10.1038/ex.1\n\n%0 Book\n%T Bone\n",
        [("Silk", "10.1038/ex.1", "2018"), ("Bone", "", "")],
    ),
    "endnote.xml": (
        '<?xml version="1.0" encoding="UTF-8"?><xml><records><record><rec-number>1</rec-number><titles><title><style '
        'face="normal">Silk at 10</style><style face="superscript">8</style><style face="normal"> Pa</style></title>'
        "</titles><dates><year><style>2018</style></year></dates><electronic-resource-num><style>10.1038/ex.1</style>"
        "</electronic-resource-num></record></records></xml>",
        [("Silk at 10^8 Pa", "10.1038/ex.1", "2018")],
    ),
    "endnote.txt": (
        "@article{RN1,\n   author = {Doe},\n   title = {Silk},\n   year = {2018},\n}\n",
        [("Silk", "", "2018")],
    ),
}


@pytest.mark.parametrize("coding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", REAL)
def test_a_list_is_read_as_its_program_wrote_it(name: str, coding: str, tmp_path: Path) -> None:
    text, wanted = REAL[name]
    for end in ("\n", "\r\n"):
        (tmp_path / name).write_bytes(text.lstrip("\ufeff").replace("\n", end).encode(coding))
        assert is_list(tmp_path / name)
        made = read_references(tmp_path / name)
        assert ([(one.title, one.doi, one.year) for one in made.papers], made.faults) == (wanted, [])


@pytest.mark.parametrize(
    ("name", "text", "titles", "faults"),
    [
        (
            "a.bib",
            "@article{a,\n title = {One}\n}\n@article{b,\n title = {Two {open},\n doi = {10.1038/ex.2}\n}\n"
            "@article{c,\n title = {Three}\n doi = {10.1038/ex.3}\n}\n@misc{d,\n note = {x}\n}\n"
            "@article{e, title = {Five}}\n",
            ["One", "Five"],
            [
                (4, "entry b: it is no whole"),
                (8, "entry c: a comma is missing before doi"),
                (12, "entry d: it has neither"),
            ],
        ),
        (
            "a.csv",
            'Title,DOI,Year\nOne,10.1038/ex.1,2018\n"Two,10.1038/ex.2,2018\nThree,10.1038/ex.3,2018\n'
            "Four,a,b,c,d\n,,2019\n"
            "Five,10.1038/ex.5,2018\n",
            ["One", "Three", "Five"],
            [(3, "a quoted cell does not end"), (5, "it has 5 cells, the header 3"), (6, "it has neither")],
        ),
        (
            "a.ris",
            "TY  - JOUR\nID  - k1\nAU  - Doe\nER  - \nTY  - JOUR\nTI  - Two\nER  - \n",
            ["Two"],
            [(1, "entry k1: it has")],
        ),
        (
            "a.xml",
            "<xml><records>\n<record><titles><title>One</title></titles>\n</recordx></record>\n"
            "<record><titles><title>Two</title></titles></record></records></xml>",
            ["Two"],
            [(2, "it is no readable XML")],
        ),
    ],
)
def test_a_bad_entry_costs_that_entry(
    name: str, text: str, titles: list[str], faults: list[tuple[int, str]], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    made = read_references(tmp_path / name)
    assert [one.title for one in made.papers] == titles
    assert [line for line, _ in made.faults] == [line for line, _ in faults]
    assert all(why.startswith(begin) for (_, why), (_, begin) in zip(made.faults, faults, strict=True))


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ('\\"Uber \\\'{E}tudes, na\\"{\\i}ve, \\v{S}v\\c c, M\\o ller, \\ss', "Über Études, naïve, Švç, Møller, ß"),
        ("10\\textsuperscript{8} J m$^{-3}$ of H$_2$O, 50% or $5", "10^8 J m^-3 of H_2O, 50% or $5"),
        (
            "\\emph{in vivo} {\\it in vitro} \\mbox{Poly(lactic acid)} R\\&D~1--2",
            "in vivo in vitro Poly(lactic acid) R&D 1–2",
        ),
        ("$\\alpha$-helix \\ensuremath{\\Lambda} \\LaTeX{} a\\_b 5\\,nm", "α-helix Λ LaTeX a_b 5 nm"),
        ("10<sup>8</sup> H<inf>2</inf>O &amp;lt; <b>3</b> &amp; p < 0.05 or > 1", "10^8 H_2O < 3 & p < 0.05 or > 1"),
        ('<mml:math xmlns:mml="x"><mml:msup><mml:mn>10</mml:mn><mml:mn>8</mml:mn></mml:msup></mml:math> Pa', "10^8 Pa"),
    ],
)
def test_a_title_is_plain_and_keeps_its_numbers(text: str, title: str) -> None:
    assert title_of(text, latex=True) == title


@pytest.mark.parametrize(
    ("text", "doi"),
    [
        ("https://doi.org/10.1016%2FJ.x.2020", "10.1016/j.x.2020"),
        (
            "10.1002/(SICI)1097(1998)40:3{\\textless}489::AID-J20{\\textgreater}3.0.CO;2-0",
            "10.1002/(sici)1097(1998)40:3<489::aid-j20>3.0.co;2-0",
        ),
        ("(see 10.1016/0021-9290(93)90058-C).", "10.1016/0021-9290(93)90058-c"),
        ("https://pubs.acs.org/doi/pdf/10.1021/acs.1c0/full?x=1", "10.1021/acs.1c0"),
        ("10.1093/a--b~c", "10.1093/a--b~c"),
        ("none here", ""),
    ],
)
def test_a_doi_is_clean(text: str, doi: str) -> None:
    assert doi_of(text, latex=True) == doi


def test_years_and_files() -> None:
    assert [year_of(text) for text in ("2018/03/01/", "1 MAR 1999", "in press", "20180301")] == [
        "2018",
        "1999",
        "",
        "2018",
    ]
    assert file_of("C\\:\\\\Users\\\\u\\\\Doe\\_1.pdf") == "C:/Users/u/Doe_1.pdf"
    assert file_of("Snapshot:/x/y.html:text/html;Full:/home/a b.pdf:application/pdf") == "/home/a b.pdf"


def test_papers_of_several_lists_stand_once() -> None:
    told = distinct(
        [
            Reference(title="Spider silk", doi="10.1/a"),
            Reference(title="Spider Silk."),
            Reference(title="Spider silk", doi="10.1/b"),
            Reference(doi="10.1/a", year="2018"),
        ]
    )
    assert told == [
        Reference(title="Spider silk", doi="10.1/a", year="2018"),
        Reference(title="Spider silk", doi="10.1/b"),
    ]


def test_a_paper_is_known_by_its_first_page() -> None:
    told = [
        Reference(title=f"Toughness of layered shells. Part {part}", doi=f"10.1038/ex.{part}") for part in ("I", "II")
    ]
    told.append(Reference(title="Über die Zähigkeit von Perlmutt und Knochen", doi="10.1038/ex.30"))
    assert match(Path("a.pdf"), "Acta 12\n\n# Toughness of Layered Shells, Part II\n\nJane Doe", told) is told[1]
    assert match(Path("a.pdf"), "# Toughness of layered shells. Part III", told) is None
    assert match(Path("a.pdf"), "ACTA\nÜber die Zähigkeit von\nPerlmutt und Knochen\nJane Doe", told) is told[2]
    assert match(Path("a.pdf"), "Words\n\nhttps://doi.org/10.1038/EX.30. More", told) is told[2]
    assert match(Path("a.pdf"), "Words\n\nhttps://doi.org/10.1038/ex.301", told) is None


def test_lists_in_the_folder_of_papers_are_read_and_no_paper_is_missed(tmp_path: Path) -> None:
    folder, out = tmp_path / "papers", tmp_path / "out"
    folder.mkdir()
    first, second = sample_papers.contents(0)[0], sample_papers.contents(1)[0]
    (folder / "a.md").write_text(f"# {first['title']}\n\nJane Doe\n\n## Abstract\n\n{first['text']}")
    (folder / "b.md").write_text(f"# {second['title']}\n\n{second['text']}")
    (folder / "library.bib").write_text(
        f"@article{{a,\n title = {{{{{first['title']}}}}},\n doi = {{10.1038/ex{{\\_}}1}}\n}}\n"
        "@article{bad,\n title = {x\n}\n@article{c,\n title = {A paper that is not there at all}\n}\n"
    )
    (folder / "savedrecs.txt").write_text(WOS.replace("Collagen", second["title"]))
    (folder / "data.csv").write_text("strain,stress\n1,2\n")
    (folder / "notes.docx").write_bytes(b"x")
    report = main(CorpusConfig(inputs=(folder,)), out, tmp_path)
    rows = [json.loads(line) for line in (out / "passages.jsonl").read_text().splitlines()]
    assert {row["source"]["document"]: row["source"]["doi"] for row in rows} == {"a.md": "10.1038/ex_1", "b.md": ""}
    assert {row["source"]["title"] for row in rows} == {first["title"], second["title"]}
    missing = [json.loads(line)["title"] for line in (out / "missing.jsonl").read_text().splitlines()]
    assert missing == ["A paper that is not there at all", SILK]
    assert report.documents == 2 and report.skipped == {
        str(folder): "of other kinds of file it holds 1 .docx, which are not read; save them as PDF",
        f"{folder}/data.csv": "it is no list of papers: has no column title or doi; its columns are strain, stress",
        f"{folder}/library.bib, line 5": "entry bad: it is no whole entry: a brace, a comma or a name is missing",
    }


def bib(rows: list[dict[str, str]]) -> str:
    entry = "@article{k%d,\n title = {{%s}},\n doi = {%s},\n year = %s\n}\n"
    return "".join(
        entry % (place, row["title"], row["doi"].replace("_", "{\\_}"), row["year"]) for place, row in enumerate(rows)
    )


def sheet(separator: str) -> Callable[[list[dict[str, str]]], str]:
    def write(rows: list[dict[str, str]]) -> str:
        file = io.StringIO()
        table = csv.DictWriter(file, ["doi", "title", "year"], delimiter=separator, quoting=csv.QUOTE_ALL)
        table.writeheader()
        table.writerows(rows)
        return file.getvalue()

    return write


def tagged(form: str, between: str) -> Callable[[list[dict[str, str]]], str]:
    return lambda rows: between.join(form.format(**row) for row in rows)


WRITERS: dict[str, Callable[[list[dict[str, str]]], str]] = {
    "a.bib": bib,
    "a.csv": sheet(","),
    "b.csv": sheet(";"),
    "a.tsv": sheet("\t"),
    "a.ris": tagged("TY  - JOUR\nTI  - {title}\nDO  - {doi}\nPY  - {year}\nER  - \n", "\n"),
    "a.nbib": tagged("PMID- 1\nTI  - {title}\nLID - {doi} [doi]\nDP  - {year} Mar\n", "\n"),
    "savedrecs.txt": tagged("PT J\nTI {title}\nDI {doi}\nPY {year}\nER\n", "\n"),
    "a.enw": tagged("%0 Book\n%T {title}\n%R {doi}\n%D {year}\n", "\n"),
}
ROWS = st.fixed_dictionaries(
    {
        "title": st.from_regex(r"[A-Z][a-zé0-9,;:'()]{1,9}( [a-zü0-9.,()\-]{1,8}){1,6}", fullmatch=True),
        "doi": st.from_regex(
            r"10\.[1-9][0-9]{3}/[a-z0-9_]{1,8}(\([0-9]{2}\))?[a-z0-9_.\-]{0,8}[a-z0-9]", fullmatch=True
        ),
        "year": st.integers(1900, 2030).map(str),
    }
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=4), st.sampled_from(sorted(WRITERS)))
def test_well_formed_entries_come_back(tmp_path: Path, rows: list[dict[str, Any]], name: str) -> None:
    head = "FN Clarivate\nVR 1.0\n" if name == "savedrecs.txt" else ""
    rows = [row | {"title": row["title"].replace("--", "-").replace("''", "'")} for row in rows]
    (tmp_path / name).write_text(head + WRITERS[name](rows), newline="")
    made = read_references(tmp_path / name)
    assert [one.model_dump(exclude={"file"}) for one in made.papers] == rows and not made.faults


WORDS = ["article", "title", "doi", "10.1/a", "TY  - ", "ER  -", "PMID- ", "TI  - ", "PT J\n", "%0 x", "FN Clarivate\n"]
PIECES = [*'@{}(),=#"\n\t;\\$<>&%-', *WORDS, "<record>", "</record>", "é"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=30).map("".join),
    st.sampled_from(["a.bib", "a.csv", "a.ris", "a.nbib", "a.ciw", "a.enw", "a.txt", "a.xml", "a.tsv"]),
)
def test_any_list_is_read_or_refused_in_a_line(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / name).write_bytes(text.encode("utf-8", "replace"))
    is_list(tmp_path / name)
    try:
        made = read_references(tmp_path / name)
    except DataError as fault:
        assert "\n" not in str(fault)
    else:
        assert made.papers and all("\n" not in one.title for one in made.papers)


def test_a_list_of_xml_that_is_made_to_harm_is_read_in_no_time(tmp_path: Path) -> None:
    file = tmp_path / "a.xml"
    good = "<record><titles><title>Two</title></titles></record>"
    deep = f"<record><titles><title>{'<style>' * 5000}x{'</style>' * 5000}</title></titles></record>"
    file.write_text(f"<xml><records>{deep}{good}{'<record>' * 100_000}")
    found = read_references(file)
    assert [one.title for one in found.papers] == ["Two"]
    assert [why for _, why in found.faults if "nested deeper than 100" in why]


def test_what_is_far_too_long_is_no_title_and_no_doi() -> None:
    assert title_of("<sub>" * 100_000) == ""
    assert len(doi_of("10.1000/" + ")" * 200_000)) < 3_000


CSL = [
    {"id": "x", "title": "Silk in water", "DOI": "10.1000/A.b_c", "issued": {"date-parts": [[2014, 3]]}},
    {"id": "y", "title": ["Bone"], "URL": "https://doi.org/10.1000/two", "issued": {"raw": "2015-03"}},
    {"id": "z", "title": 5},
    "no item",
]


@pytest.mark.parametrize("whole", [CSL, {"items": CSL}])
def test_lists_of_csl(whole: object, tmp_path: Path) -> None:
    path = tmp_path / "items.json"
    path.write_text(json.dumps(whole, indent=1))
    assert is_list(path)
    found = read_references(path)
    kept = [(one.title, one.doi, one.year) for one in found.papers]
    assert kept == [("Silk in water", "10.1000/a.b_c", "2014"), ("Bone", "10.1000/two", "2015")]
    assert found.faults == [(3, "entry z: it has neither a title nor a DOI"), (4, "it is no object")]
    path.write_text('{"title": "x"}')
    assert not is_list(path)
    path.write_text("<dblp><article/></dblp>")
    with pytest.raises(DataError, match=r"items.json is no list that is read"):
        read_references(path)
