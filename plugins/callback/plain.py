# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run prints, with a failure as a sentence."""

from __future__ import annotations

DOCUMENTATION = r"""
name: plain
type: stdout
short_description: Ansible's own output, with a failure as its message
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Prints what P(ansible.builtin.default#callback) does, but of a task, or an item of a loop, that failed or could not
    reach its host, the message alone where the rest of the result says nothing more, as it is with all modules of this
    collection. With C(-v) the whole result is printed.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set C(stdout_callback=gguf.fleet.plain) in the section C([defaults]) of C(ansible.cfg)
"""

import contextlib
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.plugins.callback.default import CallbackModule as Default

from ansible_collections.gguf.fleet.plugins.module_utils._text import lines, printable

# What a message need not be printed with.
_NOTHING_MORE = frozenset(
    (
        *("attempts", "changed", "deprecations", "diff", "exception", "failed", "invocation", "not_reached"),
        *("ansible_index_var", "ansible_loop_var", "msg", "problem", "remedy", "unreachable", "warnings"),
    )
)
_AT_MOST_CHARACTERS = 20_000


class CallbackModule(Default):
    """The default output with short failures."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "gguf.fleet.plain"

    # Whether what is printed is of a failure, which the results themselves do not say in all versions.
    _failing = False

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        with self._of_a_failure():
            super().v2_runner_on_failed(result, ignore_errors)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        with self._of_a_failure():
            super().v2_runner_item_on_failed(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        with self._of_a_failure():
            super().v2_runner_on_unreachable(result)

    @contextlib.contextmanager
    def _of_a_failure(self) -> Iterator[None]:
        before, self._failing = self._failing, not self._display.verbosity
        try:
            yield
        finally:
            self._failing = before

    def _dump_results(self, result: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        message = told(result) if self._failing and kwargs.get("serialize") is not False else ""
        return message or super()._dump_results(result, *args, **kwargs)

    def _handle_exception(self, result: Any, use_stderr: bool = False) -> None:
        if self._failing and told(result):
            # From ansible-core 2.19 on it is the same message once more, with the lines of the playbook.
            result.pop("exception", None)
        super()._handle_exception(result, use_stderr)


def told(result: Mapping[str, Any]) -> str:
    """The message of a failure; empty where there is none, or where the result says more than that."""
    message = result.get("msg")
    if not message:
        return ""
    ours = "problem" in result and "remedy" in result
    loop = {result.get("ansible_loop_var"), result.get("ansible_index_var")}
    more = {name for name in result if not name.startswith("_ansible")} - _NOTHING_MORE - loop
    if more and not ours:
        return ""
    said = list(map(str, message)) if isinstance(message, (list, tuple)) else lines(str(message))
    text = printable("\n".join(said), limit=_AT_MOST_CHARACTERS, lines=True)
    return text if len(said) == 1 else "\n" + textwrap.indent(text, "    ")
