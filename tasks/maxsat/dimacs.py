"""DIMACS files: .cnf and .wcnf, the latter with a top weight or with h lines, plain or compressed (gzip, xz, lzma, bzip2).

Formats: http://www.satcompetition.org/2009/format-benchmarks2009.html and https://maxsat-evaluations.github.io.
"""

import bz2
import gzip
import lzma
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np

from polystep.contracts import ExpectedError
from polystep.machine import TooLarge, available_memory, require_memory
from tasks.maxsat import dimacs_scanner as scanner
from tasks.maxsat.formula import BYTES_PER_VARIABLE, MOST_VARIABLES, Formula

OPENERS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ": lzma.open,
    b"\x5d\x00\x00": lzma.open,
    b"BZh": bz2.open,
}
"""By the first bytes of a file, whatever its name."""
ARCHIVES = {b"PK\x03\x04": "a zip archive", b"7z\xbc\xaf": "a 7z archive", b"\x28\xb5\x2f\xfd": "compressed by zstd"}
BYTE_ORDER_MARK, END_OF_FILE = b"\xef\xbb\xbf", b"\x1a"
BYTES_PER_BYTE = 14
"""Memory per byte of text: the text, then per token of at least two bytes a literal, a clause start, a weight."""


class InstanceError(ExpectedError):
    """A file is not a usable instance; the message names the file, the line and the remedy."""


@dataclass(frozen=True)
class Header:
    """What a file declares before its clauses; "lines": weights without a p line. 0 where nothing is declared."""

    kind: Literal["cnf", "wcnf", "lines"]
    variables: int = 0
    clauses: int = 0
    top: int = 0


def read_dimacs(path: Path) -> Formula:
    """The formula in a DIMACS file; what kind it is, its first lines tell.

    "p cnf" clauses all weigh 1. "p wcnf n m [top]" clauses begin with their weight and are hard from `top` on. A file without
    a p line has clauses that begin with "h" (hard) or a weight. Raises InstanceError.
    """
    raw = _usual(read_text(path))
    position, line, header = _header(path, raw)
    return _parse(path, np.frombuffer(raw, np.uint8), position, line, header)


def read_text(path: Path) -> bytes:
    """The uncompressed bytes of a file; refused before they fill the memory."""
    most = available_memory() // BYTES_PER_BYTE
    parts: list[bytes] = []
    size = 0
    try:
        with path.open("rb") as file:
            begin = file.read(8)
        for magic, what in ARCHIVES.items():
            if begin.startswith(magic):
                raise InstanceError(f"{path} is {what}; unpack it and name the file that was in it")
        opener = next((opener for magic, opener in OPENERS.items() if begin.startswith(magic)), open)
        if opener is open:
            _require_room(path, path.stat().st_size, most)
        with opener(path, "rb") as file:
            while part := file.read(1 << 24):
                parts.append(part)
                size += len(part)
                _require_room(path, size, most)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        remedy = "correct the path" if isinstance(error, FileNotFoundError) else "get an undamaged copy"
        raise InstanceError(f"{path} cannot be read ({reason}); {remedy}") from error
    return b"".join(parts)


def _usual(raw: bytes) -> bytes:
    """The text without what other systems put around it, and with the ends of lines that we count."""
    raw = raw.removeprefix(BYTE_ORDER_MARK)
    if (content := raw.rstrip()).endswith(END_OF_FILE):
        raw = content.rstrip(END_OF_FILE)
    return raw if b"\n" in raw else raw.replace(b"\r", b"\n")


def _require_room(path: Path, size: int, most: int) -> None:
    if size > most:
        raise InstanceError(
            f"{path} holds at least {size / 1e6:,.0f} MB of text; reading it needs more than "
            f"{BYTES_PER_BYTE * size / 1e9:.1f} GB of memory, which is all that is free; use a larger machine or a smaller "
            "instance"
        )


def _header(path: Path, raw: bytes) -> tuple[int, int, Header]:
    """Where the clauses begin, in which line, and what the lines before declare."""
    position, line = 0, 1
    while position < len(raw):
        end = raw.find(b"\n", position)
        end = len(raw) if end < 0 else end
        content = raw[position:end].strip()
        if content.startswith(b"p"):
            return end + 1, line + 1, _problem_line(path, line, content)
        if content and not content.startswith(b"c"):
            break
        position, line = end + 1, line + 1
    else:
        _refuse(path, line, "the file holds no clauses", "get an undamaged copy")
    if ".wcnf" not in map(str.lower, path.suffixes):
        reason = f"{_shown(content)} where a p cnf line should be"
        _refuse(path, line, reason, 'write "p cnf VARIABLES CLAUSES" first, or name the file .wcnf')
    return position, line, Header("lines")


def _problem_line(path: Path, line: int, content: bytes) -> Header:
    words = content.decode("ascii", "replace").split()
    numbers = words[2:]
    if (
        words[0] != "p"
        or words[1:2] not in (["cnf"], ["wcnf"])
        or not all(word.isdigit() and len(word) <= 20 for word in numbers)
    ):
        _refuse(path, line, f"{_shown(content)} is no problem line", 'write "p cnf VARIABLES CLAUSES"')
    kind: Literal["cnf", "wcnf"] = "cnf" if words[1] == "cnf" else "wcnf"
    if len(numbers) not in ((2,) if kind == "cnf" else (2, 3)):
        expected = "two numbers" if kind == "cnf" else "two or three numbers"
        _refuse(path, line, f"a p {kind} line needs {expected}, got {len(numbers)}", "write VARIABLES CLAUSES [TOP]")
    variables, clauses, top = (*map(int, numbers), 0)[:3]
    if not 1 <= variables <= MOST_VARIABLES:
        _refuse(path, line, f"{variables} variables declared", f"only 1 to {MOST_VARIABLES} are possible")
    if clauses < 1:
        _refuse(path, line, "no clauses declared", "an instance needs at least one clause")
    if len(numbers) == 3 and not 1 <= top < 2**63:
        _refuse(
            path, line, f"a top weight of {top}", "write a smaller one, up to 2^63 - 1, here and in the hard clauses"
        )
    try:
        require_memory(BYTES_PER_VARIABLE * variables, f"an instance of {variables} variables", "use a larger machine")
    except TooLarge as error:
        raise InstanceError(f"{path}, line {line}: {error}") from None
    return Header(kind, variables, clauses, top)


def _parse(path: Path, text: Any, position: int, line: int, header: Header) -> Formula:
    weighted = header.kind != "cnf"
    tokens, clauses = scanner.count(text, position)
    literals = np.empty(tokens, np.int32)
    # room for one more: the clause that a truncated file ends with
    starts = np.zeros(clauses + 1, np.int64)
    weights = np.empty(clauses + 1 if weighted else 0, np.int64)
    hard = np.zeros(clauses + 1 if weighted else 0, np.bool_)
    # a file that declares nothing must not ask for more than there is
    most = header.variables or min(MOST_VARIABLES, available_memory() // BYTES_PER_VARIABLE)
    found = scanner.scan(
        text, position, line, header.kind == "lines", weighted, most, header.top, literals, starts, weights, hard
    )
    problem, line, first, last, clauses, used = found
    if problem:
        reason, remedy = scanner.PROBLEMS[problem]
        shown = _shown(bytes(text[first:last]))
        if problem == scanner.OUT_OF_RANGE and not header.variables:
            reason = "the literal {token} is beyond the {variables} variables that the memory holds"
            remedy = "correct it or use a larger machine"
        _refuse(path, line, reason.format(token=shown, variables=most), remedy)
    if not clauses:
        _refuse(path, line, "the file holds no clauses", "get an undamaged copy")
    if header.clauses and clauses != header.clauses:
        what = "is the file cut off?" if clauses < header.clauses else "correct the p line"
        _refuse(path, line, f"the p line declares {header.clauses} clauses, but there are {clauses}", what)
    literals, starts, hard = literals[:used].copy(), starts[: clauses + 1].copy(), hard[:clauses].copy()
    variables = header.variables or int(np.abs(literals).max())
    kept = weights[:clauses].copy() if weighted else None
    try:
        return Formula(variables, literals, starts, kept, hard if hard.any() else None)
    except ValueError as error:
        raise InstanceError(f"{path}: {error}") from None


def _refuse(path: Path, line: int, reason: str, remedy: str) -> NoReturn:
    raise InstanceError(f"{path}, line {line}: {reason}; {remedy}")


def _shown(token: bytes) -> str:
    text = token[:40].decode("ascii", "replace")
    return repr(text + ("..." if len(token) > 40 else ""))
