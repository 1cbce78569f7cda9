# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The encrypted tunnel in runs: refusals before a change, and no secret in any output.

`make kernel` tests the encryption itself, on a kernel that has ESP; that of this machine may lack it.
"""

from __future__ import annotations

import pytest
from fleet import NODE_NAMES, POD_ADDRESS, assert_same

SECRET = "not-a-random-text-but-long-enough-for-a-test"
HAS_ESP = (
    "unshare --net ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 256 mode transport"
    f" enc 'cbc(aes)' 0x{'00' * 32} auth-trunc 'hmac(sha256)' 0x{'00' * 32} 128 2>/dev/null && echo yes || echo no"
)
ENCRYPTED = {"egress_ip_tunnel_encryption": "ipsec", "egress_ip_tunnel_secret": SECRET}


@pytest.fixture
def can_encrypt(fleet):
    """Whether the kernel of the lab's hosts has ESP."""
    return fleet.lab.exec("node1", "bash", "-c", HAS_ESP).strip() == "yes"


def test_a_short_secret_stops_the_run(fleet):
    before = fleet.snapshot()
    for secret in ("", "hunter2"):
        run = fleet.bad(egress_ip_tunnel_encryption="ipsec", egress_ip_tunnel_secret=secret)
        assert any("egress_ip_tunnel_secret: must be a text of at least 32" in line for line in run.failed()), (
            run.output
        )
        assert "hunter2" not in run.output
    assert_same(before, fleet.snapshot())


def test_a_kernel_without_esp_is_one_line_for_each_node(fleet, can_encrypt):
    if can_encrypt:
        pytest.skip("the kernel of this machine has ESP")
    before = fleet.snapshot()
    run = fleet.bad(**ENCRYPTED)
    assert_same(before, fleet.snapshot())
    for name in NODE_NAMES:
        assert (
            f"{name}: egress_ip_tunnel_encryption: ipsec needs iproute2 5.9 or newer, and a kernel with ESP"
            in run.output
        )
    assert "Traceback" not in run.output


@pytest.mark.parametrize("words", [(), ("--check", "--diff")])
def test_no_output_and_no_log_has_the_secret(fleet, can_encrypt, words):
    """Each module gets the secret, whether or not the kernel can encrypt. Of the state, the log has a digest only."""
    # In the inventory, not in extra variables, which Ansible itself shows at this verbosity.
    hosts = {name: ENCRYPTED if can_encrypt else {"egress_ip_tunnel_secret": SECRET} for name in NODE_NAMES}
    since = fleet.lab.exec("node1", "date", "+%F %T").strip()
    run = fleet.good("reconcile", "-vvvv", *words, hosts=hosts, egress_ip_unassigned="drop")
    assert run.changed() == list(NODE_NAMES)
    assert SECRET not in run.output
    for name in NODE_NAMES:
        log = fleet.journal(name, "--since", since)
        assert SECRET not in log
        assert "'digest': '" in log
        assert POD_ADDRESS["namespace1/pod1"] not in "".join(line for line in log.splitlines() if "Invoked" in line)
        known = {"/var/lib/netops-egress-ip/tunnel.secrets.json"} if can_encrypt and not words else set()
        found = fleet.lab.exec(name, "bash", "-c", f"grep -rlF {SECRET} /var/lib /etc /run /tmp /root || true")
        assert {*found.split()} <= known
