"""The bench's lab: one namespace for the balancer, one for the load generator, and two cables between them, so that a
generator that drives both cables from one core plays the clients on one and the servers on the other.

    generator's namespace                    balancer's namespace
    198.18.0.10 …  "mr-gc" ═════ "mr-c"    198.18.0.1
    198.18.1.11 …  "mr-gs" ═════ "mr-s"    198.18.1.1

The generator's ends have no kernel addresses. The balancer's have them while a balancer on kernel sockets runs. All
balancers show the same `certificate` (ECDSA with P-256).
"""

import os

from lab import net
from lab.pki import Pki

SERVER_SIDE = "198.18.1.1"
CABLES = {"mr-c": "mr-gc", "mr-s": "mr-gs"}  # the balancer's end, the generator's


class CablesLab(net.Lab):
    def __init__(self):
        super().__init__()
        self.generator = self.clients = self.servers
        self.namespaces = [self.generator, self.balancer]
        self.certificate = None  # the paths of its chain and its key

    def _make(self):
        for name in self.namespaces:
            net.run("ip", "netns", "add", name)
        queues = "numrxqueues 1 numtxqueues 1"
        for ours, theirs in CABLES.items():
            net.run("ip", "link", "add", ours, "netns", self.balancer, *queues.split(), "type", "veth",
                    "peer", "name", theirs, "netns", self.generator, *queues.split())
        for namespace, devices in ((self.balancer, CABLES), (self.generator, CABLES.values())):
            self.run_in(namespace, "sh", "-c", "echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6 >/dev/null")
            self._ip(namespace, "link set lo up", *(f"link set {device} up" for device in devices))
            for device in devices:
                self.plain_ethernet(namespace, device)
        self.certificate = Pki(os.path.join(self.directory, "pki")).certificate("bench", "bench.test")

    def give_kernel_addresses(self, core):
        """Lets kernel sockets serve on the balancer's ends, with what they receive worked on by one core: otherwise it
        would be the one that sends, the generator's."""
        self._ip(self.balancer, f"address add {net.BALANCER}/24 dev mr-c",
                 f"address add {SERVER_SIDE}/24 dev mr-s")
        settings = {"/proc/sys/net/ipv4/ip_local_port_range": "1024 65535", "/proc/sys/net/core/somaxconn": "65535",
                    "/proc/sys/net/ipv4/tcp_max_syn_backlog": "65535", "/proc/sys/net/ipv4/tcp_tw_reuse": "1",
                    **{f"/sys/class/net/{device}/queues/rx-0/rps_cpus": f"{1 << core:x}" for device in CABLES}}
        self.run_in(self.balancer, "sh", "-c", "; ".join(f"echo {value} >{file}" for file, value in settings.items()))

    def take_kernel_addresses(self):
        for device in CABLES:
            self.run_in(self.balancer, "ip", "address", "flush", "dev", device)
            self.run_in(self.balancer, "sh", "-c", f"echo 0 >/sys/class/net/{device}/queues/rx-0/rps_cpus")
