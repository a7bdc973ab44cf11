# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the controller come by the connection, in pieces: proved, merged on the way, resumed, told in check mode."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any, Dict

import pytest

from ansible_collections.gguf.fleet.tests.builders.download import Model, make_model
from ansible_collections.gguf.fleet.tests.integration.play import Play, next_line, wait_until


@pytest.fixture(name="model", scope="module")
def _model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return make_model(tmp_path_factory.mktemp("controller"), shard_bytes=12 * 2**20)


def sent(place: Path, model: Model, **more: Any) -> tuple[Play, list[Dict[str, Any]]]:
    """The task, and its downloads: a lock whose files are the controller's alone."""
    lock = place / "lock.json"
    lock.write_text(json.dumps(model.lock()), encoding="utf-8")
    dest = place / "models" / "tiny.gguf"
    given = f"{{{{ lookup('file', '{lock}') | from_json }}}}"
    one = {"name": "tiny", "lock": given, "dest": str(dest), "controller": str(model.root), **more}
    return Play(place, "gguf.fleet.gguf_download", dest), [one]


def left(play: Play) -> list[str]:
    return sorted(path.name for path in play.dest.parent.glob("*partial*"))


def test_shards_of_the_controller_become_one_proved_file_and_check_mode_told_the_bytes(
    model: Model, tmp_path: Path
) -> None:
    play, downloads = sent(tmp_path, model)
    foretold = play.run("--check", "-v", downloads=downloads)
    assert "changed=1" in foretold and f"from the controller ({model.size_bytes:,} bytes)" in foretold
    assert not play.dest.parent.exists()
    done = play.run("-v", downloads=downloads)
    assert "changed=1" in done and " from the controller" in done
    assert play.dest.read_bytes() == model.merged
    assert left(play) == []
    assert "changed=0" in play.run(downloads=downloads)
    assert "changed=0" in play.run("--check", downloads=downloads)


def test_shards_stay_shards_for_llama_cpp(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "tiny"
    play, downloads = sent(tmp_path, model, layout="shards", dest=str(folder))
    assert "changed=1" in play.run(downloads=downloads)
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == model.shards


def test_a_file_that_is_not_what_was_resolved_ends_the_transfer_which_goes_on_when_it_is_back(
    model: Model, tmp_path: Path
) -> None:
    play, downloads = sent(tmp_path, model)
    last = model.root / "lab/Tiny-GGUF" / model.paths[2]
    # Its header comes first, and then the shards in their order.
    running = play.start(downloads=downloads, rate_limit="8MiB/s")
    next_line(running, lambda line: line.startswith("localhost: the files come from here."))
    wait_until(play.dest.with_name("tiny.gguf.partial.journal").exists)
    last.rename(last.with_suffix(".away"))
    try:
        output, _errors = running.communicate(timeout=120)
    finally:
        last.with_suffix(".away").rename(last)
    assert "failed=1" in output and f"{last}: No such file or directory. Put the files back" in output
    done = play.run("-v", downloads=downloads)
    assert "changed=1" in done
    assert play.dest.read_bytes() == model.merged and left(play) == []


def test_an_interrupted_run_is_gone_on_with_by_the_next_one(model: Model, tmp_path: Path) -> None:
    play, downloads = sent(tmp_path, model)
    running = play.start(downloads=downloads, rate_limit="6MiB/s")
    status = play.dest.with_name("tiny.gguf.partial.json")
    wait_until(lambda: status.exists() and json.loads(status.read_text())["bytes_done"] > 8 * 2**20)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert not play.dest.exists()
    # The host goes down, too, which is what the journal is for.
    os.kill(json.loads(status.read_text())["holder"]["pid"], signal.SIGKILL)
    done = play.run("-v", downloads=downloads)
    assert play.dest.read_bytes() == model.merged and left(play) == []
    moved = int(done.split('"bytes_moved": ')[1].split(",")[0])
    assert 0 < moved < model.size_bytes - 7 * 2**20


def test_nothing_outside_of_the_folder_is_sent(model: Model, tmp_path: Path) -> None:
    play, downloads = sent(tmp_path, model, controller=str(tmp_path / "elsewhere"))
    output = play.run(downloads=downloads)
    assert "failed=1" in output and f"which is not in {tmp_path}/elsewhere" in output
    assert not play.dest.exists()
