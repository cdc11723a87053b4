"""Shows Millrace at work: 200 real WebSocket clients exchange numbered messages with three real servers through it, half
way one server is killed, and its clients come back on the other two. Everything runs in network namespaces of this
process, on AF_XDP or, where the kernel has none, on AF_PACKET, and is removed at the end."""

import argparse
import ctypes
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab import millrace, net  # noqa: E402  (the line above finds them)

SERVERS = ("ticker-1", "ticker-2", "ticker-3")
KILLED = "ticker-2"
CLIENTS_PER_PROCESS = 100
RECONNECT_SECONDS = 2
AF_XDP = 44
CAP_IPC_LOCK = 14
LOCKED_BYTES = 256 << 20  # packet buffers of two interfaces, with room to spare


# ---- what the demo needs

def missing():
    """One line for each thing that is missing, with its remedy."""
    if os.geteuid() != 0:
        yield "network namespaces and AF_XDP need root: run it with sudo, or as root"
        return
    if len(os.sched_getaffinity(0)) < 2:
        yield "one core polls and another runs clients and servers: give this machine at least 2 cores"
    pid = os.fork()
    if pid == 0:
        os._exit(0 if ctypes.CDLL(None).unshare(0x40000000) == 0 else 1)  # CLONE_NEWNET
    if os.waitpid(pid, 0)[1] != 0:
        yield "this kernel or container makes no network namespaces: run it on the host or in a privileged container"
    if not has_capability(CAP_IPC_LOCK) and 0 <= resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] < LOCKED_BYTES:
        yield f"less than {LOCKED_BYTES >> 20} MiB may be locked in memory: `ulimit -l unlimited` before starting it"
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 1024:
        yield "fewer than 1024 files may be open: `ulimit -n 4096` before starting it"


def has_capability(number):
    with open("/proc/self/status", encoding="ascii") as status:
        return int(re.search(r"CapEff:\s*(\w+)", status.read()).group(1), 16) >> number & 1


def has_af_xdp():
    try:
        socket.socket(AF_XDP, socket.SOCK_RAW, 0).close()
        return True
    except OSError:
        return False


def demo_config(driver):
    """config/demo.toml, with the interfaces' driver exchanged where AF_XDP does not work."""
    with open(os.path.join(millrace.ROOT, "config/demo.toml"), encoding="utf-8") as file:
        return re.sub(r'(?m)^(driver\s*=\s*)"af_xdp"', rf'\1"{driver}"', file.read())


# ---- the demo

class Demo:
    def __init__(self, lab, arguments):
        self.lab, self.arguments = lab, arguments
        self.servers, self.clients = {}, []
        self.before = {}  # server: messages that its log told a second ago
        self.lines_drawn = 0

    def start(self):
        for name, address in zip(SERVERS, net.SERVERS):
            self.start_server(name, address)
        if has_af_xdp():
            self.millrace, self.driver, reason = millrace.start_on_best_driver(
                self.lab, demo_config, name=f"demo-{os.getpid()}")
        else:
            self.driver, reason = "af_packet", "this kernel has none"
            self.millrace = millrace.Millrace(self.lab, demo_config("af_packet"), name=f"demo-{os.getpid()}").start()
            self.millrace.wait_running()
        if reason:
            print(f"using AF_PACKET, since AF_XDP does not work here: {reason}")
        self.millrace.wait_servers_up(len(SERVERS))
        self.start_clients()

    def start_server(self, name, address):
        self.servers[name] = millrace.start_server(self.lab, name, [address])

    def start_clients(self):
        self.client_logs = []
        for first in range(0, self.arguments.clients, CLIENTS_PER_PROCESS):
            count = min(CLIENTS_PER_PROCESS, self.arguments.clients - first)
            self.client_logs.append(os.path.join(self.lab.directory, f"clients-{first}-{time.monotonic_ns()}.log"))
            with open(self.client_logs[-1], "w", encoding="utf-8") as log:
                self.clients.append(self.lab.start(
                    self.lab.clients, "/usr/bin/python3", os.path.join(millrace.ROOT, "scripts/lab/ws_clients.py"),
                    f"ws://{net.BALANCER}/orders", "--first", str(first), "--count", str(count), stdin=subprocess.DEVNULL,
                    stdout=log, stderr=subprocess.STDOUT))

    def run(self):
        """The exchange, with the kill half way; ends when every client has its last answer."""
        self.wait_connected()
        seconds = self.arguments.seconds
        begin = time.monotonic()
        print(f"{self.arguments.clients} clients are connected through Millrace on {self.driver.upper()}; "
              f"half way through {seconds} s, {KILLED} will be killed", flush=True)
        self.killed_at = None
        for second in range(1, seconds + 1):
            time.sleep(max(0.0, begin + second - time.monotonic()))
            self.draw(second)
            if second == (seconds + 1) // 2:
                self.killed_at = time.time()
                self.servers[KILLED].kill()
        self.sockets = millrace.kernel_tcp_sockets(self.lab)
        self.lab.stop(*self.clients, seconds=15)
        self.lab.stop(*(self.servers[name] for name in SERVERS if name != KILLED))

    def wait_connected(self):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            totals = [newest(read_log(log), "totals") for log in self.client_logs]
            if sum(line.get("connected", 0) for line in totals) == self.arguments.clients:
                return
            time.sleep(0.1)
        raise millrace.Refused("the clients did not all connect within 20 s")

    # -- once a second

    def draw(self, second):
        """Millrace's own view of servers and workers, beside the messages that the servers' logs tell."""
        servers, workers = self.millrace.servers(), self.millrace.workers()
        rows = []
        for name in SERVERS:
            messages = newest(read_log(os.path.join(self.lab.directory, f"{name}.log"))).get("messages", 0)
            rate, self.before[name] = messages - self.before.get(name, 0), messages
            rows.append((name, servers[name]["state"], servers[name]["stats"]["open"], rate))
        record = self.millrace.ctl("status")["dataplane"]["relay_record_bytes"]
        loads = [(worker["worker"], worker["core"], worker["busy_share"] or 0, bytes_per_relay(worker["stats"], record))
                 for worker in workers]
        if not sys.stdout.isatty():
            print(f"{second:3} s  " + "  ".join(f"{name} {state} {count} open {rate}/s" for name, state, count, rate in rows)
                  + "".join(f"  worker {worker}: busy {busy:.0%}, {size} B/relay" for worker, _, busy, size in loads),
                  flush=True)
            return
        lines = [f"  second {second} of {self.arguments.seconds}", "",
                 "  server      health      open relays  messages/s"]
        lines += [f"  {name:10}  {state:10} {count:12,} {rate:11,}" for name, state, count, rate in rows]
        lines += ["", "  worker      core               busy   bytes/relay"]
        lines += [f"  {worker:<10}  {core:<10} {busy:12.0%} {size:13,}" for worker, core, busy, size in loads]
        lines += ["  (busy: the share of useful work; polling shows 100 % by design)"]
        sys.stdout.write((f"\x1b[{self.lines_drawn}A" if self.lines_drawn else "") + "".join(f"\x1b[2K{line}\n" for line in lines))
        sys.stdout.flush()
        self.lines_drawn = len(lines)

    # -- the summary

    def summary(self):
        """What the logs of clients and servers tell."""
        events = [event for log in self.client_logs for event in read_log(log)]
        ends = [event for event in events if event["event"] == "end"]
        cuts = [event for event in events if event["event"] == "cut"]
        back = [event for event in events if event["event"] == "reconnected"]
        killed_cuts = [event for event in cuts if self.is_of_the_killed(event)]
        elsewhere = [event for event in back if event["from"] == KILLED and event["server"] != KILLED]
        lost = sum(event["unanswered"] for event in cuts if event not in killed_cuts) + \
            sum(event["event"] in ("silent", "wrong") for event in events)
        served = {name: newest(read_log(os.path.join(self.lab.directory, f"{name}.log"))) for name in SERVERS}
        return {
            "clients": self.arguments.clients,
            "upgraded": sum(end["connected"] for end in ends),
            "messages": sum(end["answered"] for end in ends),
            "lost": lost,
            "cut": len(killed_cuts),
            "reconnected": len(elsewhere),
            "failovers": int(bool(killed_cuts) and len(elsewhere) == len(killed_cuts)),
            "servers": {name: {"upgrades": line.get("upgrades", 0), "messages": line.get("messages", 0),
                               "killed": name == KILLED} for name, line in served.items()},
            "broken": len(cuts) - len(killed_cuts),
            "reconnect_ms_max": max((event["after_ms"] for event in elsewhere), default=0),
            "kernel_tcp_sockets": len(self.sockets),
            "driver": self.driver,
        }

    def is_of_the_killed(self, cut):
        return cut["server"] == KILLED and self.killed_at is not None and cut["time"] >= self.killed_at - 0.1

    def print_summary(self, result):
        print("\nFrom the logs of the clients and the servers:")
        for line in (
            f"clients      {result['upgraded']:,} of {result['clients']:,} upgraded",
            f"messages     {result['messages']:,} sent and answered, {result['lost']:,} lost",
            "servers      " + ", ".join(f"{name} answered {server['messages']:,}" + " (killed)" * server["killed"]
                                        for name, server in result["servers"].items()),
            f"killed       {KILLED}: {result['cut']:,} connections cut, {result['reconnected']:,} back on another server, "
            f"the slowest after {result['reconnect_ms_max'] / 1000:.2f} s",
            f"kernel TCP   {result['kernel_tcp_sockets']} sockets in the balancer's namespace",
        ):
            print("  " + line)

    def keep(self):
        """Makes it whole again and leaves it running until Ctrl-C."""
        for name, address in zip(SERVERS, net.SERVERS):
            self.start_server(name, address)
        self.start_clients()
        ctl = f"{os.path.relpath(millrace.BIN)}/millracectl --instance {self.millrace.name}"
        print(f"""
It goes on until Ctrl-C, joined to this machine's network. To try, from another terminal:
  http://{net.BALANCER}/          live prices, in a browser or with curl
  {ctl} status
  {ctl} show servers
  {ctl} server drain demo/{SERVERS[0]}
  {ctl} events --follow
  curl --unix-socket {self.millrace.run_directory}/control/admin.sock http://localhost/v1/status
Logs: {self.lab.directory}""", flush=True)
        while True:
            signal.pause()


def bytes_per_relay(stats, record_bytes):
    """The dataplane's memory of one open relay: its record, and its share of chunks, flow table and timers."""
    shared = stats["chunk_bytes"] + stats["flow_table_bytes"] + stats["timer_bytes"]
    return record_bytes + shared // max(1, stats["relays_open"])


def read_log(path):
    """The JSON lines of a log; a line that is still being written, and what is not JSON, is left out."""
    events = []
    with open(path, encoding="utf-8", errors="replace") as log:
        for line in log:
            if line.startswith("{") and line.endswith("}\n"):
                events.append(json.loads(line))
    return events


def newest(events, kind=None):
    """The last event (of a kind), or an empty one."""
    return next((event for event in reversed(events) if kind is None or event["event"] == kind), {})


def succeeded(result):
    return result["upgraded"] == result["clients"] and result["lost"] == 0 and result["broken"] == 0 and \
        result["failovers"] >= 1 and result["reconnect_ms_max"] <= RECONNECT_SECONDS * 1000 and \
        result["kernel_tcp_sockets"] == 0


def show(demo):
    """Runs the demo in its lab; returns the exit code."""
    try:
        demo.start()
        demo.run()
    except (millrace.Refused, RuntimeError) as error:
        demo.lab.keep_directory = True
        print(f"scripts/demo: {error}\nThe logs are in {demo.lab.directory}", file=sys.stderr)
        return 1
    result = demo.summary()
    demo.print_summary(result)
    if not succeeded(result):
        demo.lab.keep_directory = True
        print(f"scripts/demo: not as it should be; the logs are in {demo.lab.directory}", file=sys.stderr)
    if demo.arguments.json:
        print(json.dumps(result), flush=True)
    if demo.arguments.keep:
        demo.keep()
    return 0 if succeeded(result) else 1


def main():
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="length of the exchange (default 20)")
    parser.add_argument("--clients", type=int, default=200, help="number of clients (default 200)")
    parser.add_argument("--json", action="store_true", help="end with the result as one JSON object")
    parser.add_argument("--keep", action="store_true", help="leave it running, reachable from this machine")
    arguments = parser.parse_args()
    if arguments.seconds < 4 or arguments.clients < 3:
        parser.error("it takes at least 4 seconds and 3 clients")
    problems = list(missing())
    if problems:
        print("\n".join(f"scripts/demo: {problem}" for problem in problems), file=sys.stderr)
        return 1
    millrace.leave_cores({0})
    try:
        with net.Lab(join_root=arguments.keep) as lab:
            return show(Demo(lab, arguments))
    except RuntimeError as error:
        print(f"scripts/demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
