# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench-fleet`: what a converged fleet costs the controller, beside an earlier commit on the same hosts.

The hosts are containers without systemd, two of three with Ollama's stand-in, each third with a real llama-server.
The earlier commit converges them and is measured by runs that change nothing; then the working tree does the same. Only
the smallest fleet is measured beside the earlier commit: how its cost grows says nothing of ours.

    python tests/bench/fleet.py [--hosts 3,10,30] [--base COMMIT] [--repeat 1] [--no-base]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("GGUF_FLEET_CACHE") or Path.home() / ".cache/gguf-fleet")
# The last commit in which each role worked out for itself what the inventory means.
BEFORE_THE_FLEET_VALUE = "1a207b7"
# Another name lets two of these run beside each other.
NETWORK = os.environ.get("BENCH_NETWORK", "gguf-fleet-bench")
# What this bench asks for: of the CPU seconds of the base, and of those at the smallest number of hosts.
AT_MOST_OF_BASE, AT_MOST_OF_FEW_HOSTS = 0.40, 1.10


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], text=True, capture_output=True, check=True).stdout.strip()


def image_of(number: int) -> str:
    return "forky" if number % 3 == 2 else "bookworm"


def name_of(number: int) -> str:
    return f"{NETWORK}-{number:02}"


@contextmanager
def machines(count: int) -> Iterator[str]:
    """The hub and the hosts; yields the hub's URL."""
    subprocess.run([ROOT / "tests/images/build.sh", "bookworm", "forky"], check=True)
    subprocess.run([ROOT / "tests/assets/build.sh"], check=True)
    remove_machines()
    docker("network", "create", NETWORK)
    try:
        hub = [f"--volume={ROOT}/tests/doubles/hub:/opt/hub:ro", f"--volume={CACHE}/assets:/srv/assets:ro"]
        serve = "python3 -B /opt/hub/serve.py --root /srv/assets/hub --checksums-file /tmp/hub.json --host 0.0.0.0"
        start_machine(f"{NETWORK}-hub", *hub, "gguf-fleet-bookworm", *serve.split(), "--port", "8080")
        gpus = [
            f"--volume={CACHE}/assets/nvml/libnvidia-ml.so.1:/usr/local/lib/libnvidia-ml.so.1:ro",
            f"--volume={ROOT}/tests/doubles/nvml/configs/rtx4090x2.conf:/etc/nvml-double.conf:ro",
        ]
        for number in range(count):
            image = image_of(number)
            start_machine(
                name_of(number), *(gpus if image == "bookworm" else []), f"gguf-fleet-{image}", "sleep", "infinity"
            )
            docker("exec", name_of(number), "ldconfig")
        address = docker(
            "inspect", "--format", f'{{{{(index .NetworkSettings.Networks "{NETWORK}").IPAddress}}}}', f"{NETWORK}-hub"
        )
        yield f"http://{address}:8080"
    finally:
        remove_machines()


def start_machine(name: str, *options: str) -> None:
    docker("run", "--detach", "--init", "--name", name, "--network", NETWORK, *options)


def remove_machines() -> None:
    names = docker("ps", "--all", "--format", "{{.Names}}", "--filter", f"name=^{NETWORK}-").split()
    if names:
        docker("rm", "--force", "--volumes", *names)
    subprocess.run(["docker", "network", "rm", NETWORK], capture_output=True, check=False)


def write_inventory(folder: Path, count: int, hub: str, checkout: Path) -> Path:
    groups: dict[str, dict[str, Any]] = {"bookworm": {}, "forky": {}}
    for number in range(count):
        groups[image_of(number)][name_of(number)] = None
    common = {
        "ansible_connection": "community.docker.docker",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_become": False,
        "models_serve": [{"name": "smollm2", "catalog": "smollm2-135m-instruct", "source": {"endpoint": hub}}],
        "models_lock_file": str(folder / "models.lock.txt"),
        # What the hosts themselves compute is not measured, and is kept small.
        "verify_question": "Say yes.",
        "verify_max_tokens": 4,
    }
    ollama = {
        "ollama_version": "0.33.2",
        "ollama_source_url": hub + "/releases/v{version}/{asset}",
        _trust_option(checkout): True,
    }
    llama_cpp = {"models_engine": "llama_cpp", "llama_cpp_source": "package"}
    children = {
        "ollama": {"hosts": groups["bookworm"], "vars": ollama},
        "llama_cpp": {"hosts": groups["forky"], "vars": llama_cpp},
    }
    inventory = folder / f"hosts-{count}.yml"
    inventory.write_text(yaml.safe_dump({"all": {"vars": common, "children": children}}))
    return inventory


def _trust_option(checkout: Path) -> str:
    """It had another name before; each commit is given its own."""
    name = "ollama_trust_mirror_checksums"
    known = name in (checkout / "roles/ollama/meta/argument_specs.yml").read_text()
    return name if known else "ollama_trust_mirror_sums"


@dataclass(frozen=True)
class Run:
    hosts: int
    wall_seconds: float
    cpu_seconds: float
    # By host: the modules that ran there, those that ran on the controller for it, and the tasks that were not skipped.
    on_host: dict[str, list[str]]
    on_controller: dict[str, list[str]]
    tasks: dict[str, int]
    changed: int
    # Each task of the play, with the CPU seconds from its start to that of the next.
    tasks_in_play: list[tuple[str, float]]

    def cpu_a_host(self) -> float:
        return self.cpu_seconds / self.hosts


def play(checkout: Path, inventory: Path, hosts: int, folder: Path) -> Run:
    counts = folder / "counts"
    counts.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/bench/callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "counts",
        "ANSIBLE_FORKS": "10",
        "BENCH_COUNTS": str(counts),
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), "site.yml"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, cwd=checkout, env=environment, text=True, capture_output=True, check=False)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)} in {checkout}:\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}")
    (folder / f"{checkout.name}-{hosts}.log").write_text(done.stdout)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    on_host: dict[str, list[str]] = {}
    on_controller: dict[str, list[str]] = {}
    tasks: dict[str, int] = {}
    changed = 0
    headers: list[tuple[str, float]] = []
    for note in map(json.loads, counts.read_text().splitlines()):
        if note["kind"] == "module":
            there = on_host if note["where"] == "host" else on_controller
            there.setdefault(note["host"], []).append(note["module"].rpartition(".")[2])
        elif note["kind"] == "recap":
            tasks[note["host"]] = note["ok"]
            changed += note["changed"]
        else:
            headers.append((note.get("name", ""), note["cpu_seconds"]))
    dear = [(name, after - before) for (name, before), (_name, after) in zip(headers, headers[1:])]
    return Run(hosts, wall, cpu, on_host, on_controller, tasks, changed, dear)


def measure(title: str, checkout: Path, inventories: dict[int, Path], folder: Path, repeat: int) -> dict[int, Run]:
    """The smaller fleets first: each is converged, which adds its new hosts, and measured by a run without a change."""
    runs: dict[int, Run] = {}
    for count, inventory in sorted(inventories.items()):
        print(f"\n{title}: converging {count} hosts", flush=True)
        # A second time where the first one only moves what an earlier commit left; a fourth one would be a defect.
        for _run in range(4):
            last = play(checkout, inventory, count, folder)
            print(f"  {last.wall_seconds:.0f} s, changed={last.changed}", flush=True)
            if last.changed == 0:
                break
        more = [play(checkout, inventory, count, folder) for _run in range(repeat - 1)]
        runs[count] = min([last, *more], key=lambda run: run.cpu_seconds)
        print_run(runs[count])
        if len(runs) > 1:
            compare({}, runs)
    return runs


def print_run(run: Run) -> None:
    print(f"  {run.hosts} hosts: {run.wall_seconds:.1f} s, {run.cpu_seconds:.1f} CPU s of the controller, ", end="")
    print(
        f"{run.cpu_a_host():.2f} a host; changed={run.changed}; {len(run.tasks_in_play)} tasks in the play", flush=True
    )
    if run.changed:
        sys.exit("A run that should change nothing has changed something, so its cost says nothing.")
    for number in (0, 2):
        host = name_of(number)
        if host not in run.tasks:
            continue
        engine = "llama.cpp" if image_of(number) == "forky" else "Ollama"
        there = run.on_host.get(host, [])
        print(f"    {engine} host: {run.tasks[host]} tasks, {len(there)} module runs: {listed(there)}")
        print(f"      on the controller for it, with what it runs for all: {listed(run.on_controller.get(host, []))}")
    print_dearest(run)


def print_dearest(run: Run) -> None:
    """Where the CPU seconds of the controller went, by tasks of the play."""
    print("    CPU s of the controller by task (what is below 2 % is left out):")
    for name, seconds in sorted(run.tasks_in_play, key=lambda task: -task[1]):
        if seconds > run.cpu_seconds / 50:
            print(f"      {seconds:6.2f}  {name}")


def listed(modules: list[str]) -> str:
    return ", ".join(f"{name} x{count}" if count > 1 else name for name, count in Counter(modules).items()) or "none"


def compare(base: dict[int, Run], now: dict[int, Run]) -> bool:
    """Prints both side by side; whether the bars are kept."""
    kept = True
    print(f"\n{'hosts':>6}{'wall s':>16}{'CPU s a host':>18}{'modules a host':>18}{'tasks a host':>16}{'CPU':>8}")
    for count, run in now.items():
        rows = [run] if count not in base else [base[count], run]

        def both(values: list[float], digits: int) -> str:
            return " -> ".join(f"{value:.{digits}f}" for value in values)

        share = run.cpu_seconds / rows[0].cpu_seconds
        print(
            f"{count:>6}{both([row.wall_seconds for row in rows], 0):>16}"
            f"{both([row.cpu_a_host() for row in rows], 2):>18}"
            f"{both([mean(len(m) for m in row.on_host.values()) for row in rows], 1):>18}"
            f"{both([mean(row.tasks.values()) for row in rows], 1):>16}{share:>8.0%}"
        )
        kept = kept and (count not in base or share <= AT_MOST_OF_BASE)
    few, many = min(now), max(now)
    growth = now[many].cpu_a_host() / now[few].cpu_a_host()
    print(f"CPU a host at {many} hosts: {growth:.2f} times that at {few} (at most {AT_MOST_OF_FEW_HOSTS})")
    return kept and growth <= AT_MOST_OF_FEW_HOSTS


def mean(values: Any) -> float:
    return statistics.fmean(list(values) or [0])


@contextmanager
def worktree(commit: str, folder: Path) -> Iterator[Path]:
    place = folder / "base"
    subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", place, commit], check=True)
    try:
        yield place
    finally:
        subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", place], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", default=os.environ.get("BENCH_HOSTS", "3,10,30"))
    parser.add_argument("--base", default=os.environ.get("BENCH_BASE", BEFORE_THE_FLEET_VALUE))
    parser.add_argument("--no-base", action="store_true", help="measure the working tree alone")
    parser.add_argument("--repeat", type=int, default=1, help="the cheapest of so many runs counts")
    options = parser.parse_args()
    counts = [int(count) for count in options.hosts.split(",")]
    with tempfile.TemporaryDirectory() as place, machines(max(counts)) as hub:
        folder = Path(place)
        base: dict[int, Run] = {}
        if not options.no_base:
            own = folder / "of-base"
            own.mkdir()
            with worktree(options.base, folder) as checkout:
                few = min(counts)
                inventories = {few: write_inventory(own, few, hub, checkout)}
                base = measure(f"base {options.base}", checkout, inventories, folder, options.repeat)
        inventories = {count: write_inventory(folder, count, hub, ROOT) for count in counts}
        now = measure("working tree", ROOT, inventories, folder, options.repeat)
        if not compare(base, now):
            sys.exit("more than the bar")


if __name__ == "__main__":
    main()
