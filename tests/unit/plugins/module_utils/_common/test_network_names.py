# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of networks: their forms, and one clear error for each wrong one."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.network_names import (
    NetworkName,
    parse_network_name,
)
from hypothesis import given
from hypothesis import strategies as st

FORMS = "must be podman:NAME, docker:NAME, libvirt:NAME, interface:NAME, user:NAME or a network in CIDR form"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("podman:web", NetworkName("podman", "web")),
        ("docker:my_app-1.prod", NetworkName("docker", "my_app-1.prod")),
        ("libvirt:default", NetworkName("libvirt", "default")),
        ("interface:virbr1", NetworkName("interface", "virbr1")),
        ("user:deploy", NetworkName("user", "deploy")),
        ("user:jane.doe@example.com", NetworkName("user", "jane.doe@example.com")),
        ("user:host$", NetworkName("user", "host$")),
        ("user:1001", NetworkName("user", "1001")),
        ("10.89.7.0/24", NetworkName("cidr", "10.89.7.0/24")),
        ("FD00:0::/64", NetworkName("cidr", "fd00::/64")),
    ],
)
def test_each_form_is_read(text, name):
    assert parse_network_name(text, "path") == name
    assert parse_network_name(name.text, "path") == name


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("user:root", "'user:root' is the user of the host's own services; name another user"),
        ("user:0", "'user:0' is the user of the host's own services; name another user"),
        ("user:", "'user:' has no valid name of a user after the colon"),
        ("user:../x", "'user:../x' has no valid name of a user after the colon"),
        ("user:01", "'user:01' has no valid name of a user after the colon"),
        ("user:-1", "'user:-1' has no valid name of a user after the colon"),
        ("user:4294967295", "'user:4294967295' has no valid name of a user after the colon"),
        ("lxc:web", f"'lxc:web' names no known engine; {FORMS}"),
        ("web", f"'web' names no known engine; {FORMS}"),
        ("", f"'' names no known engine; {FORMS}"),
        ("Podman:web", "'Podman:web' names no known engine; did you mean podman:web?"),
        ("podman:", "'podman:' has no valid name of a network after the colon"),
        ("docker:a/../b", "'docker:a/../b' has no valid name of a network after the colon"),
        ("libvirt:-x", "'libvirt:-x' has no valid name of a network after the colon"),
        ("interface:a-name-that-is-too-long", "'interface:a-name-that-is-too-long' has no valid name of an interface"),
        ("interface:a b", "'interface:a b' has no valid name of an interface after the colon"),
        ("interface:*", "'interface:*' has no valid name of an interface after the colon"),
        ("interface:e*", "'interface:e*' has no valid name of an interface after the colon"),
        ("interface:\u00e9", "'interface:\u00e9' has no valid name of an interface after the colon"),
        ("interface:a{b", "'interface:a{b' has no valid name of an interface after the colon"),
        ("10.89.7.1/24", "'10.89.7.1/24' has host bits set"),
        ("10.89.7.0/33", "'10.89.7.0/33' has a prefix length above 32"),
        ("0.0.0.0/0", "'0.0.0.0/0' covers every address; list the networks of containers or VMs"),
        ("::/0", "'::/0' covers every address; list the networks of containers or VMs"),
    ],
)
def test_a_wrong_name_is_one_line(text, error):
    with pytest.raises(EgressIPError) as caught:
        parse_network_name(text, "path")
    assert str(caught.value).startswith(f"path: {error}")
    assert "\n" not in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_a_name_or_an_error(text):
    """The text of a name reads back as the same name, and is safe in paths and in the words of nft."""
    try:
        name = parse_network_name(text, "path")
    except EgressIPError:
        return
    assert parse_network_name(name.text, "path") == name
    assert not set(name.text) & set(" \t\n\"'\\")
    assert name.kind == "cidr" or "/" not in name.value
