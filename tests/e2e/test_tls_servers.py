"""TLS toward servers: python's, with certificates for names and addresses, and health checks through it."""

import os
import re
import ssl

import websockets

from lab import millrace, net
from lab.pki import Pki, listener_tls
from support import LabTest, connect


class TlsServers(LabTest):
    """Servers with TLS: `named` has a certificate for ticker.test, `other` for another name, `plain` speaks none."""

    server_names = ()
    backend_more = ""

    @classmethod
    def config(cls):
        cls.pki = Pki(os.path.join(cls.lab.directory, "pki"))
        os.chmod(cls.lab.directory, 0o755)
        cls.front = cls.pki.certificate("front", "ticker.test")
        named, other = cls.pki.certificate("named", "ticker.test"), cls.pki.certificate("other", "other.test")
        cls.client_chain, cls.client_key = cls.pki.certificate("client", "millrace.test")
        cls.start_server("named", 0, "--certificate", *named, "--client-ca", cls.pki.authority)
        cls.start_server("other", 1, "--certificate", *other)
        cls.start_server("plain", 2)
        return cls.text()

    @classmethod
    def start_server(cls, name, index, *more):
        cls.servers[name] = millrace.start_server(cls.lab, name, [net.SERVERS[index]], *more)

    @classmethod
    def text(cls, name="ticker.test"):
        addresses = {name: f"{net.SERVERS[i]}:9001" for i, name in enumerate(("named", "other", "plain"))}
        tls = f'[backend.tls]\nca = "{cls.pki.authority}"\nserver_name = "{name}"\n' \
            f'certificate = "{cls.client_chain}"\nkey = "{cls.client_key}"\n'
        return millrace.interfaces(cls.driver, cls.cores) + millrace.listener() + \
            millrace.listener("secure", port=443, more=listener_tls(cls.front)) + millrace.backend(addresses) + tls

    @classmethod
    def wait_until_up(cls):
        cls.wait_states(named="up", other="down", plain="down")

    @classmethod
    def wait_states(cls, **states):
        cls.millrace.wait(lambda: states == {name: s["state"] for name, s in cls.millrace.servers().items()}, what=str(states))

    def total(self, name):
        return self.millrace.stats()[f"tls_{name}"]

    async def echo(self, connecting):
        async with connecting() as client:
            for size in (1, 125, 1000, 20_000, 100_000):
                await client.send("x" * size)
                self.assertEqual(await client.recv(), "x" * size)

    def test_only_the_server_that_is_believed_gets_clients(self):
        served = set()
        for _ in range(6):
            status, body = self.curl("--include", f"http://{net.BALANCER}/healthz")
            self.assertEqual(status, 200, body)
            served.add(re.search(rb"X-Served-By: (\S+)", body).group(1))
        self.assertEqual(served, {b"named"})

    def test_websockets_echo_with_tls_on_one_side_or_both(self):
        self.run_clients(self.echo(connect))
        context = ssl.create_default_context(cafile=self.pki.authority)
        self.run_clients(self.echo(lambda: websockets.connect(
            "wss://ticker.test/echo", ssl=context, host=net.BALANCER, port=443, server_hostname="ticker.test",
            compression=None, ping_interval=None, max_size=None)))
        self.assertGreater(self.total("server_handshakes_tls13_total"), 0)

    def test_sessions_are_resumed(self):
        for _ in range(3):
            self.assertEqual(self.curl(f"http://{net.BALANCER}/healthz")[0], 200)
        self.millrace.wait(lambda: self.total("server_handshakes_resumed_total") > 0)

    def test_why_a_server_is_down_is_told(self):
        self.assertIn("TLS handshake", self.millrace.servers()["other"]["health"]["last_result"])
        self.assertIn("certificate", self.millrace.log_tail("dataplane", 400))

    def test_own_certificates_are_shown(self):
        own = [c for c in self.millrace.ctl("show", "certificates")["certificates"] if "backend" in c]
        self.assertEqual([c["names"] for c in own], [["millrace.test"]])
        self.assertEqual(own[0]["file"], self.client_chain)

    def test_a_reload_changes_whom_is_believed(self):
        self.millrace.write_config(self.text("other.test"))
        self.millrace.ctl("config", "reload")
        self.wait_states(named="down", other="up", plain="down")
        self.assertEqual(self.curl(f"http://{net.BALANCER}/healthz")[0], 200)
        self.millrace.write_config(self.text())
        self.millrace.ctl("config", "reload")
        self.wait_until_up()
