"""Clients on a VLAN. The kernel here makes no VLAN devices, so the bridge of tests/tools tags what it carries."""

import subprocess
import unittest

from lab import goodput, millrace, net

VLAN = 7


class Vlan(unittest.TestCase):
    def status(self, lab):
        done = subprocess.run(["ip", "netns", "exec", lab.clients, "curl", "--silent", "--max-time", "2", "--output", "/dev/null",
                               "--write-out", "%{http_code}", f"http://{net.BALANCER}/healthz"], capture_output=True, check=False)
        return int(done.stdout)

    def test_only_tagged_clients_are_served(self):
        millrace.leave_cores({0})
        with net.Lab() as lab:
            paths = goodput.Paths(lab)
            millrace.start_server(lab, "one", [net.SERVERS[0]])
            interfaces = millrace.interfaces().replace('device = "mr-c"', f'device = "mr-c"\nvlan = {VLAN}')
            running = millrace.Millrace(lab, interfaces + millrace.listener() +
                                        millrace.backend({"one": f"{net.SERVERS[0]}:9001"})).start()
            running.wait_running()
            running.wait_servers_up(1)
            for options, status in (((), 0), (("--vlan", str(VLAN + 1)), 0), (("--vlan", str(VLAN)), 200)):
                bridge = paths.start_bridge("im-client", "im-millrace", *options)
                self.assertEqual(self.status(lab), status, options)
                lab.stop(bridge)
