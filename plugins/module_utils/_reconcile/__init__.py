# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run on the controller, from the facts of the fleet to the report. PRIVATE to the collection.

Imports _planner, _kubernetes, _dataplane, _provider, the folders of platforms, and _common.
"""
