# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which models are loaded, on what, and until when."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from . import placement
from .environment import Environment
from .gofmt import FOREVER, NANOSECONDS, human_bytes_binary
from .gpus import OVERHEAD_BYTES, Gpu
from .model import Model
from .runner import Runner, RunnerProblem

_LOAD_OPTIONS = ("num_ctx", "num_gpu", "num_batch", "main_gpu", "use_mmap", "num_thread")
_DEFAULTS = {"num_gpu": -1, "num_batch": 512, "main_gpu": 0, "use_mmap": None, "num_thread": 0}
_TIERS = ((47 << 30, 262144), (23 << 30, 32768), (0, 4096))


class Loaded:
    """A loaded model and its clock."""

    def __init__(self, model: Model, key: Tuple[Any, ...], context: int, placed: placement.Placement) -> None:
        self.model = model
        self.key = key
        self.context = context
        self.placed = placed
        self.runner: Optional[Runner] = None
        self.ready = threading.Event()
        self.problem: Optional[Exception] = None
        self.users = 0
        self.keep_alive = 0
        self.expires = 0.0
        self.last_used = time.time()


def _serves(loaded: Tuple[Any, ...], wanted: Tuple[Any, ...]) -> bool:
    """Whether a request with these options is served without loading again; an automatic num_gpu takes any."""
    automatic = int(wanted[1]) < 0
    return loaded[:1] + loaded[2:] == wanted[:1] + wanted[2:] and (automatic or loaded[1] == wanted[1])


class TooMany(Exception):
    """The queue is full."""


class Scheduler:
    """Loads, shares and expires runners."""

    def __init__(
        self, env: Environment, environ: Mapping[str, str], gpus: List[Gpu], log: Callable[[str, str], None]
    ) -> None:
        self.env = env
        self.environ = environ
        self.gpus = gpus
        self.log = log
        self.lock = threading.RLock()
        self.loading = threading.Lock()
        self.loaded: Dict[str, Loaded] = {}
        self.waiting = 0
        threading.Thread(target=self._expire_loop, daemon=True).start()

    def default_context(self, header_context: int) -> int:
        """num_ctx where nobody set it."""
        if self.env.context_length:
            return self.env.context_length
        if not self.env.rules.rewrites_files:
            return 2048
        total = sum(gpu.total - self.env.gpu_overhead for gpu in self.gpus)
        tier = next(context for limit, context in _TIERS if total >= limit)
        return min(tier, header_context) if header_context else tier

    def acquire(
        self, model: Model, options: Dict[str, Any], keep_alive: Optional[int], gone: Callable[[], bool]
    ) -> Loaded:
        """A loaded model for one request; pair with release()."""
        with self.lock:
            if self.waiting >= max(1, self.env.max_queue):
                raise TooMany("server busy, please try again.  maximum pending requests exceeded")
            self.waiting += 1
        try:
            with self.loading:
                entry = self._load(model, options, gone)
                with self.lock:
                    entry.users += 1
                    if keep_alive is not None:
                        entry.keep_alive = keep_alive
                    entry.last_used = time.time()
                return entry
        finally:
            with self.lock:
                self.waiting -= 1

    def _load(self, model: Model, options: Dict[str, Any], gone: Callable[[], bool]) -> Loaded:
        header = model.read_gguf()
        context = max(4, int(options.get("num_ctx") or self.default_context(header.of_architecture("context_length"))))
        key = (context, *tuple(options.get(name, _DEFAULTS.get(name)) for name in _LOAD_OPTIONS[1:]))
        with self.lock:
            entry = self.loaded.get(model.path)
        if entry is not None:
            # Whatever name it was loaded by: weights and options of the runner are all that counts.
            if _serves(entry.key, key) and entry.runner is not None and entry.runner.process.poll() is None:
                return entry
            self.unload(entry)
        self._make_room()
        parallel = self.env.num_parallel or self.env.rules.parallel_by_default
        num_gpu = int(options.get("num_gpu", -1))
        free = self._free()
        try:
            placed = placement.place(header, context * parallel, num_gpu, free, self.env.gpu_overhead)
        except placement.DoesNotFit as problem:
            raise RunnerProblem("llama runner process has terminated: %s" % problem) from problem
        self._check_memory(placed)
        self.log(
            "INFO", 'msg="offload to cuda" layers.offload=%d layers.model=%d' % (placed.layers, placed.layers_total)
        )
        environ = dict(self.environ)
        if not self.env.rules.rewrites_files:
            environ = {name: value for name, value in environ.items() if not name.startswith("LLAMA_ARG_")}
        entry = Loaded(model, key, context, placed)
        entry.keep_alive = self.env.keep_alive
        with self.lock:
            self.loaded[model.path] = entry
        stall = self.env.load_timeout
        try:
            holding = {gpu.uuid: amount + OVERHEAD_BYTES for gpu, amount in zip(self.gpus, placed.per_gpu) if amount}
            entry.runner = Runner(model.path, context, environ, holding, self.log)
            entry.runner.wait_ready(float("inf") if stall == FOREVER else stall / NANOSECONDS, gone)
        except RunnerProblem:
            with self.lock:
                self.loaded.pop(model.path, None)
            raise
        entry.ready.set()
        return entry

    def _check_memory(self, placed: placement.Placement) -> None:
        needed = placed.size - placed.size_vram
        try:
            with open("/proc/meminfo", encoding="ascii") as stream:
                fields = {line.split(":")[0]: int(line.split()[1]) << 10 for line in stream}
        except (OSError, ValueError):
            return
        available = fields.get("MemAvailable", 0) + fields.get("SwapFree", 0)
        if needed > available > 0:
            text = "model requires more system memory (%s) than is available (%s)"
            raise RunnerProblem(text % (human_bytes_binary(needed), human_bytes_binary(available)))

    def _free(self) -> List[int]:
        with self.lock:
            used = [entry.placed.per_gpu for entry in self.loaded.values()]
        return [gpu.free - sum(amounts[index] for amounts in used) for index, gpu in enumerate(self.gpus)]

    def _make_room(self) -> None:
        limit = self.env.max_loaded_models or 3 * max(1, len(self.gpus))
        while True:
            with self.lock:
                if len(self.loaded) < limit:
                    return
                idle = [entry for entry in self.loaded.values() if not entry.users]
            if idle:
                self.unload(min(idle, key=lambda entry: entry.last_used))
            else:
                time.sleep(0.05)

    def release(self, entry: Loaded) -> None:
        """The request is over: its keep_alive starts to run."""
        with self.lock:
            entry.users -= 1
            entry.last_used = time.time()
            entry.expires = self.expiry(entry)
        if entry.keep_alive == 0:
            self._unload_idle(entry)

    @staticmethod
    def expiry(entry: Loaded) -> float:
        """When it goes, in seconds since the epoch; a model that is kept forever expires in 2318, as upstream's."""
        return entry.last_used + (FOREVER if entry.keep_alive == FOREVER else entry.keep_alive) / NANOSECONDS

    def expire(self, model: Model) -> None:
        """keep_alive 0 without a prompt: unload as soon as nobody uses it."""
        with self.lock:
            entry = self.loaded.get(model.path)
            if entry is not None:
                entry.keep_alive = 0
                entry.expires = 0.0
        if entry is not None:
            self._unload_idle(entry)

    def _unload_idle(self, entry: Loaded) -> None:
        with self.lock:
            if entry.users or self.loaded.get(entry.model.path) is not entry:
                return
            del self.loaded[entry.model.path]
        if entry.runner is not None:
            entry.runner.stop()

    def unload(self, entry: Loaded) -> None:
        """Wait for the last request, then stop the runner."""
        while True:
            with self.lock:
                if not entry.users:
                    break
            time.sleep(0.05)
        self._unload_idle(entry)

    def _expire_loop(self) -> None:
        while True:
            time.sleep(0.2)
            with self.lock:
                due = [
                    e for e in self.loaded.values() if e.ready.is_set() and not e.users and time.time() >= e.expires > 0
                ]
            for entry in due:
                self._unload_idle(entry)

    def stop_all(self) -> None:
        """The server ends."""
        with self.lock:
            entries, self.loaded = list(self.loaded.values()), {}
        for entry in entries:
            if entry.runner is not None:
                entry.runner.stop()
