"""millrace-load notices every kind of mistake that a relay can make with messages: a faulty one stands where the balancer
should, on kernel sockets between the two ends of the generator."""

import json
import os
import subprocess
import sys
import unittest

from lab import generator, millrace, net

sys.path.insert(0, os.path.join(millrace.ROOT, "bench/compare"))
import cables  # noqa: E402  (the line above finds it)

FAULTY_RELAY = os.path.join(millrace.ROOT, "build/tests/tools/faulty-relay")
ONE_IN = 1000
KINDS = {"drop": ("dropped", "lost"), "duplicate": ("duplicated", "duplicated"), "swap": ("swapped", "reordered"),
         "corrupt": ("corrupted", "corrupted"), "cross": ("crossed", "crossed")}


class LoadFaults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        millrace.leave_cores({0})
        cls.lab = cables.CablesLab()
        cls.lab.__enter__()
        cls.addClassCleanup(cls.lab.close)
        cls.lab.give_kernel_addresses(core=0)
        cls.generator = generator.Generator(
            cls.lab, cls.lab.generator, [f"af_xdp:{device}" for device in cables.CABLES.values()],
            generator.address_range("198.18.0", 10, 4), generator.address_range("198.18.1", 11, 1), f"{net.BALANCER}:80")

    def exchange(self, *faults):
        """Echoes through the relay; returns the generator's exit code and result, and what the relay did."""
        relay = self.lab.start(self.lab.balancer, FAULTY_RELAY, "--listen", f"{net.BALANCER}:80",
                               "--to", f"198.18.1.11:{generator.PORT}", *faults, stdout=subprocess.PIPE, text=True)
        relay.stdout.readline()
        process = self.generator.start("echo", connections=20, depth=8, seconds=2)
        result = self.generator.finish(process, 60)
        relay.terminate()
        return process.returncode, result, json.loads(relay.communicate()[0])

    def test_nothing_is_found_where_nothing_is_wrong(self):
        code, result, did = self.exchange()
        self.assertGreater(did["messages"], 2 * ONE_IN)
        self.assertEqual((code, generator.mistakes(result)), (0, {}))

    def test_every_kind_of_mistake_is_found(self):
        for fault, (done, found) in KINDS.items():
            with self.subTest(fault):
                code, result, did = self.exchange(f"--{fault}", str(ONE_IN))
                self.assertGreater(did[done], 0)
                self.assertEqual(code, 1)
                self.assertGreater(result["messages"][found], 0, result["messages"])


if __name__ == "__main__":
    unittest.main()
