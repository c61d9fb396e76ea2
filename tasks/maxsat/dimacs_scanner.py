"""One compiled pass over the text of a DIMACS file, so that hundreds of megabytes take seconds."""

from typing import Any

from numba import njit

from tasks.maxsat.formula import GREATEST_TOTAL_WEIGHT

PROBLEMS = {
    1: ("{token} is no whole number", "is this a DIMACS file? write literals as v or -v and end clauses with 0"),
    2: ("the literal {token} names no variable in 1..{variables}", "correct it or the number of variables"),
    3: ("an empty clause, which nothing can satisfy", "remove it"),
    4: ("the last clause does not end with 0", "is the file cut off? get an undamaged copy"),
    5: ("a weight of {token}", "weights must be whole numbers of at least 1; leave clauses without weight out"),
    6: ("the number {token} does not fit into 63 bits", "divide all weights by a common factor"),
    7: ("a p line among the clauses", "there must be one at most, before all clauses"),
    8: ("up to the weight {token} they add up to more than 2^62", "divide all weights by a common factor"),
    9: ("the weight {token} is no whole number", "multiply all weights by a power of ten that makes them whole"),
    10: ("h in place of a weight, which files with a p line do not have", "remove the p line, or write the top weight"),
}
NOT_A_NUMBER, OUT_OF_RANGE, EMPTY_CLAUSE, CUT_OFF, BAD_WEIGHT, TOO_LARGE, SECOND_HEADER, TOO_HEAVY = tuple(PROBLEMS)[:8]
DECIMAL_WEIGHT, HARD_BY_LETTER = tuple(PROBLEMS)[8:]
NEWLINE, MINUS, PLUS, POINT, ZERO, NINE = 10, 45, 43, 46, 48, 57
LETTER_C, LETTER_H, LETTER_P, PERCENT = 99, 104, 112, 37


@njit(inline="always")
def is_blank(byte: Any) -> Any:
    """Space, tab and the ends of lines; other control characters are binary junk."""
    return byte == 32 or 9 <= byte <= 13


@njit
def count(text: Any, position: Any) -> Any:
    """Upper bounds: tokens, and tokens that are "0" (ends of clauses), from `position` on."""
    tokens = zeros = 0
    inside = False
    for i in range(position, len(text)):
        blank = is_blank(text[i])
        if not blank and not inside:
            tokens += 1
            if text[i] == ZERO and (i + 1 == len(text) or is_blank(text[i + 1])):
                zeros += 1
        inside = not blank
    return tokens, zeros


@njit
def scan(
    text: Any,
    position: Any,
    line: Any,
    letters: Any,
    weighted: Any,
    variables: Any,
    top: Any,
    literals: Any,
    starts: Any,
    weights: Any,
    hard: Any,
) -> Any:
    """Fill literals, starts, weights and hard from the clauses from `position` on.

    `letters`: "h" instead of a weight marks a hard clause. Returns (problem, line, first and last byte of the token at
    fault, clauses, literals used); problem 0 is none. A line that begins with c is a comment, one with % ends the file.
    """
    clauses = used = total = 0
    begin_of_line = True
    wants_weight = weighted
    i, size = position, len(text)
    while i < size:
        byte = text[i]
        if is_blank(byte):
            if byte == NEWLINE:
                line += 1
                begin_of_line = True
            i += 1
            continue
        first = i
        if begin_of_line and byte == LETTER_C:
            while i < size and text[i] != NEWLINE:
                i += 1
            continue
        if begin_of_line and byte == PERCENT:
            break
        while i < size and not is_blank(text[i]):
            i += 1
        if begin_of_line and byte == LETTER_P:
            return SECOND_HEADER, line, first, i, clauses, used
        begin_of_line = False
        if wants_weight and byte == LETTER_H and i == first + 1:
            if not letters:
                return HARD_BY_LETTER, line, first, i, clauses, used
            hard[clauses] = True
            weights[clauses] = 1
            wants_weight = False
            continue
        j = first + (byte in (MINUS, PLUS))
        value = 0
        if j == i:
            return NOT_A_NUMBER, line, first, i, clauses, used
        while j < i:
            digit = text[j] - ZERO
            if text[j] == POINT and wants_weight:
                return DECIMAL_WEIGHT, line, first, i, clauses, used
            if text[j] < ZERO or text[j] > NINE:
                return NOT_A_NUMBER, line, first, i, clauses, used
            if value > (2**63 - 1 - digit) // 10:
                return TOO_LARGE, line, first, i, clauses, used
            value = 10 * value + digit
            j += 1
        if byte == MINUS:
            value = -value
        if wants_weight:
            if value < 1:
                return BAD_WEIGHT, line, first, i, clauses, used
            hard[clauses] = 0 < top <= value
            weights[clauses] = 1 if hard[clauses] else value
            if weights[clauses] > GREATEST_TOTAL_WEIGHT - total:
                return TOO_HEAVY, line, first, i, clauses, used
            total += weights[clauses]
            wants_weight = False
        elif value == 0 and i > first + 1:
            # such as -0, which `count` does not take for an end
            return NOT_A_NUMBER, line, first, i, clauses, used
        elif value == 0:
            if used == starts[clauses]:
                return EMPTY_CLAUSE, line, first, i, clauses, used
            clauses += 1
            starts[clauses] = used
            wants_weight = weighted
        elif abs(value) > variables:
            return OUT_OF_RANGE, line, first, i, clauses, used
        else:
            literals[used] = value
            used += 1
    if used > starts[clauses] or wants_weight != weighted:
        return CUT_OFF, line, size, size, clauses, used
    return 0, line, size, size, clauses, used
