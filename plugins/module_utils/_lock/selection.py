# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which files of a listing are meant: the shards of one quant, complete and in order."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.shard_names import shard_name_of
from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import ListedFile
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem

# The name of a quant, with the publisher's mark for dynamic ones before it.
_QUANT = re.compile(
    r"(?:^|[-._])((?:UD-)?(?:I?Q\d+(?:_[A-Z0-9]+)*|TQ\d+_\d+|BF16|F16|F32|FP16|FP8|MXFP4(?:_MOE)?))(?=$|[-._])",
    re.IGNORECASE,
)
# Beside the models lie their companions, which are no quant of them.
_COMPANIONS = ("mmproj", "imatrix")
CANDIDATES_SHOWN = 30


@dataclass(frozen=True)
class Candidate:
    """The files that make one model together: the shards of one set, or one whole file."""

    stem: str  # path without shard number and suffix
    count: int  # shards that the names promise
    files: Tuple[ListedFile, ...]

    @property
    def quant(self) -> str:
        return quant_name(self.stem)

    @property
    def size_bytes(self) -> Optional[int]:
        sizes = [file.size_bytes for file in self.files]
        return sum(size for size in sizes if size is not None) if None not in sizes else None

    @property
    def shown(self) -> str:
        shards = f"{self.count} shards" if self.count > 1 else "1 file"
        if len(self.files) != self.count:
            shards = f"{len(self.files)} of {self.count} shards: incomplete"
        return f"{self.quant} ({shown_size(self.size_bytes)}, {shards}, {self.files[0].path})"


def quant_name(stem: str) -> str:
    """``UD-IQ1_S`` of ``DeepSeek-R1-UD-IQ1_S/DeepSeek-R1-UD-IQ1_S``; the bare file name when it names no quant."""
    base = posixpath.basename(stem)
    found: List[str] = _QUANT.findall(base)
    return found[-1].upper() if found else base


def candidates(files: Iterable[ListedFile]) -> List[Candidate]:
    """Every model in the listing, sorted by name."""
    sets: Dict[Tuple[str, int], List[Tuple[int, ListedFile]]] = {}
    for file in files:
        name = posixpath.basename(file.path)
        if not name.lower().endswith(".gguf") or name.lower().startswith(_COMPANIONS):
            continue
        shard = shard_name_of(file.path)
        if shard is None:
            sets[(file.path[: -len(".gguf")], 1)] = [(1, file)]
        else:
            sets.setdefault((shard.prefix, shard.count), []).append((shard.number, file))
    return [
        Candidate(stem, count, tuple(file for _number, file in sorted(numbered, key=lambda pair: pair[0])))
        for (stem, count), numbered in sorted(sets.items())
    ]


def select(
    files: Sequence[ListedFile], *, quant: Optional[str] = None, pattern: Optional[str] = None, where: str
) -> Candidate:
    """The one model that is meant. Raises HubProblem with what there is when none or several are."""
    found = candidates(files)
    if not found:
        raise HubProblem(
            f"{where} holds no GGUF file.", "Look for the model's GGUF repository; it is often another one."
        )
    if pattern is not None:
        chosen = _by_pattern(found, files, pattern, where)
    elif quant is not None:
        chosen = _by_quant(found, quant)
    else:
        chosen = found
    if not chosen:
        raise HubProblem(f"{where} has no {pattern or quant}. It has {_list(found)}.", "Ask for one of these.")
    if len(chosen) > 1:
        asked = pattern or quant
        several = f"{asked} fits {len(chosen)} models of {where}" if asked else f"{where} holds {len(chosen)} models"
        remedy = "Give a quant or a pattern." if not asked else "Give a pattern with the path of one of them."
        raise HubProblem(f"{several}: {_list(chosen)}.", remedy)
    return complete(chosen[0], where)


def complete(candidate: Candidate, where: str) -> Candidate:
    """The candidate when its names are those of a whole set, 1 to N without gaps."""
    if candidate.count == 1 and shard_name_of(candidate.files[0].path) is None:
        return candidate
    present = set()
    for file in candidate.files:
        shard = shard_name_of(file.path)
        present.add(shard.number if shard else 0)
    wanted = set(range(1, candidate.count + 1))
    if present != wanted:
        missing = ", ".join(str(number) for number in sorted(wanted - present)[:10]) or "none"
        extra = ", ".join(str(number) for number in sorted(present - wanted)[:10])
        surplus = f", and there is a shard {extra} of {candidate.count}" if extra else ""
        raise HubProblem(
            f"The set {candidate.stem} of {where} is not whole: {len(candidate.files)} of {candidate.count} shards are "
            f"listed (missing: {missing}{surplus}).",
            "The publisher may be uploading right now: try later, or take another revision.",
        )
    return candidate


def shown_size(size_bytes: Optional[int]) -> str:
    """A size for people: ``130.6 GiB``."""
    if size_bytes is None:
        return "size not told"
    size, unit = float(size_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size_bytes} bytes" if unit == "bytes" else f"{size:.1f} {unit}"


def _by_quant(found: Sequence[Candidate], quant: str) -> List[Candidate]:
    """By the exact name; else by the name without the publisher's prefix (``Q2_K_XL`` for ``UD-Q2_K_XL``)."""
    asked = quant.upper()
    exact = [
        candidate
        for candidate in found
        if asked in (candidate.quant.upper(), posixpath.basename(candidate.stem).upper())
    ]
    return exact or [candidate for candidate in found if candidate.quant.upper().endswith("-" + asked)]


def _by_pattern(found: Sequence[Candidate], files: Sequence[ListedFile], pattern: str, where: str) -> List[Candidate]:
    exact = [candidate for candidate in found if pattern in [file.path for file in candidate.files]]
    if exact:
        return exact  # the name of one shard stands for its set, as it does for llama.cpp
    chosen = []
    for candidate in found:
        fitting = [file for file in candidate.files if fnmatch.fnmatchcase(file.path, pattern)]
        if fitting and len(fitting) < len(candidate.files):
            raise HubProblem(
                f"{pattern} fits {len(fitting)} of the {len(candidate.files)} shards of {candidate.stem} in {where}.",
                f"Use {candidate.stem}-*-of-{candidate.count:05d}.gguf",
            )
        if fitting:
            chosen.append(candidate)
    if not chosen:
        _refuse_missing_folder(files, pattern, where)
    return chosen


def _refuse_missing_folder(files: Sequence[ListedFile], pattern: str, where: str) -> None:
    """A file name without its folder fits nothing, on the hub's own download page as well."""
    for file in files:
        if "/" in file.path and fnmatch.fnmatchcase(posixpath.basename(file.path), pattern):
            right = posixpath.join(posixpath.dirname(file.path), pattern)
            raise HubProblem(f"{pattern} is not at the top of {where}: it lies in a folder.", f"Use {right}")


def _list(found: Sequence[Candidate]) -> str:
    shown = "; ".join(candidate.shown for candidate in found[:CANDIDATES_SHOWN])
    more = len(found) - CANDIDATES_SHOWN
    return f"{shown}; and {more} more" if more > 0 else shown
