# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Go's text/template, the part that chat templates use: a lexer, a parser and an interpreter.

Kept: actions with trim markers, comments, if/else if/else/end, range with one or two variables and else, with, break,
continue, variables with := and =, fields, chains, pipes, parentheses, string, raw string, number and boolean constants,
and the functions and, or, not, eq, ne, lt, le, gt, ge, len, slice, index, print, printf (%s, %d, %v, %q), json.
Anything else (define, template, block, methods) is a parse error that says so, never a silent guess.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union


class TemplateProblem(Exception):
    """The template cannot be parsed or executed."""


# ---------------------------------------------------------------------------------------------------------------- nodes


class Text(NamedTuple):
    """Literal text."""

    text: str


class Field(NamedTuple):
    """`.A.B`, or `$x.A` when `start` is an expression."""

    names: Tuple[str, ...]
    start: Optional[Any]


class Variable(NamedTuple):
    """`$x`; the root is `$`."""

    name: str


class Constant(NamedTuple):
    """A literal."""

    value: Any


class Call(NamedTuple):
    """A function and its arguments."""

    function: str
    args: Tuple[Any, ...]


class Pipe(NamedTuple):
    """Commands joined by |, with the variables that the result is declared as or assigned to."""

    commands: Tuple[Any, ...]
    variables: Tuple[str, ...]
    declare: bool


class Action(NamedTuple):
    """{{ pipe }}."""

    pipe: Pipe


class Branch(NamedTuple):
    """if, with and range."""

    kind: str
    pipe: Pipe
    body: Tuple[Any, ...]
    otherwise: Tuple[Any, ...]


class Jump(NamedTuple):
    """break and continue."""

    kind: str


# ---------------------------------------------------------------------------------------------------------------- lexer

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<declare>:=)|(?P<assign>=)|(?P<pipe>\|)|(?P<open>\()|(?P<close>\))|(?P<comma>,)
    |(?P<string>"(?:\\.|[^"\\\n])*")|(?P<raw>`[^`]*`)|(?P<char>'(?:\\.|[^'\\\n])')
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+))
    |(?P<field>\.[^\W\d]\w*)|(?P<variable>\$\w*)|(?P<word>[^\W\d]\w*)|(?P<dot>\.)""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "'": "'"}


class Token(NamedTuple):
    """A token inside an action; `glued` when no blank stands before it."""

    kind: str
    text: str
    glued: bool


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match.group(1)
        return chr(int(code[1:], 16)) if code[0] in "xuU" else _ESCAPES.get(code, code)

    return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", one, text)


def _problem(line: int, text: str) -> TemplateProblem:
    return TemplateProblem("template: :%d: %s" % (line, text))


def _tokens(source: str, line: int) -> List[Token]:
    tokens: List[Token] = []
    position, glued = 0, False
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            if source[position] == '"':
                raise _problem(line, "unterminated quoted string")
            raise _problem(line, "unexpected %r in command" % source[position])
        position = match.end()
        if match.lastgroup == "space":
            glued = False
            continue
        tokens.append(Token(str(match.lastgroup), match.group(), glued))
        glued = True
    return tokens


def _action_end(source: str, start: int) -> int:
    """The place of the closing }}: quoted text may hold braces."""
    position = start
    while position < len(source):
        if source.startswith("}}", position):
            return position
        if source[position] in "\"`'":
            quote = source[position]
            position += 1
            while position < len(source) and source[position] != quote:
                position += 2 if source[position] == "\\" and quote != "`" else 1
        position += 1
    return -1


def _pieces(source: str) -> List[Union[Text, Tuple[List[Token], int]]]:
    pieces: List[Union[Text, Tuple[List[Token], int]]] = []
    position, trim = 0, False
    while True:
        start = source.find("{{", position)
        text = source[position:] if start < 0 else source[position:start]
        line = source.count("\n", 0, start if start >= 0 else 0) + 1
        trim_left = (
            start >= 0 and source[start + 2 : start + 3] == "-" and source[start + 3 : start + 4] in tuple(" \t\r\n")
        )
        if trim:
            text = text.lstrip(" \t\r\n")
        if trim_left:
            text = text.rstrip(" \t\r\n")
        if text:
            pieces.append(Text(text))
        if start < 0:
            return pieces
        begin = start + (4 if trim_left else 2)
        if source[begin:].lstrip(" \t\r\n").startswith("/*"):
            close = source.find("*/", begin)
            if close < 0:
                raise _problem(line, "unclosed comment")
            rest = re.match(r"\*/([ \t\r\n]+-)?\}\}", source[close:])
            if rest is None:
                raise _problem(line, "comment ends before closing delimiter")
            trim, position = bool(rest.group(1)), close + rest.end()
            continue
        end = _action_end(source, begin)
        if end < 0:
            raise _problem(line, "unclosed action")
        inner = source[begin:end]
        trim = bool(re.search(r"[ \t\r\n]-\Z", inner)) or (trim_left and inner == "-")
        if trim:
            inner = inner[:-1]
        pieces.append((_tokens(inner, line), line))
        position = end + 2


# --------------------------------------------------------------------------------------------------------------- parser

_FUNCTIONS = (
    "and",
    "or",
    "not",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "len",
    "slice",
    "index",
    "print",
    "printf",
    "json",
)
_UNSUPPORTED = ("define", "template", "block")


class _Parser:
    def __init__(self, source: str) -> None:
        self.pieces = _pieces(source)
        self.position = 0
        self.variables: List[str] = ["$"]
        self.loops = 0

    def parse(self) -> Tuple[Any, ...]:
        nodes, end = self._list(())
        if end is not None:
            raise _problem(end[1], "unexpected {{%s}}" % end[0][0].text)
        return nodes

    def _list(self, stops: Sequence[str]) -> Tuple[Tuple[Any, ...], Optional[Tuple[List[Token], int]]]:
        nodes: List[Any] = []
        while self.position < len(self.pieces):
            piece = self.pieces[self.position]
            self.position += 1
            if isinstance(piece, Text):
                nodes.append(piece)
                continue
            tokens, line = piece
            if not tokens:
                raise _problem(line, "missing value for command")
            word = tokens[0].text if tokens[0].kind == "word" else ""
            if word in ("end", "else"):
                return tuple(nodes), piece
            if word in ("if", "range", "with"):
                nodes.append(self._branch(word, tokens[1:], line))
            elif word in ("break", "continue"):
                if not self.loops:
                    raise _problem(line, "{{%s}} outside {{range}}" % word)
                nodes.append(Jump(word))
            elif word in _UNSUPPORTED:
                raise _problem(line, "the stand-in does not interpret {{%s}}" % word)
            else:
                nodes.append(Action(self._pipe(tokens, line, word or "command")))
        if stops:
            raise _problem(1, "unexpected EOF")
        return tuple(nodes), None

    def _branch(self, kind: str, tokens: List[Token], line: int) -> Branch:
        known = len(self.variables)
        pipe = self._pipe(tokens, line, kind)
        self.loops += kind == "range"
        body, end = self._list(("else", "end"))
        self.loops -= kind == "range"
        otherwise: Tuple[Any, ...] = ()
        assert end is not None
        if end[0][0].text == "else":
            rest = end[0][1:]
            if rest and rest[0].text in ("if", "with"):
                otherwise = (self._branch(rest[0].text, rest[1:], end[1]),)
                del self.variables[known:]
                return Branch(kind, pipe, body, otherwise)
            if rest:
                raise _problem(end[1], "unexpected %s in else" % rest[0].text)
            otherwise, end = self._list(("end",))
            assert end is not None
            if end[0][0].text != "end":
                raise _problem(end[1], "expected end; found {{else}}")
        del self.variables[known:]
        return Branch(kind, pipe, body, otherwise)

    def _pipe(self, tokens: List[Token], line: int, context: str) -> Pipe:
        names: List[str] = []
        declare = False
        rest = tokens
        if tokens and tokens[0].kind == "variable":
            if len(tokens) > 1 and tokens[1].kind in ("declare", "assign"):
                names, declare, rest = [tokens[0].text], tokens[1].kind == "declare", tokens[2:]
            elif len(tokens) > 3 and tokens[1].kind == "comma" and tokens[2].kind == "variable":
                if context != "range" or tokens[3].kind not in ("declare", "assign"):
                    raise _problem(line, "too many declarations in %s" % context)
                names, declare, rest = [tokens[0].text, tokens[2].text], tokens[3].kind == "declare", tokens[4:]
        commands, used = self._commands(rest, line, 0)
        if used != len(rest):
            raise _problem(line, "unexpected %s in %s" % (rest[used].text, context))
        if not commands:
            raise _problem(line, "missing value for %s" % context)
        for name in names:
            if not declare and name not in self.variables:
                raise _problem(line, 'undefined variable "%s"' % name)
        if declare:
            self.variables.extend(names)
        return Pipe(tuple(commands), tuple(names), declare)

    def _commands(self, tokens: List[Token], line: int, depth: int) -> Tuple[List[Any], int]:
        commands: List[Any] = []
        operands: List[Any] = []
        position = 0

        def close() -> None:
            if not operands:
                raise _problem(line, "missing value for command")
            first = operands[0]
            if isinstance(first, Call) and first.args == () and first.function:
                commands.append(Call(first.function, tuple(operands[1:])))
            elif len(operands) > 1:
                raise _problem(line, "can't give argument to non-function %s" % (first,))
            else:
                commands.append(first)
            operands.clear()

        while position < len(tokens):
            token = tokens[position]
            position += 1
            if token.kind == "pipe":
                close()
                continue
            if token.kind == "close":
                if not depth:
                    raise _problem(line, "unexpected right paren")
                position -= 1
                break
            operand, position = self._operand(token, tokens, position, line, depth)
            operands.append(operand)
        if operands or commands:
            close()
        return commands, position

    def _operand(self, token: Token, tokens: List[Token], position: int, line: int, depth: int) -> Tuple[Any, int]:
        operand: Any
        if token.kind == "string":
            operand = Constant(_unescape(token.text[1:-1]))
        elif token.kind == "raw":
            operand = Constant(token.text[1:-1])
        elif token.kind == "char":
            operand = Constant(ord(_unescape(token.text[1:-1])))
        elif token.kind == "number":
            try:
                operand = Constant(int(token.text, 0))
            except ValueError:
                operand = Constant(float(token.text))
        elif token.kind == "word" and token.text in ("true", "false"):
            operand = Constant(token.text == "true")
        elif token.kind == "word" and token.text == "nil":
            operand = Constant(None)
        elif token.kind == "word":
            if token.text not in _FUNCTIONS:
                raise _problem(line, 'function "%s" not defined' % token.text)
            operand = Call(token.text, ())
        elif token.kind == "variable":
            if token.text not in self.variables:
                raise _problem(line, 'undefined variable "%s"' % token.text)
            operand = Variable(token.text)
        elif token.kind == "field":
            operand = Field((token.text[1:],), None)
        elif token.kind == "dot":
            operand = Field((), None)
        elif token.kind == "open":
            inner, used = self._commands(tokens[position:], line, depth + 1)
            position += used
            if position >= len(tokens) or tokens[position].kind != "close":
                raise _problem(line, "unclosed left paren")
            position += 1
            operand = Pipe(tuple(inner), (), False)
        else:
            raise _problem(line, "unexpected %s in operand" % token.text)
        names: List[str] = []
        while position < len(tokens) and tokens[position].kind == "field" and tokens[position].glued:
            names.append(tokens[position].text[1:])
            position += 1
        if names:
            if isinstance(operand, Field) and operand.start is None and operand.names:
                operand = Field(operand.names + tuple(names), None)
            else:
                operand = Field(tuple(names), operand)
        return operand, position


# ---------------------------------------------------------------------------------------------------------- interpreter


class Record:
    """A Go struct: fields that are not there are an error, not empty."""

    def __init__(self, kind: str, fields: Dict[str, Any]) -> None:
        self.kind = kind
        self.fields = fields


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


_NO_VALUE = object()


def truth(value: Any) -> bool:
    """Go's idea of an empty value."""
    if value is None or value is _NO_VALUE:
        return False
    if isinstance(value, Record):
        return True
    return bool(value)


def shown(value: Any) -> str:
    """A value as an action prints it."""
    if value is _NO_VALUE:
        return "<no value>"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[%s]" % " ".join(shown(item) for item in value)
    if isinstance(value, dict):
        return "map[%s]" % " ".join("%s:%s" % (key, shown(value[key])) for key in sorted(value))
    if isinstance(value, Record):
        return "{%s}" % " ".join(shown(item) for item in value.fields.values())
    return str(value)


def _equal(left: Any, right: Any) -> bool:
    if (left is None or left is _NO_VALUE) or (right is None or right is _NO_VALUE):
        return (left is None or left is _NO_VALUE) and (right is None or right is _NO_VALUE)
    kinds = [bool if isinstance(v, bool) else float if isinstance(v, float) else type(v) for v in (left, right)]
    if kinds[0] is not kinds[1]:
        raise TemplateProblem("incompatible types for comparison")
    if isinstance(left, (list, dict, Record)):
        raise TemplateProblem("non-comparable type")
    return bool(left == right)


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, (list, tuple, dict)):
        return len(value)
    raise TemplateProblem("len of type %s" % type(value).__name__)


def _slice(value: Any, *bounds: int) -> Any:
    if not isinstance(value, (str, list, tuple)):
        raise TemplateProblem("slice of type %s" % type(value).__name__)
    sequence: Any = value.encode() if isinstance(value, str) else value
    low, high = ((*bounds, len(sequence)))[:2] if len(bounds) < 2 else bounds[:2]
    if not bounds:
        low, high = 0, len(sequence)
    for bound in (low, high):
        if not 0 <= bound <= len(sequence):
            raise TemplateProblem("index out of range: %d" % bound)
    if low > high:
        raise TemplateProblem("invalid slice index: %d > %d" % (low, high))
    part = sequence[low:high]
    return part.decode("utf-8", "replace") if isinstance(value, str) else part


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, _NO_VALUE)
        elif isinstance(value, (list, tuple)) and isinstance(key, int):
            if not 0 <= key < len(value):
                raise TemplateProblem("index out of range: %d" % key)
            value = value[key]
        else:
            raise TemplateProblem("can't index item of type %s" % type(value).__name__)
    return value


def _jsonable(value: Any) -> Any:
    if isinstance(value, Record):
        return {key: _jsonable(item) for key, item in value.fields.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    return None if value is _NO_VALUE else value


def _printf(pattern: str, *args: Any) -> str:
    values = iter(args)

    def one(match: re.Match[str]) -> str:
        verb = match.group(1)
        if verb == "%":
            return "%"
        value = next(values, _NO_VALUE)
        return json.dumps(value, ensure_ascii=False) if verb == "q" else shown(value)

    return re.sub(r"%([svdq%])", one, pattern)


_CALLS: Dict[str, Callable[..., Any]] = {
    "not": lambda value: not truth(value),
    "eq": lambda first, *rest: any(_equal(first, other) for other in rest),
    "ne": lambda left, right: not _equal(left, right),
    "lt": lambda left, right: left < right,
    "le": lambda left, right: left <= right,
    "gt": lambda left, right: left > right,
    "ge": lambda left, right: left >= right,
    "len": _length,
    "slice": _slice,
    "index": _index,
    "print": lambda *args: "".join(shown(arg) for arg in args),
    "printf": _printf,
    "json": lambda value: json.dumps(_jsonable(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True),
}


class _Run:
    def __init__(self, root: Any) -> None:
        self.out: List[str] = []
        self.scope: List[Tuple[str, Any]] = [("$", root)]

    def walk(self, nodes: Sequence[Any], dot: Any) -> None:
        for node in nodes:
            if isinstance(node, Text):
                self.out.append(node.text)
            elif isinstance(node, Action):
                value = self.pipe(node.pipe, dot)
                if not node.pipe.variables:
                    self.out.append(shown(value))
            elif isinstance(node, Jump):
                raise _Break() if node.kind == "break" else _Continue()
            else:
                mark = len(self.scope)
                self.range(node, dot) if node.kind == "range" else self.choose(node, dot)
                del self.scope[mark:]

    def choose(self, node: Branch, dot: Any) -> None:
        value = self.pipe(node.pipe, dot)
        if truth(value):
            self.walk(node.body, value if node.kind == "with" else dot)
        else:
            self.walk(node.otherwise, dot)

    def range(self, node: Branch, dot: Any) -> None:
        value = self.pipe(node.pipe._replace(variables=()), dot)
        if value is None or value is _NO_VALUE:
            items: List[Tuple[Any, Any]] = []
        elif isinstance(value, dict):
            items = [(key, value[key]) for key in sorted(value)]
        elif isinstance(value, (list, tuple)):
            items = list(enumerate(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            items = [(number, number) for number in range(value)]
        else:
            raise TemplateProblem("range can't iterate over %s" % shown(value))
        if not items:
            self.walk(node.otherwise, dot)
        names = node.pipe.variables
        for key, item in items:
            mark = len(self.scope)
            bound = (item,) if len(names) == 1 else (key, item)
            for name, part in zip(names, bound):
                if node.pipe.declare:
                    self.scope.append((name, part))
                else:
                    self.assign(name, part)
            try:
                self.walk(node.body, item)
            except _Continue:
                continue
            except _Break:
                break
            finally:
                del self.scope[mark:]

    def assign(self, name: str, value: Any) -> None:
        for place in range(len(self.scope) - 1, -1, -1):
            if self.scope[place][0] == name:
                self.scope[place] = (name, value)
                return

    def pipe(self, pipe: Pipe, dot: Any) -> Any:
        value: Any = _NO_VALUE
        for place, command in enumerate(pipe.commands):
            value = self.evaluate(command, dot, (value,) if place else ())
        for name in pipe.variables:
            if pipe.declare:
                self.scope.append((name, value))
            else:
                self.assign(name, value)
        return value

    def evaluate(self, node: Any, dot: Any, last: Tuple[Any, ...] = ()) -> Any:
        if isinstance(node, Constant):
            return node.value
        if isinstance(node, Variable):
            return next(value for name, value in reversed(self.scope) if name == node.name)
        if isinstance(node, Field):
            value = dot if node.start is None else self.evaluate(node.start, dot)
            for name in node.names:
                value = self.field(value, name)
            return value
        if isinstance(node, Pipe):
            return self.pipe(node, dot)
        return self.call(node, dot, last)

    @staticmethod
    def field(value: Any, name: str) -> Any:
        if isinstance(value, dict):
            return value.get(name, _NO_VALUE)
        if isinstance(value, Record):
            if name not in value.fields:
                raise TemplateProblem("can't evaluate field %s in type %s" % (name, value.kind))
            return value.fields[name]
        if value is None or value is _NO_VALUE:
            raise TemplateProblem('nil data; no entry for key "%s"' % name)
        raise TemplateProblem("can't evaluate field %s in type %s" % (name, type(value).__name__))

    def call(self, node: Call, dot: Any, last: Tuple[Any, ...]) -> Any:
        if node.function in ("and", "or"):
            value: Any = _NO_VALUE
            for argument in node.args:
                value = self.evaluate(argument, dot)
                if truth(value) == (node.function == "or"):
                    return value
            return last[0] if last else value
        args = [self.evaluate(argument, dot) for argument in node.args] + list(last)
        try:
            return _CALLS[node.function](*args)
        except TypeError as problem:
            raise TemplateProblem("error calling %s: %s" % (node.function, problem)) from problem
        except TemplateProblem as problem:
            raise TemplateProblem("error calling %s: %s" % (node.function, problem)) from problem


class Template:
    """A parsed template."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.nodes = _Parser(source).parse()

    def identifiers(self) -> List[str]:
        """The names of all fields and variables in actions, in lower case: they tell which way to render."""
        found: List[str] = []

        def look(node: Any) -> None:
            if isinstance(node, Field):
                found.extend(node.names)
                look(node.start)
            elif isinstance(node, Variable):
                found.append(node.name)
            elif isinstance(node, Branch):
                look(node.pipe)
                look(node.body)
                look(node.otherwise)
            elif isinstance(node, Action):
                look(node.pipe)
            elif isinstance(node, Pipe):
                look(node.commands)
            elif isinstance(node, Call):
                look(node.args)
            elif isinstance(node, tuple) and not isinstance(node, (Text, Constant, Jump)):
                for part in node:
                    look(part)

        look(self.nodes)
        return sorted({name.lower() for name in found})

    def execute(self, data: Any, nodes: Optional[Tuple[Any, ...]] = None) -> str:
        """The text for the given data."""
        run = _Run(data)
        try:
            run.walk(self.nodes if nodes is None else nodes, data)
        except TemplateProblem as problem:
            raise TemplateProblem('template: :1: executing "" at <...>: %s' % problem) from problem
        return "".join(run.out)
