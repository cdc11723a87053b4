"""millrace-load as the bench and scripts/million use it: clients and servers in one process, on one core, that drive
whatever listens behind a pair of memif sockets or of virtual cables."""

import contextlib
import itertools
import subprocess
import time
from dataclasses import dataclass

from lab import load, millrace

SETTLE_SECONDS = 3
RAMP_RATE, TLS_RAMP_RATE = 1000, 200  # connections a second, at least
PORT = 9000


def address_range(network, first, count):
    """FIRST-LAST within a /24, which is given as "198.19.0"."""
    return f"{network}.{first}-{network}.{first + count - 1}"


@dataclass
class Held:
    """Idle relays that are held: the generator that does, and, when it has ended, its result."""
    process: subprocess.Popen
    result: dict | None = None


class Generator:
    """`interfaces` are those of the clients and of the servers, or the one of both, as millrace-load takes them;
    `targets` is the balancer; `more` are further arguments of every workload."""

    def __init__(self, lab, namespace, interfaces, clients, servers, *targets, core=1, ports=str(PORT), more=()):
        self.lab, self.namespace = lab, namespace
        self.arguments = [
            "--role", "both", "--core", str(core), "--client-interface", interfaces[0],
            *(("--server-interface", interfaces[1]) if len(interfaces) > 1 else ()),
            "--client-addresses", clients, "--client-prefix", "24", "--server-addresses", servers, "--server-prefix", "24",
            "--server-port", ports, *more, *itertools.chain(*(("--target", target) for target in targets))]
        self.commands = {}  # the last command line of each workload, with and without TLS, without the paths of this machine

    def start(self, workload, **options):
        """`connections=10` becomes `--connections 10`, `huge_pages=True` becomes `--huge-pages`."""
        arguments = [workload, *self.arguments]
        for name, value in options.items():
            arguments += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        self.commands[f"{workload}{' with TLS' * ('tls' in options)}"] = " ".join(["millrace-load", *arguments]).replace(self.lab.directory, "DIRECTORY")
        return load.start(self.lab, self.namespace, *arguments)

    def finish(self, process, seconds=120):
        """Waits for the end; returns the result, in which mistakes() may be found."""
        try:
            code, result, said = load.finish(process, seconds)
        except subprocess.TimeoutExpired:
            self.lab.stop(process)
            raise millrace.Refused(f"millrace-load did not end within {seconds} s") from None
        if result is None:
            raise millrace.Refused(f"millrace-load ended with {code}: {said.strip()[-300:]}")
        return result

    def run(self, workload, **options):
        return self.finish(self.start(workload, **options), 120 + 2 * options.get("seconds", 0))

    @contextlib.contextmanager
    def holding(self, connections, relays_open, seconds, **options):
        """Idle relays, all open while the block runs, which must end within so many seconds; gives them as Held. At the
        end every one of them is proven alive. `relays_open()` tells how many the balancer has."""
        held = SETTLE_SECONDS + seconds
        slowest = TLS_RAMP_RATE if "--tls" in self.arguments or "tls" in options else RAMP_RATE
        opening = 60 + connections / slowest
        process = self.start("idle", connections=connections, hold=held, timeout=600 + opening + held, **options)
        until = time.monotonic() + opening
        while relays_open() < connections:
            if process.poll() is not None:
                raise millrace.Refused(f"not all of {connections} relays came up: {self.finish(process)}")
            if time.monotonic() > until:
                raise millrace.Refused(f"not all of {connections} relays came up in time")
            time.sleep(0.2)
        time.sleep(SETTLE_SECONDS)
        held_relays = Held(process)
        yield held_relays
        if process.poll() is not None:
            raise millrace.Refused("the relays were not held for long enough")
        held_relays.result = self.finish(process, 120 + held + connections / 10_000)
        alive = held_relays.result["connections"]["proven_alive"]
        if alive != connections:
            raise millrace.Refused(f"only {alive} of {connections} idle relays were alive at the end")


def mistakes(result):
    """What went wrong with messages and connections, and how often; empty when nothing did."""
    found = {**{what: result["messages"][what] for what in ("lost", "duplicated", "reordered", "corrupted", "crossed")},
             **{what: result["connections"][what] for what in ("failed", "closed_by_peer")}}
    return {what: count for what, count in found.items() if count}
