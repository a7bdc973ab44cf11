#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: modelfile
short_description: Write a Modelfile that Ollama reads back as it was meant
version_added: 0.1.0
description:
  - Writes a Modelfile for people who want one, and for C(ollama create -f).
    M(gguf.fleet.ollama_model) needs none.
  - Refuses, before the file is touched, what the Modelfile grammar cannot carry. It has no escapes, ends a value at the
    first line end at which the quotes happen to balance, and silently drops characters that are not printable, such as
    U+3000 in Chinese prompts.
  - Parameters are checked against the version of Ollama that is to read the file.
author:
  - gguf.fleet contributors (@gguf-fleet)
extends_documentation_fragment:
  - gguf.fleet.attributes
  - gguf.fleet.attributes.changes
  - gguf.fleet.model_settings
  - ansible.builtin.files
options:
  dest:
    description: Absolute path of the Modelfile.
    type: path
    required: true
  from:
    description: The GGUF file (an absolute path), or the name of a model that Ollama already has.
    type: str
    required: true
  adapter:
    description: Absolute path of a LoRA adapter as a GGUF file.
    type: path
  order:
    description: Sections to write first, in this order; the others follow in the order of the choices.
    type: list
    elements: str
    choices: [from, adapter, template, system, parameters, messages, license]
    default: []
  ollama_version:
    description: The version of Ollama that is to read the file.
    type: str
    default: 0.33.2
"""

EXAMPLES = r"""
- name: Write the Modelfile of DeepSeek-R1 for eight H20
  gguf.fleet.modelfile:
    dest: /etc/ollama/DeepSeek-R1.Modelfile
    from: /srv/gguf-fleet/models/DeepSeek-R1-UD-Q2_K_XL.gguf
    template: deepseek-r1
    parameters:
      stop: ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"]

- name: Write the Modelfile of DeepSeek-R1 for two RTX 4090, parameters first
  gguf.fleet.modelfile:
    dest: /etc/ollama/DeepSeek-R1-UD-IQ1_M.Modelfile
    from: /srv/gguf-fleet/models/DeepSeek-R1-UD-IQ1_M.gguf
    template: deepseek-r1-short
    parameters:
      num_gpu: 14
      num_ctx: 2048
      temperature: 0.6
    order: [from, parameters]
    ollama_version: 0.5.7
"""

RETURN = r"""
path:
  description: The Modelfile.
  returned: success
  type: str
  sample: /etc/ollama/DeepSeek-R1.Modelfile
content:
  description: Its text.
  returned: success
  type: str
  sample: "FROM /srv/gguf-fleet/models/DeepSeek-R1-UD-Q2_K_XL.gguf\n"
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""

import contextlib
import os
import stat

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_file
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.arguments import MODEL_SETTINGS
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.modelfile import SECTIONS, Modelfile, render
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.parameters import check_parameters
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.templates import checked_template, with_stops
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import parse_version
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem


def content_of(params: dict) -> str:
    version = parse_version(params["ollama_version"])
    return render(
        Modelfile(
            base=params["from"],
            adapter=params["adapter"],
            template=checked_template(params["template"] or "", version),
            system=params["system"],
            parameters=check_parameters(with_stops(params["parameters"], params["template"] or ""), version),
            messages=params["messages"],
            license=params["license"],
            order=params["order"],
        )
    )


def current_content(dest: str) -> str | None:
    try:
        return read_file(dest).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


def write(dest: str, content: str) -> None:
    """A file that is there keeps its mode and owner; a new one can be read by all."""
    mode, owner = 0o644, (os.geteuid(), os.getegid())
    with contextlib.suppress(FileNotFoundError), parent_of(dest) as (directory, name):
        status = directory.status(name)
        if status is not None:
            mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
    write_file(dest, content.encode("utf-8", "surrogateescape"), mode=mode, owner=owner)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "from": {"type": "str", "required": True},
            "adapter": {"type": "path"},
            **MODEL_SETTINGS,
            "order": {"type": "list", "elements": "str", "choices": list(SECTIONS), "default": []},
            "ollama_version": {"type": "str", "default": "0.33.2"},
        },
        add_file_common_args=True,
        supports_check_mode=True,
    )
    dest = module.params["dest"]
    try:
        content = content_of(module.params)
        before = current_content(dest)
    except Problem as error:
        module.fail_json(**failure(error))
    except OSError as error:
        module.fail_json(**failure(file_problem(error, dest, "Choose another dest, or remove what is there.")))

    directory = os.path.dirname(dest)
    if not os.path.isdir(directory) and not module.check_mode:
        missing = Problem(f"{dest} cannot be written: there is no directory {directory}.", "Make that directory first.")
        module.fail_json(**failure(missing))
    changed = before != content
    if changed and not module.check_mode:
        write(dest, content)
    if not module.check_mode or before is not None:
        changed = module.set_fs_attributes_if_different(module.load_file_common_arguments(module.params), changed)
    module.exit_json(
        changed=changed,
        path=dest,
        content=content,
        diff={"before_header": dest, "after_header": dest, "before": before or "", "after": content},
    )


if __name__ == "__main__":
    main()
