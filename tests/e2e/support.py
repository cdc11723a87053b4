"""What the end-to-end tests share: a lab with Millrace and its servers for each test class, and clients inside it."""

import asyncio
import json
import os
import subprocess
import unittest

import websockets

from lab import millrace, net

CLIENT_TO_BALANCER = {4: f"ws://{net.BALANCER}", 6: f"ws://[{net.BALANCER6}]"}
WS_LOAD = os.path.join(millrace.ROOT, "build/tests/tools/ws-load")


class LabTest(unittest.TestCase):
    """A class's tests share one lab, three servers of the demo, and one Millrace in front of them."""

    driver = "af_xdp"
    cores = (0,)
    server_names = ("one", "two", "three")

    @classmethod
    def setUpClass(cls):
        millrace.leave_cores({0})
        cls.lab = net.Lab(queues=len(cls.cores))
        cls.lab.__enter__()
        cls.addClassCleanup(cls.lab.close)
        cls.servers = {name: millrace.start_server(cls.lab, name, [net.SERVERS[i], net.SERVERS6[i]])
                       for i, name in enumerate(cls.server_names)}
        cls.millrace = millrace.Millrace(cls.lab, cls.config(), cores=cls.cores)
        cls.millrace.start()
        cls.millrace.wait_running()
        cls.wait_until_up()

    @classmethod
    def wait_until_up(cls):
        cls.millrace.wait_servers_up(len(cls.server_names))

    @classmethod
    def server_addresses(cls):
        return {name: f"{net.SERVERS[i]}:9001" for i, name in enumerate(cls.server_names)}

    @classmethod
    def config(cls):
        return millrace.interfaces(cls.driver, cls.cores) + millrace.listener() + millrace.backend(cls.server_addresses())

    @classmethod
    def explain(cls):
        """What the programs printed, for a test that failed."""
        tails = [f"\n-- {what} --\n{cls.millrace.log_tail(what, 15)}" for what in ("dataplane", "control")] \
            if hasattr(cls, "millrace") else []
        return "".join(tails)

    def run_clients(self, coroutine, seconds=60):
        """Runs a coroutine whose sockets are in the clients' namespace."""
        with self.lab.inside(self.lab.clients):
            return asyncio.run(asyncio.wait_for(coroutine, seconds))

    def curl(self, *arguments):
        """Runs curl in the clients' namespace; returns (status, body); status 0 when there was no answer."""
        done = subprocess.run(["ip", "netns", "exec", self.lab.clients, "curl", "--silent", "--max-time", "20",
                               "--write-out", "\n%{http_code}", *arguments], capture_output=True, check=False)
        body, _, status = done.stdout.rpartition(b"\n")
        return int(status), body

    def start_load(self, *arguments):
        """Starts ws-load's clients; finish_load() waits for them."""
        return self.lab.start(self.lab.clients, WS_LOAD, "run", *arguments, stdout=subprocess.PIPE, text=True)

    def finish_load(self, process, seconds=60):
        """The result that ws-load printed last."""
        output, _ = process.communicate(timeout=seconds)
        return json.loads(output.splitlines()[-1])

    def assert_nothing_lost(self, result):
        self.assertGreater(result["answered"], 0, result)
        for what in ("failed", "lost", "wrong", "broken"):
            self.assertEqual(result[what], 0, f"{what}: {result}")


def connect(path="/echo", family=4, port=80, **options):
    """A WebSocket connection to the balancer."""
    options = {"compression": None, "ping_interval": None, "max_size": None, "open_timeout": 10, **options}
    return websockets.connect(f"{CLIENT_TO_BALANCER[family]}:{port}{path}", **options)
