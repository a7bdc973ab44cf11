# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role gateway; each is documented in its own file beside this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.module_utils._gateway.configuration import gateway_files as files_of
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.report import report
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem


def gateway_files(
    fleet: Mapping[str, Any], gateway: str, digests: Mapping[str, str], certificate: str = "", key: str = ""
) -> dict[str, Any]:
    try:
        return files_of(fleet, gateway, digests, certificate, key)
    except Problem as problem:
        raise AnsibleFilterError(failure(problem)["msg"]) from problem
    except OSError as error:
        remedy = "Correct gateway_certificate and gateway_certificate_key, paths on the controller."
        raise AnsibleFilterError(failure(file_problem(error, certificate, remedy))["msg"]) from error


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"gateway_files": gateway_files, "gateway_report": report}
