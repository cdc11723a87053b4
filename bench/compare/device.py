"""What the bare devices carry: dpdk-testpmd on the balancer's core takes every packet from one device and puts it out
through the other, and does nothing else; a second one on the generator's core keeps packets going round. A push through
Millrace is at least two packets, and its acknowledgements."""

import time

import cables
import systems
from lab import millrace, testpmd

FRAME_BYTES = 128 + 66 + 2  # of a push: payload, its frame header, TCP with timestamps, IP, Ethernet
BURSTS = 8                  # of 32 packets on their way in each direction
WARM_UP_SECONDS = 1


def measure(lab, kinds, seconds):
    """Packets a second that one core receives and sends again, by kind of cable."""
    return {kind: round(forwarded(lab, kind, seconds)) for kind in sorted(kinds)}


def forwarded(lab, kind, seconds):
    if kind == "memif":
        sockets = millrace.memif_sockets(lab)
        ours, theirs = ([testpmd.memif_device(i, socket, role) for i, socket in enumerate(sockets)]
                        for role in ("server", "client"))
    else:
        ours, theirs = ([f"net_af_xdp{i},iface={device},busy_budget=0" for i, device in enumerate(devices)]
                        for devices in (cables.CABLES, cables.CABLES.values()))
    other, frame = systems.GENERATOR_CORE, f"--txpkts={FRAME_BYTES}"
    forwarder = testpmd.Testpmd(lab, lab.balancer, f"{kind}-forwarder", systems.CORE, other, ours, frame)
    forwarder.command("start")
    source = testpmd.Testpmd(lab, lab.generator, f"{kind}-source", other, other, theirs, frame)
    source.command(f"start tx_first {BURSTS}")
    try:
        time.sleep(WARM_UP_SECONDS)
        first, begin = forwarder.received(), time.monotonic()
        time.sleep(seconds)
        return (forwarder.received() - first) / (time.monotonic() - begin)
    finally:
        for one in (source, forwarder):
            one.command("stop")
            one.command("quit")
        lab.stop(source.process, forwarder.process)
