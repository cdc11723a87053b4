"""Real clients and servers through the relay, over both kernel drivers: every byte as it was sent, IPv4 and IPv6."""

import os
import unittest

from lab import millrace, net
from support import LabTest, connect

SIZES = (0, 1, 125, 126, 65535, 65536)


class Relay:
    """The tests of one driver; the classes below make them run."""

    def test_messages_of_every_length_form_come_back_unchanged(self):
        async def echo(family):
            async with connect(family=family) as socket:
                for size in SIZES:
                    message = os.urandom(size)
                    await socket.send(message)
                    self.assertEqual(await socket.recv(), message, f"{size} bytes over IPv{family}")
                await socket.send("text too")
                self.assertEqual(await socket.recv(), "text too")

        for family in (4, 6):
            self.run_clients(echo(family))

    def test_extensions_and_control_frames_pass_untouched(self):
        async def talk():
            # The server offers no compression: the client's offer is passed on and goes unanswered.
            async with connect(compression="deflate") as socket:
                self.assertEqual(socket.extensions, [])
                await (await socket.ping(b"still there?"))
                await socket.close(4001, "that was all")
                self.assertEqual((socket.close_code, socket.close_reason), (4001, "that was all"))

        self.run_clients(talk())

    def test_many_clients_at_once(self):
        result = self.finish_load(self.start_load(
            "--to", f"{net.BALANCER}:80", "--to", f"[{net.BALANCER6}]:80", "--connections", "100", "--messages", "12",
            "--sizes", ",".join(map(str, SIZES))))
        self.assert_nothing_lost(result)
        self.assertEqual(result["answered"], 2 * 100 * 12)

    def test_the_kernel_takes_no_part(self):
        async def look():
            async with connect():
                return millrace.kernel_tcp_sockets(self.lab)

        self.assertEqual(self.run_clients(look()), [])

    def test_answers_echo_requests(self):
        for address in (net.BALANCER, net.BALANCER6):
            self.lab.run_in(self.lab.clients, "ping", "-c", "3", "-i", "0.05", "-W", "2", address)

    def test_closed_port_is_refused(self):
        async def knock():
            with self.assertRaises(ConnectionRefusedError):
                await connect(port=81)

        self.run_clients(knock())


class AfXdp(Relay, LabTest):
    driver = "af_xdp"


class AfPacket(Relay, LabTest):
    driver = "af_packet"


class TwoWorkers:
    """Both workers serve, and what reaches the wrong one is handed over."""

    cores = (0, 1)
    test_many_clients_at_once = Relay.test_many_clients_at_once

    def test_both_workers_carry_relays(self):
        async def hold(count):
            sockets = [await connect(family=family) for family in (4, 6) for _ in range(count)]
            for socket in sockets:
                await socket.send("here")
            answers = [await socket.recv() for socket in sockets]
            open_relays = [worker["stats"]["relays_open"] for worker in self.millrace.workers()]
            self.assertEqual(self.millrace.stats()["relays_open"], open_relays[0])
            for socket in sockets:
                await socket.close()
            return answers, open_relays

        answers, open_relays = self.run_clients(hold(32))
        self.assertEqual(answers, ["here"] * 64)
        self.assertEqual(len(open_relays), 2)
        self.assertTrue(all(open_relays), open_relays)


class TwoWorkersAfXdp(TwoWorkers, LabTest):
    driver = "af_xdp"


class TwoWorkersAfPacket(TwoWorkers, LabTest):
    driver = "af_packet"


class Ipv6Servers(LabTest):
    """IPv4 and IPv6 clients of servers that have IPv6 only."""

    @classmethod
    def server_addresses(cls):
        return {name: f"[{net.SERVERS6[i]}]:9001" for i, name in enumerate(cls.server_names)}

    test_messages_of_every_length_form_come_back_unchanged = Relay.test_messages_of_every_length_form_come_back_unchanged


if __name__ == "__main__":
    unittest.main()
