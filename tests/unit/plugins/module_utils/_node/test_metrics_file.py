# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics of a node: when their files are there."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from ansible_collections.netops.egress_ip.plugins.module_utils._node import metrics_file, service
from node_runs import (
    A,
    B,
    apply,
    lines_of,
    noted,
    observe,
    remove,
)
from states import held, node_state


def with_metrics(folder="/var/lib/node_exporter", **changes):
    return node_state(options={"metrics_dir": folder} if folder else {}, **changes)


def metrics_of(kernel):
    """Return the names of what is there for the metrics alone."""
    files = {path.rpartition("/")[2] for path in kernel.files if "metrics" in path or path.endswith(".prom")}
    return files | {f"{unit} enabled" for unit in kernel.units if "metrics" in unit}


METRICS = {
    "netops-egress-ip-metrics.service",
    "netops-egress-ip-metrics.timer",
    "netops-egress-ip-metrics.timer enabled",
}


def test_without_a_folder_there_are_no_metrics(kernel):
    apply(kernel, node_state())
    assert metrics_of(kernel) == set()
    assert service.main(kernel, ["metrics"]) == 0
    assert metrics_of(kernel) == set()
    assert observe(kernel)["metrics"] is None


def test_metrics_are_written_while_there_is_a_folder(kernel):
    apply(kernel, with_metrics())
    assert metrics_of(kernel) == METRICS
    assert "netops-egress-ip-metrics.timer" in kernel.logged("run")[-1]
    assert service.main(kernel, ["metrics"]) == 0
    content, _mode = kernel.files["/var/lib/node_exporter/egress_ip.prom"]
    assert f'egress_ip_transmit_packets_total{{egress_ip="{A}",object="web"}} 2\n' in content.decode()
    assert observe(kernel)["drift"] == []
    kernel.log.clear()
    assert not apply(kernel, with_metrics())["changed"]
    assert kernel.log == []
    # A record that is gone is no reason to fail.
    kernel.remove_file(kernel.STATE_FILE)
    assert service.main(kernel, ["metrics"]) == 0


def test_metrics_move_and_go(kernel):
    apply(kernel, with_metrics())
    service.main(kernel, ["metrics"])
    result = apply(kernel, with_metrics("/srv/metrics", generation=2))
    assert result["diff"] == {
        "before": "file /var/lib/node_exporter/egress_ip.prom\n",
        # It names the folder that it may write to.
        "after": "file /etc/systemd/system/netops-egress-ip-metrics.service\n",
    }
    assert metrics_of(kernel) == METRICS
    service.main(kernel, ["metrics"])
    assert [path for path in kernel.files if path.endswith(".prom")] == ["/srv/metrics/egress_ip.prom"]
    before = kernel.snapshot()
    shown = apply(kernel, with_metrics("", generation=3), check=True)
    assert kernel.snapshot() == before
    assert lines_of(shown["diff"]["before"]) == [
        "file /etc/systemd/system/netops-egress-ip-metrics.service",
        "file /etc/systemd/system/netops-egress-ip-metrics.timer",
        "file /srv/metrics/egress_ip.prom",
    ]
    apply(kernel, with_metrics("", generation=3))
    assert metrics_of(kernel) == set()
    assert observe(kernel)["drift"] == []


def test_metrics_that_a_run_left_behind_are_drift(kernel):
    apply(kernel, with_metrics())
    units = {path: content for path, content in kernel.files.items() if "metrics" in path}
    apply(kernel, node_state(generation=2))
    kernel.files.update(units)
    assert set(observe(kernel)["drift"]) == {f"left over file {path}" for path in units}
    assert apply(kernel, node_state(generation=2))["changed"]
    assert observe(kernel)["drift"] == []


@pytest.mark.parametrize("recorded", [True, False])
def test_removal_takes_the_metrics_along(kernel, recorded):
    before = kernel.snapshot()
    state = with_metrics()
    apply(kernel, state)
    service.main(kernel, ["metrics"])
    if not recorded:
        kernel.remove_file(kernel.STATE_FILE)
    remove(kernel, options=state.options)
    assert kernel.files == before["files"]
    assert metrics_of(kernel) == set()


def test_metrics_that_cannot_be_written_say_why(kernel, capsys):
    apply(kernel, with_metrics("/missing"))
    kernel.fail = ["/missing"]
    assert service.main(kernel, ["metrics"]) == 1
    assert "/missing/egress_ip.prom" in capsys.readouterr().err


def fail_to_remove_metrics(kernel):
    apply(kernel, with_metrics())
    service.main(kernel, ["metrics"])
    kernel.log.clear()
    kernel.fail = ["/node_exporter/egress_ip.prom"]
    return pytest.raises(CommandError, match="node_exporter/egress_ip.prom")


def test_metrics_that_cannot_be_removed_stop_nothing_else_of_a_removal(kernel):
    before = kernel.snapshot()
    with fail_to_remove_metrics(kernel):
        remove(kernel)
    kernel.files.pop("/var/lib/node_exporter/egress_ip.prom")
    assert kernel.snapshot() == before
    assert kernel.logged("programs") == [()]


def test_metrics_that_cannot_be_removed_stop_nothing_else_of_a_run(kernel):
    with fail_to_remove_metrics(kernel):
        apply(kernel, with_metrics("", generation=2, held=held(B)))
    assert metrics_of(kernel) == {"egress_ip.prom"}
    assert B in kernel.addresses()
    assert B in noted(kernel)
    assert [line for line in kernel.logged("later") if line.endswith("announce")]
    assert observe(kernel)["drift"] == []


def loop(path):
    path.symlink_to(path.name)


def loop_on_the_way(path):
    path.parent.rmdir()
    path.parent.symlink_to(path.parent.name)


@pytest.mark.parametrize(
    ("make", "expected"), [(loop, True), (lambda path: path.mkdir(), False), (loop_on_the_way, False)]
)
def test_the_owner_of_the_folder_cannot_make_the_look_for_metrics_fail(tmp_path, make, expected):
    path = tmp_path / "metrics/egress_ip.prom"
    path.parent.mkdir()
    make(path)
    found = metrics_file.left_over(HostIO(), None, DataPlaneOptions(metrics_dir=str(path.parent)))
    assert found == [path] * expected
