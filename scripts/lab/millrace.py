"""One running Millrace inside a lab: its configuration, its two processes, and what its command line reports.

Control and dataplane are started from build/bin, as an operator would start them; what they print and EAL's chatter go
to files in the lab's directory.
"""

import contextlib
import glob
import itertools
import json
import mmap
import os
import shutil
import struct
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(ROOT, "build", "bin")
RUN = os.environ.get("MILLRACE_RUN", "/run/millrace")

_serial = itertools.count()

DATAPLANE = """
schema = 1
[dataplane]
cores = {cores}
relays_max = {relays_max}
chunk_memory = "{chunk_memory}"
idle_sleep = "{idle_sleep}"
huge_pages = {huge_pages}
"""
CABLES = """
[[interface]]
name = "clients"
driver = "{driver}"
device = "mr-c"
queues = {queues}
addresses = ["198.18.0.1/24", "2001:db8::1/64"]
[[interface]]
name = "servers"
driver = "{driver}"
device = "mr-s"
queues = {queues}
addresses = ["198.18.1.1/24", "2001:db8:1::1/64"]
"""
MEMIF = """
[[interface]]
name = "memif-{name}"
driver = "memif"
device = "{socket}"
memif_role = "server"
queues = {queues}
addresses = [{addresses}]
"""
HEALTH = 'type = "websocket"\npath = "/echo"\ninterval = "500ms"\ntimeout = "500ms"\nrise = 1\nfall = 2'


def listener(name="web", port=80, backend="servers", more=""):
    """A listener on every address of the balancer; `more` holds further lines of its table, and of tables below it."""
    return f'[[listener]]\nname = "{name}"\naddress = "*"\nport = {port}\nbackend = "{backend}"\n{more}\n'


def backend(servers, name="servers", health=HEALTH, more=""):
    """A backend of {server's name: address with port}."""
    text = f'[[backend]]\nname = "{name}"\n{more}\n'
    text += "".join(f'[[backend.server]]\nname = "{server}"\naddress = "{address}"\n' for server, address in servers.items())
    return text + (f"[backend.health]\n{health}\n" if health else "")


def interfaces(driver="af_xdp", cores=(0,), **options):
    """The dataplane and interface tables of a lab, with every address that the lab gives the balancer."""
    return dataplane(cores, **options) + cable_interfaces(driver, cores)


def cable_interfaces(driver, cores=(0,)):
    """The tables of the balancer's ends of both cables."""
    return CABLES.format(driver=driver, queues=len(cores))


def dataplane(cores=(0,), idle_sleep="50us", relays_max=20_000, chunk_memory="256MiB", huge_pages=False):
    """The dataplane's table. A worker that sleeps leaves a core that it shares to clients and servers."""
    return DATAPLANE.format(cores=list(cores), idle_sleep=idle_sleep, relays_max=relays_max, chunk_memory=chunk_memory,
                            huge_pages=str(huge_pages).lower())


def memif_socket(lab, name):
    return os.path.join(lab.directory, f"{name}.memif")


def memif_sockets(lab):
    """The sockets of a lab's memif interfaces: the one that clients are behind, and the servers'."""
    return [memif_socket(lab, name) for name in ("clients", "servers")]


def memif_interface(lab, name, addresses, cores=(0,)):
    """The table of one memif, in whose /24 the balancer has these addresses. There is no kernel behind it."""
    return MEMIF.format(name=name, socket=memif_socket(lab, name), queues=len(cores),
                        addresses=", ".join(f'"{address}/24"' for address in addresses))


def memif_interfaces(lab, cores=(0,), sources=1):
    """Interface tables: one memif for clients (198.19.0.0/24), one for servers (198.19.1.0/24), on which the balancer has
    so many addresses."""
    return memif_interface(lab, "clients", ["198.19.0.1"], cores) + memif_interface(lab, "servers", memif_sources(sources), cores)


def memif_sources(count):
    """The balancer's first addresses on the servers' memif; connections to one server can come from each."""
    return [f"198.19.1.{host}" for host in range(1, count + 1)]


class Refused(Exception):
    """A process ended, or did not come up in time; the text says why, from its log."""


class Millrace:
    """Starts nothing by itself: `start()` starts both processes, the other methods one of them."""

    def __init__(self, lab, config, name=None, cores=(0,)):
        self.lab, self.cores = lab, cores
        self.name = name or f"lab-{os.getpid()}-{next(_serial)}"
        self.config_file = os.path.join(lab.directory, f"{self.name}.toml")
        self.run_directory = os.path.join(RUN, self.name)
        lab.on_close(self._remove_run_directory)
        self.control = self.dataplane = None
        self.write_config(config)

    def _remove_run_directory(self):
        shutil.rmtree(self.run_directory, ignore_errors=True)
        with contextlib.suppress(OSError):  # others may have theirs beside it
            os.rmdir(RUN)

    def write_config(self, text):
        with open(self.config_file, "w", encoding="utf-8") as file:
            file.write(text)

    def start(self):
        self.start_control()
        self.start_dataplane()
        return self

    def start_control(self):
        self.control = self._start("control", "millrace-control", "--config", self.config_file)

    def start_dataplane(self):
        self.dataplane = self._start("dataplane", "millrace-dataplane", "--log-file", self._log("eal"))
        os.sched_setaffinity(self.dataplane.pid, set(self.cores) | os.sched_getaffinity(0))

    def _crypto_threads(self):
        """The directories of those that shake hands."""
        for directory in glob.iglob(f"/proc/{self.dataplane.pid}/task/*"):
            with open(f"{directory}/comm", encoding="utf-8") as name:
                if name.read() == "millrace-crypto\n":
                    yield directory

    def move_crypto_threads(self, core):
        threads = [int(os.path.basename(directory)) for directory in self._crypto_threads()]
        if not threads:
            raise Refused("the dataplane has no crypto thread")
        for thread in threads:
            os.sched_setaffinity(thread, {core})

    def crypto_seconds(self):
        """How long the threads that shake hands have run so far."""
        seconds = 0.0
        for directory in self._crypto_threads():
            with open(f"{directory}/schedstat", encoding="ascii") as file:
                seconds += int(file.read().split()[0]) * 1e-9
        return seconds

    def stop(self):
        for process in (self.dataplane, self.control):
            process.terminate()
            process.wait()

    def _log(self, what):
        return os.path.join(self.lab.directory, f"{self.name}.{what}.log")

    def _start(self, what, program, *arguments):
        with open(self._log(what), "a", encoding="utf-8") as log:
            return self.lab.start(self.lab.balancer, os.path.join(BIN, program), "--instance", self.name, *arguments,
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def log_tail(self, what, lines=6):
        try:
            with open(self._log(what), encoding="utf-8", errors="replace") as log:
                return "".join(log.readlines()[-lines:]).strip()
        except FileNotFoundError:
            return ""

    def ctl(self, *arguments, check=True):
        """Runs millracectl with --json; returns what it printed, parsed. Raises Refused when it fails."""
        done = subprocess.run([os.path.join(BIN, "millracectl"), "--instance", self.name, "--json", *arguments],
                              capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise Refused(f"millracectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def servers(self):
        """The servers by name, which the labs' configurations keep unique."""
        return {server["name"]: server for server in self.ctl("show", "servers")["servers"]}

    def workers(self):
        return self.ctl("show", "workers")["workers"]

    def stats(self):
        """The first worker's counters and gauges by name, read from the shared file (include/millrace/stats.h): unlike
        millracectl, that takes next to nothing from what runs on the core meanwhile."""
        with open(os.path.join(self.run_directory, "dataplane", "stats"), "rb") as file, \
                mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
            count, = struct.unpack_from("<I", data, 72)
            block, = struct.unpack_from("<Q", data, 80)
            scope_offset, = struct.unpack_from("<Q", data, 360)
            rows = [struct.unpack_from("<48s12xHHI", data, 424 + 72 * i) for i in range(count)]
            return {name.split(b"\0")[0].decode(): struct.unpack_from("<Q", data, block + scope_offset + offset)[0]
                    for name, scope, kind, offset in rows if scope == 0 and kind != 2}

    def wait(self, ready, seconds=20, what="ready"):
        """Waits until ready() is true of the running instance; raises Refused with the reason when it never is."""
        until = time.monotonic() + seconds
        reason = ""
        while time.monotonic() < until:
            for process, log in ((self.control, "control"), (self.dataplane, "dataplane")):
                if process and process.poll() is not None and process.returncode != -9:
                    raise Refused(f"millrace-{log} ended with {process.returncode}: {self.log_tail(log)}")
            try:
                if ready():
                    return
            except (Refused, KeyError, TypeError) as error:
                reason = str(error)
            time.sleep(0.05)
        raise Refused(f"not {what} within {seconds} s: {reason} {self.log_tail('dataplane')}")

    def wait_running(self):
        """Until the dataplane polls with the published configuration."""
        def running():
            status = self.ctl("status")
            # A dataplane that has just ended counts as running for as long as its last heartbeat is young.
            return status["dataplane"]["running"] and status["dataplane"]["pid"] == self.dataplane.pid and \
                status["dataplane"]["generation"] == status["control"]["generation"]
        self.wait(running, what="running")

    def wait_servers_up(self, count):
        """Until the health probes have found at least so many servers."""
        self.wait(lambda: sum(server["state"] == "up" for server in self.servers().values()) >= count, what="probed")


def start_on_best_driver(lab, config_for, **arguments):
    """Starts Millrace on AF_XDP, or, where that does not work, on AF_PACKET; returns it with the driver's name and, for
    the second, why. `config_for(driver)` makes the configuration."""
    reason = ""
    for driver in ("af_xdp", "af_packet"):
        millrace = Millrace(lab, config_for(driver), **arguments)
        try:
            millrace.start().wait_running()
            return millrace, driver, reason
        except Refused as error:
            reason = str(error)
            lab.stop(millrace.dataplane, millrace.control)
    raise Refused(reason)


def leave_cores(cores):
    """Keeps this process and what it starts off the cores that a dataplane polls, where there are others."""
    rest = os.sched_getaffinity(0) - set(cores)
    if rest:
        os.sched_setaffinity(0, rest)


def kernel_tcp_sockets(lab):
    """The TCP sockets of the kernel in the balancer's namespace; none, when all is well."""
    return lab.run_in(lab.balancer, "ss", "-Htan").splitlines()


def start_server(lab, name, addresses, *more, log=None, port=9001):
    """A WebSocket server of the demo in the servers' namespace; its log, JSON lines, goes to a file. `more`: options."""
    path = log or os.path.join(lab.directory, f"{name}.log")
    with open(path, "a", encoding="utf-8") as file:
        return lab.start(lab.servers, "/usr/bin/python3", os.path.join(ROOT, "scripts/lab/ws_server.py"), name, *addresses,
                         "--port", str(port), *more, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)


