# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which settings are secret, and what may be shown of them.

A setting is secret by its name or by its value:

=====================================  ==========================================================================
``…KEY``, ``…PASS``, ``…PWD``,         as the last word of a name (``OPENAI_API_KEY``, ``api-key``, ``X-Api-Key``);
``…AUTH``, ``…PAT``                    ``SSL_KEY_FILE`` names a file, and ``OLLAMA_AUTH=1`` is a switch
``…TOKEN``, ``…PASSWORD``,             as the end of a name (``HF_TOKEN``, ``PGPASSWORD``)
``…PASSWD``, ``…PASSPHRASE``,
``…SECRET``, ``…APIKEY``,
``…CREDENTIAL(S)``, ``…COOKIE``,
``…AUTHORIZATION``
``…_PROXY``                            when the value holds a user (``user:password@proxy:3128``, with or without ``http://``)
any other name                         when the value is a URL with a user (``https://user:password@host/``)
=====================================  ==========================================================================

Of an environment more is kept back: a value is shown only when its variable is known to hold nothing secret.
"""

from __future__ import annotations

import re
import urllib.parse
from typing import Any, Dict, Iterator, Mapping, Set, Tuple

MASK = "********"
# Ansible replaces a secret wherever it stands in a result. A short one would make all of it unreadable ("1", "on"), so
# a short one is kept back where its name stands, and there only.
SHORTEST_HIDDEN_EVERYWHERE = 6

_LAST_WORDS = ("KEY", "PASS", "PWD", "AUTH", "PAT")
_WORKING_DIRECTORY = "PWD"
_ENDS = (
    *("TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "APIKEY", "CREDENTIAL", "CREDENTIALS"),
    *("COOKIE", "AUTHORIZATION"),
)
_SWITCHES = ("", "0", "1", "true", "false", "yes", "no", "on", "off", "none", "null")
_OPEN_PREFIXES = ("OLLAMA_", "LLAMA_ARG_", "GGML_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "HSA_", "GPU_", "OMP_", "LC_")
_OPEN_NAMES = (
    *("HOME", "PATH", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "NO_PROXY", "HTTP_PROXY"),
    *("HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "XDG_CONFIG_HOME"),
)
# What stands between :// and @ in a URL.
_USERINFO = re.compile(r"(?<=://)[^\s/@\"'\\]+(?:@[^\s/@\"'\\]+)*(?=@)")
_NAME = r"(?P<name>[A-Za-z][A-Za-z0-9_.-]{0,80})"
# How a setting begins in a unit, a command line, JSON or a log, and what is its value then.
_QUOTED = {quote: re.compile(rf"""(?:\\.|[^\n\\{quote}])*""") for quote in "'\""}
_PLAIN = re.compile(r"""(?:(?:Bearer|Basic) +)?(?:\\.|[^\s"'\\])+""")
_SETTINGS = (
    (re.compile(rf"""(?P<quote>["']){_NAME}="""), True),
    (re.compile(rf"""\b{_NAME}["']?[ \t]{{0,9}}[=:][ \t]{{0,9}}(?P<quote>["'])"""), True),
    (re.compile(rf"""\b{_NAME}[ \t]{{0,9}}[=:][ \t]{{0,9}}"""), False),
    (re.compile(rf"""(?<!\S)["']?--?{_NAME}["']?[ \t]{{1,9}}["']?"""), False),
)


def is_secret(name: Any, value: Any) -> bool:
    """Whether the value of a setting must not be seen; the table above is the rule."""
    if value is None or isinstance(value, bool) or str(value).strip().lower() in _SWITCHES:
        return False
    return _is_secret_name(name) or _has_user(name, str(value))


def _is_secret_name(name: Any) -> bool:
    words = [word for word in re.split(r"[^A-Z0-9]+", str(name).upper()) if word]
    if not words or words == [_WORKING_DIRECTORY]:
        return False
    return words[-1] in _LAST_WORDS or words[-1].endswith(_ENDS)


def _has_user(name: Any, text: str) -> bool:
    return _USERINFO.search(text) is not None or _is_bare_proxy(name, text)


def _is_bare_proxy(name: Any, text: str) -> bool:
    """user:password@proxy:3128, as some programs take it."""
    return str(name).upper().endswith("PROXY") and "@" in text and "://" not in text


def is_open_variable(name: str, value: Any) -> bool:
    """Whether a variable of an environment may be shown with its value."""
    known = name.startswith(_OPEN_PREFIXES) or name.upper() in _OPEN_NAMES
    return known and not is_secret(name, value)


def masked(value: Any, name: Any = "") -> Any:
    """The same value without its secrets, nested ones included."""
    if isinstance(value, Mapping):
        return {key: masked(item, _inner_name(name, key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(item, name) for item in value]
    if not is_secret(name, value):
        return value
    hidden = _is_secret_name(name) or _is_bare_proxy(name, str(value))
    return MASK if hidden else _USERINFO.sub(MASK, str(value))


def _inner_name(name: Any, key: Any) -> str:
    """What stands below a secret is secret, too."""
    return str(name if _is_secret_name(name) else key)


def masked_environment(variables: Mapping[str, Any]) -> Dict[str, Any]:
    return {name: value if is_open_variable(name, value) else MASK for name, value in variables.items()}


def masked_text(text: str) -> str:
    """A unit, a command line or a log without the secrets that their names or a URL's form give away."""
    for begin, quoted in _SETTINGS:
        end, kept = 0, []
        for start, stop in _secret_spans(begin, quoted, text):
            kept += [text[end:start], MASK]
            end = stop
        text = "".join([*kept, text[end:]])
    return _USERINFO.sub(MASK, text)


def _secret_spans(begin: re.Pattern[str], quoted: bool, text: str) -> Iterator[Tuple[int, int]]:
    """Where secret values stand. A setting may be the value of another one: Environment=HF_TOKEN=…"""
    found = begin.search(text)
    while found is not None:
        start = stop = found.end()
        name = found.group("name")
        # Of the others the value is not even looked at, which keeps this linear.
        if _is_secret_name(name) or name.upper().endswith("PROXY"):
            value = (_QUOTED[found.group("quote")] if quoted else _PLAIN).match(text, start)
            given = value.group() if value else ""
            if _is_bare_proxy(name, given) or (_is_secret_name(name) and is_secret(name, given)):
                stop = start + len(given)
                yield start, stop
        found = begin.search(text, stop)


def secrets_in(value: Any) -> Set[str]:
    """The secret texts of a nested value, each in the ways in which it may turn up elsewhere."""
    found: Set[str] = set()
    for name, text in _scalars(value):
        users = _USERINFO.findall(text)
        if _is_bare_proxy(name, text):
            users.append(text.rpartition("@")[0])
        for user in users:
            found.update((user, user.partition(":")[2]))
        if _is_secret_name(name) and is_secret(name, text):
            found.add(text)
        for begin, quoted in _SETTINGS:
            found.update(text[start:stop] for start, stop in _secret_spans(begin, quoted, text))
    found |= {urllib.parse.unquote(text) for text in found}
    return {text for text in found if len(text) >= SHORTEST_HIDDEN_EVERYWHERE}


def environment_secrets(variables: Mapping[str, Any]) -> Set[str]:
    """As secrets_in, with the values of variables of which nothing is known. A path is none of them."""
    unknown = [str(value) for name, value in variables.items() if not is_open_variable(name, value)]
    long = {value for value in unknown if len(value) >= SHORTEST_HIDDEN_EVERYWHERE and not value.startswith("/")}
    return secrets_in(variables) | long


def let_see(hidden: Set[str], given: Any, secrets: Set[str]) -> None:
    """Of arguments that are declared as secret as a whole, only what really is stays hidden.

    :param hidden: the module's C(no_log_values), changed in place.
    :param given: the arguments.
    :param secrets: what is secret in them.
    """
    hidden.difference_update([text for _name, text in _scalars(given)])
    hidden.update(secrets)


def forget(hidden: Set[str], params: Dict[str, Any], *names: str) -> None:
    """As let_see, for a module that has no use for the secrets among these arguments: they are gone from here on."""
    given = {name: params[name] for name in names}
    let_see(hidden, given, secrets_in(given))
    params.update({name: masked(value) for name, value in given.items()})


def _scalars(value: Any, name: str = "") -> Iterator[Tuple[str, str]]:
    """Every scalar of a nested value, with the name that it goes by."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _scalars(item, _inner_name(name, key))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _scalars(item, name)
    elif value is not None and not isinstance(value, bool):
        yield name, str(value)
