# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A model's parameters: their names and kinds by version.

The server stores whatever it is given and fails, or warns, when the model is used; so they are checked here.
Kept to: Options and Runner in ollama api/types.go, FormatParams there, deprecatedParameters in parser/parser.go.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Union

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.nearest_word import did_you_mean
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import Span, Version, span

Value = Union[int, float, bool, List[str]]

_INTEGER = re.compile(r"[+-]?\d+")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class ParameterProblem(OllamaProblem):
    """A parameter that Ollama does not know, or would not read as it is meant."""


@dataclass(frozen=True)
class _Parameter:
    kind: str
    span: Span = field(default_factory=Span)


_UNTIL_0_7 = span(until="0.7.0")

_PARAMETERS: Mapping[str, _Parameter] = {
    "draft_num_predict": _Parameter("int", span("0.30.0")),
    "f16_kv": _Parameter("bool", _UNTIL_0_7),
    "frequency_penalty": _Parameter("float"),
    "logits_all": _Parameter("bool", _UNTIL_0_7),
    "low_vram": _Parameter("bool", _UNTIL_0_7),
    "main_gpu": _Parameter("int"),
    "min_p": _Parameter("float"),
    "mirostat": _Parameter("int", _UNTIL_0_7),
    "mirostat_eta": _Parameter("float", _UNTIL_0_7),
    "mirostat_tau": _Parameter("float", _UNTIL_0_7),
    "num_batch": _Parameter("int"),
    "num_ctx": _Parameter("int"),
    "num_gpu": _Parameter("int"),
    "num_keep": _Parameter("int"),
    "num_predict": _Parameter("int"),
    "num_thread": _Parameter("int"),
    "presence_penalty": _Parameter("float"),
    "repeat_last_n": _Parameter("int"),
    "repeat_penalty": _Parameter("float"),
    "seed": _Parameter("int"),
    "stop": _Parameter("strings"),
    "temperature": _Parameter("float"),
    "top_k": _Parameter("int"),
    "top_p": _Parameter("float"),
    "typical_p": _Parameter("float"),
    "use_mlock": _Parameter("bool", _UNTIL_0_7),
    "use_mmap": _Parameter("bool"),
    "vocab_only": _Parameter("bool", _UNTIL_0_7),
}


def check_parameters(parameters: Mapping[str, Any], version: Version) -> Dict[str, Value]:
    """The parameters with the types that the server wants; raises ParameterProblem for the first wrong one.

    The order is kept. `"14"` is taken as 14, since templating turns numbers into text.
    """
    return {str(name): _checked(str(name), value, version) for name, value in parameters.items()}


def _checked(name: str, value: Any, version: Version) -> Value:
    known = _PARAMETERS.get(name)
    if known is None:
        current = [other for other, parameter in _PARAMETERS.items() if version in parameter.span]
        raise ParameterProblem(f"Ollama {version} has no parameter '{name}'.", did_you_mean(name, current))
    if version not in known.span:
        raise ParameterProblem(
            f"Ollama {version} ignores the parameter '{name}': it works {known.span}.",
            "Leave it out, or choose another ollama_version.",
        )
    if known.kind == "int":
        return _integer(name, value)
    if known.kind == "float":
        return _number(name, value)
    if known.kind == "bool":
        return _switch(name, value)
    return _strings(name, value)


def _wrong(name: str, value: Any, wanted: str) -> ParameterProblem:
    return ParameterProblem(f"The parameter '{name}' cannot be {value!r}.", f"Give {wanted}.")


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise _wrong(name, value, "a whole number")
    text = str(value).strip()
    if _INTEGER.fullmatch(text) is None:
        raise _wrong(name, value, "a whole number")
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise _wrong(name, value, "a whole number of at most 64 bits")
    return number


def _number(name: str, value: Any) -> Union[int, float]:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _wrong(name, value, "a number")
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise _wrong(name, value, "a number") from None
    if not math.isfinite(number):
        raise _wrong(name, value, "a finite number")
    return value if isinstance(value, int) else number


def _switch(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value) in _TRUE:
        return True
    if str(value) in _FALSE:
        return False
    raise _wrong(name, value, "true or false")


def _strings(name: str, value: Any) -> List[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise _wrong(name, value, "a text or a list of texts")
    if not texts or not all(texts):
        raise _wrong(name, value, "at least one text, none of them empty")
    return list(texts)
