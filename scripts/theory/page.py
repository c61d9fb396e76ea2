"""THEORY.md with its tables and figures, from the evidence that studies left."""

from pathlib import Path

from polystep.contracts import ExpectedError
from polystep.files import atomic_write, write_text
from polystep.report.drawing import render
from polystep.report.table import to_markdown, write_table
from scripts.theory.parameters import study_names
from scripts.theory.study import Evidence, Section, restore

HEAD = """# The theory, checked numerically

Written by `python -m scripts.theory`. Every section asks one question of the method's own code, answers it with numbers, and
says what they cannot tell. Constants and conditions of the papers' theorems are not public; where that matters, the section
says what was checked instead. The rows behind every table, with parameters and context, are in `theory/`.

Symbols are those of [METHOD.md](../polystep/METHOD.md#notation): d coordinates of a particle, temperature ε, step radius r, and
frame R (its rotation). J is the height of a jump, n the normal of the wall where the loss jumps.
"""


def write_theory_page(output: Path) -> Path:
    """Write OUTPUT/THEORY.md; raises ExpectedError where there is no evidence."""
    files = {name: output / "theory" / f"{name}.json" for name in study_names()}
    missing = [name for name, path in files.items() if not path.exists()]
    if len(missing) == len(files):
        raise ExpectedError(f"there is no evidence in {output / 'theory'}; compute some with python -m scripts.theory")
    parts = [HEAD]
    for evidence in (restore(path) for name, path in files.items() if name not in missing):
        section = evidence.section()
        write_section_files(section, output)
        parts.append(_markdown(section, evidence))
    if missing:
        parts.append(f"Not computed yet: {', '.join(f'`python -m scripts.theory {name}`' for name in missing)}.\n")
    page = output / "THEORY.md"
    write_text(page, "\n".join(parts))
    return page


def write_section_files(section: Section, output: Path) -> None:
    """Write the tables and figures of a section."""
    for table in section.tables:
        write_table(table, output / "tables")
    for chart in section.charts:
        for kind, content in render(chart).items():
            with atomic_write(output / "figures" / f"{chart.name}.{kind}") as file:
                file.write(content)


def _markdown(section: Section, evidence: Evidence) -> str:
    lines = [f"## {section.title}\n", f"{section.question}\n"]
    for table in section.tables:
        lines += [f"{table.title}:\n", to_markdown(table)]
    lines += [f"![{chart.title}](figures/{chart.name}.svg)\n" for chart in section.charts]
    lines += [f"{paragraph}\n" for paragraph in section.answer]
    return "\n".join([*lines, f"{_origin(evidence)}\n"])


def _origin(evidence: Evidence) -> str:
    context = evidence.context
    changed = [*(context["modified"] or ()), *(context["untracked"] or ())]
    commit = "unknown code" if context["commit"] is None else f"commit {context['commit'][:9]}"
    state = f" with {len(changed)} changed files" if changed else ""
    return (
        f"*`theory/{evidence.study}.json`: {commit}{state}, torch {context['packages']['torch']}, {context['processor']}, "
        f"{evidence.seconds:.0f} s.*"
    )
