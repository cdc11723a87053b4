"""The one place that makes and removes namespaces, virtual cables and addresses, for the demo, the tests and the
measurements. The balancer stands between its clients and its servers, one cable to each:

    clients' namespace          balancer's namespace          servers' namespace
    198.18.0.2   "mr-peer" ═════ "mr-c"    "mr-s" ═════ "mr-peer"   198.18.1.11, .12, .13, …
    2001:db8::2                 no kernel addresses: the        2001:db8:1::11, …
                                dataplane owns both cables

Names carry this process's id, so that several labs live side by side; what a killed one left behind is swept up by the
next one that starts. Everything else is removed when the `with` block ends, on Ctrl-C and SIGTERM too.
"""

import contextlib
import ctypes
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

CLIENT = "198.18.0.2"
CLIENT6 = "2001:db8::2"
BALANCER = "198.18.0.1"
BALANCER6 = "2001:db8::1"
ROOT = "198.18.0.250"  # this machine's own address in a lab that is joined to it
SERVERS = [f"198.18.1.{n}" for n in range(11, 19)]
SERVERS6 = [f"2001:db8:1::{n}" for n in range(11, 19)]

_serial = itertools.count()
_PREFIX = "millrace"
_libc = ctypes.CDLL(None, use_errno=True)


def run(*argv, text=None):
    """Runs a command to its end; on failure raises with what it said."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _sweep():
    """Removes the namespaces of labs whose process is gone, with whatever still runs inside."""
    for name in re.findall(rf"^{_PREFIX}-\d+-\d+-\w+", run("ip", "netns", "list"), re.MULTILINE):
        if not os.path.exists(f"/proc/{name.split('-')[1]}"):
            _remove_namespace(name)


def _remove_namespace(name):
    for pid in subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass
    subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def _in_child():
    """Runs in a started process before its program: it dies with the lab, and Ctrl-C reaches it only through the lab."""
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    os.setsid()


def _enter_namespace(file):
    if _libc.setns(file.fileno(), 0x40000000) != 0:  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")


def _on_signal(number, _frame):
    sys.exit(128 + number)


class Lab:
    """Three namespaces joined by two cables, whose devices have `queues` pairs of queues. With `join_root`, this
    machine's own namespace stands beside the clients."""

    def __init__(self, join_root=False, queues=1):
        self.queues = queues
        stem = f"{_PREFIX}-{os.getpid()}-{next(_serial)}"
        self.clients, self.balancer, self.servers = f"{stem}-clients", f"{stem}-balancer", f"{stem}-servers"
        self.namespaces = [self.clients, self.balancer, self.servers]
        self.root_cable = f"mr{os.getpid()}" if join_root else None
        self.processes = []
        self.directory = None  # for logs; readable by all, since control has given up root
        self.keep_directory = False
        self._on_close = []

    def __enter__(self):
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _on_signal)
        _sweep()
        self.directory = tempfile.mkdtemp(prefix=f"{_PREFIX}-")
        os.chmod(self.directory, 0o755)
        try:
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _make(self):
        for name in self.namespaces:
            run("ip", "netns", "add", name)
        cable = f"numrxqueues {self.queues} numtxqueues {self.queues}"
        lines = [
            f"link add mr-c netns {self.balancer} {cable} type veth peer name mr-peer netns {self.clients} {cable}",
            f"link add mr-s netns {self.balancer} {cable} type veth peer name mr-peer netns {self.servers} {cable}",
        ]
        run("ip", "-batch", "-", text="\n".join(lines))
        # The kernel must stay silent on the balancer's side: no addresses, no IPv6 of its own.
        self.run_in(self.balancer, "sh", "-c", "echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6 >/dev/null")
        self._ip(self.balancer, "link set lo up", "link set mr-c up", "link set mr-s up")
        # One segment per packet with its checksum filled in, as a real cable would carry it.
        for name in (self.clients, self.servers):
            self.plain_ethernet(name, "mr-peer")
        port = "mr-peer"
        if self.root_cable:
            port = "mr-bridge"
            self._ip(self.clients, "link add mr-bridge type bridge", "link set mr-peer up master mr-bridge")
            self._join_root()
        self._address(self.clients, port, [CLIENT], [CLIENT6])
        self._address(self.servers, "mr-peer", SERVERS, SERVERS6)
        # Room for thousands of connections from one address.
        for name in (self.clients, self.servers):
            self.run_in(name, "sh", "-c", "echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range;"
                        "echo 65535 >/proc/sys/net/core/somaxconn; echo 65535 >/proc/sys/net/ipv4/tcp_max_syn_backlog")

    def _join_root(self):
        if ROOT.rsplit(".", 1)[0] in run("ip", "-4", "route", "show"):
            raise RuntimeError(f"this machine already has a route to {ROOT}: is another demo kept running?")
        run("ip", "link", "add", self.root_cable, "type", "veth", "peer", "name", "mr-root", "netns", self.clients)
        self._ip(self.clients, "link set mr-root up master mr-bridge")
        run("ip", "address", "add", f"{ROOT}/24", "dev", self.root_cable)
        run("ip", "link", "set", self.root_cable, "up")
        run("ethtool", "-K", self.root_cable, "tx", "off", "tso", "off", "gso", "off")

    def _address(self, namespace, port, addresses, addresses6):
        self._ip(namespace, "link set lo up", f"link set {port} up",
                 *(f"address add {address}/24 dev {port}" for address in addresses),
                 *(f"address add {address}/64 dev {port} nodad" for address in addresses6))

    def _ip(self, namespace, *lines):
        run("ip", "-n", namespace, "-batch", "-", text="\n".join(lines))

    def plain_ethernet(self, namespace, device):
        self.run_in(namespace, "ethtool", "-K", device, "tx", "off", "tso", "off", "gso", "off")

    def run_in(self, namespace, *argv):
        """Runs a command inside one of the namespaces to its end and returns what it printed."""
        return run("ip", "netns", "exec", namespace, *argv)

    def pids_in(self, namespace):
        """The processes inside one of the namespaces."""
        return [int(pid) for pid in run("ip", "netns", "pids", namespace).split()]

    @contextlib.contextmanager
    def inside(self, namespace):
        """Sockets that this thread opens in the block belong to the namespace, for as long as they live."""
        with open("/proc/thread-self/ns/net", encoding="ascii") as own, \
                open(f"/run/netns/{namespace}", encoding="ascii") as other:
            _enter_namespace(other)
            try:
                yield
            finally:
                _enter_namespace(own)

    def start(self, namespace, *argv, **popen):
        """Starts a process inside a namespace; the lab ends it when the lab ends. Extra arguments go to Popen."""
        process = subprocess.Popen(["ip", "netns", "exec", namespace, *argv], preexec_fn=_in_child, **popen)
        self.processes.append(process)
        return process

    def stop(self, *processes, seconds=5):
        """Ends processes in order: asks, waits, and kills what did not listen."""
        for process in processes:
            if process.poll() is None:
                process.terminate()
        until = time.monotonic() + seconds
        for process in processes:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def on_close(self, action):
        """Calls `action` when the lab has ended its processes."""
        self._on_close.append(action)

    def close(self):
        """Removes everything; a second Ctrl-C does not interrupt it."""
        interrupts = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            self.stop(*self.processes)
            if self.root_cable:
                subprocess.run(["ip", "link", "delete", self.root_cable], capture_output=True)
            for name in self.namespaces:
                _remove_namespace(name)
            for action in self._on_close:
                action()
            if not self.keep_directory:
                shutil.rmtree(self.directory, ignore_errors=True)
        finally:
            for number, handler in interrupts.items():
                signal.signal(number, handler)
