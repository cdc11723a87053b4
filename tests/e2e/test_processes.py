"""The two processes as the machine sees them: privileges, several instances, order of start, and a clean end."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

from lab import millrace, net
from support import LabTest, connect

CAP_NET_ADMIN = 12


def status(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return dict(re.findall(r"^(\w+):\t(.*)$", file.read(), re.MULTILINE))


def threads(process):
    return os.listdir(f"/proc/{process.pid}/task")


class Privileges(LabTest):
    def test_neither_runs_as_root(self):
        for process in (self.millrace.control, self.millrace.dataplane):
            for line in ("Uid", "Gid"):
                self.assertNotIn("0", status(process)[line].split(), line)
            self.assertEqual(status(process)["NoNewPrivs"], "1")

    def test_control_has_no_capability(self):
        for line in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(status(self.millrace.control)[line], 16), 0, line)

    def test_dataplane_keeps_only_what_its_driver_needs(self):
        for thread in threads(self.millrace.dataplane):
            with open(f"/proc/{self.millrace.dataplane.pid}/task/{thread}/status", encoding="ascii") as file:
                effective = int(re.search(r"CapEff:\s*(\w+)", file.read()).group(1), 16)
            self.assertEqual(effective & ~(1 << CAP_NET_ADMIN), 0, f"thread {thread}: {effective:x}")

    def test_second_dataplane_of_the_name_is_refused(self):
        done = subprocess.run(["ip", "netns", "exec", self.lab.balancer, os.path.join(millrace.BIN, "millrace-dataplane"),
                               "--instance", self.millrace.name], capture_output=True, text=True, timeout=20, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.curl(f"http://{net.BALANCER}/healthz")[0], 200)


class TwoInstances(LabTest):
    def test_side_by_side(self):
        with net.Lab() as lab:
            millrace.start_server(lab, "other", [net.SERVERS[0]])
            other = millrace.Millrace(lab, millrace.interfaces() + millrace.listener() +
                                      millrace.backend({"other": f"{net.SERVERS[0]}:9001"}))
            other.start()
            other.wait_running()
            other.wait_servers_up(1)
            served = lab.run_in(lab.clients, "curl", "-si", f"http://{net.BALANCER}/healthz")
            self.assertIn("X-Served-By: other", served)
            _, body = self.curl("-i", f"http://{net.BALANCER}/healthz")
            self.assertNotIn(b"X-Served-By: other", body)
        self.assertEqual(self.curl(f"http://{net.BALANCER}/healthz")[0], 200)


class PacketMemory(LabTest):
    """Without huge pages, as much as the devices' rings need."""

    def serves_with(self, queues, descriptors):
        with net.Lab(queues=queues) as lab:
            millrace.start_server(lab, "one", [net.SERVERS[0]])
            rings = f"queues = {queues}\nrx_descriptors = {descriptors}\ntx_descriptors = {descriptors}\n"
            running = millrace.Millrace(lab, self.config().replace("queues = 1\n", rings)).start()
            running.wait_running()
            running.wait_servers_up(1)
            self.assertIn("X-Served-By: one", lab.run_in(lab.clients, "curl", "-si", f"http://{net.BALANCER}/healthz"))

    def test_the_largest_rings(self):
        self.serves_with(queues=1, descriptors=8192)

    def test_many_queues_of_one_core(self):
        self.serves_with(queues=8, descriptors=1024)


class Lifetime(LabTest):
    def test_order_of_start_and_clean_end(self):
        first = self.millrace
        self.lab.stop(first.dataplane, first.control)
        self.assertEqual((first.dataplane.returncode, first.control.returncode), (0, 0))

        again = millrace.Millrace(self.lab, self.config())
        again.start_dataplane()
        again.start_control()
        again.wait_running()
        again.wait_servers_up(len(self.server_names))
        self.assertEqual(self.curl(f"http://{net.BALANCER}/healthz")[0], 200)

        # A dataplane that was killed is replaced; control finds the new one.
        again.dataplane.kill()
        again.dataplane.wait()
        again.start_dataplane()
        again.wait_running()
        again.wait_servers_up(len(self.server_names))
        self.assertEqual(self.curl(f"http://{net.BALANCER}/healthz")[0], 200)

        async def talk():
            async with connect() as socket:
                await socket.send("hello")
                return await socket.recv()

        self.assertEqual(self.run_clients(talk()), "hello")
        self.lab.stop(again.dataplane, again.control)
        self.assertEqual((again.dataplane.returncode, again.control.returncode), (0, 0))
        shutil.rmtree(again.run_directory, ignore_errors=True)


class Signals(LabTest):
    def test_end_without_a_configuration(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            waiting = millrace.Millrace(self.lab, self.config())
            waiting.start_dataplane()
            waiting.wait(lambda: "waiting for a configuration" in waiting.log_tail("dataplane"), what="waiting")
            waiting.dataplane.send_signal(number)
            self.assertEqual(waiting.dataplane.wait(timeout=5), 0)

    def test_hangup_ends_no_relay(self):
        async def talk():
            async with connect() as socket:
                self.millrace.dataplane.send_signal(signal.SIGHUP)
                await asyncio.sleep(0.3)
                await socket.send("hello")
                return await socket.recv()

        self.assertEqual(self.run_clients(talk()), "hello")

    def test_a_broken_log_pipe_ends_nothing(self):
        reading, writing = os.pipe()
        piped = millrace.Millrace(self.lab, self.config())
        piped.dataplane = self.lab.start(self.lab.balancer, os.path.join(millrace.BIN, "millrace-dataplane"),
                                         "--instance", piped.name, stdin=subprocess.DEVNULL, stderr=writing)
        os.close(writing)
        self.assertIn(b"waiting", os.read(reading, 4096))
        os.close(reading)
        os.mkdir(os.path.join(piped.run_directory, "control"))
        with open(os.path.join(piped.run_directory, "control/config"), "wb") as file:
            file.write(b"nonsense")  # something new to tell
        time.sleep(0.5)
        self.assertIsNone(piped.dataplane.poll())
        piped.dataplane.terminate()
        self.assertEqual(piped.dataplane.wait(timeout=5), 0)


class RunDirectory(LabTest):
    def test_each_part_belongs_to_its_process_and_nobody_else_writes(self):
        uids = {what: int(status(process)["Uid"].split()[0]) for what, process in
                (("control", self.millrace.control), ("dataplane", self.millrace.dataplane))}
        top = os.stat(self.millrace.run_directory)
        self.assertEqual((top.st_uid, top.st_mode & 0o7777), (0, 0o750))
        for what, uid in uids.items():
            part = os.path.join(self.millrace.run_directory, what)
            self.assertEqual((os.stat(part).st_uid, os.stat(part).st_mode & 0o7777), (uid, 0o2750), part)
        for path, mode in (("control/config", 0o640), ("control/commands", 0o640), ("control/admin.sock", 0o660),
                           ("control/lock", 0o600), ("dataplane/lock", 0o600), ("dataplane/stats", 0o640),
                           ("dataplane/events", 0o640)):
            found = os.stat(os.path.join(self.millrace.run_directory, path))
            self.assertEqual((found.st_uid, found.st_mode & 0o7777), (uids[path.split("/")[0]], mode), path)
        regions = f"/proc/{self.millrace.dataplane.pid}/root{self.millrace.run_directory}/dataplane/regions"
        self.assertEqual(os.stat(regions).st_mode & 0o7777, 0o700)
        for name in os.listdir(regions):
            self.assertEqual(os.stat(os.path.join(regions, name)).st_mode & 0o7777, 0o600, name)


class Truncation(LabTest):
    def test_commands_cut_short_end_no_dataplane(self):
        """The file is control's: what becomes of it must not end the dataplane, and the next control heals it."""
        self.millrace.control.kill()
        self.millrace.control.wait()
        os.truncate(os.path.join(self.millrace.run_directory, "control/commands"), 0)
        self.curl(f"http://{net.BALANCER}/healthz")
        time.sleep(0.3)
        self.assertIsNone(self.millrace.dataplane.poll())
        self.millrace.start_control()
        self.millrace.wait_running()
        self.wait_until_up()
        self.assertEqual(self.curl(f"http://{net.BALANCER}/healthz")[0], 200)


class Heartbeat(LabTest):
    def test_each_worker_has_its_own(self):
        def heartbeat():
            return self.millrace.workers()[0]["stats"]["heartbeat_us"]

        before = heartbeat()
        time.sleep(0.1)
        self.assertAlmostEqual(heartbeat(), time.monotonic() * 1e6, delta=5e5)
        self.assertGreater(heartbeat(), before)


class CommandLine(LabTest):
    def run_program(self, program, *arguments):
        return subprocess.run([os.path.join(millrace.BIN, program), *arguments], capture_output=True, text=True,
                              timeout=20, check=False)

    def ctl(self, *arguments):
        return self.run_program("millracectl", "--instance", self.millrace.name, *arguments)

    def test_tables_and_json(self):
        for view in (["status"], ["stats"], ["config", "show"], *(["show", what] for what in (
                "listeners", "backends", "servers", "workers", "connections", "neighbours", "routes"))):
            with self.subTest(view=view):
                table = self.ctl(*view)
                self.assertEqual((table.returncode, table.stderr), (0, ""))
                self.assertTrue(table.stdout.strip())
                self.assertTrue(self.millrace.ctl(*view))

    def test_exit_codes(self):
        self.assertEqual(self.ctl("server", "drain", "servers/nobody").returncode, 1)
        self.assertEqual(self.ctl("no-such-command").returncode, 2)
        self.assertEqual(self.run_program("millracectl", "--instance", "nothing-runs-here", "status").returncode, 1)

    def test_config_check(self):
        good = os.path.join(millrace.ROOT, "config/demo.toml")
        self.assertEqual(self.ctl("config", "check", good).returncode, 0)
        bad = os.path.join(self.lab.directory, "bad.toml")
        with open(bad, "w", encoding="utf-8") as file:
            file.write(self.config().replace("addresses", "adresses"))
        for done in (self.ctl("config", "check", bad), self.run_program("millrace-control", "--config", bad, "--check")):
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r":\d+:\d+: .*adresses.*addresses")

    def test_default_route_is_not_taken(self):
        """An interface with the kernel's default route is refused, unless the configuration says otherwise."""
        with net.Lab() as lab:
            lab.run_in(lab.balancer, "ip", "address", "add", "198.18.0.1/24", "dev", "mr-c")
            lab.run_in(lab.balancer, "ip", "route", "add", "default", "via", net.CLIENT)
            refused = millrace.Millrace(lab, self.config())
            refused.start()
            with self.assertRaisesRegex(millrace.Refused, "mr-c|clients"):
                refused.wait_running()


class Memif(unittest.TestCase):
    def test_starts_again_over_the_socket_of_its_predecessor(self):
        """A dataplane that has given up its privileges can't remove the socket that it made as root."""
        millrace.leave_cores({0})
        with net.Lab() as lab:
            running = millrace.Millrace(lab, millrace.dataplane() + millrace.memif_interfaces(lab) + millrace.listener() +
                                        millrace.backend({"none": "198.19.1.100:9000"}, health=None))
            running.start()
            running.wait_running()
            for number in (signal.SIGTERM, signal.SIGKILL):
                running.dataplane.send_signal(number)
                running.dataplane.wait()
                self.assertTrue(os.path.exists(millrace.memif_sockets(lab)[0]))  # or this tests nothing
                running.start_dataplane()
                running.wait_running()
