# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the planner: what if, headroom, explain, the cost of balance. PRIVATE to the collection.

Imports _reconcile, _planner, _solver, _kubernetes and _common.
"""
