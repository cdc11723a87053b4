"""What the bench measures: one cell for each workload and system. A cell's sample is a dictionary of figures, with which
side was at its limit."""

import contextlib
import statistics
import threading
import time
from dataclasses import dataclass, field, replace

from lab import machine, memory, millrace
from lab.generator import mistakes
from systems import BURST_SIZES, STAGES

SATURATED = 0.95  # of a core's time in useful work
READ_EVERY_SECONDS = 0.5
HOLD_SECONDS = 4  # that reading the machine's memory may take
IDLE_FROM = 1000  # relays; the memory of the first ones is not counted


@dataclass(frozen=True)
class Workload:
    key: str
    title: str
    kind: str            # millrace-load's name for it
    options: dict = field(default_factory=dict)
    figures: tuple = ()  # names in a sample, the first is the one that is plotted

    @property
    def tls(self):
        return "tls" in self.options


def figure(name, unit, less_is_better=False):
    return {"name": name, "unit": unit, "less_is_better": less_is_better}


RATE = figure("rate", "a second")
CYCLES = (figure("cycles", "busy cycles each"), figure("device_cycles", "of these in the device's calls"),
          figure("buffer_cycles", "in taking and giving back packet buffers"), figure("timer_cycles", "in timers"),
          figure("copy_cycles", "in copies of payload"))
BUSY = figure("busy", "share of the core")
CRYPTO = (figure("crypto", "of it by the thread that shakes hands"), figure("crypto_busy", "of the time it had something to do"))
GENERATOR_BUSY = figure("generator_busy", "share of the generator's core")
RESUMED = figure("resumed", "share of the handshakes")
CONNECTING = tuple(figure(f"connect_{name}", "µs from SYN to 101") for name in ("p50", "p99"))
LATENCIES = tuple(figure(name, "µs", True) for name in ("p50", "p99", "p99.9"))
BYTES_PER_RELAY = figure("bytes_per_relay", "B", True)
THROUGHPUT = figure("gigabits", "Gbit/s of payload, both directions together")

SMALL = {"size": 128}
PUSH_CONNECTIONS = 5000
TLS_RATE = 15_000  # of pushes, which every balancer carries
TLS = {"tls": "1.3", "tls_insecure": True}  # clients check signatures, but not who signed the certificate


def with_tls(workload):
    return replace(workload, key=f"wss-{workload.key}", title=f"{workload.title}, with TLS 1.3",
                   options={**workload.options, **TLS})


def handshakes(kind, resume):
    return Workload(f"wss-storm-{kind}", f"Connect, {kind} TLS 1.3 handshake, upgrade, close by FIN", "storm",
                    {"connections": 200, "close": "fin", **TLS, "tls_resume": resume},
                    (RATE, CYCLES[0], BUSY, *CRYPTO, GENERATOR_BUSY, RESUMED, *CONNECTING))


def push_at(rate):
    return Workload(f"push-{rate}", f"{rate:,} pushes a second to {PUSH_CONNECTIONS:,} relays", "push",
                    {"connections": PUSH_CONNECTIONS, "rate": rate, **SMALL}, (*LATENCIES, BUSY, RATE))


def workloads(quick):
    rates = (5_000, 15_000, 60_000) if quick else (5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 240_000)
    idle = Workload("idle", "Memory of an idle relay", "idle", {}, (BYTES_PER_RELAY,))
    echo = Workload("echo", "Echoes of 128 B over 1,000 relays, one at a time on each", "echo",
                    {"connections": 1000, "depth": 1, **SMALL}, (RATE, *CYCLES, *LATENCIES))
    push = Workload("push", f"Pushes of 128 B to {PUSH_CONNECTIONS:,} relays, as fast as it goes", "push",
                    {"connections": PUSH_CONNECTIONS, "rate": 0, **SMALL}, (RATE, *CYCLES))
    bulk = Workload("bulk", "Messages of 64 KiB both ways over 16 relays", "bulk", {"connections": 16, "size": 65536}, (THROUGHPUT,))
    return [
        idle, echo, push, *map(push_at, rates),
        Workload("storm-fin", "Connect, upgrade, close by FIN", "storm", {"connections": 200, "close": "fin"}, (RATE, *CYCLES)),
        Workload("storm-rst", "Connect, upgrade, close by RST", "storm", {"connections": 200, "close": "rst"}, (RATE, *CYCLES)),
        bulk,
        *map(with_tls, (idle, echo, push, push_at(TLS_RATE))), handshakes("full", 0), handshakes("resumed", 1), with_tls(bulk),
    ]


def run(workload, system, seconds):
    """One sample of a cell."""
    if workload.kind == "idle":
        return idle_memory(workload, system)
    with reading(system) as readings:
        result = system.generator.run(workload.kind, seconds=seconds, **workload.options)
    shares, rate = balancer_shares(readings, *result["work_s"]), result["rate_per_s"]
    sample = {"rate": rate, **shares, "generator_busy": result["generator"]["busy_share"], "mistakes": mistakes(result),
              "gigabits": result["bytes"] * 8e-9 / result["seconds"], **result["latency_us"],
              **{f"connect_{name}": value for name, value in result["connect_us"].items()}}
    if workload.tls:
        sample["resumed"] = result["tls_handshakes"]["resumed"] / result["tls_handshakes"]["done"]
    if rate:
        sample["cycles"] = shares["busy"] * machine.cycles_per_second() / rate
    if rate and STAGES[0] in shares:
        sample |= {f"{stage}_cycles": shares[stage] * machine.cycles_per_second() / rate for stage in STAGES}
        bursts = sum(shares[f"bursts_{size}"] for size in BURST_SIZES)
        sample["bursts"] = {size: shares[f"bursts_{size}"] / bursts for size in BURST_SIZES}
    return {**sample, "limit": limit(sample)}


def limit(sample):
    """Which side had no more to give; "load" when it was what was asked for, or the closed loop, that ended it. A thread
    that shakes hands shares its core with a worker that polls: it gives all it has when it always has something to do."""
    balancer = max(sample["busy"], sample.get("crypto_busy", 0))
    sides = [side for side, busy in (("balancer", balancer), ("generator", sample["generator_busy"])) if busy >= SATURATED]
    return " and ".join(sides) or "load"


@contextlib.contextmanager
def reading(system):
    """Gives a list that gets the system's readings while the block runs."""
    readings, ended = [], threading.Event()

    def read():
        while not ended.wait(READ_EVERY_SECONDS):
            readings.append({"at": time.monotonic(), **system.readings()})

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield readings
    finally:
        ended.set()
        reader.join()


def balancer_shares(readings, began, ended):
    """From readings at equal distances: the shares of time that went into useful work and into the device, as means over
    the middle half of the spans between the work's begin and its end."""
    within = [one for one in readings if began <= one["at"] <= ended]
    spans = []
    for before, after in zip(within, within[1:]):
        if (passed := after["all"] - before["all"]) > 0:
            spans.append(undisturbed({name: (after[name] - before[name]) / passed for name in after if name not in ("all", "at")}))
    if not spans:
        raise millrace.Refused("too short to tell how busy the balancer was")
    spans.sort(key=lambda span: span["busy"])
    middle = spans[len(spans) // 4: len(spans) - len(spans) // 4]
    return {name: statistics.mean(span[name] for span in middle) for name in middle[0]}


def undisturbed(span):
    """A worker counts the time stamp counter's cycles, also while a thread that shakes hands has its core: that finds it
    at work, or not, as often as it works."""
    crypto = span.get("crypto", 0)
    of_worker = {name: share * (1 - crypto) for name, share in span.items() if name in ("busy", *STAGES)}
    return {**span, **of_worker, "busy": of_worker["busy"] + crypto}


def idle_memory(workload, system):
    """Growth of the memory that the kernel and the balancer hold, from 1,000 relays to as many as the system can have."""
    most, readings = system.tls_relays_max if workload.tls else system.relays_max, []
    for connections in (IDLE_FROM, most):
        with system.generator.holding(connections, system.relays_open, HOLD_SECONDS, **workload.options):
            readings.append(memory.held_by(system.lab.pids_in(system.lab.balancer)))
    grown = (readings[1] - readings[0]) / (most - IDLE_FROM)
    return {"bytes_per_relay": grown, "limit": "load", "mistakes": {}}
