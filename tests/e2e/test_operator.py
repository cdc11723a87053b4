"""What an operator can see of the data path although the kernel sees nothing: TCP of a relay, pings, frames."""

import asyncio
import json
import os
import subprocess
import time

from lab import millrace, net
from support import LabTest, connect


class Operator(LabTest):
    def ctl(self, *arguments):
        """Runs millracectl as an operator reads it: tables."""
        return subprocess.run([os.path.join(millrace.BIN, "millracectl"), "--instance", self.millrace.name, *arguments],
                              capture_output=True, text=True, timeout=30, check=False)

    def test_tcp_of_both_sides(self):
        async def talk(family):
            async with connect(family=family) as socket:
                await socket.send("x" * 5000)
                await socket.recv()
                await asyncio.sleep(0.2)
                listed = self.millrace.ctl("show", "connections")["connections"]
                relay = [entry for entry in listed if entry["state"] == "relaying"][-1]
                return relay, self.millrace.ctl("show", "tcp", relay["connection_id"]), \
                    self.ctl("show", "tcp", relay["connection_id"])

        for family, headers in ((4, 40), (6, 60)):
            relay, shown, table = self.run_clients(talk(family))
            self.assertEqual(shown["client"], relay["client"])
            for side in ("client", "server"):
                tcp = shown["tcp"][side]
                self.assertEqual(tcp["state"], "established")
                for option in ("timestamps", "sack", "window_scaling"):
                    self.assertTrue(tcp[option], f"{side}: {option}")
                self.assertGreater(tcp["srtt_us"], 0)
                self.assertGreaterEqual(tcp["rto_us"], 200_000)
                self.assertEqual(tcp["in_flight_bytes"], 0)
                self.assertEqual(tcp["pmtu_bytes"], 1500)
                self.assertGreaterEqual(tcp["cwnd_bytes"], 2 * tcp["mss_bytes"])
            self.assertEqual(shown["tcp"]["client"]["mss_bytes"], 1500 - headers - 12)
            self.assertEqual(table.returncode, 0, table.stderr)
            self.assertRegex(table.stdout, r"cwnd +\d+")
        gone = self.ctl("show", "tcp", relay["connection_id"])
        self.assertEqual((gone.returncode, gone.stdout), (1, ""))
        self.assertIn("no such connection", gone.stderr)
        self.assertEqual(self.ctl("show", "tcp", "nonsense").returncode, 2)

    def test_ping(self):
        for address, source in ((net.SERVERS[0], "198.18.1.1"), (net.SERVERS6[0], "2001:db8:1::1"),
                                (net.CLIENT, "198.18.0.1")):
            answer = self.millrace.ctl("ping", address, "--count", "3", "--interval", "0.05", "--size", "200")
            self.assertEqual((answer["sent"], answer["answered"]), (3, 3), answer)
            self.assertEqual((answer["source"], answer["next_hop"]), (source, address))
            self.assertEqual(answer["interface"], "clients" if address == net.CLIENT else "servers")
            self.assertGreater(answer["rtt_min_us"], 0)
            self.assertLess(answer["rtt_max_us"], 1_000_000)
        table = self.ctl("ping", net.SERVERS[0], "--count", "2", "--interval", "0.01")
        self.assertEqual(table.returncode, 0, table.stderr)
        self.assertIn("2 sent, 2 answered, 0 % lost", table.stdout)

    def test_ping_that_nobody_answers(self):
        silent = self.ctl("ping", "198.18.1.250", "--count", "2", "--interval", "0.01", "--timeout", "0.2")
        self.assertEqual(silent.returncode, 1)
        self.assertIn("100 % lost", silent.stdout)
        self.assertIn("198.18.1.250 does not answer", silent.stderr)
        nowhere = self.ctl("ping", "203.0.113.1", "--count", "1")
        self.assertEqual(nowhere.returncode, 1)
        self.assertIn("no route", nowhere.stderr)
        self.assertEqual(self.ctl("ping", "nonsense").returncode, 1)
        self.assertEqual(self.ctl("ping").returncode, 2)

    def capture(self, *arguments):
        """Starts a capture; finish() returns what it said and what tcpdump makes of the file."""
        path = os.path.join(self.lab.directory, "frames.pcap")
        process = subprocess.Popen([os.path.join(millrace.BIN, "millracectl"), "--instance", self.millrace.name, "--json",
                                    "capture", "-w", path, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        # One that ends by count may have ended before it was seen.
        self.millrace.wait(lambda: self.millrace.ctl("show", "capture")["running"] or process.poll() is not None, 5, "capturing")

        def finish(timeout=30):
            process.wait(timeout)
            self.assertEqual(process.returncode, 0, process.stderr.read())
            read = subprocess.run(["tcpdump", "-nn", "-tt", "-r", path], capture_output=True, text=True, timeout=20,
                                  check=True)
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            return json.loads(process.stdout.read()), read.stdout.splitlines()

        finish.process = process
        return finish

    def test_capture_can_be_read_by_tcpdump(self):
        async def talk():
            async with connect() as socket:
                await socket.send("plain text of a client")
                self.assertEqual(await socket.recv(), "plain text of a client")

        finish = self.capture("--seconds", "3", "--filter", "tcp and port 80")
        began = time.time()
        self.run_clients(talk())
        status, frames = finish()
        self.assertEqual((status["running"], status["dropped"], status["frames"]), (False, 0, len(frames)), status)
        text = "\n".join(frames)
        self.assertRegex(text, rf"IP {net.CLIENT}\.\d+ > {net.BALANCER}\.80: Flags \[S\]")
        self.assertRegex(text, rf"IP {net.BALANCER}\.80 > {net.CLIENT}\.\d+: Flags \[S\.\]")
        self.assertNotIn(net.SERVERS[0], text, "the servers listen on another port")
        for line in frames:
            self.assertAlmostEqual(float(line.split()[0]), began, delta=10)

    def test_capture_ends_by_count_and_cuts_frames(self):
        finish = self.capture("--seconds", "20", "--count", "5", "--snaplen", "60")
        for _ in range(3):
            self.curl(f"http://{net.BALANCER}/healthz")
        status, frames = finish()
        self.assertEqual((status["frames"], len(frames)), (5, 5))

    def test_one_capture_at_a_time_and_none_without_a_reader(self):
        finish = self.capture("--seconds", "60")
        second = self.ctl("capture", "-w", "/dev/null")
        self.assertEqual(second.returncode, 1)
        self.assertIn("a capture runs already", second.stderr)
        finish.process.kill()
        finish.process.wait()
        self.millrace.wait(lambda: not self.millrace.ctl("show", "capture")["running"], 5, "ended")
        self.assertEqual(self.ctl("capture", "-w", "/dev/null", "--seconds", "1").returncode, 0)

    def test_capture_refuses_a_bad_filter(self):
        path = os.path.join(self.lab.directory, "kept")
        with open(path, "w", encoding="ascii") as file:
            file.write("precious")
        refused = self.ctl("capture", "-w", path, "--filter", "host example")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("an IPv4 or IPv6 address is expected at character 6", refused.stderr)
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")


class OperatorOfTwoWorkers(Operator):
    """Answers come to any worker."""
    cores = (0, 1)
