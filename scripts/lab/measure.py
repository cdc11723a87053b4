"""Measurements of a running Millrace with real kernel sockets around it, each printing one JSON object with its figures:

    goodput         bulk through Millrace beside Linux alone over an impaired path: a table; the object with --json
    thousands       1,000 IPv4 and 1,000 IPv6 clients at once, 50 messages each, every byte compared
    stopped-reader  a reader that stops for 30 s while its server sends 100 MB, among 100 neighbours
    control-death   control killed 20 times under 1,000 echoing relays; new clients with control and a server dead; reloads
    idle-memory     the machine's memory for each idle relay, from 1,000 to 100,000
    tls-scan        what testssl.sh finds in a listener with TLS and its defaults
    handshakes      TLS handshakes a second: of one crypto thread, beside OpenSSL's primitives; and beside nginx and HAProxy
    storm           what a storm of TLS handshakes adds to pushes, through Millrace and through a bare memif echo
"""

import argparse
import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab import goodput, handshakes, machine, memory, millrace, net, storm, tls_scan, ws_server  # noqa: E402  (the line above finds them)

WS_LOAD = os.path.join(millrace.ROOT, "build/tests/tools/ws-load")
SIZES = "0,1,125,126,65535,65536"
BOTH = ("--to", f"{net.BALANCER}:80", "--to", f"[{net.BALANCER6}]:80")


class Load:
    """Clients of ws-load; `up()` waits until they are connected, `result()` until they end."""

    def __init__(self, lab, *arguments):
        self.process = lab.start(lab.clients, WS_LOAD, "run", *arguments, stdout=subprocess.PIPE, text=True)

    def up(self):
        return json.loads(self.process.stdout.readline())

    def result(self, stop=False):
        if stop:
            self.process.terminate()
        return json.loads(self.process.communicate()[0].splitlines()[-1])


def start_echo_servers(lab, count=3, port=9000):
    """Echo servers of ws-load, one process each; returns {name: address} and the processes."""
    addresses = {f"echo-{i + 1}": f"{net.SERVERS[i]}:{port}" for i in range(count)}
    processes = [lab.start(lab.servers, WS_LOAD, "serve", "--listen", address, "--name", name, stdout=subprocess.DEVNULL)
                 for name, address in addresses.items()]
    return addresses, processes


def start_millrace(lab, config, servers):
    running = millrace.Millrace(lab, config).start()
    running.wait_running()
    running.wait_servers_up(servers)
    return running


def nothing_lost(result):
    return result["answered"] > 0 and not any(result[what] for what in ("failed", "lost", "wrong", "broken"))


# ---- thousands

def thousands(lab, arguments):
    addresses, _ = start_echo_servers(lab)
    start_millrace(lab, millrace.interfaces(arguments.driver) + millrace.listener() + millrace.backend(addresses), 3)
    begin = time.monotonic()
    # Each client sends one message every 700 ms, 62 MB a second in all each way: clients and servers share one core.
    messages, interval = ("300", "175") if arguments.each else ("50", "700")
    result = Load(lab, *BOTH, "--connections", "1000", "--messages", messages, "--sizes", SIZES,
                  "--interval-ms", interval).result()
    result["seconds_in_all"] = round(time.monotonic() - begin, 1)
    result["target"] = "every message back unchanged within 60 s"
    return result, nothing_lost(result) and result["seconds_in_all"] <= 60


# ---- stopped-reader

def read_blast(connection, digest, count):
    """Reads at least `count` bytes of payload, in whole unmasked frames of 64 KiB, into the digest."""
    done = 0
    while done < count:
        header = read_exactly(connection, 10)
        length = int.from_bytes(header[2:], "big")
        assert header[0] == 0x82 and header[1] == 127, header
        digest.update(read_exactly(connection, length))
        done += length
    return done


def read_exactly(connection, count):
    parts = []
    while count:
        parts.append(connection.recv(min(count, 1 << 20)))
        if not parts[-1]:
            raise ConnectionError("the stream ended early")
        count -= len(parts[-1])
    return b"".join(parts)


def stopped_reader(lab, arguments):
    size = 1600 * ws_server.BLAST_MESSAGE
    addresses, _ = start_echo_servers(lab)
    millrace.start_server(lab, "blast", [net.SERVERS[3]])
    running = start_millrace(lab, "\n".join((
        millrace.interfaces(arguments.driver),
        millrace.listener(more='[[listener.route]]\npath = "/blast"\nbackend = "blast"'),
        millrace.backend(addresses), millrace.backend({"blast": f"{net.SERVERS[3]}:9001"}, "blast"))), 4)

    # The reading costs the neighbours something, so it goes on in both of their runs.
    readings = []

    def read_chunk_bytes():
        while True:
            try:
                readings.append(sum(worker["stats"]["chunk_bytes"] for worker in running.workers()))
            except millrace.Refused:
                return  # the lab has ended
            time.sleep(0.2)

    def neighbours(seconds):
        return Load(lab, "--to", f"{net.BALANCER}:80", "--connections", "100", "--interval-ms", "50",
                    "--seconds", str(seconds)).result()

    threading.Thread(target=read_chunk_bytes, daemon=True).start()
    before = neighbours(arguments.stop)
    base = max(readings)
    with lab.inside(lab.clients):
        connection = socket.create_connection((net.BALANCER, 80), timeout=60)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(f"GET /blast/{size} HTTP/1.1\r\nHost: blast\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    digest = hashlib.sha256()
    done = read_blast(connection, digest, 1 << 20)
    del readings[:]
    during = neighbours(arguments.stop)
    peak = max(readings)
    done += read_blast(connection, digest, size - done)
    expected = hashlib.sha256()
    for index in range(size // ws_server.BLAST_MESSAGE):
        expected.update(ws_server.blast_message(index))
    result = {"bytes": done, "sha256_equal": digest.digest() == expected.digest(), "stopped_seconds": arguments.stop,
              "peak_chunk_bytes": peak - base, "p99_us_before": before["p99_us"], "p99_us_during": during["p99_us"],
              "neighbours_lost": during["lost"] + during["broken"],
              "target": "at most 524288 bytes, equal, p99 at most twice that before"}
    return result, result["sha256_equal"] and peak - base <= 512 << 10 and during["p99_us"] <= 2 * before["p99_us"] \
        and nothing_lost(during)


# ---- control-death

def control_death(lab, arguments):
    addresses, processes = start_echo_servers(lab)
    config = millrace.interfaces(arguments.driver) + millrace.listener() + millrace.backend(addresses)
    running = start_millrace(lab, config, 3)
    running.ctl("server", "weight", "servers/echo-1", "3")

    def overrides():
        return {name: (server["weight"], server["admin"], server["overrides"]) for name, server in running.servers().items()}

    before = overrides()
    load = Load(lab, "--to", f"{net.BALANCER}:80", "--connections", "1000", "--interval-ms", "100")
    load.up()
    for _ in range(arguments.kills):
        time.sleep(0.7)
        running.control.kill()
        running.control.wait()
        time.sleep(0.7)
        running.start_control()
        running.wait_running()
    for more in ("", "retries = 3"):  # an identical file, then a changed one
        running.write_config(config.replace('name = "servers"\n\n', f'name = "servers"\n{more}\n'))
        running.ctl("config", "reload")
        running.wait_running()
        time.sleep(1)
    under_load = load.result(stop=True)

    running.control.kill()
    running.control.wait()
    processes[1].kill()
    new = Load(lab, "--to", f"{net.BALANCER}:80", "--connections", "1000", "--messages", "1").result()
    running.start_control()
    running.wait_running()
    result = {"kills": arguments.kills, "answered": under_load["answered"], "lost": under_load["lost"],
              "broken": under_load["broken"], "new_upgrades": new["upgraded"], "new_failed": new["failed"],
              "overrides_equal": overrides() == before, "target": "0 lost, 0 broken, 1,000 new upgrades, 0 failed, equal"}
    return result, nothing_lost(under_load) and nothing_lost(new) and result["overrides_equal"]


# ---- idle-memory

PER_PROCESS = 12_500
SETTLE_SECONDS = 5


def idle_growth(lab, targets, counts, dataplane=None):
    """Opens idle connections up to each of `counts` in turn. Returns for each the memory that the kernel and the balancer
    hold, and the dataplane's by itself."""
    readings, loads, opened = [], [], 0
    for count in counts:
        while opened < count:
            part = min(PER_PROCESS, count - opened)
            target = targets[len(loads) % len(targets)]
            loads.append(Load(lab, "--to", target, "--from", f"198.18.0.{20 + len(loads)}:0", "--connections", str(part),
                              "--parallel", "200", "--hold"))
            up = loads[-1].up()
            if up["failed"]:
                raise millrace.Refused(f"only {up['upgraded']} of {part} connections came up")
            opened += part
        time.sleep(SETTLE_SECONDS)
        readings.append((memory.held_by(lab.pids_in(lab.balancer)), memory.process_memory(dataplane.pid) if dataplane else 0))
    for load in loads:
        load.result(stop=True)
    time.sleep(SETTLE_SECONDS)
    return readings


def idle_memory(lab, arguments):
    counts = (1000, arguments.relays)
    for host in range(20, 40):
        lab.run_in(lab.clients, "ip", "address", "add", f"198.18.0.{host}/24", "dev", "mr-peer")
    addresses, _ = start_echo_servers(lab, count=8)
    # What the kernel sockets of clients and servers take is the same without Millrace between them: measured before and
    # after, when a first round has left the kernel's caches as later ones will find them.
    for namespace in (lab.clients, lab.servers):
        lab.run_in(namespace, "sh", "-c", "echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets")
    for namespace, network, gateway in ((lab.clients, "198.18.1.0/24", "198.18.0.1"), (lab.servers, "198.18.0.0/24", "198.18.1.1")):
        lab.run_in(namespace, "ip", "route", "add", network, "via", gateway)

    def direct():
        lab.run_in(lab.balancer, "sh", "-c", "ip address add 198.18.0.1/24 dev mr-c; ip address add 198.18.1.1/24 dev mr-s;"
                   "echo 1 >/proc/sys/net/ipv4/ip_forward")
        readings = idle_growth(lab, list(addresses.values()), counts)
        lab.run_in(lab.balancer, "sh", "-c", "ip address flush dev mr-c; ip address flush dev mr-s")
        return readings[1][0] - readings[0][0]

    direct()
    without = [direct()]
    config = millrace.interfaces(arguments.driver, relays_max=2 * arguments.relays)
    running = start_millrace(lab, config + millrace.listener() + millrace.backend(addresses), 8)
    through = idle_growth(lab, [f"{net.BALANCER}:80"], counts, running.dataplane)
    relay_record_bytes = running.ctl("status")["dataplane"]["relay_record_bytes"]
    running.stop()
    without.append(direct())
    more = counts[1] - counts[0]
    machine, process = (through[1][0] - through[0][0]) / more, (through[1][1] - through[0][1]) / more
    kernel = sum(without) / len(without) / more
    result = {"relays": counts[1], "machine_bytes_per_relay": round(machine),
              "kernel_sockets_bytes_per_relay": [round(growth / more) for growth in without],
              "millrace_bytes_per_relay": round(machine - kernel), "dataplane_process_bytes_per_relay": round(process),
              "relay_record_bytes": relay_record_bytes, "target": "at most 512"}
    return result, machine - kernel <= 512


MEASUREMENTS = {"thousands": thousands, "stopped-reader": stopped_reader, "control-death": control_death,
                "idle-memory": idle_memory, "goodput": goodput.goodput, "tls-scan": tls_scan.measure,
                "handshakes": handshakes.measure, "storm": storm.measure}


def main():
    parser = argparse.ArgumentParser(prog="scripts/measure", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=MEASUREMENTS)
    parser.add_argument("--driver", default="af_xdp", choices=("af_xdp", "af_packet"))
    parser.add_argument("--each", action="store_true", help="thousands: 50 messages of each length, not 50 in all")
    parser.add_argument("--stop", type=int, default=30, help="stopped-reader: seconds (default 30)")
    parser.add_argument("--kills", type=int, default=20, help="control-death: how often (default 20)")
    parser.add_argument("--relays", type=int, default=100_000, help="idle-memory: up to how many (default 100,000)")
    parser.add_argument("--seeds", type=int, default=5, help="goodput: impairment seeds of each cell (default 5)")
    parser.add_argument("--seconds", type=float, default=4, help="goodput, handshakes, storm: of each run (default 4)")
    parser.add_argument("--rounds", type=int, default=3, help="handshakes, storm: how many (default 3)")
    parser.add_argument("--cells", help=f"goodput: only these, comma separated: {', '.join(goodput.CELLS).replace('%', '%%')}")
    parser.add_argument("--capture", help="goodput: a directory for a capture of each run at the client's end")
    parser.add_argument("--json", action="store_true", help="goodput: end with the object")
    arguments = parser.parse_args()
    millrace.leave_cores({0})
    with net.Lab() as lab:
        try:
            result, reached = MEASUREMENTS[arguments.what](lab, arguments)
        except (millrace.Refused, RuntimeError, OSError) as error:
            lab.keep_directory = True
            print(f"scripts/measure: {error}\nThe logs are in {lab.directory}", file=sys.stderr)
            return 1
    if arguments.what != "goodput" or arguments.json:
        print(json.dumps({"measurement": arguments.what, "driver": arguments.driver, **result, "reached": reached,
                          "machine": machine.describe()}))
    return 0 if reached else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
