"""Bulk transfers between kernel sockets through Millrace over a path that loses, repeats, reorders and damages segments."""

import argparse
import unittest

from lab import goodput, millrace, net

WEATHER = ("--loss", "0.01", "--burst", "0.001", "--duplicate", "0.01", "--corrupt", "0.005", "--reorder", "0.05",
           "--delay-ms", "1", "--jitter-ms", "0.5", "--mbit", "100")


class ImpairedPathTest(unittest.TestCase):
    def test_every_byte_arrives_in_order(self):
        millrace.leave_cores({0})
        with net.Lab() as lab:
            runs = goodput.Runs(lab, goodput.Paths(lab), argparse.Namespace(driver="af_xdp", seconds=2, capture=None))
            for direction in goodput.DIRECTIONS:
                with self.subTest(direction):
                    one = runs.one("millrace", direction, WEATHER, seed=7)
                    self.assertGreater(one["bytes"], 100_000)
                    for side in one["bridge"].values():  # or the weather was fair
                        for what in ("lost", "duplicated", "reordered"):
                            self.assertGreater(side[what], 0, what)
