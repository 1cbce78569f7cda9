# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The style and the script of the page fit its elements, and load nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile import page as page_module
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.page import page
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.page_assets import ARROWS, SCRIPT, STYLE
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.picture import picture

RUN = yaml.safe_load((Path(__file__).parents[3] / "golden/picture/planned/run.yml").read_text())
PAGE = page(picture(RUN, True), "title")
BODY = PAGE.replace(STYLE, "").replace(SCRIPT, "")
CLASSES = {name for names in re.findall(r'class="([^"]*)"', BODY) for name in names.split()}
CODE = Path(page_module.__file__).read_text(encoding="utf-8")


def test_every_class_of_the_style_is_one_of_the_page():
    styled = set(re.findall(r"\.([a-z]+)(?=[^{}]*\{)", re.sub(r"\{[^{}]*\}", "{}", STYLE)))
    assert styled
    assert {name for name in styled - CLASSES if name not in CODE} == set()


def test_every_colour_has_a_value_in_both_schemes():
    used = set(re.findall(r"var\((--[a-z]+)\)", STYLE))
    light, dark = re.findall(r":root \{([^}]*)\}", STYLE)
    assert used <= set(re.findall(r"--[a-z]+", light))
    assert set(re.findall(r"--[a-z]+", dark)) == set(re.findall(r"--[a-z]+", light))


def test_the_script_finds_its_elements():
    for selector in re.findall(r'document\.querySelector(?:All)?\("([^"]+)"\)', SCRIPT):
        name, attribute = re.fullmatch(r"\.?([a-z]+)(?:\[([a-z-]+)\])?", selector).groups()
        assert name in CLASSES if selector.startswith(".") else f"<{name}" in BODY
        assert not attribute or f" {attribute}=" in BODY
    (marker,) = set(re.findall(r"url\(#(\w+)\)", SCRIPT))
    assert f'id="{marker}"' in ARROWS


@pytest.mark.parametrize("text", [STYLE, SCRIPT, ARROWS], ids=["style", "script", "arrows"])
def test_an_asset_loads_nothing_and_ends_where_it_should(text):
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)|@import|fetch\(|</(?:style|script)", text) == []
    for left, right in ("{}", "()", "[]"):
        assert text.count(left) == text.count(right)
