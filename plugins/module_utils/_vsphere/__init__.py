# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The platform vSphere, and the only folder that imports pyVmomi. PRIVATE to the collection.

Imports _provider and _common.
"""
