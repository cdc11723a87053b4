"""TLS toward clients, with clients that everybody has: openssl s_client, curl, python3-websockets."""

import os
import re
import ssl
import struct
import subprocess

import websockets

from lab import millrace, net
from lab.pki import Pki, listener_tls
from support import LabTest


UPGRADE = b"GET /echo HTTP/1.1\r\nHost: ticker.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"


class TlsTest(LabTest):
    """One listener on port 443 with an ECDSA and an RSA certificate for ticker.test, and one for *.other.test."""

    server_names = ("one",)
    more = ""

    @classmethod
    def config(cls):
        cls.pki = Pki(os.path.join(cls.lab.directory, "pki"))
        os.chmod(cls.lab.directory, 0o755)
        cls.certificates = [cls.pki.certificate("ecdsa", "ticker.test"), cls.pki.certificate("rsa", "ticker.test", key="rsa"),
                            cls.pki.certificate("other", "*.other.test")]
        return cls.text(cls.certificates)

    @classmethod
    def text(cls, certificates):
        tls = listener_tls(*certificates, more=cls.more)
        return millrace.interfaces(cls.driver, cls.cores) + millrace.listener(port=443, more=tls) + \
            millrace.backend(cls.server_addresses())

    def s_client(self, *arguments, host="ticker.test", data=b""):
        """What openssl s_client prints when it ends, which it does as soon as its input has."""
        done = subprocess.run(["ip", "netns", "exec", self.lab.clients, "timeout", "10", "openssl", "s_client", "-connect",
                               f"{net.BALANCER}:443", "-servername", host, "-CAfile", self.pki.authority, *arguments],
                              input=data, capture_output=True, check=False)
        return (done.stdout + done.stderr).decode(errors="replace")

    def context(self, **options):
        context = ssl.create_default_context(cafile=self.pki.authority)
        for name, value in options.items():
            setattr(context, name, value)
        return context

    def connect(self, context=None, path="/echo", host="ticker.test"):
        return websockets.connect(f"wss://{host}{path}", ssl=context or self.context(), host=net.BALANCER, port=443,
                                  server_hostname=host, compression=None, ping_interval=None, open_timeout=10)

    def total(self, name):
        return self.millrace.stats()[f"tls_{name}"]


class Clients(TlsTest):
    def test_websockets_echo_in_both_versions(self):
        async def exchange(context):
            async with self.connect(context) as client:
                for size in (1, 125, 1000, 20_000, 100_000):
                    await client.send("x" * size)
                    self.assertEqual(await client.recv(), "x" * size)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.run_clients(exchange(self.context(minimum_version=version, maximum_version=version)))
        self.assertGreater(self.total("handshakes_tls12_total"), 0)
        self.assertGreater(self.total("handshakes_tls13_total"), 0)
        self.assertEqual(millrace.kernel_tcp_sockets(self.lab), [])

    def test_curl(self):
        status, body = self.curl("--cacert", self.pki.authority, "--resolve", f"ticker.test:443:{net.BALANCER}",
                                 "https://ticker.test/healthz")
        self.assertEqual(status, 200, body)

    def test_plain_text_is_refused(self):
        status, _ = self.curl(f"http://{net.BALANCER}:443/")
        self.assertEqual(status, 0)

    def test_every_suite(self):
        for suite in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"):
            said = self.s_client("-tls1_3", "-ciphersuites", suite, "-verify_return_error")
            self.assertIn(f"Cipher is {suite}", said)
            self.assertIn("Verify return code: 0 (ok)", said)
        for suite in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"):
            self.assertIn(f"Cipher is {suite}", self.s_client("-tls1_2", "-cipher", suite))
        self.assertGreater(self.total("suite_13_chacha20_total"), 0)
        self.assertGreater(self.total("suite_12_aes_256_gcm_total"), 0)
        self.assertGreater(self.total("group_x25519_total"), 0)

    def test_old_versions_and_suites_are_refused(self):
        for arguments in (("-tls1_1", "-cipher", "ALL@SECLEVEL=0"), ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256")):
            self.assertIn("Cipher is (NONE)", self.s_client(*arguments))

    def test_certificates_by_name(self):
        shown = {host: re.search(r"subject=CN = (\S+)", self.s_client(host=host)).group(1)
                 for host in ("ticker.test", "a.other.test", "A.OTHER.TEST", "a.b.other.test", "unknown.test")}
        self.assertEqual(shown, {"ticker.test": "ticker.test", "a.other.test": "*.other.test", "A.OTHER.TEST": "*.other.test",
                                 "a.b.other.test": "ticker.test", "unknown.test": "ticker.test"})

    def test_alpn(self):
        self.assertIn("ALPN protocol: http/1.1", self.s_client("-alpn", "h2,http/1.1"))
        self.assertIn("no application protocol", self.s_client("-alpn", "h2"))
        self.millrace.wait(lambda: self.total("alerts_out_no_application_protocol_total") == 1, seconds=5)

    def test_hello_retry_request(self):
        self.assertIn("Cipher is TLS_AES", self.s_client("-tls1_3", "-groups", "P-521:X448:P-256"))

    def test_sessions_are_resumed(self):
        for version in ("-tls1_2", "-tls1_3"):
            file = os.path.join(self.lab.directory, f"session{version}")
            request = b"GET /healthz HTTP/1.1\r\nHost: ticker.test\r\nConnection: close\r\n\r\n"
            self.assertIn("New, ", self.s_client(version, "-sess_out", file, "-ign_eof", data=request))
            self.assertIn("Reused, ", self.s_client(version, "-sess_in", file))

    def echo_by_s_client(self, message, *arguments):
        """Sends a WebSocket message, with bytes above 127 lest s_client take one for a command; returns the echo, and the
        lengths of the records of application data that came, as their headers say."""
        log = os.path.join(self.lab.directory, "messages")
        client = self.lab.start(self.lab.clients, "openssl", "s_client", "-connect", f"{net.BALANCER}:443", "-quiet",
                                "-no_ign_eof", "-msg", "-msgfile", log, *arguments, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        client.stdin.write(UPGRADE + struct.pack(">BBH4x", 0x82, 0x80 | 126, len(message)) + message)  # masked with zeros
        client.stdin.flush()
        while client.stdout.readline() not in (b"\r\n", b""):
            pass
        self.assertEqual(client.stdout.read(4), struct.pack(">BBH", 0x82, 126, len(message)), "s_client has ended")
        echo = client.stdout.read(len(message))
        client.stdin.close()
        client.wait(10)
        with open(log, encoding="utf-8") as file:
            records = re.findall(r"<<< [^\n]*RecordHeader[^\n]*\n +17 03 03 (\w\w) (\w\w)", file.read())
        return echo, [int(high + low, 16) for high, low in records]

    def test_records_are_no_longer_than_the_client_wants(self):
        message = bytes(byte | 0x80 for byte in os.urandom(50_000))
        for version, overhead in (("-tls1_2", 8 + 16), ("-tls1_3", 1 + 16)):
            echo, lengths = self.echo_by_s_client(message, version)
            self.assertEqual(echo, message)
            self.assertGreater(max(lengths), 1024 + overhead, "else the limits below would change nothing")
            for limit in (512, 1024):
                echo, lengths = self.echo_by_s_client(message, version, "-maxfraglen", str(limit))
                self.assertEqual(echo, message)
                self.assertEqual(max(lengths), limit + overhead)
                self.assertGreater(sum(lengths), len(message))

    def test_certificates_are_shown(self):
        shown = {c["names"][0]: c for c in self.millrace.ctl("show", "certificates")["certificates"]}
        self.assertEqual(set(shown), {"ticker.test", "*.other.test"})
        self.assertIn(shown["ticker.test"]["days_left"], (29, 30))


class Swaps(TlsTest):
    def test_a_new_certificate_is_shown(self):
        self.pki.renew("ecdsa", serial=7, days=60)
        self.millrace.ctl("config", "reload")
        self.assertIn(self.millrace.ctl("show", "certificates")["certificates"][0]["days_left"], (59, 60))

    def test_a_bad_file_is_refused_and_the_old_one_stays(self):
        chain, _ = self.certificates[2]
        with open(chain, encoding="utf-8") as file:
            good = file.read()
        try:
            with open(chain, "w", encoding="utf-8") as file:
                file.write("no certificate")
            with self.assertRaisesRegex(millrace.Refused, "errors"):
                self.millrace.ctl("config", "reload")
        finally:
            with open(chain, "w", encoding="utf-8") as file:
                file.write(good)
        self.assertIn("CN = *.other.test", self.s_client(host="a.other.test"))

    def test_a_new_dataplane_gets_the_keys_and_a_new_control_changes_nothing(self):
        self.lab.stop(self.millrace.dataplane)
        self.millrace.start_dataplane()
        self.millrace.wait_running()
        self.assertIn("CN = ticker.test", self.s_client())
        self.lab.stop(self.millrace.control)
        self.assertIn("CN = ticker.test", self.s_client())
        self.millrace.start_control()
        self.millrace.wait_running()
        self.assertIn("CN = ticker.test", self.s_client())


class ClientCertificates(TlsTest):
    @classmethod
    def config(cls):
        cls.more = f'client_certificates = "required"\nclient_ca = "{cls.lab.directory}/pki/authority.pem"\n' \
            'client_subject_header = "X-SSL-Client-DN"'
        return super().config()

    def test_they_are_required(self):
        chain, key = self.pki.certificate("client", "client.test")
        context = self.context()
        context.load_cert_chain(chain, key)

        async def exchange(context):
            async with self.connect(context) as client:
                await client.send("hello")
                return await client.recv()
        self.assertEqual(self.run_clients(exchange(context)), "hello")
        status, body = self.curl("--cacert", self.pki.authority, "--cert", chain, "--key", key, "--resolve",
                                 f"ticker.test:443:{net.BALANCER}", "--header", "x-ssl-client-dn: CN=forged",
                                 "https://ticker.test/headers")
        self.assertEqual(status, 200)
        self.assertEqual(re.findall(rb"(?i)x-ssl-client-dn: (\S+)", body), [b"CN=client.test"])
        with self.assertRaises((ssl.SSLError, websockets.exceptions.WebSocketException, OSError)):
            self.run_clients(exchange(self.context()))
