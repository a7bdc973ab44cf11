# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's environment as Ollama's envconfig reads it: quotes stripped, empty is unset, nonsense is silent."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Dict, List, Mapping, Optional, Tuple

from .epochs import Epochs
from .gofmt import FOREVER, NANOSECONDS, duration, parse_duration

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
_SCHEMAS = (
    "http://",
    "https://",
    "chrome-extension://",
    "safari-extension://",
    "moz-extension://",
    "ms-browser-extension://",
)

BAD_ORIGIN = "bad origin: origins must contain '*' or include %s" % ",".join(_SCHEMAS)


class Panic(Exception):
    """What ends the real program with a Go panic: exit code 2 and a trace."""


def parse_bool(text: str) -> bool:
    """strconv.ParseBool."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError('strconv.ParseBool: parsing "%s": invalid syntax' % text)


class Environment:
    """The settings of one process; `warnings` collects what the server logs about values that it cannot read."""

    def __init__(self, variables: Mapping[str, str], rules: Epochs) -> None:
        self.variables = variables
        self.rules = rules
        self.warnings: List[str] = []

    def var(self, name: str) -> str:
        """A variable without the blanks and quotes around it."""
        return self.variables.get(name, "").strip().strip("\"'")

    def flag(self, name: str) -> bool:
        """A boolean: text that is not one counts as true."""
        text = self.var(name)
        if not text:
            return False
        try:
            return parse_bool(text)
        except ValueError:
            return True

    def uint(self, name: str, default: int) -> int:
        """An unsigned number: anything else is the default, with a warning."""
        text = self.var(name)
        if text:
            if re.match(r"[0-9]+\Z", text) and int(text) < 1 << 64:
                return int(text)
            self.warnings.append(
                'msg="invalid environment variable, using default" key=%s value=%s default=%d' % (name, text, default)
            )
        return default

    def _duration(self, name: str, default: int) -> int:
        text = self.var(name)
        if text:
            try:
                return parse_duration(text)
            except ValueError:
                if re.match(r"[+-]?[0-9]+\Z", text):
                    return int(text) * NANOSECONDS
        return default

    @property
    def home(self) -> str:
        """$HOME, or an error as Go words it."""
        if not self.variables.get("HOME"):
            raise LookupError("$HOME is not defined")
        return self.variables["HOME"]

    @property
    def models(self) -> str:
        """The store; without OLLAMA_MODELS and HOME the real program panics."""
        path = self.var("OLLAMA_MODELS")
        if path:
            return path
        try:
            return os.path.join(self.home, ".ollama", "models")
        except LookupError as problem:
            raise Panic(str(problem)) from problem

    @property
    def keep_alive(self) -> int:
        """Nanoseconds that a model stays loaded; FOREVER when negative."""
        value = self._duration("OLLAMA_KEEP_ALIVE", 300 * NANOSECONDS)
        return FOREVER if value < 0 else value

    @property
    def load_timeout(self) -> int:
        """Nanoseconds that a load may stall."""
        value = self._duration("OLLAMA_LOAD_TIMEOUT", 300 * NANOSECONDS)
        return FOREVER if value <= 0 else value

    @property
    def num_parallel(self) -> int:
        """0 where the version chooses by itself."""
        return self.uint("OLLAMA_NUM_PARALLEL", 1 if self.rules.parallel_by_default == 1 else 0)

    @property
    def max_loaded_models(self) -> int:
        """0 means 3 a GPU."""
        return self.uint("OLLAMA_MAX_LOADED_MODELS", 0)

    @property
    def max_queue(self) -> int:
        """Requests that may wait before 503."""
        return self.uint("OLLAMA_MAX_QUEUE", 512)

    @property
    def gpu_overhead(self) -> int:
        """Bytes a GPU that are left alone."""
        return self.uint("OLLAMA_GPU_OVERHEAD", 0)

    @property
    def context_length(self) -> int:
        """0 where the version does not know the variable or it is unset."""
        return self.uint("OLLAMA_CONTEXT_LENGTH", 0) if self.rules.context_length_variable else 0

    @property
    def no_prune(self) -> bool:
        """Prune at start is off."""
        return self.flag("OLLAMA_NOPRUNE")

    def host(self) -> Tuple[str, str, int]:
        """Scheme, address and port of OLLAMA_HOST."""
        text = self.var("OLLAMA_HOST").strip()
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest = "http", text
        default = {"http": 80, "https": 443}.get(scheme, 11434) if separator else 11434
        hostport = rest.split("/")[0]
        address, port = _split_host_port(hostport)
        if port is None:
            bare = hostport.strip("[]")
            try:
                address = str(ipaddress.ip_address(bare))
            except ValueError:
                address = hostport or "127.0.0.1"
            return scheme, address, default
        if re.match(r"[+-]?[0-9]+\Z", port) and 0 <= int(port) <= 65535:
            return scheme, address, int(port)
        self.warnings.append('msg="invalid port, using default" port=%s default=%d' % (port, default))
        return scheme, address, default

    @property
    def origins(self) -> List[str]:
        """The origins that CORS lets through."""
        text = self.var("OLLAMA_ORIGINS")
        allowed = text.split(",") if text else []
        for origin in ("localhost", "127.0.0.1", "0.0.0.0"):
            allowed += ["http://" + origin, "https://" + origin, "http://%s:*" % origin, "https://%s:*" % origin]
        allowed += ["app://*", "file://*", "tauri://*", "vscode-webview://*"]
        if self.rules.rewrites_files:
            allowed.append("vscode-file://*")
        return allowed

    def check_origins(self) -> None:
        """The panic of the CORS library over an origin that it cannot use."""
        for origin in self.origins:
            if "*" not in origin and not origin.startswith(_SCHEMAS):
                raise Panic(BAD_ORIGIN)
            if origin.count("*") > 1:
                raise Panic("only one * is allowed")

    def as_map(self) -> Dict[str, str]:
        """The effective values of the first log line."""
        scheme, address, port = self.host()
        host = "%s://%s:%d" % (scheme, "[%s]" % address if ":" in address else address, port)
        values = {
            "CUDA_VISIBLE_DEVICES": self.var("CUDA_VISIBLE_DEVICES"),
            "OLLAMA_DEBUG": _go_bool(self.flag("OLLAMA_DEBUG")),
            "OLLAMA_FLASH_ATTENTION": _go_bool(self.flag("OLLAMA_FLASH_ATTENTION")),
            "OLLAMA_GPU_OVERHEAD": str(self.gpu_overhead),
            "OLLAMA_HOST": host,
            "OLLAMA_KEEP_ALIVE": duration(self.keep_alive),
            "OLLAMA_KV_CACHE_TYPE": self.var("OLLAMA_KV_CACHE_TYPE"),
            "OLLAMA_LLM_LIBRARY": self.var("OLLAMA_LLM_LIBRARY"),
            "OLLAMA_LOAD_TIMEOUT": duration(self.load_timeout),
            "OLLAMA_MAX_LOADED_MODELS": str(self.max_loaded_models),
            "OLLAMA_MAX_QUEUE": str(self.max_queue),
            "OLLAMA_MODELS": self.models,
            "OLLAMA_NOHISTORY": _go_bool(self.flag("OLLAMA_NOHISTORY")),
            "OLLAMA_NOPRUNE": _go_bool(self.no_prune),
            "OLLAMA_NUM_PARALLEL": str(self.num_parallel),
            "OLLAMA_ORIGINS": "[%s]" % " ".join(self.origins),
            "OLLAMA_SCHED_SPREAD": _go_bool(self.flag("OLLAMA_SCHED_SPREAD")),
        }
        if self.rules.context_length_variable:
            values["OLLAMA_CONTEXT_LENGTH"] = str(self.context_length)
        return values


def _go_bool(value: bool) -> str:
    return "true" if value else "false"


def _split_host_port(text: str) -> Tuple[str, Optional[str]]:
    """net.SplitHostPort; the port is None where Go returns an error."""
    if text.startswith("["):
        inner, bracket, rest = text[1:].partition("]")
        return (inner, rest[1:]) if bracket and rest.startswith(":") else (text, None)
    if text.count(":") != 1:
        return text, None
    address, _colon, port = text.partition(":")
    return address, port
