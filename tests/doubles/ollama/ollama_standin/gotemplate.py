# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Go's text/template interpreted for chat templates.

Parsed by the collection's own parser, of which the archive holds a copy. Kept: all that it takes, with the functions of
Go and of Ollama (printf knows %s, %d, %v and %q). Fields that are not there, values of the wrong kind and arguments for
what is no function are errors when the template is executed, as in Go.
"""

from __future__ import annotations

import datetime
import html
import json
import re
import urllib.parse
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._ollama import go_template
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.go_template import (
    Action,
    Applied,
    Branch,
    Call,
    Constant,
    Field,
    Include,
    Jump,
    Nodes,
    Pipe,
    Text,
    Variable,
)

from . import release

# Since when Ollama has them.
_SINCE = {"json": (0, 0, 0), "currentDate": (0, 11, 0), "toTypeScriptType": (0, 11, 3), "yesterdayDate": (0, 13, 3)}
_MAX_INCLUDED = 50


class TemplateProblem(Exception):
    """The template cannot be parsed or executed."""


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


def _called(*args: Any) -> Any:
    raise TemplateProblem("call of non-function")


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
    "println": lambda *args: " ".join(map(shown, args)) + "\n",
    "html": lambda *args: html.escape("".join(map(shown, args))),
    "js": lambda *args: json.dumps("".join(map(shown, args)))[1:-1],
    "urlquery": lambda *args: urllib.parse.quote_plus("".join(map(shown, args))),
    "call": _called,
    "json": lambda value: json.dumps(_jsonable(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True),
    "currentDate": lambda *_format: datetime.date.today().isoformat(),
    "yesterdayDate": lambda *_format: (datetime.date.today() - datetime.timedelta(days=1)).isoformat(),
    "toTypeScriptType": lambda _value: "any",
}


class _Run:
    def __init__(self, root: Any, defined: Mapping[str, Nodes]) -> None:
        self.out: List[str] = []
        self.scope: List[Tuple[str, Any]] = [("$", root)]
        self.defined = defined
        self.included = 0

    def walk(self, nodes: Sequence[Any], dot: Any) -> None:
        for node in nodes:
            if isinstance(node, Text):
                self.out.append(node.text)
            elif isinstance(node, Action):
                value = self.pipe(node.pipe, dot)
                if not node.pipe.variables:
                    self.out.append(shown(value))
            elif isinstance(node, Include):
                self.include(node, self.pipe(node.pipe, dot))
            elif isinstance(node, Jump):
                raise _Break() if node.kind == "break" else _Continue()
            else:
                mark = len(self.scope)
                self.range(node, dot) if node.kind == "range" else self.choose(node, dot)
                del self.scope[mark:]

    def include(self, node: Include, dot: Any) -> None:
        """Another template, which sees none of the variables here."""
        self.included += 1
        if self.included > _MAX_INCLUDED:
            raise TemplateProblem("exceeded maximum template depth (%d)" % _MAX_INCLUDED)
        around, self.scope = self.scope, [("$", dot)]
        self.walk(self.defined[node.name], dot)
        self.scope = around
        self.included -= 1

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
        names = node.pipe.variables
        if not items:
            self.scope.extend((name, value) for name in names)
            self.walk(node.otherwise, dot)
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

    def variable(self, name: str) -> Any:
        for known, value in reversed(self.scope):
            if known == name:
                return value
        raise TemplateProblem("undefined variable: %s" % name)

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
        if isinstance(node, Applied) or (last and not isinstance(node, Call)):
            raise TemplateProblem("can't give argument to non-function")
        if isinstance(node, Constant):
            return node.value
        if isinstance(node, Variable):
            return self.variable(node.name)
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
        numbers = tuple(int(number) for number in re.findall(r"\d+", release.VERSION)[:3])
        try:
            parsed = go_template.parse(source, [name for name, since in _SINCE.items() if numbers >= since])
        except go_template.TemplateProblem as problem:
            raise TemplateProblem(str(problem)) from problem
        self.nodes, self.defined = parsed

    def identifiers(self) -> List[str]:
        """The names of all fields and variables in actions, in lower case: they tell which way to render."""
        found: List[str] = []

        def look(node: Any) -> None:
            if isinstance(node, Variable):
                found.append(node.name)
            elif isinstance(node, Field):
                found.extend(node.names)
            if isinstance(node, tuple) and not isinstance(node, (Text, Constant, Jump)):
                for part in node:
                    look(part)

        look((self.nodes, tuple(self.defined.values())))
        return sorted({name.lower() for name in found})

    def execute(self, data: Any, nodes: Optional[Tuple[Any, ...]] = None) -> str:
        """The text for the given data."""
        run = _Run(data, self.defined)
        try:
            run.walk(self.nodes if nodes is None else nodes, data)
        except TemplateProblem as problem:
            raise TemplateProblem('template: :1: executing "" at <...>: %s' % problem) from problem
        return "".join(run.out)
