"""The page in a real browser; skipped where there is no Chromium."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest
from pandas import concat

from polystep.report.build import build_report
from polystep.report.claims.statements import read_statements

CLAIMS = Path(__file__).parents[3] / "configs" / "statements" / "claims.yaml"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.skipif(BROWSER is None, reason="no Chromium here"), pytest.mark.slow]

# What a reader would do, and what is seen then.
VISIT = """
const seen = {errors: window.problems, width: document.documentElement.scrollWidth, window: innerWidth};
const score = (cell) => cell.textContent.startsWith("Test, validation");
const section = [...document.querySelectorAll("section.table")].find(
  (one) => one.querySelector("input") && [...one.querySelectorAll("th")].some(score));
const table = section.querySelector("table");
const column = [...table.tHead.rows[0].cells].findIndex(score);
const values = () => [...table.tBodies[0].rows].map((row) => parseFloat(row.cells[column].textContent));
table.tHead.rows[0].cells[column].querySelector("button").click();
seen.ascending = values();
table.tHead.rows[0].cells[column].querySelector("button").click();
seen.descending = values();
const search = section.querySelector("input");
search.value = "openai";
search.dispatchEvent(new Event("input"));
seen.found = [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.textContent);
document.querySelector('td a[href^="#g"]').click();
seen.dialog = document.querySelector("dialog").open && document.querySelector("dialog .body").textContent;
document.querySelector("dialog .close").click();
seen.closed = !document.querySelector("dialog").open;
const trials = [...document.querySelectorAll("section.table")].find(
  (one) => one.textContent.includes("Trials of the tuning grids"));
[...trials.querySelectorAll('a[href^="#g"]')].pop().click();
const listed = document.querySelector("dialog tbody");
seen.trials = [listed.rows.length, [...listed.querySelectorAll(".asked")].map((row) => row.cells[0].textContent)];
seen.twice = [...document.querySelectorAll("dialog .body [id]")].length;
document.querySelector("dialog .close").click();
seen.ink = getComputedStyle(document.body).color;
seen.figure = getComputedStyle(document.querySelector("figure svg text")).fill;
document.title = JSON.stringify(seen);
"""
FAILED = "document.title = JSON.stringify({errors: [String(error)]});"


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_a_reader_can_use_the_page(tmp_path, table, make_run, width, scheme):
    trials = [
        make_run(
            "snn",
            "openai_es",
            7,
            protocol="tuning",
            cell_id=str(rate),
            test_selected=rate,
            altered=(f"optimizer.rate={rate}",),
            **{"optimizer.rate": rate},
        )
        for rate in (0.3, 0.1)
    ]
    build_report(concat([table(), table(*trials)]), tmp_path, read_statements(CLAIMS))
    text = (tmp_path / "report.html").read_text()
    watch = "<script>window.problems = []; addEventListener('error', (e) => problems.push(e.message));</script>"
    text = text.replace("<style>", f"{watch}<style>", 1).replace(
        "</body>",
        f"<script>try {{ {VISIT} }} catch (error) {{ {FAILED} }}</script></body>",
    )
    # the narrowest window of Chromium is wider than a telephone, a frame is not
    (tmp_path / "visited.html").write_text(text)
    frame = f'<iframe src="visited.html" style="width:{width}px;height:900px;border:0" id="f"></iframe>'
    script = "f.onload = () => { document.title = f.contentDocument.title; };"
    (tmp_path / "frame.html").write_text(f"<!doctype html><body>{frame}<script>{script}</script></body>")
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    quiet = "no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update"
    command = [BROWSER, "--headless", *(f"--{flag}" for flag in quiet.split()), "--disable-sync", *dark]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--allow-file-access-from-files", "--window-size=1400,1000"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", f"file://{tmp_path / 'frame.html'}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    seen = json.loads(unescape(re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)[1]))
    assert seen["errors"] == []
    assert seen["width"] <= seen["window"] == width, "nothing makes the page scroll sideways"
    assert (
        seen["ascending"] == sorted(seen["ascending"]) != seen["descending"] == sorted(seen["descending"], reverse=True)
    )
    assert seen["found"] and all("OpenAI-ES" in row for row in seen["found"])
    assert "seed" in seen["dialog"].lower() and seen["closed"]
    assert seen["trials"] == [2, ["OpenAI-ES (rate=0.1)"]], (
        "the trials of a grid are one table, the one asked for is marked"
    )
    assert seen["twice"] == 0, "no element has the identity of another one"
    assert seen["ink"] == seen["figure"], "figures are written in the ink of the page"
    bright = sum(map(int, re.findall(r"\d+", seen["ink"])[:3])) > 380
    assert bright == (scheme == "dark")
