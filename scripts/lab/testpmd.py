"""dpdk-testpmd as a bare forwarder between devices, with nothing of Millrace in it: what the devices alone can do."""

import re
import subprocess
import time

from lab import millrace


class Testpmd:
    """Takes every packet of a device and puts it out through the other one, or, where there is but one, through the same.
    `core` polls; `main_core` only waits for commands. More options go to the forwarder."""

    def __init__(self, lab, namespace, name, core, main_core, devices, *options):
        argv = ["stdbuf", "-oL", "dpdk-testpmd", "--lcores", f"0@{main_core},1@{core}",
                "--no-huge", "-m", "512", "--no-pci", f"--file-prefix={lab.balancer}-{name}", *(f"--vdev={device}" for device in devices),
                "--", "-i", "--nb-cores=1", "--forward-mode=io", "--total-num-mbufs=32768", *options]
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
        """Packets so far, of two devices."""
        since = len(self.output())
        self.command("show port stats all")
        self.wait_for("port 1", since)
        self.wait_for("testpmd> ", self.output().find("port 1", since))
        return sum(map(int, re.findall(r"RX-packets:\s+(\d+)", self.output()[since:])))


def memif_device(number, socket, role):
    """As testpmd's --vdev takes it; `role` is memif's own."""
    return f"net_memif{number},socket={socket},socket-abstract=no,role={role},rsize=11"
