"""What control may do to live connections: nothing. Its death, its reloads and the operator's commands, under load."""

import asyncio
import os
import signal

from lab import millrace, net
from support import LabTest, connect

LOAD = ("--to", f"{net.BALANCER}:80", "--connections", "60", "--interval-ms", "50")


class Control(LabTest):
    def tearDown(self):
        for name in self.server_names:
            self.millrace.ctl("server", "reset", f"servers/{name}")
        self.millrace.wait_servers_up(len(self.server_names))

    async def served_by(self, count):
        """The servers that so many new connections land on."""
        names = []
        for _ in range(count):
            async with connect() as socket:
                names.append(socket.response_headers["X-Served-By"])
        return names

    def reload(self):
        return self.millrace.ctl("config", "reload")["result"]

    def test_kill_loses_nothing_and_overrides_survive(self):
        self.millrace.ctl("server", "weight", "servers/one", "5")
        self.millrace.ctl("server", "drain", "servers/two")
        before = self.overrides()
        load = self.start_load(*LOAD, "--seconds", "4")
        for _ in range(3):
            asyncio.run(asyncio.sleep(0.5))
            self.millrace.control.kill()
            self.millrace.control.wait()
            # With control dead, new clients are still served.
            self.assertNotIn("two", self.run_clients(self.served_by(6)))
            self.millrace.start_control()
            self.millrace.wait_running()
        self.assert_nothing_lost(self.finish_load(load))
        self.assertEqual(self.overrides(), before)

    def overrides(self):
        return {name: (server["weight"], server["admin"], server["overrides"])
                for name, server in self.millrace.servers().items()}

    def test_reload_loses_nothing(self):
        load = self.start_load(*LOAD, "--seconds", "4")
        self.assertEqual(self.reload(), "unchanged")
        config = self.config()
        self.addCleanup(self.reload)
        self.addCleanup(self.millrace.write_config, config)
        for more in ('retries = 3', 'retries = 4\nbalance = "least_conn"'):
            self.millrace.write_config(config.replace('name = "servers"\n\n', f'name = "servers"\n{more}\n'))
            self.assertEqual(self.reload(), "published")
            self.millrace.wait_running()
        self.assert_nothing_lost(self.finish_load(load))

    def test_bad_configuration_leaves_the_old_one_in_force(self):
        config = self.config()
        self.addCleanup(self.millrace.write_config, config)
        self.millrace.write_config(config.replace("port = 80", "prot = 80"))
        with self.assertRaises(millrace.Refused):
            self.reload()
        self.assertEqual(len(self.run_clients(self.served_by(3))), 3)

    def test_sighup_reloads(self):
        generation = self.millrace.ctl("status")["control"]["generation"]
        config = self.config()
        self.addCleanup(self.reload)
        self.addCleanup(self.millrace.write_config, config)
        self.millrace.write_config(config.replace('name = "servers"\n\n', 'name = "servers"\nretries = 1\n'))
        os.kill(self.millrace.control.pid, signal.SIGHUP)
        self.millrace.wait(lambda: self.millrace.ctl("status")["dataplane"]["generation"] > generation, 5, "reloaded")

    def test_drained_server_keeps_its_clients_and_gets_no_new_ones(self):
        async def drain():
            connections = [await connect() for _ in range(6)]
            self.assertEqual({c.response_headers["X-Served-By"] for c in connections}, set(self.server_names))
            self.millrace.ctl("server", "drain", "servers/one")
            self.assertNotIn("one", await self.served_by(9))
            for connection in connections:
                await connection.send("still there")
                self.assertEqual(await connection.recv(), "still there")
                await connection.close()
            self.millrace.ctl("server", "enable", "servers/one")
            self.assertIn("one", await self.served_by(9))

        self.run_clients(drain())

    def test_weights_share_new_connections(self):
        self.millrace.ctl("server", "weight", "servers/one", "4")
        names = self.run_clients(self.served_by(24))
        self.assertEqual([names.count(name) for name in self.server_names], [16, 4, 4])

    def test_all_servers_disabled_gives_503(self):
        for name in self.server_names:
            self.millrace.ctl("server", "disable", f"servers/{name}")
        self.assertEqual(self.curl(f"http://{net.BALANCER}/healthz")[0], 503)

    def test_events_tell_who_closed(self):
        async def talk():
            async with connect() as socket:
                await socket.send("x" * 100)
                await socket.recv()

        self.run_clients(talk())

        def closed():
            events = self.millrace.ctl("events", "--replay", "20")["events"]
            return [(event["closed_by"], event["reason"], event["client"].split(":")[0]) for event in events
                    if event["kind"] == "closed" and event["bytes_up"] > 100]

        self.millrace.wait(closed, 5, "told")
        # The WebSocket closing handshake ends with the server's FIN, and the client answers it.
        self.assertEqual(closed()[-1], ("server", "fin", net.CLIENT))

    def test_connections_are_listed(self):
        async def look():
            async with connect(), connect(family=6):
                return self.millrace.ctl("show", "connections")["connections"]

        connections = self.run_clients(look())
        self.assertEqual({connection["client"].split(":")[0] for connection in connections if "." in connection["client"]}
                         - {net.CLIENT}, set())
        self.assertGreaterEqual(len(connections), 2)


class LossOfServers(LabTest):
    def test_all_servers_down_gives_503_and_their_return_heals(self):
        for server in self.servers.values():
            server.kill()
        self.millrace.wait(lambda: all(server["probe"] == "down" for server in self.millrace.servers().values()), 10, "down")
        self.assertEqual(self.curl(f"http://{net.BALANCER}/healthz")[0], 503)
        for i, name in enumerate(self.server_names):
            self.servers[name] = millrace.start_server(self.lab, name, [net.SERVERS[i]])
        self.wait_until_up()
        self.assertEqual(self.curl(f"http://{net.BALANCER}/healthz")[0], 200)

    def test_a_dead_server_fails_no_new_client(self):
        self.servers["three"].kill()
        load = self.start_load("--to", f"{net.BALANCER}:80", "--connections", "60", "--messages", "3")
        self.assert_nothing_lost(self.finish_load(load))
