"""Control while the name servers are silent: it ends when it is told to, and goes on with what it has until then."""

import os
import signal
import socket
import subprocess

from lab import millrace, net
from support import LabTest

# Bound to control's mount namespace only; it waits for minutes by itself.
RESOLVER = "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n"
WITH_RESOLVER = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


class Unresolving(millrace.Millrace):
    """Its control asks a name server that takes questions and never answers."""

    def start_control(self):
        file = os.path.join(self.lab.directory, "resolv.conf")
        with open(file, "w", encoding="utf-8") as resolver:
            resolver.write(RESOLVER)
        with open(self._log("control"), "a", encoding="utf-8") as log:
            self.control = self.lab.start(
                self.lab.balancer, "unshare", "--mount", "sh", "-c", WITH_RESOLVER, file,
                os.path.join(millrace.BIN, "millrace-control"), "--instance", self.name, "--config", self.config_file,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)


class SilentNameServer(LabTest):
    def setUp(self):
        with self.lab.inside(self.lab.balancer):
            self.name_server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.name_server.bind(("127.0.0.1", 53))
        self.name_server.settimeout(10)
        self.addCleanup(self.name_server.close)

    def config_with_a_name(self):
        return self.config().replace(f"{net.SERVERS[0]}:9001", "nobody.test:9001")

    def wait_until_it_asks(self):
        self.assertIn(b"nobody", self.name_server.recv(512))

    def assert_ends(self, process, returncode):
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=2), returncode)

    def test_ends_at_its_start(self):
        waiting = Unresolving(self.lab, self.config_with_a_name())
        waiting.start_control()
        self.wait_until_it_asks()
        self.assert_ends(waiting.control, -signal.SIGTERM)

    def test_a_reload_holds_up_no_health_check_and_no_end(self):
        self.lab.stop(self.millrace.control)
        running = Unresolving(self.lab, self.config(), name=self.millrace.name)
        running.dataplane = self.millrace.dataplane
        running.start_control()
        running.wait_running()
        running.write_config(self.config_with_a_name())
        reload = subprocess.Popen([os.path.join(millrace.BIN, "millracectl"), "--instance", running.name, "config", "reload"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.wait_until_it_asks()
        self.servers["three"].kill()
        running.wait(lambda: running.servers()["three"]["probe"] == "down", 5, "down")
        self.assertIsNone(reload.poll())
        self.assert_ends(running.control, 0)
        self.assertIn("millrace-control", reload.communicate(timeout=5)[1])
        self.assertEqual(reload.returncode, 1)
