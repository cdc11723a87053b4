"""The load generator: against Millrace over memif, and against HAProxy over a virtual cable, where the kernel counts
the connections, too."""

import os
import re
import signal
import subprocess
import time
import unittest

from lab import load, millrace, net

OWN_CORE = ["--core", str(max(os.sched_getaffinity(0)))]  # not the dataplane's, where there is another


def run(lab, namespace, *arguments, seconds=120):
    return load.finish(load.start(lab, namespace, *arguments, *OWN_CORE), seconds)


class OverMemif(unittest.TestCase):
    """One Millrace, joined to the generator's clients and servers by two memif sockets."""

    @classmethod
    def setUpClass(cls):
        cls.lab = net.Lab()
        cls.lab.__enter__()
        cls.addClassCleanup(cls.lab.close)
        cls.millrace = millrace.Millrace(cls.lab, load.config(cls.lab.directory, servers=2))
        cls.millrace.start()
        cls.millrace.wait_running()

    def load(self, *arguments):
        return run(self.lab, self.lab.balancer, *arguments, *load.memif_arguments(self.lab.directory, clients=4, servers=2))

    def assert_well(self, code, result, said):
        self.assertEqual(code, 0, said)
        for what in ("lost", "duplicated", "reordered", "corrupted", "crossed"):
            self.assertEqual(result["messages"][what], 0, said)
        self.assertEqual(result["connections"]["failed"], 0, said)

    def relays_open(self):
        return sum(worker["stats"]["relays_open"] for worker in self.millrace.workers())

    def upgrades(self):
        return self.millrace.ctl("show", "listeners")["listeners"][0]["stats"]["upgrades_total"]

    def test_idle_connections_are_proven_alive(self):
        process = load.start(self.lab, self.lab.balancer, "idle", "--connections", "1000", "--hold", "3", *OWN_CORE,
                             *load.memif_arguments(self.lab.directory, clients=4, servers=2))
        self.millrace.wait(lambda: self.relays_open() == 1000, what="holding 1,000 relays")
        code, result, said = load.finish(process)
        self.assert_well(code, result, said)
        self.assertEqual(result["connections"], {"asked": 1000, "upgraded": 1000, "failed": 0, "closed_by_peer": 0,
                                                 "proven_alive": 1000})
        self.millrace.wait(lambda: self.relays_open() == 0, what="rid of every relay")

    def test_echo(self):
        code, result, said = self.load("echo", "--connections", "50", "--depth", "4", "--seconds", "2", "--size", "64-2000")
        self.assert_well(code, result, said)
        self.assertGreater(result["rate_per_s"], 100)
        self.assertGreater(result["latency_us"]["p50"], 0)

    def test_push_at_a_rate(self):
        code, result, said = self.load("push", "--connections", "200", "--rate", "2000", "--seconds", "2")
        self.assert_well(code, result, said)
        self.assertEqual(result["messages"]["received"], 4000)

    def test_bell(self):
        code, result, said = self.load("bell", "--connections", "1000")
        self.assert_well(code, result, said)
        self.assertEqual(result["messages"]["received"], 1000)
        self.assertGreater(result["bell_drain_s"], 0)

    def test_storm(self):
        for how in ("fin", "rst"):
            code, result, said = self.load("storm", "--connections", "50", "--close", how, "--seconds", "2")
            self.assert_well(code, result, said)
            self.assertGreater(result["sessions"], 100, said)

    def test_bulk(self):
        code, result, said = self.load("bulk", "--connections", "4", "--seconds", "2")
        self.assert_well(code, result, said)
        self.assertGreater(result["bytes"], 1 << 20)

    def test_mix(self):
        code, result, said = self.load("mix", "--connections", "200", "--rate", "1000", "--ramp-rate", "100", "--seconds", "2")
        self.assert_well(code, result, said)
        self.assertGreater(result["sessions"], 50, said)

    def test_interrupt_ends_it_with_its_summary(self):
        before = self.upgrades()
        process = load.start(self.lab, self.lab.balancer, "idle", "--connections", "500", "--hold", "100", *OWN_CORE,
                             *load.memif_arguments(self.lab.directory, clients=4, servers=2))
        self.millrace.wait(lambda: self.upgrades() == before + 500, what="holding 500 relays")
        process.send_signal(signal.SIGINT)
        code, result, said = load.finish(process, 30)
        self.assertEqual(code, 1, said)
        self.assertEqual(result["connections"]["upgraded"], 500, said)
        self.assertIn("interrupted", said)
        self.millrace.wait(lambda: self.relays_open() == 0, what="rid of every relay")

    def test_histogram(self):
        path = os.path.join(self.lab.directory, "latencies")
        code, _, said = self.load("echo", "--connections", "5", "--seconds", "1", "--histogram", path)
        self.assertEqual(code, 0, said)
        with open(path, encoding="utf-8") as file:
            self.assertGreater(len(file.readlines()), 1)


HAPROXY = """
global
    maxconn 5000
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
    timeout tunnel 1h
frontend web
    bind {balancer}:80
    default_backend load
backend load
    server one {server}:9000
"""


class AgainstHaproxy(unittest.TestCase):
    """HAProxy on kernel sockets stands in the middle; the generator drives both its cables by itself."""

    CONNECTIONS = 1000
    driver = "af_packet"

    @classmethod
    def setUpClass(cls):
        cls.lab = net.Lab()
        cls.lab.__enter__()
        cls.addClassCleanup(cls.lab.close)
        # The generator takes Millrace's place at the cables' middle ends; HAProxy is at both outer ones, moved together.
        lab = cls.lab
        lab.run_in(lab.servers, "ip", "link", "set", "mr-peer", "name", "mr-peer-s", "netns", lab.clients)
        lab.plain_ethernet(lab.clients, "mr-peer-s")
        lab.run_in(lab.clients, "ip", "address", "add", "198.18.1.2/24", "dev", "mr-peer-s")
        lab.run_in(lab.clients, "ip", "link", "set", "mr-peer-s", "up")
        path = os.path.join(lab.directory, "haproxy.cfg")
        with open(path, "w", encoding="utf-8") as file:
            file.write(HAPROXY.format(balancer=net.CLIENT, server="198.18.1.100"))
        lab.start(lab.clients, "haproxy", "-f", path, "-db", stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while not lab.run_in(lab.clients, "ss", "-Htln") and time.monotonic() < until:
            time.sleep(0.05)

    def arguments(self):
        return ["--client-interface", f"{self.driver}:mr-c", "--client-addresses", "198.18.0.101-198.18.0.104",
                "--server-interface", f"{self.driver}:mr-s", "--server-addresses", "198.18.1.100",
                "--target", f"{net.CLIENT}:80"]

    def established(self):
        """What the kernel says of HAProxy's connections: both of each relay."""
        said = self.lab.run_in(self.lab.clients, "ss", "-s")
        return int(re.search(r"TCP:\s+\d+ \(estab (\d+),", said)[1])

    def test_the_kernel_counts_the_same_connections(self):
        process = load.start(self.lab, self.lab.balancer, "idle", "--connections", str(self.CONNECTIONS), "--hold", "4",
                             *OWN_CORE, *self.arguments())
        until = time.monotonic() + 60
        while self.established() < 2 * self.CONNECTIONS and time.monotonic() < until and process.poll() is None:
            time.sleep(0.1)
        counted = self.established()
        code, result, said = load.finish(process)
        self.assertEqual(code, 0, said)
        self.assertEqual(result["connections"]["upgraded"], self.CONNECTIONS, said)
        self.assertEqual(result["connections"]["proven_alive"], self.CONNECTIONS, said)
        self.assertEqual(counted, 2 * self.CONNECTIONS, said)


class AgainstHaproxyAfXdp(AgainstHaproxy):
    driver = "af_xdp"


class Refusals(unittest.TestCase):
    """What makes no sense is said, with a remedy, before anything starts."""

    def refusal(self, *arguments):
        done = subprocess.run([load.LOAD, *arguments], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        return done.stderr

    def test_says_what_is_missing(self):
        self.assertIn("workload", self.refusal())
        self.assertIn("--client-interface is missing", self.refusal("idle"))
        interface = ["idle", "--client-interface", "memif:/run/x.sock"]
        self.assertIn("--client-addresses is missing", self.refusal(*interface))
        addresses = [*interface, "--client-addresses", "198.18.0.1"]
        self.assertIn("--target is missing", self.refusal(*addresses))
        self.assertIn("write DRIVER:WHAT", self.refusal("idle", "--client-interface", "tap:x"))
        self.assertIn("40 to", self.refusal(*addresses, "--target", "198.18.0.2:80", "--role", "client", "--size", "10"))


if __name__ == "__main__":
    unittest.main()
