#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: gateway_authority
short_description: Manage the fleet's own certificate authority
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Works on the controller alone, once for all hosts of the play, which C(run_once) says. It needs no C(delegate_to).
  - The authority's certificate and key lie in C(.gguf-fleet/authority) beside the inventory, where Ansible does not
    take them for a part of the inventory and Git does not take them at all. They are made by modules of
    community.crypto.
  - An authority follows another in three steps, one a run, which RV(step) tells. Each waits until every host in
    O(members) has made the one before, also those outside C(--limit).
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  directory:
    description: Another directory for it.
    type: path
    default: ''
  passphrase:
    description: Of the key. Without, one is made and kept in a file of mode 0600 beside the key.
    type: str
    default: ''
  renew:
    description: Let another authority follow although that is not due.
    type: bool
    default: false
  members:
    description: All hosts of the inventory with a gateway or a door.
    type: list
    elements: str
    default: []
  settle:
    description:
      - Note what the hosts of this play trust and show by what M(gguf.fleet.haproxy) told of them in this run, and make
        the next step where it can be made.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Look at the authority
  gguf.fleet.gateway_authority:
    members: [gateway-01, gpu-01]
  run_once: true
  register: authority
"""

RETURN = r"""
certificate:
  description: The certificate of the authority that signs now, in PEM; empty where there is none.
  returned: success
  type: str
trust:
  description: The certificates of all authorities that are to be trusted now, in PEM.
  returned: success
  type: str
trust_files:
  description: Their files.
  returned: success
  type: list
  elements: str
trusted:
  description: Their fingerprints.
  returned: success
  type: list
  elements: str
signer:
  description: The fingerprint of the one that signs now; empty where there is none.
  returned: success
  type: str
certificate_path:
  description: The file of its certificate.
  returned: success
  type: str
key_path:
  description: The file of its key.
  returned: success
  type: str
passphrase_file:
  description: The file with the passphrase; empty where O(passphrase) is given.
  returned: success
  type: str
days_left:
  description: How many whole days the authority holds; -1 where there is none.
  returned: success
  type: int
make:
  description: An authority that is to be made, with C(name), C(key_path) and C(certificate_path); empty where none is.
  returned: success
  type: dict
step:
  description: The step of a change that was made, V(ca-next) or V(ca-old); empty where none was.
  returned: success
  type: str
notes:
  description: What the operator should know.
  returned: success
  type: list
  elements: str
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""
