# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Go's text/template as tokens: the rules of text/template/parse/lex.go, with the words of its errors."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Iterator, NamedTuple, Tuple, Union

_SPACES = " \t\r\n"
_LEFT, _RIGHT = "{{", "}}"
# Kinds of tokens beside these words, which are their own kind.
KEYWORDS = ("block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with")
ERROR, EOF, TEXT, LEFT, RIGHT, SPACE = "error", "EOF", "text", "left", "right", "space"
ASSIGN, DECLARE, PIPE, OPEN, CLOSE, OTHER = "assign", "declare", "pipe", "open", "close", "other"
STRING, RAW, CHAR, NUMBER, COMPLEX, BOOL = "string", "raw", "char", "number", "complex", "bool"
DOT, FIELD, VARIABLE, WORD = "dot", "field", "variable", "word"

_COMMENT_END = re.compile(r"(?:[ \t\r\n]-)?\}\}")
_TRIMMED_END = re.compile(r"[ \t\r\n]-\}\}")
_QUOTED = {
    '"': (STRING, re.compile(r'"(?:\\[^\n]|[^"\\\n])*"'), "unterminated quoted string"),
    "`": (RAW, re.compile(r"`[^`]*`"), "unterminated raw quoted string"),
    "'": (CHAR, re.compile(r"'(?:\\[^\n]|[^'\\\n])*'"), "unterminated character constant"),
}
_ONE = {"=": ASSIGN, "|": PIPE, "(": OPEN, ")": CLOSE}
_PART = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[oO][0-7_]*(?:\.[0-7_]*)?|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


class Token(NamedTuple):
    """`text` is as it stands in the template; of an error, what is wrong."""

    kind: str
    text: str
    offset: int


def tokens(source: str) -> Iterator[Token]:
    """All tokens; the last one is the end or an error."""
    position, trim = 0, False
    while True:
        start = source.find(_LEFT, position)
        text = source[position:] if start < 0 else source[position:start]
        trimmed = text.lstrip(_SPACES) if trim else text
        begins = position + len(text) - len(trimmed)
        after = start + len(_LEFT)
        marked = start >= 0 and source[after : after + 1] == "-" and source[after + 1 : after + 2] in tuple(_SPACES)
        if marked:
            trimmed = trimmed.rstrip(_SPACES)
        if trimmed:
            yield Token(TEXT, trimmed, begins)
        if start < 0:
            yield Token(EOF, "", len(source))
            return
        after += 2 if marked else 0
        if source.startswith("/*", after):
            end = source.find("*/", after + 2)
            closing = _COMMENT_END.match(source, end + 2) if end >= 0 else None
            if closing is None:
                said = "unclosed comment" if end < 0 else "comment ends before closing delimiter"
                yield Token(ERROR, said, start)
                return
            position, trim = closing.end(), closing.group() != _RIGHT
            continue
        yield Token(LEFT, _LEFT, start)
        inside = list(_inside(source, after))
        yield from inside
        if not inside or inside[-1].kind != RIGHT:
            return
        last = inside[-1]
        position, trim = last.offset + len(last.text), last.text != _RIGHT


def _inside(source: str, position: int) -> Iterator[Token]:
    """The tokens of one action with its closing braces, to which a trim marker belongs; or with an error at the end."""
    depth = 0
    while True:
        trimmed = _TRIMMED_END.match(source, position)
        if trimmed or source.startswith(_RIGHT, position):
            if depth:
                yield Token(ERROR, "unclosed left paren", position)
            else:
                yield Token(RIGHT, trimmed.group() if trimmed else _RIGHT, position)
            return
        token = _next(source, position)
        depth += {OPEN: 1, CLOSE: -1}.get(token.kind, 0)
        if depth < 0:
            token = Token(ERROR, "unexpected right paren", position)
        yield token
        if token.kind == ERROR:
            return
        position += len(token.text)


def _next(source: str, position: int) -> Token:
    character = source[position : position + 1]
    if not character:
        return Token(ERROR, "unclosed action", position)
    if character in _SPACES:
        end = position
        # A space before a trim marker belongs to that.
        while source[end : end + 1] in tuple(_SPACES) and not (end > position and _TRIMMED_END.match(source, end)):
            end += 1
        return Token(SPACE, source[position:end], position)
    if character in _QUOTED:
        kind, pattern, unterminated = _QUOTED[character]
        match = pattern.match(source, position)
        return Token(kind, match.group(), position) if match else Token(ERROR, unterminated, position)
    if character == ":":
        found = source.startswith(":=", position)
        return Token(DECLARE, ":=", position) if found else Token(ERROR, "expected :=", position)
    if character in _ONE:
        return Token(_ONE[character], character, position)
    if character in "+-" or (character.isascii() and character.isdigit()) or _is_decimal(source, position):
        return _number(source, position)
    if character in ".$" or _is_letter(character):
        return _word(source, position)
    if character.isascii() and character.isprintable():
        return Token(OTHER, character, position)
    return Token(ERROR, f"unrecognized character in action: {_shown(character)}", position)


def _is_decimal(source: str, position: int) -> bool:
    return source[position] == "." and source[position + 1 : position + 2] in tuple("0123456789")


def _number(source: str, position: int) -> Token:
    end = _end_of_part(source, position)
    kind = NUMBER
    if 0 <= end < len(source) and source[end] in "+-":
        kind, end = COMPLEX, _end_of_part(source, end)
        if end >= 0 and source[end - 1] != "i":
            end = -1
    if end < 0:
        wrong = re.compile(r"[+-]?[\w.+-]*").match(source, position)
        return Token(ERROR, f'bad number syntax: "{wrong.group() if wrong else ""}"', position)
    return Token(kind, source[position:end], position)


def _end_of_part(source: str, position: int) -> int:
    """Where a number ends; -1 when a letter follows."""
    match = _PART.match(source, position)
    end = match.end() if match else position
    return -1 if _is_letter(source[end : end + 1]) else end


def _word(source: str, position: int) -> Token:
    end = position + 1
    while _is_letter(source[end : end + 1]):
        end += 1
    after = source[end : end + 1]
    if after and after not in " \t\r\n.,|:()" and not source.startswith(_RIGHT, end):
        return Token(ERROR, f"bad character {_shown(after)}", end)
    text = source[position:end]
    if text[0] in ".$":
        kind = VARIABLE if text[0] == "$" else FIELD if len(text) > 1 else DOT
    else:
        kind = BOOL if text in ("true", "false") else text if text in KEYWORDS else WORD
    return Token(kind, text, position)


def _is_letter(character: str) -> bool:
    return character == "_" or (character != "" and unicodedata.category(character) in _LETTERS)


_LETTERS = ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd")


def _shown(character: str) -> str:
    return f"U+{ord(character):04X} '{character}'"


def unquoted(text: str) -> str:
    """What a quoted or raw string or a character stands for. Raises ValueError where Go's strconv.Unquote fails."""
    quote, inner = text[0], text[1:-1]
    if quote == "`":
        return inner.replace("\r", "")
    plain = _ESCAPE.sub("", inner)
    if "\\" in plain:
        raise ValueError("invalid syntax")
    return _ESCAPE.sub(lambda match: _unescaped(match, quote), inner)


def _unescaped(match: re.Match[str], quote: str) -> str:
    *codes, octal, letter = match.groups()
    if letter is not None:
        if letter != quote and letter not in _ESCAPES:
            raise ValueError("invalid syntax")
        return _ESCAPES.get(letter, letter)
    code = int(octal, 8) if octal else int(next(code for code in codes if code), 16)
    wide = codes[1] or codes[2]
    if code > (0x10FFFF if wide else 0xFF) or (wide and 0xD800 <= code < 0xE000):
        raise ValueError("invalid syntax")
    return chr(code)


def number(text: str) -> Union[int, float, complex]:
    """The value of a number. Raises ValueError with Go's words."""
    if text[0] == "'":
        character = _character(text)
        if not character:
            raise ValueError("invalid syntax")
        if len(character) > 1:
            raise ValueError(f"malformed character constant: {text}")
        return ord(character)
    try:
        return _parsed(text)
    except ValueError as problem:
        raise ValueError(str(problem) if "overflow" in str(problem) else f'illegal number syntax: "{text}"') from None


def _character(text: str) -> str:
    try:
        return unquoted(text)
    except ValueError:
        raise ValueError("invalid syntax") from None


def _parsed(text: str) -> Union[int, float, complex]:
    if text.endswith("i"):
        return complex(text[:-1].replace("_", "") + "j")
    sign, digits = (text[0], text[1:]) if text[0] in "+-" else ("", text)
    base, rest = _base(digits)
    if re.fullmatch(r"_?[0-9a-fA-F]+(_[0-9a-fA-F]+)*" if base != 10 else r"[0-9]+(_[0-9]+)*", rest):
        try:
            value = int(sign + rest.replace("_", ""), base)
        except ValueError:
            value = None
        if value is not None:
            if not -(1 << 63) <= value < 1 << 64:
                raise ValueError(f'integer overflow: "{text}"')
            return value
    if "_" in text and base != 16:
        raise ValueError(text)
    if base == 8 and digits.isdigit():
        # A decimal number with a zero before it, to Go.
        raise ValueError(f'integer overflow: "{text}"')
    real = float.fromhex(text.replace("_", "")) if base == 16 and "p" in text.lower() else float(text)
    if math.isinf(real):
        raise ValueError(text)
    return real


def _base(digits: str) -> Tuple[int, str]:
    prefix = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2].lower())
    if prefix:
        return prefix, digits[2:]
    return (8, digits[1:]) if re.fullmatch(r"0[0-9_]+", digits) else (10, digits)
