# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headless Chromium for tests, by the DevTools protocol over two pipes, so that no package and no port is needed."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Without a sandbox, which root cannot have; only pages of the tests are opened.
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe")
# For one answer; a machine may be busy.
LONG = 120


@contextlib.contextmanager
def browser(folder):
    """Start Chromium with its files in `folder`; yields a Browser."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program, "chromium is missing; run: bash tests/ci/bootstrap.sh unit"
    (take, its_write), (its_read, give) = os.pipe(), os.pipe()
    # Chromium reads commands from the file descriptor 3 and writes answers to 4.
    script = f'exec "$0" "$@" 3<&{its_read} 4>&{its_write}'
    # Other shells have no file descriptors above 9.
    words = ["bash", "-c", script, program, *OPTIONS, f"--user-data-dir={folder}", "about:blank"]
    with subprocess.Popen(words, pass_fds=(its_read, its_write), stderr=subprocess.DEVNULL) as process:
        os.close(its_read)
        os.close(its_write)
        try:
            yield Browser(take, give)
        finally:
            process.kill()
            os.close(take)
            os.close(give)


class Browser:
    """A running Chromium."""

    def __init__(self, take, give):
        self._take, self._give, self._rest, self._numbers = take, give, b"", itertools.count(1)

    def call(self, method, session=None, **parameters):
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._give, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, path, width):
        """Open a file in a window of this width; return a function that evaluates an expression in it."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", session, **size)
        self.call("Page.navigate", session, url=path.as_uri())

        def evaluate(expression):
            # Until the page is drawn, which observers of sizes wait for.
            drawn = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
            text = f"(async () => {{ await {drawn}; return ({expression}); }})()"
            made = self.call("Runtime.evaluate", session, expression=text, awaitPromise=True, returnByValue=True)
            assert "exceptionDetails" not in made, made
            return made["result"].get("value")

        while evaluate("document.readyState + location.protocol") != "completefile:":
            pass
        return evaluate

    def _next(self):
        """Return the next message."""
        while b"\0" not in self._rest:
            assert select.select([self._take], [], [], LONG)[0], "Chromium gives no answer"
            read = os.read(self._take, 1 << 16)
            assert read, "Chromium has ended"
            self._rest += read
        message, _zero, self._rest = self._rest.partition(b"\0")
        return json.loads(message)
