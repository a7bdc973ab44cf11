#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gguf_download
short_description: Download the files of locks, merge them on the way, and check every byte
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Reads the shards' headers by small ranges, computes the merged file's layout, checks the disk in exact bytes, and
    then moves every tensor byte straight to its final place, over several connections. The checksums of the shards and
    of the merged file are computed while the bytes pass. A file gets its name only when all of it is proved.
  - Takes all models of a host in one run. Before a byte moves, what all of them still take is compared with the free
    space of each file system; where it is not enough, nothing is fetched. Then they are fetched one after the other,
    since they share the line. After one that failed the others are still fetched; the failure then names each
    that failed, and what is complete stays.
  - Can be killed at any moment. The next run fetches at most 32 MiB again, and nothing of what was complete.
  - In check mode it plans as a run does, reads what a run would read before it moves a byte, and says which bytes would
    move from where, what they take of the disk, and how long that takes at the rate of the last download on this host.
  - What the ledger knows as proved costs nothing, not even a read of the file.
  - While it runs, one file C(.partial) with its journal, a lock and a status as JSON (C(<dest>.partial.json)) lie
    beside the destination; a second run attaches to the first one and shows its progress.
  - On a file system that several hosts share (NFS, CIFS, FUSE and the like, told by its type) this holds over all of
    them. A host that gives no sign of life for 30 seconds is taken for dead, and another one goes on.
  - The transfer runs on in the background when the connection to the host is lost or the playbook is interrupted. Run
    the play again to watch it. To end it, C(touch <dest>.partial.stop) on the host (for C(layout=shards) the name is
    the first shard's), or use O(state=stopped), which waits until it has ended. Those that wait behind it are not begun
    then.
  - The playbook's output shows bytes, rate, time left and phase (C(headers), C(download), C(verify)) of the one that
    is fetched. Set the variable C(models_progress) to V(false) for none of it.
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  downloads:
    description: What to fetch, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What messages call it. The default is the name of its file or directory.
        type: str
      lock:
        description: The lock, as M(gguf.fleet.gguf_resolve) returns it.
        type: dict
        required: true
      dest:
        description:
          - Absolute path of the merged file, or for V(shards) of the directory that gets the shards.
          - Two that mean the same files may have the same one.
        type: path
        required: true
      layout:
        description:
          - V(merged) makes one file, byte for byte what C(llama-gguf-split --merge) makes of the same shards. Ollama
            needs it.
          - V(shards) keeps the files as they are; llama.cpp loads them so.
        type: str
        choices: [merged, shards]
        default: merged
      token:
        description:
          - The access token of ModelScope or Hugging Face. It goes to the origin (scheme, host and port) of the lock's
            endpoint only; never to a mirror, to an address of another origin or to a place that a server redirects to.
        type: str
      controller:
        description:
          - The folder of the controller that holds the files, where the lock is one of the hub V(path) that was
            resolved there. They come in pieces, by the connection that Ansible uses, which has to support pipelining.
          - The transfer proves, merges and resumes them as all others. Beside the destination it takes 192 MiB for
            pieces. When the run on the controller ends, it waits some minutes for another one, and then ends as well.
        type: str
        version_added: 0.2.0
  connections:
    description:
      - How many connections to use, V(1) to V(16).
      - V(auto) begins with four and doubles them as long as each is slow (distance, loss, a limit of the server for
        each connection), and where they are quick tries now and then whether more are quicker or fewer do as well. It
        adds none once a server says that it is busy.
    type: str
    default: auto
  rate_limit:
    description: The most that all connections together may bring a second, such as V(200MiB/s).
    type: str
  time_window:
    description:
      - Hours of the host's day in which bytes may move, such as V(22:00-06:00). Outside of them the transfer waits.
    type: str
  mirrors:
    description:
      - Other places that have the same files, asked before the lock's own addresses. Each is an address or a directory
        on the host that the files' paths are appended to, or a pattern with C({path}), C({name}), C({repo}),
        C({revision}) or C({commit}).
      - A mirror that is much slower than another one, unreachable, or whose bytes do not have the lock's checksums is
        left.
      - Mirrors never get the O(downloads[].token).
    type: list
    elements: str
    default: []
  find_in:
    description:
      - Directories on the host that may hold the files already. Copies of the right size are used instead of the
        network, and their checksums are checked like all others.
      - The caches of the ModelScope and Hugging Face SDKs of the user that runs the task are looked at without being
        named.
    type: list
    elements: path
    default: []
  ollama_stores:
    description: Ollama's model directories on the host, whose blobs may be the files already.
    type: list
    elements: path
    default: []
  headers:
    description:
      - More HTTP headers, for the origin (scheme, host and port) of a lock's endpoint. Like O(downloads[].token), they
        go nowhere else.
    type: dict
    default: {}
  ca_file:
    description: A file of PEM certificates on the host to trust instead of the system's.
    type: path
  timeout:
    description: Seconds without an answer, or without a byte, after which a connection counts as stalled.
    type: float
    default: 30
  retries:
    description:
      - After how many failures of every source in a row, with hardly a byte between them, to give up. There is no limit
        on the total.
    type: int
    default: 8
  state:
    description:
      - V(present) fetches what is missing.
      - V(stopped) ends a running transfer and keeps what it fetched.
      - V(absent) ends a running transfer and removes the files and everything that a transfer left.
    type: str
    choices: [present, absent, stopped]
    default: present
  look:
    description:
      - Whether only to look for all files. Where each is there, proved before, the result is that of any run; else it
        is C(incomplete), and nothing was changed. The task does that by itself before it starts the module in the
        background; it is not to be given.
    type: bool
    default: false
    version_added: 0.2.0
notes:
  - Proxies come from the environment of the task (E(http_proxy), E(https_proxy), E(no_proxy)).
seealso:
  - module: gguf.fleet.gguf_resolve
  - module: gguf.fleet.gguf_merge
"""

EXAMPLES = r"""
- name: Fetch DeepSeek-R1 as one file for Ollama, and the shards of a smaller quant for llama.cpp
  gguf.fleet.gguf_download:
    downloads:
      - lock: "{{ resolved.locks['deepseek-r1'] }}"
        dest: /srv/gguf-fleet/models/DeepSeek-R1-UD-Q2_K_XL.gguf
      - lock: "{{ resolved.locks['deepseek-r1-small'] }}"
        dest: /srv/gguf-fleet/models/DeepSeek-R1-UD-IQ1_S
        layout: shards

- name: Fetch it at night and not too fast, from a share and a mirror before the hub
  gguf.fleet.gguf_download:
    downloads:
      - lock: "{{ resolved.locks['deepseek-r1'] }}"
        dest: /srv/gguf-fleet/models/DeepSeek-R1-UD-Q2_K_XL.gguf
    rate_limit: 200MiB/s
    time_window: "22:00-06:00"
    mirrors:
      - /mnt/models
      - https://mirror.example.com/{repo}/{path}

- name: End a transfer that is running
  gguf.fleet.gguf_download:
    downloads:
      - lock: "{{ resolved.locks['deepseek-r1'] }}"
        dest: /srv/gguf-fleet/models/DeepSeek-R1-UD-Q2_K_XL.gguf
    state: stopped
"""

RETURN = r"""
downloads:
  description: What came of each of O(downloads), in their order.
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: What messages call it.
      type: str
      returned: always
    changed:
      description: Whether something was done for it, or would be.
      type: bool
      returned: success
    path:
      description: The merged file, or the first shard.
      type: str
      returned: success
      sample: /srv/gguf-fleet/models/DeepSeek-R1-UD-Q2_K_XL.gguf
    paths:
      description: All files.
      type: list
      elements: str
      returned: success
    size_bytes:
      description: Bytes of all files.
      type: int
      returned: success
    sha256:
      description: Digest of RV(downloads[].path). In check mode only when the lock knows it.
      type: str
      returned: success
    checksums:
      description: Checksums of the locked files by their paths in the repository, as computed in this run.
      type: dict
      returned: when bytes were fetched
    bytes_moved:
      description: Bytes that came from the sources in this run.
      type: int
      returned: success
    bytes_to_move:
      description: Bytes that a run would fetch.
      type: int
      returned: in check mode
    disk_bytes:
      description: Bytes of disk that the run took, or would take.
      type: int
      returned: success
    seconds:
      description: How long it took.
      type: float
      returned: success
    expected_seconds:
      description: How long it would take at the rate of the last download on this host.
      type: float
      returned: in check mode, when there was one
    sources:
      description: From where how many bytes came, or would come.
      type: dict
      returned: success
    actions:
      description: What was done, or would be done, in words.
      type: list
      elements: str
      returned: success
    problem:
      description: What is wrong.
      type: str
      returned: failure
    remedy:
      description: What to do about it.
      type: str
      returned: failure
    reason:
      description: As RV(reason), for this one.
      type: str
      returned: failure
bytes_moved:
  description: Bytes that came from the sources in this run, of all.
  type: int
  returned: always
bytes_to_move:
  description: Bytes that a run would fetch, of all.
  type: int
  returned: in check mode
disk_bytes:
  description: Bytes of disk that the run took, or would take.
  type: int
  returned: always
actions:
  description: What was done, or would be done, in words.
  type: list
  elements: str
  returned: always
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
reason:
  description:
    - The kind of failure in one word, such as V(checksum), V(disk-full), V(stall) or V(html-page); of several failures
      the first.
  type: str
  returned: failure
"""

import os
from dataclasses import replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import hub_secrets
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import check_lock
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, together
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import MASK, let_see, secrets_in
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import download, options, removal
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.controller import CONNECTIONS
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.pacing import (
    Pace,
    RateLimit,
    TimeWindow,
    parse_rate,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.sources import Access
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.workers import CONNECTIONS_AT_MOST
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.pipeline import Settings
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.work import already_there

Answers = List[Union[download.Result, Problem]]


def connection_count(text: str) -> Optional[int]:
    if text == "auto":
        return None
    if text.isdigit() and 1 <= int(text) <= CONNECTIONS_AT_MOST:
        return int(text)
    raise TransferError(
        f"connections is {text!r}.", f"Set it to auto or to 1 to {CONNECTIONS_AT_MOST}.", reason="bad-option"
    )


def make_settings(params: Mapping[str, Any]) -> Settings:
    return Settings(
        connections=connection_count(params["connections"]),
        retries=params["retries"],
        pace=Pace(
            limit=RateLimit(parse_rate(params["rate_limit"])) if params["rate_limit"] else None,
            window=TimeWindow.parse(params["time_window"]) if params["time_window"] else None,
        ),
    )


def make_request(one: Mapping[str, Any], params: Mapping[str, Any], settings: Settings) -> download.Request:
    if not os.path.isabs(one["dest"]):
        raise TransferError(f"dest is {one['dest']!r}.", "Give an absolute path.", reason="bad-option")
    headers = {str(name): str(value) for name, value in (params["headers"] or {}).items()}
    sent = bool(one["controller"])
    return download.Request(
        lock=check_lock(one["lock"]),
        dest=os.path.normpath(one["dest"]),
        layout=one["layout"],
        mirrors=params["mirrors"],
        find_in=params["find_in"],
        ollama_stores=params["ollama_stores"],
        access=Access(
            secrets=hub_secrets(one["lock"], one["token"], headers),
            ca_file=params["ca_file"],
            timeout_seconds=params["timeout"],
        ),
        settings=replace(settings, connections=CONNECTIONS) if sent else settings,
        name=one["name"] or "",
        from_controller=sent,
    )


def make_requests(params: Mapping[str, Any]) -> List[download.Request]:
    """All of them, or one problem that tells of each that cannot be."""
    settings = make_settings(params)
    found: List[download.Request] = []
    wrong: List[Problem] = []
    for one in params["downloads"]:
        try:
            found.append(make_request(one, params, settings))
        except Problem as problem:
            wrong.append(problem)
    if wrong:
        raise together(wrong)
    return found


def look(requests: Sequence[download.Request]) -> Optional[Answers]:
    """The results where all files are there, proved before; no byte is read for that."""
    ledger = Ledger()
    found = [already_there(request, ledger) for request in requests]
    return [one for one in found if one is not None] if None not in found else None


def run(state: str, requests: Sequence[download.Request], check: bool) -> Answers:
    ledger = Ledger()
    if state == "absent":
        return each(requests, lambda request: removal.absent(request, ledger, check=check))
    if state == "stopped":
        return each(requests, lambda request: removal.stopped(request, check=check))
    return download.present_all(requests, ledger, check=check)


def each(requests: Sequence[download.Request], do: Callable[[download.Request], download.Result]) -> Answers:
    answers: Answers = []
    for request in requests:
        try:
            answers.append(do(request))
        except Problem as problem:
            answers.append(problem)
    return answers


def answered(request: download.Request, answer: Union[download.Result, Problem], check: bool) -> Dict[str, Any]:
    values: Dict[str, Any] = {"name": request.shown_name}
    if isinstance(answer, Problem):
        told = failure(answer)
        return {**values, "problem": told["problem"], "remedy": told["remedy"], "reason": reason_of(answer)}
    values.update(
        changed=answer.changed,
        path=answer.paths[0],
        paths=list(answer.paths),
        size_bytes=answer.size_bytes,
        sha256=answer.sha256.get(answer.paths[0]),
        bytes_moved=answer.bytes_moved,
        disk_bytes=answer.disk_bytes,
        seconds=round(answer.seconds, 3),
        sources=answer.sources,
        actions=answer.actions,
    )
    if answer.file_sha256:
        values["checksums"] = answer.file_sha256
    if check:
        values["bytes_to_move"] = answer.bytes_to_move
        if answer.expected_seconds is not None:
            values["expected_seconds"] = round(answer.expected_seconds, 1)
    return values


def returned(requests: Sequence[download.Request], answers: Answers, check: bool) -> Dict[str, Any]:
    done = [(request, answer) for request, answer in zip(requests, answers) if isinstance(answer, download.Result)]
    lines = [f"{request.shown_name}: {action}\n" for request, answer in done for action in answer.actions]
    values = {
        "changed": any(answer.changed for _request, answer in done),
        "downloads": [answered(request, answer, check) for request, answer in zip(requests, answers)],
        "bytes_moved": sum(answer.bytes_moved for _request, answer in done),
        "disk_bytes": sum(answer.disk_bytes for _request, answer in done),
        "actions": [action for _request, answer in done for action in answer.actions],
        "diff": {"before": "", "after": "".join(lines)},
    }
    return {**values, "bytes_to_move": sum(answer.bytes_to_move for _request, answer in done)} if check else values


def reason_of(problem: Problem) -> str:
    return str(getattr(problem, "reason", "bad-lock"))


def refusal(requests: Sequence[download.Request], answers: Answers) -> Optional[Problem]:
    """All that failed, each told apart by its name where there are several."""
    failed = [(request, answer) for request, answer in zip(requests, answers) if isinstance(answer, Problem)]
    if len(requests) < 2:
        return failed[0][1] if failed else None
    named = [Problem(f"{request.shown_name}: {answer.problem}", answer.remedy) for request, answer in failed]
    return together(named) if named else None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "downloads": options.downloads(),
            "connections": {"type": "str", "default": "auto"},
            "rate_limit": {"type": "str"},
            "time_window": {"type": "str"},
            "mirrors": {"type": "list", "elements": "str", "default": [], "no_log": True},
            "find_in": {"type": "list", "elements": "path", "default": []},
            "ollama_stores": {"type": "list", "elements": "path", "default": []},
            "headers": {"type": "dict", "default": {}, "no_log": True},
            "ca_file": {"type": "path"},
            "timeout": {"type": "float", "default": 30},
            "retries": {"type": "int", "default": 8},
            "state": {"type": "str", "choices": ["present", "absent", "stopped"], "default": "present"},
            "look": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given, check = dict(module.params), module.check_mode
    let_see(module.no_log_values, given["mirrors"], secrets_in(given["mirrors"]))
    # Of a header its name may be seen. Any value may be a secret.
    let_see(module.no_log_values, given["headers"], secrets_in({"secret": list(given["headers"].values())}))
    module.params["headers"] = dict.fromkeys(given["headers"], MASK)
    try:
        requests = make_requests(given)
        answers = look(requests) if given["look"] else run(given["state"], requests, check)
    except Problem as error:
        module.fail_json(**failure(error), reason=reason_of(error), downloads=[])
    if answers is None:
        module.exit_json(changed=False, incomplete=True)
        return
    result, refused = returned(requests, answers, check), refusal(requests, answers)
    if refused is not None:
        first = next(answer for answer in answers if isinstance(answer, Problem))
        module.fail_json(**result, **failure(refused), reason=reason_of(first))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
