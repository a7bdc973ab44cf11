# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment:
    """What a model of Ollama adds to its weights."""

    DOCUMENTATION = r"""
options:
  template:
    description:
      - The prompt template in Ollama's Go syntax, or the name of a built-in one.
      - A text that the version of Ollama cannot parse is refused, with its line and column.
      - V(deepseek-r1) is the template of DeepSeek-R1 for several turns.
      - V(deepseek-r1-short) is the one-line template for a single question.
      - V(chatml) is what Qwen, SmolLM2 and many other models were trained on.
      - Before Ollama 0.30 a model without one gets the bare prompt; later the template in the GGUF file is used.
    type: str
  system:
    description: The system prompt.
    type: str
  parameters:
    description:
      - The model's parameters by Ollama's own names, such as C(num_ctx) or C(temperature); C(stop) takes a list.
      - A name or a value that the version of Ollama would read differently from what is meant is refused.
    type: dict
    default: {}
  messages:
    description: The beginning of each conversation.
    type: list
    elements: dict
    default: []
    suboptions:
      role:
        description: Who says it.
        type: str
        required: true
        choices: [system, user, assistant]
      content:
        description: What is said.
        type: str
        required: true
  license:
    description: The texts of the model's licences.
    type: list
    elements: str
    default: []
"""
