# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands for tests on the real kernel."""

from __future__ import annotations

import subprocess


def ip(*lines):
    subprocess.run(["ip", "-batch", "-"], input="".join(f"{line}\n" for line in lines), text=True, check=True)


def nft(*lines):
    subprocess.run(["nft", "-f", "-"], input="".join(f"{line}\n" for line in lines), text=True, check=True)


def shown(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def tagged(frame):
    """A frame with the tag of VLAN 5."""
    return frame[:12] + b"\x81\x00\x00\x05" + frame[12:]
