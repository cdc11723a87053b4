"""Headless Chromium for the tests, driven over its DevTools pipe: opens one page and evaluates expressions in it."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
         "--remote-debugging-pipe", "--window-size=900,760")


class Browser:
    """A browser inside a namespace of the lab, with one page. `flags` are further ones of Chromium's command line."""

    def __init__(self, lab, namespace, url, flags=()):
        self.profile = tempfile.mkdtemp(prefix="millrace-browser-")
        commands, self.commands = os.pipe()
        self.answers, answers = os.pipe()
        # Chromium reads DevTools commands from descriptor 3 and writes its answers to 4.
        self.process = lab.start(namespace, "sh", "-c",
                                 f'exec chromium "$@" 3<&{commands} 4>&{answers}', "chromium", *FLAGS, *flags,
                                 f"--user-data-dir={self.profile}", "about:blank", pass_fds=(commands, answers),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self.lab, self.serial, self.buffer, self.session = lab, 0, b"", None
        target = self._call("Target.createTarget", url=url)["targetId"]
        self.session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def _call(self, method, **parameters):
        self.serial += 1
        command = {"id": self.serial, "method": method, "params": parameters}
        if self.session:
            command["sessionId"] = self.session
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        while True:
            while b"\0" not in self.buffer:
                more = os.read(self.answers, 1 << 20)
                if not more:
                    raise RuntimeError("chromium ended")
                self.buffer += more
            answer, _, self.buffer = self.buffer.partition(b"\0")
            answer = json.loads(answer)
            if answer.get("id") == self.serial:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def evaluate(self, expression):
        """The value of a JavaScript expression in the page."""
        return self._call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait_for(self, expression, seconds=15):
        """Waits until the expression is true in the page; returns its value, or raises."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            value = self.evaluate(expression)
            if value:
                return value
            time.sleep(0.1)
        raise AssertionError(f"not true within {seconds} s in the page: {expression}")

    def screenshot(self, path):
        with open(path, "wb") as image:
            image.write(base64.b64decode(self._call("Page.captureScreenshot")["data"]))

    def close(self):
        self.lab.stop(self.process)
        os.close(self.commands)
        os.close(self.answers)
        shutil.rmtree(self.profile, ignore_errors=True)
