# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of links between pages, and the list of pages."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/ci"))

import build_docs  # noqa: E402


@pytest.mark.parametrize(
    ("link", "is_broken"),
    [
        ("other.html", False),
        ("other.html#there", False),
        ("#here", False),
        ("https://example.com/gone#x", False),
        ("mailto:a@example.com", False),
        ("other.html#gone", True),
        ("gone.html", True),
        ("#gone", True),
        ("style.css", True),
    ],
)
def test_a_link_leads_to_a_page_an_anchor_or_a_file(tmp_path, link, is_broken):
    (tmp_path / "page.html").write_text(f'<h1 id="here">Page</h1><a href="{link}">x</a>', encoding="utf-8")
    (tmp_path / "other.html").write_text('<a name="there"></a>', encoding="utf-8")
    expected = [f"page.html: the link {link} leads nowhere"] if is_broken else []
    assert list(build_docs.broken_links(tmp_path)) == expected


def test_a_link_to_a_file_that_is_no_page_leads_to_the_repository():
    guides = {path for pattern in build_docs.GUIDES for path in ROOT.glob(pattern)}
    text = build_docs.with_links(ROOT / "docs/awx.md", guides, "https://git.example.com/main")
    assert "](https://git.example.com/main/examples/awx)" in text
    assert "](encryption.md)" in text


def test_each_guide_is_in_the_table_of_contents_once():
    index = (build_docs.SITE / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^(?:README|CHANGELOG|[A-Z_]{8,}|(?:docs|roles|tests)/\S+)$", index, re.MULTILINE)
    guides = [path.relative_to(ROOT) for pattern in build_docs.GUIDES for path in ROOT.glob(pattern)]
    assert sorted(listed) == sorted(str(path.with_suffix("")) for path in guides)
