# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the docs site without a network, and fails on a warning or a dead link: python docs/site/build.py FOLDER

Pages are the repository's own Markdown files, as they read on GitHub, and what antsibull-docs makes of the
documentation of modules, filters and roles. They end in FOLDER/html.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = "reference"
FENCED = re.compile(r"(^ *```.*?^ *```$)", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
# Files whose content has a page on the site, and its name there.
DOCUMENTED = (
    (r"plugins/modules/(\w+)\.py", r"\1_module.rst"),
    (r"roles/(\w+)/meta/argument_specs\.yml", r"\1_role.rst"),
)


def tracked() -> list[str]:
    """What git knows or would know: what a reader finds on GitHub."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return sorted({name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()})


def pages_of(files: list[str]) -> list[str]:
    return [
        name
        for name in files
        if name == "CHANGELOG.rst" or (name.endswith(".md") and not name.startswith((".", "docs/site/")))
    ]


def repository() -> str:
    galaxy = (ROOT / "galaxy.yml").read_text(encoding="utf-8")
    return str(re.findall(r"^repository: (\S+)$", galaxy, flags=re.MULTILINE)[0])


class Links:
    """Turns links to files and folders that are no pages into links to their documentation, or to the repository."""

    def __init__(self, files: list[str]) -> None:
        self.files = set(files)
        self.pages = set(pages_of(files))
        self.folders = {parent.as_posix() for name in files for parent in Path(name).parents}
        self.repository = repository()

    def target(self, page: str, link: str) -> str:
        path, _hash, _anchor = link.partition("#")
        if not path or urlsplit(link).scheme:
            return link
        there = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(path)))
        if there in self.pages:
            return link
        for pattern, documentation in DOCUMENTED:
            found = re.fullmatch(pattern, there)
            if found and there in self.files:
                name = f"{REFERENCE}/{found.expand(documentation)}"
                return posixpath.relpath(name, posixpath.dirname(page) or ".")
        if there in self.files:
            return f"{self.repository}/blob/main/{there}"
        if there in self.folders:
            return f"{self.repository}/tree/main/{there}"
        # It stays as it is, and Sphinx says that it leads nowhere.
        return link

    def rewritten(self, page: str, text: str) -> str:
        # Fenced blocks stay as they are.
        parts = FENCED.split(text)
        parts[::2] = [LINK.sub(lambda found: self.target(page, found[1]), part) for part in parts[::2]]
        return "".join(parts)


class Targets(HTMLParser):
    """The anchors of a page, and what it links to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                (self.links if tag == "a" else self.loaded).add(value)


def dead_links(html: Path) -> list[str]:
    """Links of the built pages to what is not there, and what a page would load from elsewhere."""
    pages = {path: Targets(path) for path in sorted(html.rglob("*.html"))}
    wrong = []
    for path, page in pages.items():
        name = path.relative_to(html)
        wrong += [f"{name} loads {link} from elsewhere" for link in sorted(page.loaded) if urlsplit(link).netloc]
        for link in sorted(page.links | page.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not there.is_file():
                wrong.append(f"{name} links to {link}, which is not there")
            elif parts.fragment and there in pages and unquote(parts.fragment) not in pages[there].anchors:
                wrong.append(f"{name} links to {link}, an anchor that is not there")
    return wrong


def main(folder: Path) -> None:
    files = tracked()
    links = Links(files)
    shutil.rmtree(folder, ignore_errors=True)
    source = folder / "source"
    for name in pages_of(files):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(links.rewritten(name, (ROOT / name).read_text(encoding="utf-8")), encoding="utf-8")
    shutil.copy(ROOT / "docs/site/index.md", source / "index.md")

    # antsibull-docs takes no folder that others can write to.
    (source / REFERENCE).mkdir(mode=0o755)
    command = [
        "antsibull-docs",
        "collection",
        "--use-current",
        "--squash-hierarchy",
        "--fail-on-error",
        "--no-breadcrumbs",
    ]
    subprocess.run([*command, "--dest-dir", str(source / REFERENCE), "gguf.fleet"], cwd=ROOT, check=True)
    command = [
        "sphinx-build",
        "-b",
        "html",
        "-c",
        str(ROOT / "docs/site"),
        "-d",
        str(folder / "doctrees"),
        "-q",
        "-n",
        "-W",
        "--keep-going",
    ]
    subprocess.run([*command, str(source), str(folder / "html")], cwd=ROOT, check=True)

    wrong = dead_links(folder / "html")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"docs: {folder / 'html/index.html'}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]).resolve())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} failed (exit code {error.returncode}): see above.")
