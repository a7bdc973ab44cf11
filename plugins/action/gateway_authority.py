# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway_authority, which works on the controller alone: no module is started for it, here or on a host."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible_collections.gguf.fleet.plugins.module_utils._fleet import record
from ansible_collections.gguf.fleet.plugins.module_utils._gateway import authority
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.certificate import DAY, fingerprint
from ansible_collections.gguf.fleet.plugins.plugin_utils.on_controller import ControllerAction, beside_inventory

SPEC: dict[str, Any] = {
    "directory": {"type": "str", "default": ""},
    "passphrase": {"type": "str", "default": "", "no_log": True},
    "renew": {"type": "bool", "default": False},
    "members": {"type": "list", "elements": "str", "default": []},
    "settle": {"type": "bool", "default": False},
}

# Where the roles keep what the module haproxy told of a host.
RESULTS = ("__gateway_door", "__gateway_entrance")
NOTES = {
    authority.NEXT: "Every gateway and door trusts the new certificate authority, which signs from now on. BEFORE you "
    "run site.yml again, give its certificate, {new}, to all clients that trust {old}, to be trusted beside that one: "
    "the next run renews the certificates of gateways and doors, and a client that trusts the old authority alone will "
    "refuse a gateway. Then run site.yml again.",
    authority.OLD: "Every gateway and door shows a certificate of the new authority, so clients need the old one no "
    "more. Run site.yml again: the old one is trusted no more.",
}


class ActionModule(ControllerAction):
    _supports_diff = True
    SPEC = SPEC
    REMEDY = "Make the directory writable for this user, or name another one in gateway_ca_directory."

    def act(self, given: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        beside = beside_inventory(os.path.join(record.FOLDER, "authority"), variables)
        directory = self.place = os.path.realpath(given["directory"] or beside)
        check, now = self._task.check_mode, time.time()
        found = authority.load(directory, given["passphrase"] or None)
        make = authority.to_make(found, now, renew=given["renew"])
        notes, changed, step = [], bool(make), ""
        if make and not check and authority.prepare(directory, own_passphrase=not given["passphrase"]):
            notes.append(
                f"The passphrase of the fleet's certificate authority was made: {found.path(authority.PASSPHRASE)}. "
                "Keep a copy of that directory, or set gateway_ca_passphrase in a vault."
            )
        if given["settle"]:
            after = authority.noted(found, seen(variables), given["members"])
            step = authority.next_step(after, given["members"])
            if after.members != found.members and not check:
                authority.save_members(after)
            found = after if check else authority.make_step(after, step)
            changed = changed or bool(step)
            new, old = (found.path(f"{name}.pem") for name in (authority.CURRENT, authority.OLD))
            notes += [NOTES[step].format(new=new, old=old)] if step else []
        return {
            **told(found, given, now),
            "changed": changed,
            "step": step,
            "notes": notes,
            "make": self._to_make(found, make, now),
        }

    def _to_make(self, found: authority.Authority, make: str, now: float) -> dict[str, str]:
        if not make:
            return {}
        return {
            "name": authority.new_name(now),
            "key_path": found.path(f"{make}.key"),
            "certificate_path": found.path(f"{make}.pem"),
        }


def seen(variables: dict[str, Any]) -> dict[str, authority.Member]:
    """What the hosts of this play trust and show. A host that is a gateway and has a door counts with both."""
    found = {}
    for name in variables["ansible_play_hosts"]:
        results = [variables["hostvars"][name].get(one) for one in RESULTS]
        told_of = [one for one in results if isinstance(one, dict) and "trusted" in one]
        if told_of:
            trusted = set.intersection(*(set(one["trusted"]) for one in told_of))
            signers = {signer for one in told_of for signer in one["signed_by"]}
            found[name] = authority.Member(tuple(sorted(trusted)), tuple(sorted(signers)))
    return found


def told(found: authority.Authority, given: dict[str, Any], now: float) -> dict[str, Any]:
    path = found.path(f"{authority.CURRENT}.pem")
    left = authority.dates(found.current, path).seconds_left(now) if found.current else -DAY
    return {
        "certificate": found.current,
        "trust": found.trust,
        "trusted": list(found.trusted),
        "trust_files": found.trust_files,
        "signer": fingerprint(found.current) if found.current else "",
        "certificate_path": path,
        "key_path": found.path(f"{authority.CURRENT}.key"),
        "passphrase_file": "" if given["passphrase"] else found.path(authority.PASSPHRASE),
        "days_left": int(left // DAY),
    }
