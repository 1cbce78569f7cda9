# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the picture of the fleet as a web page and as JSON, on the controller."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import quote
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.page import page
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.picture import picture
from ansible_collections.netops.egress_ip.plugins.plugin_utils._controller_action import ControllerAction
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import result_of

_TITLES = {False: "Egress IPs", True: "Planned egress IPs"}


class ActionModule(ControllerAction):
    """The action plugin of the module `page`."""

    OPTIONS = {
        "path": {"type": "path", "required": True},
        "planned": {"type": "bool", "default": False},
    }

    def result(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """Write both files where they differ; in check mode write nothing."""
        planned, files = options["planned"], _files(Path(options["path"]))
        made = picture(result_of(variables, "plan"), planned)
        texts = (page(made, _TITLES[planned]), f"{json.dumps(made, indent=1, ensure_ascii=False)}\n")
        try:
            differing = [(path, text) for path, text in zip(files, texts) if not _has(path, text)]
            for path, text in differing if not self._task.check_mode else ():
                _replace(path, text)
        except OSError as error:
            raise InventoryError(f"egress_ip_report_html: cannot be written: {error}") from error
        return {"changed": bool(differing), "files": [str(path) for path in files]}


def _files(path: Path) -> tuple[Path, Path]:
    """Return the paths of the page and of its JSON file. Raises InventoryError."""
    if path.suffix not in (".html", ".htm"):
        raise InventoryError(
            f"egress_ip_report_html: must be the name of a file that ends in .html, not {quote(str(path))}"
        )
    if not path.parent.is_dir():
        raise InventoryError(f"egress_ip_report_html: the folder {quote(str(path.parent))} does not exist; create it")
    return path, path.with_suffix(".json")


def _has(path: Path, text: str) -> bool:
    """Return whether a file has this text."""
    return path.is_file() and path.read_bytes() == text.encode()


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole: a reader sees the old or the new text. Only the user who runs Ansible can read it."""
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(text.encode())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink()
        raise
