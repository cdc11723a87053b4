"""Bulk goodput through Millrace beside that of Linux alone, over the same impaired path, seed by seed in turn:

    linux      client ── bridge ── server                  kernel TCP at both ends
    millrace   client ── bridge ── Millrace ── server      the same kernels; mode = "tcp"; only the client's leg is impaired

The bridge (tests/tools/impair) loses, repeats, reorders and delays TCP segments in both directions; what it does to segment
n follows from the seed. It also limits the rate, the same for both, so that two shared cores are not what is measured.
Every byte is checked by the receiver's SHA-256. "up" is from the client, "down" to it: what Millrace receives, and sends.
"""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time

from lab import millrace, net

TOOLS = os.path.join(millrace.ROOT, "build/tests/tools")
PORT, BULK_PORT = 81, 9100
DIRECT_CLIENT, DIRECT_SERVER = "198.18.2.2", "198.18.2.11"
MBIT, DELAY_MS, QUEUE_KIB = 100, 2, 256  # of the bridge, each way, in every cell that says nothing else
TARGET = 0.9
BRIDGE_TARGET = 3  # times the rate: what the bridge alone has to carry
CELLS = {
    "clean": (),
    "loss-1%": ("--loss", "0.01"),
    "loss-5%": ("--loss", "0.05"),
    "reorder-25%": ("--reorder", "0.25", "--reorder-ms", "2"),
    "duplicate-1%": ("--duplicate", "0.01"),
    "delay-50ms": ("--delay-ms", "25"),
}
CONTESTANTS = ("linux", "millrace")
DIRECTIONS = ("up", "down")
# Of both namespaces: the kernel's defaults, whatever this machine's are; and no connection profits from earlier ones.
# CUBIC is set by bulk for each socket: a namespace may not choose it where it is not the machine's own default.
KERNEL = {"tcp_rmem": "4096 131072 6291456", "tcp_wmem": "4096 16384 4194304", "tcp_no_metrics_save": "1"}


class Paths:
    """The lab's client leg led through a namespace for the bridge, and a second way to the servers around Millrace."""

    def __init__(self, lab):
        self.lab = lab
        self.wire = lab.clients.removesuffix("clients") + "wire"
        lab.namespaces.append(self.wire)
        net.run("ip", "netns", "add", self.wire)
        lab.run_in(self.wire, "sh", "-c", "echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6 >/dev/null")
        net.run("ip", "-n", lab.clients, "link", "set", "mr-peer", "netns", self.wire, "name", "im-millrace")
        cable = ("numrxqueues", "1", "numtxqueues", "1")
        for namespace, name, other in ((lab.clients, "mr-peer", "im-client"), (lab.clients, "mr-direct", "im-direct"),
                                       (lab.servers, "mr-direct", "im-server")):
            net.run("ip", "link", "add", other, "netns", self.wire, *cable, "type", "veth", "peer", "name", name, "netns", namespace,
                    *cable)
        for name in ("im-millrace", "im-client", "im-direct", "im-server"):
            self.set_up(self.wire, name)
        self.set_up(lab.clients, "mr-peer", net.CLIENT)
        self.set_up(lab.clients, "mr-direct", DIRECT_CLIENT)
        self.set_up(lab.servers, "mr-direct", DIRECT_SERVER)
        for namespace in (lab.clients, lab.servers):
            lab.run_in(namespace, "sh", "-c", ";".join(f"echo {value} >/proc/sys/net/ipv4/{name}" for name, value in KERNEL.items()))

    def set_up(self, namespace, name, address=None):
        self.lab.run_in(namespace, "ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "off")
        if address:
            net.run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", name)
        net.run("ip", "-n", namespace, "link", "set", name, "up")

    def start_bridge(self, a, b, *options):
        """Joins two of its interfaces by the bridge, which carries frames when this returns."""
        bridge = self.lab.start(self.wire, os.path.join(TOOLS, "impair"), a, b, *options, stdout=subprocess.PIPE, text=True)
        if bridge.stdout.readline() != "ready\n":
            raise millrace.Refused("the bridge did not start")
        return bridge

    def ends(self, contestant):
        """The bridge's interfaces and where a client connects to."""
        return {"linux": ("im-direct", "im-server", f"{DIRECT_SERVER}:{BULK_PORT}"),
                "millrace": ("im-client", "im-millrace", f"{net.BALANCER}:{PORT}")}[contestant]


class Runs:
    """Carries out single runs; `server` is the bulk server of both contestants, `running` the Millrace in between."""

    def __init__(self, lab, paths, arguments):
        self.lab, self.paths, self.arguments = lab, paths, arguments
        self.server = lab.start(lab.servers, os.path.join(TOOLS, "bulk"), "serve", "--listen", f"0.0.0.0:{BULK_PORT}",
                                stdout=subprocess.PIPE, text=True)
        self.server.stdout.readline()
        config = millrace.interfaces(arguments.driver) + millrace.listener(port=PORT, more='mode = "tcp"') + \
            millrace.backend({"bulk": f"{net.SERVERS[0]}:{BULK_PORT}"}, health="")
        self.running = millrace.Millrace(lab, config).start()
        self.running.wait_running()

    def one(self, contestant, direction, impairments, seed=1, seconds=None):
        """One stream. Returns its goodput in Mbit/s and all that was counted."""
        a, b, to = self.paths.ends(contestant)
        bridge = self.paths.start_bridge(a, b, "--seed", str(seed), *impairments)
        capture = self.start_capture(a, f"{contestant}-{direction}-{seed}")
        before = self.counted(contestant)
        seconds = seconds or self.arguments.seconds
        client = self.lab.start(self.lab.clients, os.path.join(TOOLS, "bulk"), "run", "--to", to, "--direction", direction,
                                "--seconds", str(seconds), stdout=subprocess.PIPE, text=True)
        printed = client.communicate(timeout=seconds + 60)[0]
        if client.returncode != 0:
            raise millrace.Refused(f"{contestant} {direction}: the client failed")
        told = json.loads(self.server.stdout.readline() if direction == "up" else printed)
        after = self.counted(contestant)
        self.lab.stop(*([capture] if capture else []))
        bridge.send_signal(signal.SIGTERM)
        crossed = json.loads(bridge.communicate()[0])
        for side in crossed.values():
            if side["oversized"] or side["missed"] or side["send_refused"]:
                raise millrace.Refused(f"the bridge itself lost frames: {side}")
        if not told["sha256_equal"] or told["ended_early"] or not told["us"]:
            raise millrace.Refused(f"{contestant} {direction}, seed {seed}: {told}")
        return {"mbit": told["bytes"] * 8 / told["us"], **told, "bridge": crossed,
                "counters": {name: after[name] - before[name] for name in after if after[name] != before[name]}}

    def start_capture(self, interface, name):
        if not self.arguments.capture:
            return None
        os.makedirs(self.arguments.capture, exist_ok=True)
        process = self.lab.start(self.paths.wire, "tcpdump", "-Z", "root", "-i", interface, "-s", "100", "-B", "16384", "-w",
                                 os.path.join(self.arguments.capture, f"{self.cell}-{name}.pcap"), stderr=subprocess.PIPE, text=True)
        process.stderr.readline()
        return process

    def counted(self, contestant):
        """Counters of TCP at the path's two ends: the client's kernel, and Millrace or the server's kernel."""
        counted = self.kernel_counters("client", self.lab.clients)
        if contestant == "linux":
            return counted | self.kernel_counters("server", self.lab.servers)
        for name, value in self.running.workers()[0]["stats"].items():
            if re.match("tcp", name) and isinstance(value, int):
                counted[f"millrace.{name}"] = value
        return counted

    def kernel_counters(self, whose, namespace):
        counted = {}
        text = self.lab.run_in(namespace, "cat", "/proc/net/snmp", "/proc/net/netstat")
        for names, values in zip(*[iter(text.splitlines())] * 2):
            if names.startswith(("Tcp:", "TcpExt:")):
                counted |= {f"{whose}.{name}": int(value) for name, value in zip(names.split()[1:], values.split()[1:])}
        return counted


def goodput(lab, arguments):
    cells = arguments.cells.split(",") if arguments.cells else list(CELLS)
    paths = Paths(lab)
    runs = Runs(lab, paths, arguments)
    total = arguments.seeds * len(cells) * len(DIRECTIONS) * len(CONTESTANTS)
    tell(f"{total} runs of {arguments.seconds} s: about {total * (arguments.seconds + 0.5) / 60:.0f} minutes")
    runs.cell = "bridge"
    bridge = runs.one("linux", "down", (), seconds=2)["mbit"]
    tell(f"the bridge alone carries {bridge:.0f} Mbit/s, {bridge / MBIT:.1f} times the rate of the cells")

    path = ("--mbit", str(MBIT), "--delay-ms", str(DELAY_MS), "--queue-kib", str(QUEUE_KIB))
    results = {(cell, direction, contestant): [] for cell in cells for direction in DIRECTIONS for contestant in CONTESTANTS}
    began, done = time.monotonic(), 0
    for seed in range(1, arguments.seeds + 1):
        for cell in cells:
            for direction in DIRECTIONS:
                for contestant in CONTESTANTS[:: 1 if seed % 2 else -1]:
                    runs.cell = cell
                    one = runs.one(contestant, direction, options(path, CELLS[cell]), seed)
                    results[cell, direction, contestant].append(one)
                    done += 1
                    tell(f"{done}/{total} {time.monotonic() - began:4.0f} s  seed {seed}  {cell:13} {direction:5} {contestant:9}"
                         f"{one['mbit']:7.1f} Mbit/s, longest stall {one['longest_stall_us'] / 1000:.0f} ms")
    rows = [row(results, cell, direction) for cell in cells for direction in DIRECTIONS]
    result = {"rate_mbit": MBIT, "delay_ms_one_way": DELAY_MS, "queue_kib": QUEUE_KIB, "seeds": arguments.seeds,
              "seconds": arguments.seconds, "kernel": {"congestion_control": "cubic", **KERNEL}, "bridge_alone_mbit": round(bridge),
              "sha256_equal": True, "cells": rows, "target": "at least 0.9 of Linux in every cell"}
    print_table(result)
    if arguments.json:
        result["runs"] = [{"cell": cell, "direction": direction, "contestant": contestant, **one}
                          for (cell, direction, contestant), ones in results.items() for one in ones]
    return result, all(row["ratio"] >= TARGET for row in rows) and bridge >= BRIDGE_TARGET * MBIT


def options(path, cell):
    """The path's options, but for those that the cell sets itself."""
    pairs = dict(zip(path[::2], path[1::2])) | dict(zip(cell[::2], cell[1::2]))
    return [word for pair in pairs.items() for word in pair]


def row(results, cell, direction):
    figures = {}
    for contestant in CONTESTANTS:
        rates = [one["mbit"] for one in results[cell, direction, contestant]]
        figures[f"{contestant}_mbit"] = round(statistics.median(rates), 1)
        figures[f"{contestant}_min_max"] = [round(min(rates), 1), round(max(rates), 1)]
    # The sender's timeouts: the client's kernel sends up, the other end down.
    sender = {"up": ("client.TCPTimeouts",) * 2, "down": ("server.TCPTimeouts", "millrace.tcp_rto_timeouts_total")}[direction]
    for contestant, name in zip(CONTESTANTS, sender):
        figures[f"{contestant}_timeouts"] = sum(one["counters"].get(name, 0) for one in results[cell, direction, contestant])
    ratio = figures["millrace_mbit"] / max(figures["linux_mbit"], 0.1)
    return {"cell": cell, "direction": direction, **figures, "ratio": round(ratio, 3)}


def print_table(result):
    print(f"\nGoodput in Mbit/s, median of {result['seeds']} seeds (lowest, highest), {result['seconds']} s each; every SHA-256 equal\n"
          f"path: {MBIT} Mbit/s (a limit of the bridge), {DELAY_MS} ms each way, queue {QUEUE_KIB} KiB; "
          f"the bridge alone: {result['bridge_alone_mbit']} Mbit/s\n"
          f"kernel: {', '.join(f'{name} {value}' for name, value in result['kernel'].items())}\n\n"
          f"{'cell':14}{'way':6}{'Linux':>8}{'':16}{'Millrace':>8}{'':16}{'ratio':>6}   timeouts (Linux, Millrace)")
    for row in result["cells"]:
        spread = {name: "({} – {})".format(*row[f"{name}_min_max"]) for name in CONTESTANTS}
        mark = "" if row["ratio"] >= TARGET else "  below"
        print(f"{row['cell']:14}{row['direction']:6}{row['linux_mbit']:8}  {spread['linux']:14}{row['millrace_mbit']:8}  "
              f"{spread['millrace']:14}{row['ratio']:6.2f}   {row['linux_timeouts']}, {row['millrace_timeouts']}{mark}")
    print(flush=True)


def tell(text):
    print(text, file=sys.stderr, flush=True)
