# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the guides and the reference as web pages: python tests/ci/build_docs.py

A warning of Sphinx is an error. Then every link between pages is checked: the page, the anchor and the file must exist.
The guides stay as they are in the repository: Sphinx reads a copy of them in the same folders, beside the reference.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from tree import BUILD, ROOT

BIN = Path(sys.executable).parent
SITE = Path(__file__).with_name("docsite")
SOURCE, PAGES = BUILD / "docs/source", BUILD / "docs/html"
# A link without a scheme and without an anchor.
RELATIVE_LINK = re.compile(r"\]\((?P<target>[\w./-]+)\)")
GUIDES = ("*.md", "docs/*.md", "roles/*/README.md", "tests/README.md", "tests/*/README.md")
INVENTORY_HEADER = (
    b"# Sphinx inventory version 2\n# Project: Ansible\n# Version: latest\n"
    b"# The remainder of this file is compressed using zlib.\n"
)


def copy_guides() -> None:
    """Copy the guides, in their folders. A link to another file of the repository becomes one to its page there."""
    base = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["documentation"].rpartition("/")[0]
    guides = {path for pattern in GUIDES for path in ROOT.glob(pattern)}
    for path in guides:
        target = SOURCE / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(with_links(path, guides, base), encoding="utf-8")
    for name in ("conf.py", "index.md"):
        shutil.copyfile(SITE / name, SOURCE / name)


def with_links(path: Path, guides: set[Path], base: str) -> str:
    """Return the text of a guide in which links to what exists and is no guide begin with `base`."""

    def link(match: re.Match[str]) -> str:
        target = (path.parent / match["target"]).resolve()
        is_page = target in guides or not target.exists()
        return match[0] if is_page else f"]({base}/{target.relative_to(ROOT)})"

    return RELATIVE_LINK.sub(link, path.read_text(encoding="utf-8"))


def write_inventory(text: str, target: Path) -> None:
    """Write an inventory of Sphinx with the labels and environment variables of Ansible's own documentation."""
    rows = [line.split(maxsplit=2) for line in text.splitlines() if line and not line.startswith("#")]
    kinds = {label: "envvar" if label.startswith("ANSIBLE_") else "label" for label, _page, _title in rows}
    lines = "".join(f"{label} std:{kinds[label]} -1 {page} {title}\n" for label, page, title in rows)
    target.write_bytes(INVENTORY_HEADER + zlib.compress(lines.encode()))


def build() -> int:
    """Render the reference and then all pages; return the exit code."""
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(BUILD), "PATH": f"{BIN}:{os.environ['PATH']}"}
    reference = ("antsibull-docs", "collection", "--use-current", "--fail-on-error")
    (SOURCE / "collections").mkdir()
    words = (*reference, "--dest-dir", str(SOURCE), "netops.egress_ip")
    subprocess.run(words, env=environment, check=True)
    sphinx = ("sphinx-build", "-b", "html", "-q", "-W", "--keep-going", str(SOURCE), str(PAGES))
    return subprocess.run(sphinx, env=environment, check=False).returncode


class Page(HTMLParser):
    """The anchors and the links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one tag."""
        values = dict(attrs)
        self.anchors.update(value for value in (values.get("id"), values.get("name")) if value)
        link = values.get("href" if tag in ("a", "link") else "src")
        if link:
            self.links.append(link)


def broken_links(folder: Path) -> Iterator[str]:
    """Yield each link between pages of a folder that leads nowhere."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else set()
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in anchors):
                yield f"{path.relative_to(folder.resolve())}: the link {link} leads nowhere"


def main() -> int:
    """Build and check; 1 if something is wrong."""
    shutil.rmtree(BUILD / "docs", ignore_errors=True)
    SOURCE.mkdir(parents=True)
    # antsibull-docs requires that no one else can write there.
    SOURCE.chmod(0o755)
    copy_guides()
    write_inventory((SITE / "ansible_labels.txt").read_text(encoding="utf-8"), SOURCE / "ansible.inv")
    code = build()
    broken = list(broken_links(PAGES))
    print("\n".join([*broken, f"The documentation is in {PAGES / 'index.html'}"]))
    return int(bool(code or broken))


if __name__ == "__main__":
    sys.exit(main())
