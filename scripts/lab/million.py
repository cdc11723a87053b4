"""Holds a million idle relays on one core, proves every one of them alive, and pushes one message to all of them at once.
The load generator plays clients and servers over memif, without a kernel between; meanwhile clients and servers on kernel
sockets pass messages through the same dataplane, over AF_XDP.

bytes_per_relay is seen from outside: how much the machine's memory in use grew from 1,000 relays on, huge pages included,
without that of the generator and of whatever else runs, for each relay.
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

from lab import generator, memory, millrace, net  # noqa: E402  (the line above finds them)

WS_LOAD = os.path.join(millrace.ROOT, "build/tests/tools/ws-load")
FIRST_RELAYS = 1000  # whose memory is not counted
PER_ADDRESS = 40_000  # connections of one client's address, and of one address of the balancer to one server
SERVERS = 32
NEIGHBOURS = 20
TELL_SECONDS = 10  # from one line to the next where there is no terminal
READING_SECONDS = 10  # that reading the machine's memory may take
KEEPALIVE = '{table}\nidle = "5m"\ninterval = "1m"\ncount = 4\n'


def config(lab, relays, sources, driver):
    """Two listeners: port 80 for the generator behind memif, port 81 for the neighbours on kernel sockets."""
    servers = {f"memif-{i}": f"198.19.1.{100 + i}:{generator.PORT}" for i in range(SERVERS)}
    own = ", ".join(f'{{ address = "{address}" }}' for address in millrace.memif_sources(sources))
    backend = millrace.backend(servers, "memif", health=None, more=f'idle_timeout = "2d"\nsources = [{own}]')
    return "".join((
        millrace.interfaces(driver, idle_sleep="0s", relays_max=relays + 20_000, chunk_memory="4GiB"),
        millrace.memif_interfaces(lab, sources=sources),
        millrace.listener(backend="memif", more='idle_timeout = "2d"\n' + KEEPALIVE.format(table="[listener.keepalive]")),
        millrace.listener("neighbours", 81, "neighbours"),
        backend, KEEPALIVE.format(table="[backend.keepalive]"),
        millrace.backend({"neighbour": f"{net.SERVERS[0]}:9000"}, "neighbours", health=None)))


class Scene:
    """A Millrace with its neighbours on kernel sockets, and the generator beside it; a new one for each part, so that no
    part begins with what another left."""

    def __init__(self, lab, arguments):
        self.lab, self.relays = lab, arguments.relays
        sources = math.ceil(self.relays / (PER_ADDRESS * SERVERS))
        clients = math.ceil(self.relays / PER_ADDRESS)
        self.running = millrace.Millrace(lab, config(lab, self.relays, sources, arguments.driver)).start()
        self.running.wait_running()
        self.generator = generator.Generator(
            lab, lab.clients, [f"memif:{socket},client" for socket in millrace.memif_sockets(lab)],
            generator.address_range("198.19.0", 10, clients), generator.address_range("198.19.1", 100, SERVERS), "198.19.0.1:80")
        self.told_at = 0.0

    def __enter__(self):
        """Starts the neighbours: clients that exchange a message every 100 ms with an echoing server."""
        self.server = self.lab.start(self.lab.servers, WS_LOAD, "serve", "--listen", f"{net.SERVERS[0]}:{generator.PORT}",
                                     stdout=subprocess.PIPE)
        self.server.stdout.readline()  # it listens
        self.neighbours = self.lab.start(
            self.lab.clients, WS_LOAD, "run", "--to", f"{net.BALANCER}:81", "--connections", str(NEIGHBOURS),
            "--interval-ms", "100", stdout=subprocess.PIPE, text=True)
        upgraded = json.loads(self.neighbours.stdout.readline())["upgraded"]
        if upgraded != NEIGHBOURS:
            raise millrace.Refused(f"only {upgraded} of {NEIGHBOURS} neighbours on kernel sockets came up")
        return self

    def __exit__(self, *_):
        self.lab.stop(self.neighbours, self.server, self.running.dataplane, self.running.control)

    def end_neighbours(self):
        """What became of their messages."""
        self.neighbours.terminate()
        return json.loads(self.neighbours.communicate()[0].splitlines()[-1])

    def relays_open(self):
        """Those of the generator."""
        return sum(worker["stats"]["relays_open"] for worker in self.running.workers()) - NEIGHBOURS

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


def hold(lab, arguments):
    """Holds the relays and proves each of them alive."""
    with Scene(lab, arguments) as scene, scene.holding(FIRST_RELAYS, 0):
        first = scene.outside()
    with Scene(lab, arguments) as scene:
        with scene.holding(arguments.relays, arguments.hold) as process:
            outside, inside, until = scene.outside(), scene.dataplane_memory(), time.monotonic() + arguments.hold
            own = memory.process_memory(process.pid)
            while time.monotonic() < until:
                scene.tell("holding")
                time.sleep(1)
            grown = scene.dataplane_memory() - inside
        return {
            "relays": arguments.relays, "proven_alive": arguments.relays,
            "bytes_per_relay": round((outside - first) / (arguments.relays - FIRST_RELAYS)),
            "generator_bytes_per_relay": round(own / arguments.relays), "hold_seconds": arguments.hold, "hold_growth_bytes": grown,
            "peak_rss_bytes": scene.dataplane_peak(), "hold_neighbours": scene.end_neighbours()}


def bell(lab, arguments):
    """One push to every relay at one moment."""
    with Scene(lab, arguments) as scene:
        process = scene.generator.start("bell", connections=arguments.relays)
        while process.poll() is None:
            scene.tell("bell")
            time.sleep(0.5)
        result = scene.generator.finish(process)
        return {"bell_received": result["messages"]["received"], "bell_drain_s": result["bell_drain_s"],
                "bell_mistakes": generator.mistakes(result), "bell_generator_busy": result["generator"]["busy_share"],
                "bell_neighbours": scene.end_neighbours()}


def reached(result):
    neighbours = (result["hold_neighbours"], result["bell_neighbours"])
    return result["proven_alive"] == result["relays"] == result["bell_received"] and not result["bell_mistakes"] and \
        not any(among["answered"] == 0 or among["lost"] or among["wrong"] or among["broken"] for among in neighbours)


def main():
    parser = argparse.ArgumentParser(prog="scripts/million", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--relays", type=int, default=1_000_000, help="how many (default 1,000,000)")
    parser.add_argument("--hold", type=int, default=30, help="seconds to hold them (default 30)")
    parser.add_argument("--driver", default="af_xdp", choices=("af_xdp", "af_packet"), help="of the neighbours on kernel sockets")
    parser.add_argument("--json", action="store_true", help="end with the result as one JSON object")
    arguments = parser.parse_args()
    if not FIRST_RELAYS < arguments.relays <= 240 * PER_ADDRESS:
        parser.error(f"from {FIRST_RELAYS + 1:,} to {240 * PER_ADDRESS:,} relays")
    millrace.leave_cores({0})
    with net.Lab() as lab:
        try:
            result = {**hold(lab, arguments), **bell(lab, arguments)}
        except (millrace.Refused, RuntimeError, OSError) as error:
            lab.keep_directory = True
            print(f"\nscripts/million: {error}\nThe logs are in {lab.directory}", file=sys.stderr)
            return 1
    for name, value in result.items():
        print(f"\n  {name.replace('_', ' '):28} {value if isinstance(value, dict) else f'{value:,}'}", end="")
    print()
    if arguments.json:
        print(json.dumps(result))
    return 0 if reached(result) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
