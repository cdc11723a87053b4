"""A real WebSocket server of the demo and the tests (python3-websockets): one process, one address.

    /orders   answers every message with the message and the server's name: what the demo's clients exchange
    /prices   pushes the prices of a few shares every 250 ms, answers {"ping": t} with {"pong": t}: the demo page
    /echo     sends every message back as it came
    /blast/N  sends N bytes in binary messages of 64 KiB, then closes
    others    ordinary HTTP: / is the demo page, /healthz answers 200, /headers with the header that came

Every answer carries X-Served-By. The log is one JSON line per second: connections open, upgrades, messages so far.
"""

import argparse
import asyncio
import hashlib
import http
import json
import math
import os
import random
import signal
import ssl
import sys
import time

import websockets

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "demo_page.html")
SHARES = {"MLRC": 182.40, "SPOK": 74.15, "FLUM": 240.90, "GEAR": 31.72, "OAKS": 118.05, "WEIR": 56.33}
BLAST_MESSAGE = 64 << 10


def price(share, tick):
    """The same at every server, so that a page that changes its server sees no jump."""
    wave = sum(math.sin(tick / period + first) / 400 for first, period in zip(share.encode(), (97, 41, 13)))
    return round(SHARES[share] * (1 + wave + random.Random(f"{share}{tick}").gauss(0, 0.0006)), 2)


def blast_message(index):
    """The content of one message of /blast; the reader computes the same."""
    return hashlib.sha256(index.to_bytes(8, "big")).digest() * (BLAST_MESSAGE // 32)


class Server:
    def __init__(self, name):
        self.name = name
        self.open = self.upgrades = self.messages = 0

    async def on_http(self, path, headers):
        """Answers what is not a WebSocket path; None lets the upgrade go on."""
        if path in ("/orders", "/prices", "/echo") or path.startswith("/blast/"):
            return None
        served_by = {"X-Served-By": self.name}
        if path == "/":
            with open(PAGE, "rb") as page:
                return http.HTTPStatus.OK, {"Content-Type": "text/html; charset=utf-8", **served_by}, page.read()
        if path == "/healthz":
            return http.HTTPStatus.OK, served_by, b"ok\n"
        if path == "/headers":
            return http.HTTPStatus.OK, served_by, "".join(f"{name}: {value}\n" for name, value in headers.raw_items()).encode()
        return http.HTTPStatus.NOT_FOUND, served_by, b"not found\n"

    async def on_websocket(self, socket, path):
        self.open += 1
        self.upgrades += 1
        try:
            if path == "/orders":
                await self.answer_orders(socket)
            elif path == "/prices":
                await self.push_prices(socket)
            elif path == "/echo":
                async for message in socket:
                    self.messages += 1
                    await socket.send(message)
            else:
                for index in range(int(path.rsplit("/", 1)[1]) // BLAST_MESSAGE):
                    await socket.send(blast_message(index))
        except websockets.ConnectionClosed:
            pass
        finally:
            self.open -= 1

    async def answer_orders(self, socket):
        async for message in socket:
            self.messages += 1
            await socket.send(f"{message} {self.name}")

    async def push_prices(self, socket):
        async def answer_pings():
            async for message in socket:
                self.messages += 1
                await socket.send(json.dumps({"pong": json.loads(message)["ping"]}))

        pings = asyncio.create_task(answer_pings())
        try:
            while not pings.done():
                tick = int(time.time() * 4)
                prices = {share: price(share, tick) for share in SHARES}
                await socket.send(json.dumps({"server": self.name, "prices": prices}))
                await asyncio.sleep(0.25)
        finally:
            pings.cancel()

    def log(self):
        print(json.dumps({"time": round(time.time(), 3), "server": self.name, "open": self.open,
                          "upgrades": self.upgrades, "messages": self.messages}), flush=True)


def tls_context(arguments):
    if not arguments.certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*arguments.certificate)
    if arguments.client_ca:
        context.load_verify_locations(arguments.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("addresses", nargs="+", help="addresses to listen on")
    parser.add_argument("--port", type=int, default=9001)
    parser.add_argument("--certificate", nargs=2, metavar=("CHAIN", "KEY"), help="speak TLS")
    parser.add_argument("--client-ca", help="require certificates that these authorities have signed")
    arguments = parser.parse_args()

    server = Server(arguments.name)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with websockets.serve(server.on_websocket, arguments.addresses, arguments.port, backlog=4096, max_size=None,
                                ssl=tls_context(arguments),
                                compression=None, ping_interval=None, process_request=server.on_http,
                                extra_headers={"X-Served-By": server.name}):
        while not ended.is_set():
            server.log()
            try:
                await asyncio.wait_for(ended.wait(), 1)
            except asyncio.TimeoutError:
                pass
    server.log()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
