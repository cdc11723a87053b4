"""What the bare devices carry: dpdk-testpmd on the balancer's core takes every packet from one device and puts it out
through the other, and does nothing else; a second one on the generator's core keeps packets going round. A push through
Millrace is at least two packets, and its acknowledgements."""

import re
import subprocess
import time

import cables
import systems
from lab import millrace

FRAME_BYTES = 128 + 66 + 2  # of a push: payload, its frame header, TCP with timestamps, IP, Ethernet
BURSTS = 8                  # of 32 packets on their way in each direction
WARM_UP_SECONDS = 1


class Testpmd:
    """A forwarder of packets between two devices."""

    def __init__(self, lab, namespace, name, core, devices):
        # The main thread only waits for commands: it stays off the balancer's core.
        argv = ["stdbuf", "-oL", "dpdk-testpmd", "--lcores", f"0@{systems.GENERATOR_CORE},1@{core}",
                "--no-huge", "-m", "512", "--no-pci", f"--file-prefix={lab.balancer}-{name}", *(f"--vdev={device}" for device in devices),
                "--", "-i", "--nb-cores=1", "--forward-mode=io",
                f"--txpkts={FRAME_BYTES}", "--total-num-mbufs=32768"]
        self.log = open(f"{lab.directory}/testpmd-{name}.log", "w+", encoding="utf-8", errors="replace")
        self.process = lab.start(namespace, *argv, stdin=subprocess.PIPE, stdout=self.log, stderr=subprocess.STDOUT, text=True)
        self.wait_for("testpmd> ")

    def command(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def output(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for(self, text, since=0, seconds=20):
        until = time.monotonic() + seconds
        while text not in self.output()[since:]:
            if self.process.poll() is not None or time.monotonic() > until:
                raise millrace.Refused(f"dpdk-testpmd: {self.output()[-300:]}")
            time.sleep(0.05)

    def received(self):
        """Packets so far, of both devices."""
        since = len(self.output())
        self.command("show port stats all")
        self.wait_for("port 1", since)
        self.wait_for("testpmd> ", self.output().find("port 1", since))
        return sum(map(int, re.findall(r"RX-packets:\s+(\d+)", self.output()[since:])))


def measure(lab, kinds, seconds):
    """Packets a second that one core receives and sends again, by kind of cable."""
    return {kind: round(forwarded(lab, kind, seconds)) for kind in sorted(kinds)}


def forwarded(lab, kind, seconds):
    if kind == "memif":
        sockets = millrace.memif_sockets(lab)
        ours, theirs = ([f"net_memif{i},socket={socket},socket-abstract=no,role={role},rsize=11"
                         for i, socket in enumerate(sockets)] for role in ("server", "client"))
    else:
        ours, theirs = ([f"net_af_xdp{i},iface={device},busy_budget=0" for i, device in enumerate(devices)]
                        for devices in (cables.CABLES, cables.CABLES.values()))
    forwarder = Testpmd(lab, lab.balancer, f"{kind}-forwarder", systems.CORE, ours)
    forwarder.command("start")
    source = Testpmd(lab, lab.generator, f"{kind}-source", systems.GENERATOR_CORE, theirs)
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
