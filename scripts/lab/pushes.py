"""Pushes of 128 B whose latency is measured, through Millrace or through a memif whose other end only puts every packet
back."""

import contextlib
import math
import os

from lab import generator, testpmd

BYTES = 128
PER_ADDRESS = 44_000  # connections of one client's address, and of one address of the balancer to one server


def start(source, relays, subset, rate, seconds):
    """To some of the relays, so many a second in all; 0: as fast as it goes."""
    return source.start("push", connections=relays, subset=subset, size=BYTES, rate=rate, seconds=seconds)


def summary(result, busy=None):
    """What is told of a run of pushes; `busy` is the share of its time that the dataplane's core worked."""
    latency = {name: result["latency_us"][name] for name in ("p50", "p99", "p99.9")}
    return {"rate_per_s": result["rate_per_s"], "latency_us": latency, "generator_busy": result["generator"]["busy_share"],
            "mistakes": generator.mistakes(result), **({} if busy is None else {"busy": round(busy, 3)})}


def put_back(lab, relays, subset, rate, seconds):
    """The same pushes between one client's and one server's address, as many as either meets with Millrace between, on one
    memif whose other end, dpdk-testpmd, puts every packet back. Returns the generator's result."""
    socket = os.path.join(lab.directory, "bare.memif")
    with contextlib.suppress(FileNotFoundError):  # of an earlier one: the driver may have ended that when its peer went
        os.remove(socket)
    forwarder = testpmd.Testpmd(lab, lab.balancer, "bare", 0, 1, [testpmd.memif_device(0, socket, "server")])
    forwarder.command("start")
    last = generator.PORT + math.ceil(relays / PER_ADDRESS) - 1
    targets = [f"198.19.0.1:{port}" for port in range(generator.PORT, last + 1)]
    source = generator.Generator(lab, lab.clients, [f"memif:{socket},client"], "198.19.0.10", "198.19.0.1", *targets,
                                 ports=f"{generator.PORT}-{last}")
    result = source.finish(start(source, relays, subset, rate, seconds), seconds + 120 + relays / 5_000)
    lab.stop(forwarder.process)
    return result
