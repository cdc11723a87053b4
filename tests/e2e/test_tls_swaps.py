"""The certificate is replaced a hundred times under a thousand live relays with TLS."""

import os
import signal
import socket

from lab import load, millrace, net
from lab.pki import listener_tls
from test_load import OWN_CORE
from test_tls import TlsTest

SWAPS, RELAYS = 100, 1000
BALANCER, SERVER = "198.19.0.1", "198.19.0.11"  # on the load generator's own memif


class SwapsUnderRelays(TlsTest):
    server_names = ()

    @classmethod
    def memif(cls):
        return os.path.join(cls.lab.directory, "load.sock")

    @classmethod
    def text(cls, certificates):
        return millrace.interfaces(cls.driver, cls.cores) + \
            millrace.MEMIF.format(name="load", socket=cls.memif(), queues=1, addresses=f'"{BALANCER}/16"') + \
            millrace.listener(port=443, more=listener_tls(*certificates)) + \
            millrace.backend({"load": f"{SERVER}:9000"}, health=None)

    def relaying(self):
        return sum(worker["stats"]["relays_relaying"] for worker in self.millrace.workers())

    def serial_shown(self):
        """The serial number of the certificate that a new client sees."""
        with self.lab.inside(self.lab.clients), socket.create_connection((net.BALANCER, 443), 10) as plain, \
                self.context().wrap_socket(plain, server_hostname="ticker.test") as client:
            return int(client.getpeercert()["serialNumber"], 16)

    def test_none_is_lost_and_newcomers_see_the_newest(self):
        process = load.start(self.lab, self.lab.balancer, "idle", "--connections", str(RELAYS), "--hold", "1000", *OWN_CORE,
                             "--client-interface", f"memif:{self.memif()},client", "--client-prefix", "16",
                             "--client-addresses", "198.19.0.2", "--server-prefix", "16", "--server-addresses", SERVER,
                             "--target", f"{BALANCER}:443", "--tls", "1.3", "--tls-ca", self.pki.authority,
                             "--tls-name", "ticker.test")
        self.millrace.wait(lambda: self.relaying() == RELAYS, seconds=60, what=f"holding {RELAYS} relays")
        for serial in range(1000, 1000 + SWAPS):
            self.pki.renew("ecdsa", serial)
            self.millrace.ctl("config", "reload")
            self.assertEqual(self.serial_shown(), serial)
        self.assertEqual(self.relaying(), RELAYS)
        process.send_signal(signal.SIGUSR1)  # now each of them carries a request and its reply
        code, result, said = load.finish(process)
        self.assertEqual(code, 0, said)
        self.assertEqual(result["connections"], {"asked": RELAYS, "upgraded": RELAYS, "failed": 0, "closed_by_peer": 0,
                                                 "proven_alive": RELAYS}, said)
        self.assertEqual(result["tls_handshakes"]["done"], RELAYS)
