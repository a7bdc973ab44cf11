# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Go's text/template parsed as Ollama parses it: the rules and the words of text/template/parse/parse.go.

Nothing is executed. Stricter than Go in what fails whenever the template is rendered: an assignment to a variable that
was not declared, a {{template}} of a name that no {{define}} has, and one without a value, which Ollama refuses by
itself from 0.12.4 on.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, NamedTuple, NoReturn, Optional, Sequence, Set, Tuple, Union

from ansible_collections.gguf.fleet.plugins.module_utils._ollama import go_template_tokens as go
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.go_template_tokens import Token

# Those of text/template itself.
BUILT_IN_FUNCTIONS = (
    *("and", "or", "not", "len", "index", "slice", "call", "html", "js", "urlquery"),
    *("print", "printf", "println", "eq", "ne", "lt", "le", "gt", "ge"),
)
# Deeper than any template is; the parser and who renders go by recursion.
MAX_DEPTH = 100


class TemplateProblem(Exception):
    """What the parser found, and where: `found`, `line` and `column`, which begin at 1."""

    def __init__(self, found: str, line: int, column: int) -> None:
        super().__init__(f"template: :{line}: {found}")
        self.found = found
        self.line = line
        self.column = column


class Text(NamedTuple):
    """Literal text."""

    text: str


class Field(NamedTuple):
    """`.A.B`, or `$x.A` when `start` is an expression; `.` has no names."""

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


class Applied(NamedTuple):
    """Something that is no function with arguments behind it: Go parses it, and fails when it is rendered."""

    operand: Any
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


class Include(NamedTuple):
    """{{template}} and {{block}}: another template of this text, with its value."""

    name: str
    pipe: Pipe


Nodes = Tuple[Any, ...]


class Parsed(NamedTuple):
    """The template, and those that it defines by name."""

    nodes: Nodes
    defined: Mapping[str, Nodes]


def parse(source: str, functions: Sequence[str]) -> Parsed:
    """The template's nodes; `functions` are those beside BUILT_IN_FUNCTIONS. Raises TemplateProblem."""
    return _Parser(source, functions).parse()


class _End(NamedTuple):
    """{{end}} or {{else}}, which close a list of nodes."""

    kind: str
    token: Token


_OPERANDS = (
    *(go.BOOL, go.CHAR, go.COMPLEX, go.DOT, go.FIELD, go.WORD, go.NUMBER, "nil", go.RAW, go.STRING, go.VARIABLE),
    go.OPEN,
)


class _Parser:
    def __init__(self, source: str, functions: Sequence[str]) -> None:
        self.source = source
        self.functions = {*BUILT_IN_FUNCTIONS, *functions}
        self.tokens: List[Token] = list(go.tokens(source))
        self.position = 0
        self.variables: List[str] = ["$"]
        self.loops = 0
        self.depth = 0
        self.action: Optional[Token] = None
        self.defined: Dict[str, Nodes] = {}
        self.included: List[Tuple[str, Token]] = []

    def parse(self) -> Parsed:
        nodes: List[Any] = []
        while self.peek().kind != go.EOF:
            if self.peek().kind == go.LEFT and self.word_after_braces() == "define":
                self.define()
                continue
            node = self.text_or_action()
            if isinstance(node, _End):
                self.fail(f"unexpected {{{{{node.kind}}}}}", node.token)
            nodes.append(node)
        for name, token in self.included:
            if name not in self.defined:
                self.fail(f'template "{name}" not defined', token)
        return Parsed(tuple(nodes), self.defined)

    # --- tokens

    def next(self) -> Token:
        token = self.tokens[self.position]
        # The end and an error stay where they are.
        self.position = min(self.position + 1, len(self.tokens) - 1)
        return token

    def peek(self) -> Token:
        return self.tokens[self.position]

    def skip_spaces(self) -> Token:
        while self.peek().kind == go.SPACE:
            self.next()
        return self.peek()

    def next_word(self) -> Token:
        self.skip_spaces()
        return self.next()

    def word_after_braces(self) -> str:
        following = self.tokens[self.position + 1 : self.position + 3]
        words = [token.kind for token in following if token.kind != go.SPACE]
        return words[0] if words else ""

    def expect(self, kind: str, context: str) -> Token:
        token = self.next_word()
        if token.kind != kind:
            self.unexpected(token, context)
        return token

    def unexpected(self, token: Token, context: str) -> NoReturn:
        if token.kind == go.ERROR:
            self.fail(token.text, self.action or token if token.text == "unclosed action" else token)
        self.fail(f"unexpected {_told(token)} in {context}", token)

    def fail(self, found: str, token: Token) -> NoReturn:
        before = self.source[: token.offset]
        raise TemplateProblem(found, before.count("\n") + 1, len(before) - before.rfind("\n"))

    # --- lists and actions

    def list(self) -> Tuple[Nodes, _End]:
        nodes: List[Any] = []
        while self.skip_spaces().kind != go.EOF:
            node = self.text_or_action()
            if isinstance(node, _End):
                return tuple(nodes), node
            nodes.append(node)
        # Where what is not closed begins says more than the end of the text.
        return self.fail("unexpected EOF", self.peek())

    def text_or_action(self) -> Any:
        token = self.next_word()
        if token.kind == go.TEXT:
            return Text(token.text)
        if token.kind != go.LEFT:
            self.unexpected(token, "input")
        self.action = token
        node = self.one_action(token)
        self.action = None
        return node

    def one_action(self, braces: Token) -> Any:
        kind = self.skip_spaces().kind
        if kind in ("if", "range", "with"):
            self.next()
            return self.control(kind, braces)
        if kind in ("break", "continue"):
            self.next()
            self.expect(go.RIGHT, f"{{{{{kind}}}}}")
            if not self.loops:
                self.fail(f"{{{{{kind}}}}} outside {{{{range}}}}", braces)
            return Jump(kind)
        if kind == "end":
            self.next()
            self.expect(go.RIGHT, "end")
            return _End("end", braces)
        if kind == "else":
            self.next()
            # {{else if}} and {{else with}} are {{else}}{{if}} and {{else}}{{with}}.
            if self.skip_spaces().kind not in ("if", "with"):
                self.expect(go.RIGHT, "else")
            return _End("else", braces)
        if kind == "template":
            self.next()
            return self.template()
        if kind == "block":
            self.next()
            return self.block()
        return Action(self.pipeline("command", go.RIGHT))

    def control(self, kind: str, braces: Token) -> Branch:
        self.deeper(braces)
        known = len(self.variables)
        pipe = self.pipeline(kind, go.RIGHT)
        self.loops += kind == "range"
        body, end = self.closed(braces)
        self.loops -= kind == "range"
        otherwise: Nodes = ()
        if end.kind == "else":
            if kind in ("if", "with") and self.peek().kind == kind:
                self.next()
                otherwise = (self.control(kind, end.token),)
            else:
                otherwise, last = self.closed(braces)
                if last.kind != "end":
                    self.fail("expected end; found {{else}}", last.token)
        del self.variables[known:]
        self.depth -= 1
        return Branch(kind, pipe, body, otherwise)

    def closed(self, braces: Token) -> Tuple[Nodes, _End]:
        """The list up to its {{end}} or {{else}}; a text that ends before is a problem of what began it."""
        self.action = None
        try:
            return self.list()
        except TemplateProblem as problem:
            if problem.found != "unexpected EOF":
                raise
            return self.fail("unexpected EOF", braces)

    def deeper(self, token: Token) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"more than {MAX_DEPTH} levels lie in each other", token)

    # --- templates in templates

    def define(self) -> None:
        braces = self.next()
        self.next_word()
        self.action = braces
        name = self.template_name("define clause")
        self.expect(go.RIGHT, "define clause")
        self.body_of(name, "define clause", braces)

    def block(self) -> Include:
        braces = self.action or self.peek()
        name = self.template_name("block clause")
        pipe = self.pipeline("block clause", go.RIGHT)
        self.body_of(name, "block clause", braces)
        return Include(name, pipe)

    def body_of(self, name: str, context: str, braces: Token) -> None:
        """A template of its own: it sees no variables from around it, and ends no loop there."""
        around = self.variables, self.loops
        self.variables, self.loops = ["$"], 0
        self.deeper(braces)
        nodes, end = self.closed(braces)
        self.depth -= 1
        if end.kind != "end":
            self.fail(f"unexpected {{{{{end.kind}}}}} in {context}", end.token)
        self.variables, self.loops = around
        if _is_empty(nodes):
            self.defined.setdefault(name, nodes)
        elif _is_empty(self.defined.get(name, ())):
            self.defined[name] = nodes
        else:
            self.fail(f'multiple definition of template "{name}"', braces)

    def template(self) -> Include:
        token = self.skip_spaces()
        name = self.template_name("template clause")
        self.included.append((name, token))
        if self.skip_spaces().kind == go.RIGHT:
            self.fail("undefined template specified", token)
        return Include(name, self.pipeline("template clause", go.RIGHT))

    def template_name(self, context: str) -> str:
        token = self.next_word()
        if token.kind not in (go.STRING, go.RAW):
            self.unexpected(token, context)
        return self.unquoted(token)

    # --- pipelines

    def pipeline(self, context: str, end: str) -> Pipe:
        begin = self.skip_spaces()
        names, declare = self.declarations(context)
        commands: List[Any] = []
        while True:
            token = self.skip_spaces()
            if token.kind == end:
                self.next()
                break
            if token.kind not in _OPERANDS:
                self.unexpected(token, context)
            command = self.command()
            if commands and isinstance(_first(command), Constant):
                self.fail(f"non executable command in pipeline stage {len(commands) + 1}", token)
            if commands and _first(command) == Field((), None):
                self.fail(f"non executable command in pipeline stage {len(commands) + 1}", token)
            commands.append(command)
        if not commands:
            self.fail(f"missing value for {context}", begin)
        return Pipe(tuple(commands), tuple(names), declare)

    def declarations(self, context: str) -> Tuple[List[str], bool]:
        names: List[str] = []
        while self.skip_spaces().kind == go.VARIABLE:
            before = self.position
            variable = self.next()
            following = self.skip_spaces()
            if following.kind in (go.ASSIGN, go.DECLARE):
                self.next()
                names.append(variable.text)
                unknown = [name for name in names if name not in self.variables]
                if following.kind == go.ASSIGN and unknown:
                    self.fail(f'undefined variable "{unknown[0]}"', variable)
                self.variables.extend(names)
                return names, following.kind == go.DECLARE
            if (following.kind, following.text) != (go.OTHER, ","):
                self.position = before
                break
            self.next()
            names.append(variable.text)
            if context != "range" or len(names) > 1:
                self.fail(f"too many declarations in {context}", following)
            if self.skip_spaces().kind not in (go.VARIABLE, go.RIGHT, go.CLOSE):
                self.fail("range can only initialize variables", self.peek())
        self.variables.extend(names)
        return names, True

    def command(self) -> Any:
        operands: List[Any] = []
        begin = self.peek()
        while True:
            self.skip_spaces()
            operand = self.operand()
            if operand is not None:
                operands.append(operand)
            token = self.next()
            if token.kind == go.SPACE:
                continue
            if token.kind in (go.RIGHT, go.CLOSE):
                self.position -= 1
            elif token.kind != go.PIPE:
                self.unexpected(token, "operand")
            break
        if not operands:
            self.fail("empty command", begin)
        first, rest = operands[0], tuple(operands[1:])
        if isinstance(first, Call):
            return Call(first.function, rest)
        return Applied(first, rest) if rest else first

    def operand(self) -> Any:
        begin = self.skip_spaces()
        node = self.term()
        names: List[str] = []
        while node is not None and self.peek().kind == go.FIELD:
            names.append(self.next().text[1:])
        if not names:
            return node
        if isinstance(node, Constant) or node == Field((), None):
            self.fail(f"unexpected . after term {_quoted(begin.text)}", begin)
        if isinstance(node, Field) and node.start is None:
            return Field(node.names + tuple(names), None)
        return Field(tuple(names), node)

    def term(self) -> Any:
        token = self.skip_spaces()
        if token.kind not in _OPERANDS:
            return None
        self.next()
        if token.kind == go.WORD:
            if token.text not in self.functions:
                self.fail(f'function "{token.text}" not defined', token)
            return Call(token.text, ())
        if token.kind == go.VARIABLE:
            if token.text not in self.variables:
                self.fail(f'undefined variable "{token.text}"', token)
            return Variable(token.text)
        if token.kind == go.OPEN:
            self.deeper(token)
            pipe = self.pipeline("parenthesized pipeline", go.CLOSE)
            self.depth -= 1
            return pipe
        if token.kind in (go.DOT, go.FIELD):
            return Field((token.text[1:],) if token.kind == go.FIELD else (), None)
        if token.kind in (go.STRING, go.RAW):
            return Constant(self.unquoted(token))
        if token.kind in (go.BOOL, "nil"):
            return Constant({"true": True, "false": False, "nil": None}[token.text])
        return Constant(self.number(token))

    def unquoted(self, token: Token) -> str:
        try:
            return go.unquoted(token.text)
        except ValueError as problem:
            return self.fail(str(problem), token)

    def number(self, token: Token) -> Union[int, float, complex]:
        try:
            return go.number(token.text)
        except ValueError as problem:
            return self.fail(str(problem), token)


def _first(command: Any) -> Any:
    return command.operand if isinstance(command, Applied) else command


def _is_empty(nodes: Nodes) -> bool:
    return all(isinstance(node, Text) and not node.text.strip() for node in nodes)


def _told(token: Token) -> str:
    if token.kind == go.EOF:
        return go.EOF
    if token.kind in go.KEYWORDS or token.kind == go.DOT:
        return f"<{token.text}>"
    return _quoted(token.text[:10]) + ("..." if len(token.text) > 10 else "")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def functions_of(nodes: Nodes) -> Set[str]:
    """The names of all functions that are called."""
    found: Set[str] = set()
    waiting: List[Any] = [nodes]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Call):
            found.add(node.function)
        if isinstance(node, tuple):
            waiting.extend(node)
    return found
