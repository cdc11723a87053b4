"""The number of workers that poll changes under live relays: nothing is lost, and new connections succeed meanwhile."""

import asyncio
import re
import unittest

from lab import millrace, net
from support import LabTest, connect

CHANGES = (1, 2, 1, 2, 1, 2)


class ChangingWorkers:
    """The tests of one driver; the classes below make them run."""

    cores = (0, 1)

    def set_workers(self, workers):
        self.millrace.write_config(self.config().replace("cores = [0, 1]", f"cores = [0, 1]\nworkers = {workers}"))
        self.assertEqual(self.millrace.ctl("config", "reload")["result"], "published")
        self.millrace.wait_running()

    def open_relays(self):
        """By worker."""
        return [worker["stats"]["relays_open"] for worker in self.millrace.workers()]

    async def come_and_go(self, changing):
        """Connects, echoes and closes for as long as `changing` runs; returns how often."""
        count = 0
        while not changing.done():
            async with connect() as socket:
                await socket.send("newcomer")
                self.assertEqual(await socket.recv(), "newcomer")
            count += 1
        return count

    async def change(self):
        for workers in CHANGES:
            await asyncio.to_thread(self.set_workers, workers)
            await asyncio.sleep(0.6)
            first, second = await asyncio.to_thread(self.open_relays)
            self.assertGreaterEqual(first + second, 300)
            self.assertGreater(first, 0)
            self.assertEqual(second == 0, workers == 1, (first, second))

    async def change_while_others_come_and_go(self):
        changing = asyncio.create_task(self.change())
        newcomers = await self.come_and_go(changing)
        await changing
        return newcomers

    def test_relays_go_along(self):
        load = self.start_load("--to", f"{net.BALANCER}:80", "--to", f"[{net.BALANCER6}]:80", "--connections", "150",
                               "--interval-ms", "50", "--seconds", "15")
        self.millrace.wait(lambda: sum(self.open_relays()) >= 300, what="loaded")
        self.assertGreater(self.run_clients(self.change_while_others_come_and_go()), 20)
        self.assert_nothing_lost(self.finish_load(load))
        pauses = re.findall(r"in a pause of (\d+) us", self.millrace.log_tail("dataplane", 100))
        self.assertEqual(len(pauses), len(CHANGES), self.explain())
        self.millrace.wait(lambda: self.open_relays() == [0, 0], what="empty: as many closed as opened")
        self.assertEqual(self.millrace.ctl("stats")["listeners"][0]["stats"]["open"], 0)
        for name, server in self.millrace.servers().items():
            self.assertEqual((server["state"], server["stats"]["open"]), ("up", 0), name)

    def test_other_cores_need_a_restart(self):
        self.addCleanup(self.set_workers, 2)
        self.millrace.write_config(self.config().replace("cores = [0, 1]", "cores = [1, 0]"))
        self.millrace.ctl("config", "reload", check=False)
        self.millrace.wait(lambda: self.millrace.ctl("status")["dataplane"]["config_error"], what="refused")
        self.assertEqual(self.millrace.ctl("status")["dataplane"]["config_error"],
                         '"cores" of [dataplane] changed; that takes effect when millrace-dataplane is restarted')


class ChangingWorkersAfXdp(ChangingWorkers, LabTest):
    driver = "af_xdp"


class ChangingWorkersAfPacket(ChangingWorkers, LabTest):
    driver = "af_packet"


if __name__ == "__main__":
    unittest.main()
