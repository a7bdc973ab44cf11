#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gguf_info
short_description: Read what a GGUF model is, and whether all its shards are there
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Reads the headers of a GGUF model, never its data, and returns what operators and the placement need to know.
  - A file that llama.cpp could not load is an error that says why. A set of shards that is not complete is a fact.
extends_documentation_fragment:
  - gguf.fleet.attributes.info
options:
  path:
    description:
      - A GGUF file, a shard, or a directory that holds the files of one model.
      - For a shard, the other shards of its set are read, too, as far as they lie beside it.
    type: path
    required: true
  arrays:
    description:
      - Names of metadata arrays whose items to return, for example V(tokenizer.ggml.token_type). They can be long.
    type: list
    elements: str
    default: []
seealso:
  - module: gguf.fleet.gguf_merge
  - module: gguf.fleet.gguf_plan
"""

EXAMPLES = r"""
- name: Look at a set of shards
  gguf.fleet.gguf_info:
    path: /srv/models/DeepSeek-R1-UD-IQ1_S/
  register: model

- name: Stop unless all shards are there
  ansible.builtin.assert:
    that: model.gguf.complete
    fail_msg: "{{ model.gguf.incomplete_because }}"
"""

RETURN = r"""
gguf:
  description: The facts of the model. What the file does not say is null.
  returned: success
  type: dict
  contains:
    files:
      description: The files that were read, in the order of the shards.
      type: list
      elements: dict
      contains:
        path:
          description: The file.
          type: str
        size_bytes:
          description: Its size.
          type: int
        tensors:
          description: How many tensors it holds.
          type: int
    complete:
      description: Whether these files are the whole model. Shards must all be there, in order, of one model.
      type: bool
    incomplete_because:
      description: What is missing or wrong when they are not, else null.
      type: str
    version:
      description: Version of the GGUF format.
      type: int
    architecture:
      description: Architecture, as llama.cpp names it.
      type: str
      sample: deepseek2
    name:
      description: Name that the publisher gave.
      type: str
    size_label:
      description: Size class that the publisher gave.
      type: str
      sample: 256x20B
    file_type:
      description: Number of the quant (C(general.file_type)).
      type: int
    quant:
      description: Name of the quant that most tensors have, from the file type.
      type: str
      sample: IQ1_S
    chat_template:
      description: Whether the file has a chat template.
      type: bool
    vocab_size:
      description: Words in the vocabulary.
      type: int
      sample: 129280
    parameter_count:
      description: Elements of all tensors.
      type: int
    tensors:
      description: Tensors of all files.
      type: int
      sample: 1025
    size_bytes:
      description: Bytes of all files up to the end of their last tensor.
      type: int
    split:
      description: What the first file says about the set that it belongs to.
      type: dict
      contains:
        count:
          description: Shards of the set; 0 when the file is not split, or merged.
          type: int
        index:
          description: Which shard it is, from 0.
          type: int
        tensors:
          description: Tensors of the whole set.
          type: int
    block_count:
      description: Layers.
      type: int
      sample: 61
    context_length:
      description: Context that the model was trained for, in tokens.
      type: int
      sample: 163840
    embedding_length:
      description: Width of the model.
      type: int
      sample: 7168
    feed_forward_length:
      description: Width of the dense feed forward part, or a list with one number for each layer.
      type: raw
    expert_feed_forward_length:
      description: Width of the feed forward part of one expert.
      type: int
    head_count:
      description: Attention heads, or a list with one number for each layer.
      type: raw
      sample: 128
    head_count_kv:
      description: Heads of keys and values, or a list with one number for each layer.
      type: raw
    key_length:
      description: Length of a key.
      type: int
    value_length:
      description: Length of a value.
      type: int
    key_length_mla:
      description: Length of a key with multi-head latent attention. Conversions older than April 2025 lack it.
      type: int
    value_length_mla:
      description: Length of a value with multi-head latent attention.
      type: int
    kv_lora_rank:
      description: Rank of the latent keys and values.
      type: int
    q_lora_rank:
      description: Rank of the latent queries.
      type: int
    sliding_window:
      description: Tokens that sliding window attention sees.
      type: int
    expert_count:
      description: Experts of a layer.
      type: int
      sample: 256
    expert_used_count:
      description: Experts that work on a token.
      type: int
      sample: 8
    expert_shared_count:
      description: Experts that always work.
      type: int
    leading_dense_block_count:
      description: Layers at the beginning that have no experts.
      type: int
      sample: 3
    rope:
      description: Rotary position encoding.
      type: dict
      contains:
        dimension_count:
          description: Rotated dimensions.
          type: int
        freq_base:
          description: Base of the frequencies.
          type: float
        scaling_type:
          description: How the context is stretched.
          type: str
          sample: yarn
        scaling_factor:
          description: By how much it is stretched.
          type: float
        original_context_length:
          description: Context before it was stretched, in tokens.
          type: int
    tensor_bytes:
      description: Bytes of the tensors, by the place that an engine gives them.
      type: dict
      contains:
        embedding:
          description: Token embedding, which llama.cpp keeps in main memory.
          type: int
        input:
          description: What else a token looks up, also in main memory.
          type: int
        output:
          description: Output layer.
          type: int
        other:
          description: What belongs to no layer.
          type: int
        tied_output:
          description: Whether the output layer uses the token embedding's matrix.
          type: bool
        blocks:
          description: One entry for each layer.
          type: list
          elements: dict
          contains:
            dense:
              description: Everything but the routed experts.
              type: int
            experts:
              description: Routed experts.
              type: int
    block_tensors:
      description:
        - The kinds of layers by what they consist of. C(widths) are the inner lengths of their feed-forward parts, and
          layers for the prediction of further tokens tell the C(bytes) of each tensor.
      type: list
      elements: dict
      contains:
        blocks:
          description: Numbers of the layers.
          type: str
          sample: 0-2,5
        tensors:
          description: Names of their tensors, without what all of them have in common.
          type: list
          elements: str
    unplaced_tensors:
      description: Names of tensors outside of layers that are not known.
      type: list
      elements: str
    hyperparameters:
      description: Whole numbers, switches and lists of them that the architecture has, under its own names.
      type: dict
      sample: {"attention.sliding_window": 1024, "nextn_predict_layers": 1}
    type_bytes:
      description: Bytes of the tensors, by tensor type.
      type: dict
      sample: {"F32": 1024, "IQ1_S": 5120}
    metadata:
      description:
        - All metadata of the first file but arrays, by its own names.
        - Control characters but line ends and tabs are escaped, and at most 200,000 characters of a text are shown.
      type: dict
    arrays:
      description: The items of the arrays that were asked for, by name; null for those that the file does not have.
      type: dict
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.inspect import inspect
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "arrays": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    try:
        facts = inspect(params["path"], params["arrays"])
    except Problem as error:
        module.fail_json(**failure(error))
    except OSError as error:
        remedy = "Check the path, and run as a user who may read it."
        module.fail_json(**failure(file_problem(error, params["path"], remedy)))
    module.exit_json(changed=False, gguf=facts)


if __name__ == "__main__":
    main()
