"""The page: one file, nothing fetched, every link leads somewhere, nothing from records is taken for HTML."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from polystep.bench.claims.conditions import Condition
from polystep.bench.claims.evidence import Score
from polystep.bench.claims.published_runs import Defect
from polystep.bench.claims.statements import Statement
from polystep.bench.claims.verdicts import Statements, judge_all
from polystep.bench.figures import method_looks
from polystep.bench.groups import group_runs
from polystep.bench.intake import take_in
from polystep.bench.page.document import Chapter, PageContent, report_page
from polystep.bench.tables import results_table

VOID = {"meta", "link", "input"}


class Page(HTMLParser):
    """Elements, links, identifiers and texts of a page; fails where elements are not nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.links, self.ids, self.attributes, self.text = [], [], [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        self.attributes += [(tag, *pair) for pair in attributes]
        self.links += [known["href"]] if tag == "a" else []
        self.ids += [known["id"]] if "id" in known else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data


def page_of(records: Path, statements: Statements | None = None) -> str:
    intake = take_in(records)
    groups = group_runs(intake.runs)
    chapters = [Chapter("All protocols", [results_table(groups)], groups)]
    verdicts = judge_all(statements, intake.runs) if statements else None
    looks = method_looks(group.optimizer for group in groups)
    gaps = {"Failed runs": ["<b>bold</b>"], "Unreadable files": []}
    return report_page(PageContent(verdicts, chapters, groups, intake.histories, looks, gaps))


@pytest.fixture
def page(add_run, tmp_path: Path) -> str:
    for seed in (1, 2):
        add_run(seed=seed, test=0.9 + seed / 100)
        add_run("spsa", seed=seed, test=0.4)
    add_run("adam", candidates=0, study="default", protocol="default", history=False)
    above = Condition(Score("snn", "polystep"), Score("snn", "spsa"), at_least=0.1)
    claim = Statement("lead", "It leads.", (above,), {"published settings": "paper"}, (1, 2))
    memory = Condition(Score("snn", "polystep"), at_least=0.9)
    defect = Defect("files", "A defect.", "Published so.", (memory,), claim, "It follows.")
    configs = [run.config for run in take_in(tmp_path / "records").runs]
    return page_of(tmp_path / "records", Statements([claim], configs, [defect], configs))


def test_nothing_is_fetched(page: str) -> None:
    for tag, name, value in Page(page).attributes:
        if name in ("src", "href", "action", "data", "poster", "srcset"):
            assert value == "data:," or value.startswith("#"), (tag, name, value)
    assert "@import" not in page and not re.search(r"url\(", page) and "fetch(" not in page


def test_every_link_leads_somewhere_and_identifiers_are_unique(page: str) -> None:
    parsed = Page(page)
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert parsed.links and {name for link in parsed.links for name in link[1:].split(",")} <= set(parsed.ids)
    # a number of a comparison leads to the runs of both sides
    assert any("," in link for link in parsed.links)


def test_verdicts_values_and_runs_are_shown(page: str) -> None:
    text = " ".join(Page(page).text.split())
    for words in ("1 holds", "It leads.", "at least +10.00 points", "A defect", "It follows.", "92.00 %", "seed 2"):
        assert words in text, words
    assert "snn-polystep-paper-seed1" in text and "name: polystep" in text
    assert "No curve: no readable history." in text and "<svg" in page


def test_sort_keys_are_numbers(page: str) -> None:
    keys = [value for tag, name, value in Page(page).attributes if (tag, name) == ("td", "data-v")]
    assert "0.4" in keys and all(float(key) == float(key) for key in keys)


def test_texts_of_records_are_escaped(add_run, tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>"
    config = {"seed": 1, "optimizer": {"name": attack, '"><img src=x>': 1}}
    add_run(attack, name="attack", task='"><img src=x>', config=config, environment={"processor": attack})
    text = page_of(tmp_path / "records")
    assert attack not in text and "<img" not in text
    assert attack in Page(text).text and "<b>bold</b>" in Page(text).text


def test_equal_records_give_the_same_page(add_run, tmp_path: Path) -> None:
    add_run()
    assert page_of(tmp_path / "records") == page_of(tmp_path / "records")


def test_no_records(tmp_path: Path) -> None:
    assert "0 finished runs" in Page(page_of(tmp_path)).text


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium (apt-get install chromium)")
def test_a_browser_shows_the_runs_behind_a_link(page: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile", "--dump-dom"]
    done = subprocess.run(
        ["chromium", *flags, f"{path.as_uri()}#g0,g1"], capture_output=True, text=True, timeout=200, check=True
    )
    (dialog,) = re.findall(r"<dialog.*?</dialog>", done.stdout, re.DOTALL)
    assert dialog.startswith('<dialog aria-label="Runs" open') and "Runs behind this, 2 groups" in dialog
