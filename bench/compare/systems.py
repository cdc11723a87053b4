"""The balancers that the bench compares. Each runs on one core, between the same clients and servers; start() and stop()
may be called again and again. readings() tells what its core has worked so far.

With TLS, Millrace's crypto thread has the same core as its worker, so that every balancer has one core for everything.
"""

import os
import re
import time

import cables
from lab import generator, machine, millrace, net
from lab.pki import Pki, listener_tls

HERE = os.path.dirname(os.path.abspath(__file__))
CORE = 0
GENERATOR_CORE = 1
ON_CORE = ("taskset", "-c", str(CORE))  # HAProxy's cpu-map alone leaves it where it was started
PORT = 80
FILES_MAX = 20_000  # that a process may open here
SERVER_COUNT, CLIENT_COUNT = 8, 64
STAGES = ("device", "buffer", "timer", "copy")  # that Millrace counts apart
BURST_SIZES = (1, 2, 4, 8, 16, 32)  # frames, at least, in a receive burst of Millrace


class System:
    """What the bench asks of a balancer."""

    name = label = cable = None
    networks = ("198.18.0", "198.18.1")  # of clients and servers; the balancer is .1 in both
    relays_max = tls_relays_max = (FILES_MAX - 200) // 2  # as many as one process with a socket for each side can have

    def __init__(self, lab):
        self.lab = lab
        clients, servers = self.networks
        self.generator = generator.Generator(
            lab, lab.generator, self.generator_interfaces(), generator.address_range(clients, 10, CLIENT_COUNT),
            generator.address_range(servers, 11, SERVER_COUNT), f"{clients}.1:{PORT}", core=GENERATOR_CORE)

    def generator_interfaces(self):
        """The other ends of the two cables, as the generator takes them."""
        return [f"af_xdp:{device}" for device in cables.CABLES.values()]

    def servers(self):
        """{name: address with port}."""
        return {f"server-{i + 1}": f"{self.networks[1]}.{11 + i}:{generator.PORT}" for i in range(SERVER_COUNT)}

    def start(self, tls):
        """With `tls`, clients are to speak TLS 1.3."""
        raise NotImplementedError

    def stop(self):
        raise NotImplementedError

    def version(self):
        raise NotImplementedError

    def relays_open(self):
        """Relays that are open now."""
        raise NotImplementedError

    def readings(self):
        """Growing sums in one unit: `busy`, of the balancer's useful work, and `all`, of all time; perhaps also `device`,
        of what the device's calls took of the work, and of the threads that shake hands `crypto`, the time that they ran,
        and `crypto_busy`, the time that they had something to do."""
        raise NotImplementedError


class KernelBalancer(System):
    """A process on kernel sockets. Its work is everything that its core did, the kernel's part included: nothing else
    may run there."""

    cable = "veth"
    process = None

    def start(self, tls):
        self.lab.give_kernel_addresses(CORE)
        self.process = self.launch(tls)
        until = time.monotonic() + 5
        while f"{net.BALANCER}:{PORT}" not in self.lab.run_in(self.lab.balancer, "ss", "-Htln"):
            if self.process.poll() is not None or time.monotonic() > until:
                raise millrace.Refused(f"{self.name} does not listen; its log is in {self.lab.directory}")
            time.sleep(0.05)

    def stop(self):
        self.lab.stop(self.process)
        self.lab.take_kernel_addresses()

    def configuration(self, file, **values):
        """Fills in one of the files beside this one; returns where the result lies."""
        with open(os.path.join(HERE, file), encoding="utf-8") as template:
            text = re.sub(r"\{(\w+)\}", lambda match: str(values[match.group(1)]), template.read())
        path = os.path.join(self.lab.directory, file)
        with open(path, "w", encoding="utf-8") as written:
            written.write(text)
        return path

    def log(self):
        return open(os.path.join(self.lab.directory, f"{self.name}.out"), "a", encoding="utf-8")

    def relays_open(self):
        established = self.lab.run_in(self.lab.balancer, "ss", "-Htn", "state", "established")
        return established.count("\n") // 2

    def readings(self):
        """In hundredths of a second. The kernel measures when a core was idle, but only samples what else it did."""
        now = time.monotonic() * 100
        with open("/proc/stat", encoding="ascii") as file:
            idle, wait = map(int, re.search(rf"^cpu{CORE} (.*)", file.read(), re.MULTILINE).group(1).split()[3:5])
        return {"busy": now - idle - wait, "all": now}


class Nginx(KernelBalancer):
    name, label = "nginx", "nginx"

    def launch(self, tls):
        servers = "\n".join(f"        server {address} max_fails=0;" for address in self.servers().values())
        path = self.configuration("nginx.conf", core_mask=f"{1 << CORE:b}", files=FILES_MAX,
                                  connections=FILES_MAX * 11 // 10, servers=servers,
                                  directory=self.lab.directory, listen=f"{net.BALANCER}:{PORT}", tls=" ssl" * tls,
                                  certificate=self.lab.certificate[0], key=self.lab.certificate[1])
        with self.log() as log:
            return self.lab.start(self.lab.balancer, *ON_CORE, "/usr/sbin/nginx", "-e", "stderr", "-c", path, stdout=log, stderr=log)

    def version(self):
        return net.run("sh", "-c", "/usr/sbin/nginx -v 2>&1").split("/", 1)[1].strip()


class HAProxy(KernelBalancer):
    name, label = "haproxy", "HAProxy"

    def launch(self, tls):
        servers = "\n".join(f"    server {name} {address}" for name, address in self.servers().items())
        path = self.configuration("haproxy.cfg", core=CORE, relays_max=self.relays_max, servers=servers,
                                  directory=self.lab.directory, listen=f"{net.BALANCER}:{PORT}",
                                  tls=f" ssl crt {self.certificate()}" * tls)
        with self.log() as log:
            return self.lab.start(self.lab.balancer, *ON_CORE, "/usr/sbin/haproxy", "-db", "-f", path, stdout=log, stderr=log)

    def certificate(self):
        """With its key in one file, as HAProxy takes it."""
        path = os.path.join(self.lab.directory, "haproxy.pem")
        with open(path, "w", encoding="ascii") as both:
            for part in self.lab.certificate:
                with open(part, encoding="ascii") as file:
                    both.write(file.read())
        return path

    def version(self):
        return net.run("/usr/sbin/haproxy", "-v").split()[2]


class MillraceSystem(System):
    """Control and dataplane; its work is the dataplane's useful cycles, those in the device's calls included."""

    running, tls = None, False
    relays_max = 100_000  # no files to run out of; the more, the less does it matter what else the kernel gave back meanwhile
    tls_relays_max = 30_000  # which shake hands for some seconds

    def interfaces(self):
        raise NotImplementedError

    def start(self, tls):
        self.tls = tls
        more = listener_tls(self.lab.certificate, more='suites = "TLS_AES_128_GCM_SHA256"\ngroups = "X25519"') if tls else ""
        config = millrace.dataplane((CORE,), "0s", relays_max=2 * self.relays_max, chunk_memory="1GiB") + self.interfaces() + \
            millrace.listener(port=PORT, more=more) + millrace.backend(self.servers(), health=None)
        self.running = millrace.Millrace(self.lab, config, cores=(CORE,)).start()
        self.running.wait_running()
        if tls:
            self.running.move_crypto_threads(CORE)

    def stop(self):
        self.lab.stop(self.running.dataplane, self.running.control)

    def version(self):
        return net.run("git", "-C", millrace.ROOT, "describe", "--always", "--dirty").strip()

    def relays_open(self):
        return self.running.stats()["relays_open"]

    def readings(self):
        stats = self.running.stats()
        stages = {stage: stats[f"{stage}_cycles_total"] for stage in STAGES}
        busy = stats["busy_cycles_total"] + stages["device"]
        bursts = {f"bursts_{size}": stats[f"rx_bursts_{size}_total"] for size in BURST_SIZES}
        crypto = {"crypto": self.running.crypto_seconds() * machine.cycles_per_second(),
                  "crypto_busy": stats["tls_crypto_busy_us_total"] * 1e-6 * machine.cycles_per_second()} if self.tls else {}
        return {"busy": busy, "all": busy + stats["idle_cycles_total"], **stages, **bursts, **crypto}


class MillraceVeth(MillraceSystem):
    name, label, cable = "millrace-veth", "Millrace, AF_XDP", "veth"

    def interfaces(self):
        return millrace.cable_interfaces("af_xdp")


class MillraceMemif(MillraceSystem):
    name, label, cable = "millrace-memif", "Millrace, memif", "memif"
    networks = ("198.19.0", "198.19.1")

    def generator_interfaces(self):
        return [f"memif:{socket},client" for socket in millrace.memif_sockets(self.lab)]

    def interfaces(self):
        return millrace.memif_interfaces(self.lab)


ALL = {system.name: system for system in (Nginx, HAProxy, MillraceVeth, MillraceMemif)}
