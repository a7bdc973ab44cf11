# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What root does with files, programs, answers, secrets and text from outside is done in one place each.

Every Python file of the collection is read as a syntax tree. A call below is allowed in the files that ARE the one
place for it, in those of EXCEPTIONS, each with its reason, and nowhere else:

    a file or directory by its path      _files (walks by descriptors); calls with dir_fd work on what was opened there
    a program                            _process/unproved.py, _process/bounded.py, _process/own_user.py
    room on a disk                       _host/disk.py
    an answer of a server                _http (one deadline, bounded bytes)
    a secret in a request                _http, and the engines' own keys in _verify and _service
    text from outside, split or shown    _text.lines, _text.printable, _problem.failure

Files of the kernel (/proc, /sys) may be opened by a path that is written out: nobody can swap them.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest

ROOT = Path(__file__).resolve().parents[2]

# By the name that the call has after its imports are resolved, and the keyword that makes it a call on a descriptor.
BY_PATH: dict[str, Optional[str]] = {
    "open": None,
    "io.open": None,
    "os.open": "dir_fd",
    "os.mkdir": "dir_fd",
    "os.makedirs": None,
    "os.chmod": "dir_fd",
    "os.chown": "dir_fd",
    "os.lchown": None,
    "os.rename": "src_dir_fd",
    "os.renames": None,
    "os.replace": "src_dir_fd",
    "os.link": "dst_dir_fd",
    "os.symlink": "dir_fd",
    "os.mkfifo": "dir_fd",
    "os.unlink": "dir_fd",
    "os.remove": "dir_fd",
    "os.rmdir": "dir_fd",
    "os.removedirs": None,
    "os.truncate": None,
}
# Whole modules, but for what works on open files or looks only.
MODULES = {
    "shutil": {"shutil.which", "shutil.copyfileobj"},
    "tempfile": set(),
    "subprocess": {f"subprocess.{name}" for name in ("DEVNULL", "PIPE", "STDOUT", "TimeoutExpired", "SubprocessError")},
    "urllib.request": {f"urllib.request.{name}" for name in ("url2pathname", "getproxies", "proxy_bypass")},
    "requests": set(),
    "pty": set(),
}
CALLS = {
    "os.system",
    "os.popen",
    "os.execv",
    "os.execve",
    "os.execvp",
    "os.posix_spawn",
    "os.statvfs",
    "os.fstatvfs",
    "shutil.disk_usage",
    "http.client.HTTPConnection",
    "http.client.HTTPSConnection",
    "socket.create_connection",
    "ansible.module_utils.urls.open_url",
    "ansible.module_utils.urls.fetch_url",
}
METHODS = {
    "splitlines",
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
    "run_command",
    "atomic_move",
}
SHOWS = {"display", "v", "vv", "vvv", "vvvv", "warning", "deprecated", "error", "banner"}
SECRET_HEADER = "authorization"

# The places themselves.
PLACES = {
    "plugins/module_utils/_files/": "walks by descriptors",
    "plugins/module_utils/_process/bounded.py": "starts programs of the system with bounds",
    "plugins/module_utils/_process/unproved.py": "starts programs without rights",
    "plugins/module_utils/_process/own_user.py": "starts long work as a user that has no other",
    "plugins/module_utils/_host/disk.py": "counts the same bytes for all who ask",
    "plugins/module_utils/_http/": "connections with a deadline, bodies with a bound, secrets by origin",
}

# file -> {call: why it may}
_PROC = "files of /proc; tests give another place"
_ALONE = "a program that stands alone on hosts, in directories that root alone can change"
_OPENER = "redirects and proxies by the standard library, over connections of _http/deadline.py"
EXCEPTIONS: dict[str, dict[str, str]] = {
    "plugins/module_utils/_host/mounts.py": {
        "open": _PROC,
    },
    "plugins/module_utils/_lock/modelscope.py": {
        "requests.Session": "the session of the SDK itself, kept from sending the token to another origin",
        "requests.Session.rebuild_auth": "the same",
        "Authorization": "the header that is kept from another origin",
    },
    "plugins/module_utils/_install/archive.py": {
        "subprocess.Popen": "zstd unpacks the open archive; what it writes is read with a bound",
    },
    "plugins/module_utils/_install/engines.py": {
        "os.statvfs": "whether programs may run there, not how much room there is",
    },
    "plugins/module_utils/_install/fetch.py": {
        "urllib.request.Request": _OPENER,
        "urllib.request.OpenerDirector": _OPENER,
        "urllib.request.AbstractHTTPHandler": _OPENER,
        "urllib.request.ProxyHandler": _OPENER,
        "urllib.request.UnknownHandler": _OPENER,
        "urllib.request.HTTPDefaultErrorHandler": _OPENER,
        "urllib.request.HTTPRedirectHandler": _OPENER,
        "urllib.request.HTTPErrorProcessor": _OPENER,
        "Authorization": "the credentials that the archive's own URL holds, not for a redirect",
    },
    "plugins/module_utils/_service/addresses.py": {
        "open": _PROC,
    },
    "plugins/module_utils/_service/manager.py": {
        "open": _PROC,
    },
    "plugins/module_utils/_host/processes.py": {
        "open": _PROC,
    },
    "plugins/module_utils/_service/run_service.py": {
        "open": _ALONE,
        "os.open": _ALONE,
        "os.makedirs": _ALONE,
        "os.replace": _ALONE,
        "os.execve": "becoming the service, as its user",
        "subprocess.run": "nvidia-modprobe and preload, which the settings name",
    },
    "plugins/module_utils/_service/preload.py": {
        "http.client.HTTPConnection": "a program that stands alone on hosts and reads a bounded answer",
    },
    "plugins/module_utils/_service/supervisord_program.py": {
        "open": _ALONE,
        "os.makedirs": _ALONE,
    },
    "plugins/module_utils/_secrets.py": {
        "Authorization": "the name of a header that is masked",
    },
    "plugins/module_utils/_engine/connection.py": {
        "Authorization": "the key that is given for this endpoint, which follows no redirect",
    },
    "plugins/module_utils/_verify/origins.py": {
        "Authorization": "the name of a header that a browser asks about",
    },
    "plugins/plugin_utils/fleet.py": {
        ".read_text": "the catalog of the collection itself, on the controller",
    },
    "plugins/module_utils/_install/brought.py": {
        "tempfile.TemporaryFile": "a file without a name on the controller",
    },
}


def imported_names(tree: ast.AST) -> dict[str, str]:
    """What each imported name of a file stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def dotted(node: ast.AST, names: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value, names)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def is_kernels(call: ast.Call) -> bool:
    """Whether the first argument is a path of the kernel's, written out."""
    first: Optional[ast.AST] = call.args[0] if call.args else None
    if isinstance(first, ast.JoinedStr) and first.values:
        first = first.values[0]
    return (
        isinstance(first, ast.Constant)
        and isinstance(first.value, str)
        and first.value.startswith(("/proc/", "/sys/"))
        and ".." not in first.value
    )


def is_call_of(node: Optional[ast.AST], names: dict[str, str], wanted: str) -> bool:
    return isinstance(node, ast.Call) and dotted(node.func, names).rpartition(".")[2] == wanted


def is_of_a_module(name: str) -> bool:
    return any(name.startswith(f"{module}.") and name not in harmless for module, harmless in MODULES.items())


def found_in(source: str) -> Iterator[tuple[int, str]]:
    """The line and the name of every call that belongs in one place."""
    tree = ast.parse(source)
    names = imported_names(tree)
    texts = {node.targets[0].id for node in ast.walk(tree) if _makes_printable(node, names)}  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lower() == SECRET_HEADER:
            yield node.lineno, "Authorization"
        if isinstance(node, ast.Attribute) and is_of_a_module(dotted(node, names)):
            yield node.lineno, dotted(node, names)
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func, names)
        if name in BY_PATH:
            keyword = BY_PATH[name]
            on_descriptor = keyword is not None and any(given.arg == keyword for given in node.keywords)
            if not on_descriptor and not (name in ("open", "os.open") and is_kernels(node)):
                yield node.lineno, name
        elif name in CALLS or (isinstance(node.func, ast.Name) and is_of_a_module(name)):
            yield node.lineno, name
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if method in METHODS:
            yield node.lineno, f".{method}"
        if method == "fail_json" and not any(
            given.arg is None and is_call_of(given.value, names, "failure") for given in node.keywords
        ):
            yield node.lineno, ".fail_json"
        if method == "warn" and not (node.args and is_call_of(node.args[0], names, "printable")):
            yield node.lineno, ".warn"
        if isinstance(node.func, ast.Attribute) and dotted(node.func.value, names) == "display" and method in SHOWS:
            shown = node.args[0] if node.args else None
            if not is_call_of(shown, names, "printable") and not (isinstance(shown, ast.Name) and shown.id in texts):
                yield node.lineno, f"display.{method}"


def _makes_printable(node: ast.AST, names: dict[str, str]) -> bool:
    return (
        isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name)
        and is_call_of(node.value, names, "printable")
    )


@functools.cache
def found_everywhere() -> dict[str, dict[str, list[int]]]:
    found: dict[str, dict[str, list[int]]] = {}
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        file = path.relative_to(ROOT).as_posix()
        if any(file.startswith(place) for place in PLACES):
            continue
        for line, name in found_in(path.read_text(encoding="utf-8")):
            found.setdefault(file, {}).setdefault(name, []).append(line)
    return found


def test_what_belongs_in_one_place_is_nowhere_else() -> None:
    wrong = [
        f"{file}:{lines[0]}: {name} (see the head of {Path(__file__).name})"
        for file, calls in found_everywhere().items()
        for name, lines in calls.items()
        if name not in EXCEPTIONS.get(file, {})
    ]
    assert not wrong, "\n".join(wrong)


def test_every_exception_is_still_one() -> None:
    found = found_everywhere()
    stale = [
        f"{file}: {name}" for file, calls in EXCEPTIONS.items() for name in calls if name not in found.get(file, {})
    ]
    assert not stale, "\n".join(stale)


@pytest.mark.parametrize("path", sorted((ROOT / "plugins/modules").glob("*.py")), ids=lambda path: path.stem)
def test_a_module_that_can_fail_documents_problem_and_remedy(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    documented = source.partition('RETURN = r"""')[2].partition('"""')[0]
    assert "fail_json" not in source or {"problem:", "remedy:"} <= set(documented.split("\n"))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("open(path)", "open"),
        ("with open('/etc/shadow') as file: pass", "open"),
        ("open('/proc/../etc/shadow')", "open"),
        ("import os\nos.open(path, os.O_RDONLY)", "os.open"),
        ("from os import rename\nrename(a, b)", "os.rename"),
        ("import os as system\nsystem.replace(a, b)", "os.replace"),
        ("import os\nos.chown(path, 0, 0)", "os.chown"),
        ("import os\nos.link(a, b, src_dir_fd=3)", "os.link"),
        ("import os\nos.statvfs(path)", "os.statvfs"),
        ("import shutil\nshutil.disk_usage(path)", "shutil.disk_usage"),
        ("import shutil\nshutil.rmtree(path)", "shutil.rmtree"),
        ("from shutil import rmtree\nrmtree(path)", "shutil.rmtree"),
        ("import shutil\nremove = shutil.rmtree", "shutil.rmtree"),
        ("import tempfile\ntempfile.mkstemp()", "tempfile.mkstemp"),
        ("import subprocess\nsubprocess.run(['true'])", "subprocess.run"),
        ("from subprocess import check_output\ncheck_output(['true'])", "subprocess.check_output"),
        ("import os\nos.system('true')", "os.system"),
        ("import urllib.request\nurllib.request.urlopen(url)", "urllib.request.urlopen"),
        ("from urllib.request import urlopen\nurlopen(url)", "urllib.request.urlopen"),
        ("import http.client\nhttp.client.HTTPConnection(host)", "http.client.HTTPConnection"),
        ("from ansible.module_utils.urls import open_url\nopen_url(url)", "ansible.module_utils.urls.open_url"),
        ("text.splitlines()", ".splitlines"),
        ("from pathlib import Path\nPath(path).read_text()", ".read_text"),
        ("module.run_command(['true'])", ".run_command"),
        ("module.fail_json(msg=str(error))", ".fail_json"),
        ("module.warn(text)", ".warn"),
        ("display.warning(text)", "display.warning"),
        ("headers = {'authorization': token}", "Authorization"),
    ],
)
def test_a_call_that_belongs_elsewhere_is_found(source: str, name: str) -> None:
    assert name in [found for _line, found in found_in(source)]


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.open(name, os.O_RDONLY, dir_fd=folder)",
        "import os\nos.rename(a, b, src_dir_fd=folder, dst_dir_fd=folder)",
        "open('/proc/self/mounts')",
        "open(f'/proc/{pid}/comm')",
        "import os\nos.fdopen(descriptor)",
        "import shutil\nshutil.which('zstd')",
        "module.fail_json(**failure(error), **result)",
        "module.warn(printable(text))",
        "line = printable(text)\ndisplay.display(line)",
        "read_bytes(file, 0, 1)",
    ],
)
def test_a_call_on_what_is_open_already_is_left_alone(source: str) -> None:
    assert list(found_in(source)) == []
