# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small project with llama.cpp's targets and options: its llama-server tells its build, and answers."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

# Its options, targets and places of programs are those of llama.cpp.
PROJECT = """cmake_minimum_required(VERSION 3.14)
project("llama.cpp" C)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
option(GGML_RPC "ggml: use RPC" OFF)
option(LLAMA_BUILD_SERVER "llama: build server example" ON)
if (NOT DEFINED LLAMA_BUILD_NUMBER)
    set(LLAMA_BUILD_NUMBER 0)
endif()
add_library(llama SHARED llama.c)
set_target_properties(llama PROPERTIES VERSION 0.0.${LLAMA_BUILD_NUMBER} SOVERSION 0)
target_compile_definitions(llama PRIVATE BUILD=${LLAMA_BUILD_NUMBER} COMMIT="${LLAMA_BUILD_COMMIT}")
add_custom_command(OUTPUT second.c DEPENDS first.c
    COMMAND sh -c "echo second >>$HOME/steps; sleep SECONDS; echo 'int second;' >second.c" VERBATIM)
add_custom_command(OUTPUT first.c
    COMMAND sh -c "echo first >>$HOME/steps; echo 'int first;' >first.c" VERBATIM)
add_executable(llama-server server.c first.c second.c)
target_link_libraries(llama-server llama)
add_executable(llama-gguf-split tool.c)
add_executable(llama-fit-params tool.c)
if (GGML_RPC)
    add_executable(ggml-rpc-server tool.c)
endif()
add_executable(test-everything everything.c)
"""
LIBRARY = """#include <stdio.h>
void llama_print_version(void) {
    fprintf(stderr, "version: 0.6.0-dev (build %d, commit %s)\\n", BUILD, COMMIT);
}
"""
TOOL = "int main(void) { return 0; }\n"
SERVER = r"""#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
void llama_print_version(void);
int main(int argc, char ** argv) {
    int port = 8080;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--version")) { llama_print_version(); return 0; }
        if (!strcmp(argv[i], "--port")) port = atoi(argv[i + 1]);
    }
    int server = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(server, (struct sockaddr *) &address, sizeof address) || listen(server, 16)) return 1;
    for (;;) {
        int client = accept(server, 0, 0);
        char text[65536];
        ssize_t size = read(client, text, sizeof text - 1);
        text[size > 0 ? size : 0] = 0;
        const char * body = "{\"status\":\"ok\"}";
        const char * status = "200 OK";
        if (!strncmp(text, "POST", 4)) {
            body = GENERATES ? "data: {\"choices\":[{\"text\":\"yes\"}]}\n\ndata: [DONE]\n\n"
                : "{\"error\":{\"code\":500,\"message\":\"no kernel image\"}}";
            status = GENERATES ? "200 OK" : "500 Internal Server Error";
        }
        dprintf(client, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);
        close(client);
    }
}
"""


def files(*, generates: bool = True, compiles: bool = True, seconds: int = 0) -> dict[str, str]:
    """The project. seconds: how long its second step takes."""
    return {
        "CMakeLists.txt": PROJECT.replace("SECONDS", str(seconds)),
        "llama.c": LIBRARY,
        "server.c": SERVER.replace("GENERATES", str(int(generates)))
        if compiles
        else "int main(void) { return gone; }\n",
        "tool.c": TOOL,
        "everything.c": "#error nobody asked for this target\n",
    }


def archive(path: Path, contents: dict[str, str]) -> str:
    """A .tar.gz with one directory on top, as hosts of repositories make it; its sha256."""
    with tarfile.open(path, "w:gz") as packed:
        for name, text in contents.items():
            member = tarfile.TarInfo(f"llama.cpp-main/{name}")
            member.size = len(text.encode())
            packed.addfile(member, io.BytesIO(text.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Repository:
    """A bare git repository in a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"file://{path}"
        self._work = path.with_suffix(".work")
        self._git(path.parent, "init", "--quiet", "--bare", str(path))
        self._git(path.parent, "init", "--quiet", str(self._work))

    def tag(self, name: str, contents: dict[str, str]) -> str:
        """Commit these files under a tag, which moves there if it is elsewhere; the commit."""
        for file, text in contents.items():
            (self._work / file).write_text(text)
        self._git(self._work, "add", "--all")
        self._git(self._work, "commit", "--quiet", "--allow-empty", "--message", name)
        self._git(self._work, "tag", "--force", "--annotate", "--message", name, name)
        self._git(self._work, "push", "--quiet", "--force", str(self.path), name)
        return self._git(self._work, "rev-parse", "HEAD").strip()

    @staticmethod
    def _git(folder: Path, *arguments: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        done = subprocess.run(
            ["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout
