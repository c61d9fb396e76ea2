"""METHOD.md and EDITIONS.md: what cites them names a section that exists, and what they name exists."""

import re
from pathlib import Path

import pytest

from polystep import dense_subspace, quasi_newton, sampled_space, schedule, subspace, update, weighting
from polystep.component import Component

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = {name: ROOT / folder / name for name, folder in {"METHOD.md": "polystep", "EDITIONS.md": "results"}.items()}
TREE = [
    *ROOT.glob("*.md"),
    ROOT / "Makefile",
    ROOT / "pyproject.toml",
    *(ROOT / "results").glob("*.md"),
    *(
        path
        for folder in ("baselines", "configs", "polystep", "scripts", "tasks", "tests")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".py", ".yaml", ".md", ".j2"}
    ),
]
METHOD = DOCUMENTS["METHOD.md"].read_text(encoding="utf-8")


def headings(document: str) -> list[str]:
    text = re.sub(r"```.*?```", "", DOCUMENTS[document].read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.findall(r"^##+ (.+)$", text, re.MULTILINE)


def on_one_line(path: Path) -> str:
    """The text with lines joined, as citations run over their ends, without the marks of comments."""
    return re.sub(r"\s*\n[ \t]*(?:#+[ \t]*)?", " ", path.read_text(encoding="utf-8"))


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def unknown_sections(text: str) -> list[str]:
    """Citations of sections that do not exist, and of none."""
    found = []
    for document, cited in re.findall(r"\b(METHOD\.md|EDITIONS\.md), (.{0,60})", text):
        names = "|".join(re.escape(heading) for heading in headings(document))
        if not re.match(rf"(?:{names})\b", cited, re.IGNORECASE):
            found.append(f"{document}, {cited}")
    for document, cited in re.findall(r"\]\([\w./]*(METHOD\.md|EDITIONS\.md)#([\w-]+)\)", text):
        if cited not in map(anchor, headings(document)):
            found.append(f"{document}#{cited}")
    return found


def test_a_wrong_citation_is_found():
    # in parts, so that it is none here
    assert unknown_sections("Source: METHOD" + ".md, no such section.") == ["METHOD" + ".md, no such section."]
    assert unknown_sections("[it](polystep/METHOD" + ".md#nothing)") == ["METHOD" + ".md#nothing"]
    assert not unknown_sections("(METHOD" + ".md, weightings), see [them](../METHOD" + ".md#weightings)")


def test_citations_name_sections_that_exist():
    wrong = {str(path.relative_to(ROOT)): unknown_sections(on_one_line(path)) for path in TREE}
    assert not {path: found for path, found in wrong.items() if found}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_within_a_document_lead_somewhere(document):
    text, names = DOCUMENTS[document].read_text(encoding="utf-8"), [*map(anchor, headings(document))]
    assert len(set(names)) == len(names)
    for link in re.findall(r"\]\(#([\w-]+)\)", text):
        assert link in names, link
    for link in re.findall(r"\]\((?!http|#)([^)#]+)", text):
        assert (DOCUMENTS[document].parent / link).exists(), link


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_files_exist(document):
    """Modules are named from polystep/ or from the root; capitals stand for names."""
    text = DOCUMENTS[document].read_text(encoding="utf-8")
    for name in re.findall(r"`([\w./*]+(?:\.(?:py|yaml|csv)|/))`", text):
        if not re.search(r"[A-Z]{2}", name):
            assert any([*ROOT.glob(name), *(ROOT / "polystep").glob(name)]), name


@pytest.mark.parametrize("module", [dense_subspace, quasi_newton, sampled_space, schedule, subspace, update, weighting])
def test_the_method_names_every_component(module):
    names = [
        declared.name
        for value in vars(module).values()
        if getattr(value, "__module__", "") == module.__name__
        and isinstance(declared := vars(value).get("__component__"), Component)
    ]
    assert names
    for name in names:
        assert f"`{name}`" in METHOD, name


def test_no_citation_of_documents_that_are_not_here_is_left():
    old = r"\b(?:method|protocol)(?:\.md)? sections? \d.{0,20}"
    left = {str(path.relative_to(ROOT)): re.findall(old, on_one_line(path), re.IGNORECASE) for path in TREE}
    assert not {path: found for path, found in left.items() if found}
