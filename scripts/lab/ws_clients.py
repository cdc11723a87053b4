"""Real WebSocket clients of the demo (python3-websockets): one process, many connections.

Each client sends numbered orders, one at a time, and waits for each answer; when its connection breaks it connects
again after a short pause and goes on. The log is JSON lines, from which the demo takes its summary:

    {"event": "totals", "connected": …, "upgraded": …, "sent": …, "answered": …, "open": {server: connections}}     once a second
    {"event": "cut", "client": 7, "server": "ticker-2", "unanswered": 1}         a connection that broke
    {"event": "reconnected", "client": 7, "from": "ticker-2", "server": "ticker-1", "after_ms": 84}
    {"event": "wrong", …}                      an answer that is not the one to the order: never seen when all is well
    {"event": "end", "unanswered": 0, …}       after the last order of every client was answered or given up
"""

import argparse
import asyncio
import collections
import json
import signal
import sys
import time

import websockets

BACKOFF_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8)
ANSWER_SECONDS = 5  # an order that waits longer at the end counts as unanswered


class Clients:
    def __init__(self, url, every):
        self.url, self.every = url, every
        self.connected = 0  # clients that have been connected at least once
        self.upgraded = self.refused = self.sent = self.answered = self.unanswered = 0
        self.open = collections.Counter()
        self.ended = asyncio.Event()

    def log(self, event, **fields):
        print(json.dumps({"event": event, "time": round(time.time(), 3), **fields}), flush=True)

    def totals(self, event):
        self.log(event, connected=self.connected, upgraded=self.upgraded, refused=self.refused, sent=self.sent, answered=self.answered,
                 unanswered=self.unanswered, open=self.open)

    async def connect(self):
        """Tries until a server accepts; None when the demo ends meanwhile."""
        for attempt in range(1_000_000):
            if self.ended.is_set():
                return None
            try:
                socket = await websockets.connect(self.url, compression=None, ping_interval=None, open_timeout=10)
                self.upgraded += 1
                return socket
            except (OSError, asyncio.TimeoutError, websockets.InvalidHandshake):
                self.refused += 1
                await asyncio.sleep(BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS) - 1)])
        return None

    async def client(self, number, delay):
        """The life of one client, over as many connections as it takes."""
        await asyncio.sleep(delay)
        order, cut_at, previous, seen = 0, None, None, False
        while not self.ended.is_set():
            socket = await self.connect()
            if socket is None:
                return
            server = socket.response_headers.get("X-Served-By", "?")
            self.connected += not seen
            seen = True
            if cut_at is not None:
                self.log("reconnected", client=number, server=server, after_ms=round((time.monotonic() - cut_at) * 1e3),
                         **{"from": previous})
            self.open[server] += 1
            waiting = 0
            try:
                while not self.ended.is_set():
                    order += 1
                    self.sent += 1
                    waiting = 1
                    await socket.send(f"{number} {order}")
                    answer = await asyncio.wait_for(socket.recv(), ANSWER_SECONDS)
                    waiting = 0
                    self.answered += 1
                    if answer != f"{number} {order} {server}":
                        self.log("wrong", client=number, server=server, order=order, answer=answer[:80])
                    await self.pause()
                await socket.close()
            except asyncio.TimeoutError:
                self.unanswered += 1
                self.log("silent", client=number, server=server, order=order)
                await socket.close()
            except (websockets.ConnectionClosed, OSError):
                cut_at, previous = time.monotonic(), server
                self.log("cut", client=number, server=server, unanswered=waiting)
            self.open[server] -= 1

    async def pause(self):
        try:
            await asyncio.wait_for(self.ended.wait(), self.every)
        except asyncio.TimeoutError:
            pass

    async def run(self, first, count):
        clients = [asyncio.create_task(self.client(first + n, n * 0.005)) for n in range(count)]
        done = asyncio.gather(*clients)
        while not done.done():
            self.totals("totals")
            await asyncio.wait([done], timeout=1)
        await done
        self.totals("end")


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--first", type=int, default=0, help="number of the first client")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--every", type=float, default=0.1, help="seconds from an answer to the next order")
    arguments = parser.parse_args()
    clients = Clients(arguments.url, arguments.every)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, clients.ended.set)
    await clients.run(arguments.first, arguments.count)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
