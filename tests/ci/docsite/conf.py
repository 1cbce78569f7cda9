# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx's settings for the documentation; tests/ci/build_docs.py builds it."""

project = "netops.egress_ip"
title = "netops.egress_ip"
html_short_title = title
author = project_copyright = "The netops.egress_ip authors"
extensions = ["myst_parser", "sphinx.ext.intersphinx", "sphinx_antsibull_ext"]
# Headings of guides have the anchors that Git forges give them.
myst_heading_anchors = 4
pygments_style = "ansible"
highlight_language = "YAML+Jinja"
html_theme = "alabaster"
html_theme_options = {
    "page_width": "1100px",
    "fixed_sidebar": True,
    "description": "OKD egress IP for plain Linux hosts",
}
html_show_sphinx = False
html_use_modindex = False
html_use_index = False
html_copy_source = False
# The labels of Ansible's own documentation that the reference uses; a build needs no network.
intersphinx_mapping = {"ansible": ("https://docs.ansible.com/projects/ansible/latest/", "ansible.inv")}
default_role = "any"
nitpicky = True
