"""Holds a million idle relays on one core, proves every one of them alive, and pushes one message to all of them at once.
The load generator plays clients and servers over memif, without a kernel between; meanwhile clients and servers on kernel
sockets pass messages through the same dataplane, over AF_XDP.

bytes_per_relay is seen from outside: how much the machine's memory in use grew from 1,000 relays on, huge pages included,
without that of the generator and of whatever else runs, for each relay.

With --tls the generator's clients speak TLS, with full handshakes or, with --resume, resumed ones; the crypto thread shares
the generator's core.

With --latency instead: pushes to 5,000 more relays beside them, first as fast as it goes, then at half of that rate, and
at the same rate with dpdk-testpmd in Millrace's place, which only puts every packet back; what the pushes take longer
through Millrace is its own latency.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab import generator, memory, millrace, net, pushes  # noqa: E402  (the line above finds them)
from lab.pki import Pki, listener_tls  # noqa: E402

WS_LOAD = os.path.join(millrace.ROOT, "build/tests/tools/ws-load")
FIRST_RELAYS = 1000  # whose memory is not counted
SERVERS = 32
NEIGHBOURS = 20
TELL_SECONDS = 10  # from one line to the next where there is no terminal
READING_SECONDS = 10  # that reading the machine's memory may take
PUSHED_TO = 5000      # relays beside the idle ones
PUSH_SECONDS = 10
KEEPALIVE = '{table}\nidle = "5m"\ninterval = "1m"\ncount = 4\n'


def tls_tables(lab):
    """Those of a listener with one ECDSA certificate."""
    return listener_tls(Pki(os.path.join(lab.directory, "pki")).certificate("ecdsa", "million.test"))


def config(lab, relays, sources, driver, tls):
    """A listener at port 80 for the generator behind memif and, with a driver, one at port 81 for the neighbours on kernel
    sockets."""
    servers = {f"memif-{i}": f"198.19.1.{100 + i}:{generator.PORT}" for i in range(SERVERS)}
    own = ", ".join(f'{{ address = "{address}" }}' for address in millrace.memif_sources(sources))
    backend = millrace.backend(servers, "memif", health=None, more=f'idle_timeout = "2d"\nsources = [{own}]')
    neighbours = (
        millrace.cable_interfaces(driver), millrace.listener("neighbours", 81, "neighbours"),
        millrace.backend({"neighbour": f"{net.SERVERS[0]}:9000"}, "neighbours", health=None)) if driver else ()
    return "".join((
        millrace.dataplane((0,), idle_sleep="0s", relays_max=relays + 20_000, chunk_memory="4GiB"),
        millrace.memif_interfaces(lab, sources=sources),
        millrace.listener(backend="memif", more='idle_timeout = "2d"\n' + KEEPALIVE.format(table="[listener.keepalive]") +
                          (tls_tables(lab) if tls else "")),
        backend, KEEPALIVE.format(table="[backend.keepalive]"), *neighbours))


def clients_of(relays):
    return generator.address_range("198.19.0", 10, math.ceil(relays / pushes.PER_ADDRESS))


def busy_share(before, after):
    """Of a worker's time between two of its readings."""
    worked, idle = (sum(after[f"{what}_cycles_total"] - before[f"{what}_cycles_total"] for what in kinds)
                    for kinds in (("busy", "device"), ("idle",)))
    return worked / (worked + idle)


class Scene:
    """A Millrace with its neighbours on kernel sockets, and the generator beside it; a new one for each part, so that no
    part begins with what another left."""

    def __init__(self, lab, arguments, neighbours=NEIGHBOURS):
        self.lab, self.relays, self.neighbour_count = lab, arguments.relays, neighbours
        sources = math.ceil(self.relays / (pushes.PER_ADDRESS * SERVERS))
        self.running = millrace.Millrace(lab, config(lab, self.relays, sources, arguments.driver if neighbours else None, arguments.tls)).start()
        self.running.wait_running()
        self.generator = generator.Generator(
            lab, lab.clients, [f"memif:{socket},client" for socket in millrace.memif_sockets(lab)],
            clients_of(self.relays), generator.address_range("198.19.1", 100, SERVERS), "198.19.0.1:80",
            more=("--tls", arguments.tls, "--tls-insecure", "--tls-resume", str(int(arguments.resume))) if arguments.tls else ())
        self.neighbours = self.server = None
        self.told_at = 0.0

    def __enter__(self):
        """Starts the neighbours: clients that exchange a message every 100 ms with an echoing server."""
        if not self.neighbour_count:
            return self
        self.server = self.lab.start(self.lab.servers, WS_LOAD, "serve", "--listen", f"{net.SERVERS[0]}:{generator.PORT}",
                                     stdout=subprocess.PIPE)
        self.server.stdout.readline()  # it listens
        self.neighbours = self.lab.start(
            self.lab.clients, WS_LOAD, "run", "--to", f"{net.BALANCER}:81", "--connections", str(self.neighbour_count),
            "--interval-ms", "100", stdout=subprocess.PIPE, text=True)
        upgraded = json.loads(self.neighbours.stdout.readline())["upgraded"]
        if upgraded != self.neighbour_count:
            raise millrace.Refused(f"only {upgraded} of {self.neighbour_count} neighbours on kernel sockets came up")
        return self

    def __exit__(self, *_):
        neighbours = [self.neighbours, self.server] if self.neighbour_count else []
        self.lab.stop(*neighbours, self.running.dataplane, self.running.control)

    def end_neighbours(self):
        """What became of their messages."""
        self.neighbours.terminate()
        return json.loads(self.neighbours.communicate()[0].splitlines()[-1])

    def relays_open(self):
        """Those of the generator."""
        return self.running.stats()["relays_open"] - self.neighbour_count

    def tell(self, what):
        """One line that is written over, on a terminal; elsewhere one now and then. Returns the relays that are open."""
        count = self.relays_open()
        if sys.stdout.isatty() or time.monotonic() - self.told_at > TELL_SECONDS:
            line = f"{what}: {count:,} relays, dataplane {self.dataplane_memory() >> 20:,} MiB"
            print(f"\r\x1b[2K{line}" if sys.stdout.isatty() else line, end="" if sys.stdout.isatty() else "\n", flush=True)
            self.told_at = time.monotonic()
        return count

    def dataplane_memory(self):
        return memory.process_memory(self.running.dataplane.pid)

    def dataplane_peak(self):
        with open(f"/proc/{self.running.dataplane.pid}/status", encoding="ascii") as status:
            return int(re.search(r"^VmHWM:\s+(\d+)", status.read(), re.MULTILINE).group(1)) << 10

    def outside(self):
        """What the machine gives to Millrace, the kernel's part included."""
        return memory.held_by(self.lab.pids_in(self.lab.balancer))

    def holding(self, relays, seconds):
        return self.generator.holding(relays, lambda: self.tell("opening"), seconds + READING_SECONDS)

    def push(self, rate):
        """Pushes to some of the relays, all of which are there; returns the generator's result and the share of its time
        that the dataplane's core worked."""
        process = pushes.start(self.generator, self.relays, PUSHED_TO, rate, PUSH_SECONDS)
        while process.poll() is None and self.tell("opening") < self.relays:
            time.sleep(0.2)
        time.sleep(PUSH_SECONDS / 4)
        before = self.running.stats()
        time.sleep(PUSH_SECONDS / 2)
        share = busy_share(before, self.running.stats())
        return self.generator.finish(process, PUSH_SECONDS + 60 + self.relays / 10_000), share


def hold(lab, arguments):
    """Holds the relays and proves each of them alive."""
    with Scene(lab, arguments) as scene, scene.holding(FIRST_RELAYS, 0):
        first = scene.outside()
    with Scene(lab, arguments) as scene:
        with scene.holding(arguments.relays, arguments.hold) as held:
            outside, inside, until = scene.outside(), scene.dataplane_memory(), time.monotonic() + arguments.hold
            own = memory.process_memory(held.process.pid)
            while time.monotonic() < until:
                scene.tell("holding")
                time.sleep(1)
            grown = scene.dataplane_memory() - inside
        return {
            "relays": arguments.relays, "proven_alive": held.result["connections"]["proven_alive"],
            "ramp_s": held.result["seconds"], "ramp_per_s": held.result["rate_per_s"],
            "bytes_per_relay": round((outside - first) / (arguments.relays - FIRST_RELAYS)),
            "generator_bytes_per_relay": round(own / arguments.relays), "hold_seconds": arguments.hold, "hold_growth_bytes": grown,
            "peak_rss_bytes": scene.dataplane_peak(), "hold_neighbours": scene.end_neighbours()}


def bell(lab, arguments):
    """One push to every relay at one moment."""
    with Scene(lab, arguments) as scene:
        process = scene.generator.start("bell", connections=arguments.relays, timeout=600)
        while process.poll() is None:
            scene.tell("bell")
            time.sleep(0.5)
        result = scene.generator.finish(process)
        return {"bell_received": result["messages"]["received"], "bell_drain_s": result["bell_drain_s"],
                "bell_mistakes": generator.mistakes(result), "bell_generator_busy": result["generator"]["busy_share"],
                "bell_neighbours": scene.end_neighbours()}


def latency(lab, arguments):
    """How much longer pushes take through Millrace than through a bare forwarder, at half the rate that it was seen to
    carry."""
    relays = arguments.relays = arguments.relays + PUSHED_TO
    with Scene(lab, arguments, neighbours=0) as scene:
        most = pushes.summary(*scene.push(0))
    half = round(most["rate_per_s"] / 2)
    with Scene(lab, arguments, neighbours=0) as scene:
        through = pushes.summary(*scene.push(half))
    bare = pushes.summary(pushes.put_back(lab, relays, PUSHED_TO, half, PUSH_SECONDS))
    added = {name: through["latency_us"][name] - bare["latency_us"][name] for name in bare["latency_us"]}
    return {"idle_relays": relays - PUSHED_TO, "pushed_to": PUSHED_TO, "saturation": most, "through_millrace": through,
            "bare_memif": bare, "added_latency_us": added}


def pushes_reached(result):
    return not any(result[part]["mistakes"] for part in ("saturation", "through_millrace", "bare_memif"))


def reached(result):
    neighbours = [result[part] for part in ("hold_neighbours", "bell_neighbours") if part in result]
    rung = result.get("bell_received", result["relays"]) == result["relays"] and not result.get("bell_mistakes")
    return result["proven_alive"] == result["relays"] and rung and not any(
        among["answered"] == 0 or among["lost"] or among["wrong"] or among["broken"] for among in neighbours)


def main():
    parser = argparse.ArgumentParser(prog="scripts/million", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--relays", type=int, default=1_000_000, help="how many (default 1,000,000)")
    parser.add_argument("--hold", type=int, default=30, help="seconds to hold them (default 30)")
    parser.add_argument("--driver", default="af_xdp", choices=("af_xdp", "af_packet"), help="of the neighbours on kernel sockets")
    parser.add_argument("--tls", choices=("1.2", "1.3"), help="clients speak TLS of this version")
    parser.add_argument("--resume", action="store_true", help="with --tls: resumed handshakes")
    parser.add_argument("--no-bell", action="store_true", help="only hold them; no push to all of them at once")
    parser.add_argument("--latency", action="store_true", help="measure the latency of pushes beside them instead")
    parser.add_argument("--json", action="store_true", help="end with the result as one JSON object")
    arguments = parser.parse_args()
    if not FIRST_RELAYS < arguments.relays <= 240 * pushes.PER_ADDRESS:
        parser.error(f"from {FIRST_RELAYS + 1:,} to {240 * pushes.PER_ADDRESS:,} relays")
    millrace.leave_cores({0})
    with net.Lab() as lab:
        try:
            if arguments.latency:
                result = latency(lab, arguments)
            else:
                result = {**hold(lab, arguments), **({} if arguments.no_bell else bell(lab, arguments))}
        except (millrace.Refused, RuntimeError, OSError) as error:
            lab.keep_directory = True
            print(f"\nscripts/million: {error}\nThe logs are in {lab.directory}", file=sys.stderr)
            return 1
    for name, value in result.items():
        print(f"\n  {name.replace('_', ' '):28} {value if isinstance(value, dict) else f'{value:,}'}", end="")
    print()
    if arguments.json:
        print(json.dumps(result))
    return 0 if (pushes_reached if arguments.latency else reached)(result) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
