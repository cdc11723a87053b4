"""Ordinary HTTP through the balancer with curl, what it adds to requests, and the errors that it answers itself."""

import hashlib
import json
import os
import socket
import subprocess
import threading

from lab import millrace, net
from support import LabTest

ROUTES = """
head_timeout = "1s"
retry_after = "7s"
[[listener.route]]
path = "/refused"
backend = "refused"
[[listener.route]]
path = "/silent"
backend = "silent"
[[listener.route]]
path = "/wrong"
backend = "wrong"
[[listener.route]]
host = "*.example.com"
backend = "http"
[[listener.route]]
host = "198.18.0.1"
backend = "http"
"""


class Http(LabTest):
    server_names = ()

    @classmethod
    def config(cls):
        return "\n".join((
            millrace.interfaces(), millrace.listener(backend="", more=ROUTES),
            millrace.backend({"good": f"{net.SERVERS[0]}:8080"}, "http", 'type = "http"\npath = "/"\nrise = 1'),
            millrace.backend({"refused": f"{net.SERVERS[0]}:8081"}, "refused", health=None),
            millrace.backend({"silent": f"{net.SERVERS[0]}:8082"}, "silent", health=None, more='upgrade_timeout = "500ms"'),
            millrace.backend({"wrong": f"{net.SERVERS[0]}:8083"}, "wrong", health=None)))

    @classmethod
    def wait_until_up(cls):
        cls.lab.start(cls.lab.servers, "/usr/bin/python3", os.path.join(millrace.ROOT, "tests/e2e/http_server.py"),
                      net.SERVERS[0], "8080", stderr=subprocess.DEVNULL)
        cls.raw_server(8082, lambda connection: connection.recv(1))  # accepts and reads, never answers
        cls.raw_server(8083, cls.accept_wrongly)
        cls.millrace.wait_servers_up(1)

    @classmethod
    def raw_server(cls, port, handle):
        """A server whose every connection goes to `handle`, on a thread of its own."""
        with cls.lab.inside(cls.lab.servers):
            listening = socket.create_server((net.SERVERS[0], port))
        cls.addClassCleanup(listening.close)
        kept = []

        def serve():
            try:
                while True:
                    kept.append(listening.accept()[0])
                    handle(kept[-1])
            except OSError:
                pass

        threading.Thread(target=serve, daemon=True).start()

    @staticmethod
    def accept_wrongly(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n")

    def get(self, path, *arguments):
        return self.curl(*arguments, f"http://{net.BALANCER}{path}")

    def talk(self, request):
        """Sends bytes; returns everything that comes back until the balancer closes."""
        with self.lab.inside(self.lab.clients), socket.create_connection((net.BALANCER, 80), timeout=10) as connection:
            connection.sendall(request)
            answer = b""
            while part := connection.recv(65536):
                answer += part
            return answer

    def status_of(self, request):
        answer = self.talk(request)
        self.assertTrue(answer.startswith(b"HTTP/1.1 "), answer)
        return int(answer.split()[1])

    # -- requests that pass

    def test_get(self):
        status, body = self.get("/some/where?a=b")
        answer = json.loads(body)
        self.assertEqual((status, answer["method"], answer["path"]), (200, "GET", "/some/where?a=b"))

    def test_head(self):
        status, body = self.get("/", "--head")
        self.assertEqual(status, 200)
        self.assertIn(b"Content-Length", body)

    def test_post_with_length_and_chunked(self):
        content = os.urandom(300_000)
        path = os.path.join(self.lab.directory, "upload")
        with open(path, "wb") as file:
            file.write(content)
        for header in ("Content-Type: application/octet-stream", "Transfer-Encoding: chunked"):
            status, body = self.get("/upload", "--data-binary", f"@{path}", "--header", header)
            answer = json.loads(body)
            self.assertEqual((status, answer["length"]), (201, len(content)), header)
            self.assertEqual(answer["sha256"], hashlib.sha256(content).hexdigest(), header)

    def test_long_answer(self):
        status, body = self.get("/big/3000000")
        self.assertEqual((status, len(body)), (200, 3_000_000))

    def test_over_ipv6(self):
        status, _ = self.curl("--header", "Host: a.example.com", f"http://[{net.BALANCER6}]/")
        self.assertEqual(status, 200)

    def test_forwarding_headers(self):
        _, body = self.get("/", "--header", "X-Forwarded-For: 192.0.2.1", "--header", "X-Forwarded-Proto: https",
                           "--header", "Connection: close, X-Private", "--header", "X-Private: 1")
        headers = {name.lower(): value for name, value in json.loads(body)["headers"]}
        self.assertEqual(headers["x-forwarded-for"].replace(" ", ""), f"192.0.2.1,{net.CLIENT}")
        self.assertEqual(headers["x-forwarded-proto"], "http")
        self.assertEqual(headers["x-forwarded-host"], net.BALANCER)
        self.assertTrue(headers["x-request-id"])
        self.assertNotIn("x-private", headers)

    # -- answers of the balancer's own

    def test_malformed_requests_get_400_and_a_close(self):
        for request in (b"GET / HTTP/1.1\r\n\r\n",
                        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
                        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
                        b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
                        b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
                        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
                        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
                        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"):
            with self.subTest(request=request):
                self.assertEqual(self.status_of(request), 400)

    def test_no_route_gets_404(self):
        self.assertEqual(self.get("/", "--header", "Host: elsewhere.test")[0], 404)

    def test_slow_head_gets_408(self):
        self.assertEqual(self.status_of(b"GET / HTTP/1.1\r\nHost: a.exam"), 408)

    def test_long_target_gets_414(self):
        self.assertEqual(self.status_of(b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: a.example.com\r\n\r\n"), 414)

    def test_long_head_gets_431(self):
        self.assertEqual(self.status_of(b"GET / HTTP/1.1\r\nHost: a.example.com\r\nX: " + b"a" * 20000 + b"\r\n\r\n"), 431)
        many = b"".join(b"X-%d: 1\r\n" % n for n in range(200))
        self.assertEqual(self.status_of(b"GET / HTTP/1.1\r\nHost: a.example.com\r\n" + many + b"\r\n"), 431)

    def test_unknown_transfer_coding_gets_501(self):
        self.assertEqual(self.status_of(b"POST / HTTP/1.1\r\nHost: a.example.com\r\nTransfer-Encoding: gzip\r\n\r\n"), 501)

    def test_wrong_accept_value_gets_502(self):
        self.assertEqual(self.status_of(
            b"GET /wrong HTTP/1.1\r\nHost: a.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"), 502)

    def test_refused_gets_502(self):
        for _ in range(6):  # ejection never takes the last server: it is tried each time
            answer = self.talk(b"GET /refused HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
            self.assertEqual(answer.split()[1], b"502")

    def test_no_server_gets_503_with_retry_after(self):
        self.millrace.ctl("server", "disable", "refused/refused")
        self.addCleanup(self.millrace.ctl, "server", "enable", "refused/refused")
        answer = self.talk(b"GET /refused HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
        self.assertEqual(answer.split()[1], b"503")
        self.assertIn(b"\r\nretry-after: 7\r\n", answer.lower())

    def test_silent_server_gets_504(self):
        self.assertEqual(self.get("/silent")[0], 504)

    def test_unknown_version_gets_505(self):
        self.assertEqual(self.status_of(b"GET / HTTP/2.0\r\nHost: a.example.com\r\n\r\n"), 505)

    def test_errors_are_counted(self):
        before = self.errors()
        self.get("/", "--header", "Host: elsewhere.test")
        self.millrace.wait(lambda: self.errors() > before, 5, "counted")

    def errors(self):
        stats = self.millrace.ctl("show", "listeners")["listeners"][0]["stats"]
        return next(value for name, value in stats.items() if "404" in name)
