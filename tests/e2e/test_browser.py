"""A real browser opens the demo's page through Millrace, sees prices move, and survives the loss of its server: over plain
connections, and over TLS."""

import base64
import hashlib

from browser import Browser
from lab import net
from lab.pki import openssl
from support import LabTest
from test_tls import TlsTest


class DemoPage(LabTest):
    url, flags = f"http://{net.BALANCER}/", ()

    def open(self, *flags):
        page = Browser(self.lab, self.lab.clients, self.url, (*self.flags, *flags))
        self.addCleanup(page.close)
        return page

    def test_prices_move_and_come_back_after_the_loss_of_the_server(self):
        page = self.open()
        page.wait_for("+document.getElementById('updates').textContent > 4", 30)
        self.assertEqual(page.evaluate("document.getElementById('shares').rows.length"), 6)
        price = page.evaluate("document.querySelector('#shares .price').textContent")
        page.wait_for(f"document.querySelector('#shares .price').textContent != '{price}'")
        page.wait_for("document.getElementById('latency').textContent != '–'")
        server = page.evaluate("document.getElementById('server').textContent")
        self.assertIn(server, self.server_names)

        self.servers[server].kill()
        page.wait_for("document.getElementById('reconnects').textContent == '1'")
        page.wait_for(f"document.getElementById('server').textContent != '{server}'")


class DemoPageOverTls(DemoPage, TlsTest):
    """Chromium trusts the certificate by its key's hash, since it takes no authority from the command line."""

    server_names = ("one", "two", "three")
    url = "https://ticker.test/"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        hashes = []
        for chain, _ in cls.certificates:
            public = openssl("x509", "-in", chain, "-noout", "-pubkey")
            hashes.append(base64.b64encode(hashlib.sha256(openssl("pkey", "-pubin", "-outform", "DER", data=public)).digest()))
        cls.flags = (f"--host-resolver-rules=MAP ticker.test {net.BALANCER}",
                     "--ignore-certificate-errors-spki-list=" + b",".join(hashes).decode())

    def test_prices_move_and_come_back_after_the_loss_of_the_server(self):
        super().test_prices_move_and_come_back_after_the_loss_of_the_server()
        self.assertGreater(self.total("handshakes_tls13_total"), 1)

    def test_who_does_not_trust_the_certificate_sees_nothing(self):
        page = self.open("--ignore-certificate-errors-spki-list=")
        page.wait_for("location.protocol == 'chrome-error:'")
        self.assertIsNone(page.evaluate("document.getElementById('shares')?.rows.length"))
