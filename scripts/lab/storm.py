"""What a storm of TLS handshakes adds to the latency of pushes, through Millrace and through a bare memif echo.

Core 0 has Millrace's worker, or dpdk-testpmd, which puts every packet back. Core 1 has what measures, and the storm: the
crypto thread, which RSA signatures keep at work, and the clients that shake hands. Beside the echo two processes take their
place that compute RSA signatures and never sleep. So in both cases three threads share core 1 alike, and what measures
waits for it; what Millrace adds beyond the echo is its own. Only on a machine with nothing else to do, though: where the
kernel groups threads by session (sched_autogroup), a busy crypto thread halves the weight of its worker against others.
"""

import statistics
import subprocess
import time

from lab import generator, millrace, pushes
from lab.pki import Pki, listener_tls

RELAYS = 1000
RATE = 10_000         # pushes a second
STORM_SESSIONS = 64   # at once
STORM_SECONDS = 120   # at most; it ends after the pushes
STORM_PORT = 443
STORM_BALANCER = "198.19.2.1"
PERCENTILES = ("p50", "p99", "p99.9")
TARGET = 1.2
BUSY = 0.9            # of the time, at least, the crypto thread is to have something to do


def config(lab):
    """The pushes' relays go by one pair of interfaces, the storm's by an interface of their own."""
    certificate = Pki(f"{lab.directory}/pki").certificate("rsa", "storm.test", key="rsa")
    return "".join((
        millrace.dataplane((0,), idle_sleep="0s"), millrace.memif_interfaces(lab),
        millrace.memif_interface(lab, "storm", [STORM_BALANCER]),
        millrace.listener(), millrace.backend({"pushing": f"198.19.1.100:{generator.PORT}"}, health=None),
        millrace.listener("storm", STORM_PORT, "storm", listener_tls(certificate)),
        millrace.backend({"stormed": f"198.19.2.100:{generator.PORT}"}, "storm", health=None)))


def through_millrace(lab, seconds, stormy):
    """One run of pushes; with what the crypto thread and the storm did meanwhile."""
    running = millrace.Millrace(lab, config(lab)).start()
    running.wait_running()
    source = generator.Generator(lab, lab.clients, [f"memif:{socket},client" for socket in millrace.memif_sockets(lab)],
                                 "198.19.0.10", "198.19.1.100", "198.19.0.1:80")
    storm = generator.Generator(lab, lab.clients, [f"memif:{millrace.memif_socket(lab, 'storm')},client"], "198.19.2.10",
                                "198.19.2.100", f"{STORM_BALANCER}:{STORM_PORT}", more=("--tls", "1.3", "--tls-insecure"))
    handshakes = storm.start("storm", connections=STORM_SESSIONS, seconds=STORM_SECONDS) if stormy else None
    running.wait(lambda: not stormy or running.stats()["tls_handshakes_tls13_total"] > STORM_SESSIONS, what="storming")
    pushing, begin = pushes.start(source, RELAYS, 0, RATE, seconds), crypto_reading(running)
    time.sleep(seconds)
    passed, ran, busy = (after - before for before, after in zip(begin, crypto_reading(running)))
    result = pushes.summary(source.finish(pushing, seconds + 60))
    if stormy:
        handshakes.terminate()
        done = storm.finish(handshakes)
        result["storm"] = {"handshakes_per_s": done["rate_per_s"], "mistakes": generator.mistakes(done),
                           "crypto_thread_ran": round(ran / passed, 3), "crypto_thread_busy": round(busy / passed, 3)}
    lab.stop(running.dataplane, running.control)
    return result


def crypto_reading(running):
    """Seconds: now, how long the crypto thread has run, and how long it has had something to do."""
    return time.monotonic(), running.crypto_seconds(), running.stats()["tls_crypto_busy_us_total"] * 1e-6


def through_echo(lab, seconds, stormy):
    signers = [lab.start(lab.clients, "openssl", "speed", "-seconds", "60", "rsa2048", stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL) for _ in range(2 * stormy)]
    result = pushes.summary(pushes.put_back(lab, RELAYS, 0, RATE, seconds))
    lab.stop(*signers)
    return result


def medians(runs):
    """Of the latencies, and all that one may want to look at."""
    return {"latency_us": {name: statistics.median(run["latency_us"][name] for run in runs) for name in PERCENTILES}, "runs": runs}


def measure(lab, arguments):
    """Rounds of all four, so that what changes on the machine meanwhile touches all of them."""
    kinds = {"millrace": through_millrace, "bare_memif": through_echo}
    runs = {(name, stormy): [] for name in kinds for stormy in (False, True)}
    for _ in range(arguments.rounds):
        for (name, stormy), done in runs.items():
            done.append(kinds[name](lab, arguments.seconds, stormy))
    result = {name: {"quiet": medians(runs[name, False]), "storm": medians(runs[name, True])} for name in kinds}
    for parts in result.values():
        parts["added_us"] = {name: parts["storm"]["latency_us"][name] - parts["quiet"]["latency_us"][name] for name in PERCENTILES}
    added, bare = (result[name]["added_us"] for name in kinds)
    ratio = {name: round(added[name] / max(bare[name], 1), 3) for name in PERCENTILES}
    storms = [run["storm"] for run in runs["millrace", True]]
    busy = all(storm["crypto_thread_busy"] >= BUSY for storm in storms)
    faultless = not any(part["mistakes"] for done in runs.values() for part in (*done, *storms))
    return {"driver": "memif", "relays": RELAYS, "pushes_per_s": RATE, "rounds": arguments.rounds, "seconds": arguments.seconds, **result,
            "added_ratio": ratio, "crypto_thread_always_busy": busy,
            "target": f"Millrace adds at most {TARGET} times what the echo adds, at p99 and p99.9"}, \
        busy and faultless and max(ratio["p99"], ratio["p99.9"]) <= TARGET
