"""A SYN flood (RFC 4987) against a running Millrace: spoofed sources by the thousand on the clients' cable, while 1,000
relays echo and, from the first second on, honest clients connect one after another. Ends with one JSON object.

    routed    the sources lie behind a gateway, as those of a flood from the internet do: its answers go to the gateway
    on-link   the sources lie in the balancer's own network: each would be a neighbour to resolve

The generator, the clients, the servers and the dataplane share this machine's cores, so the rate that was asked for may
not be reached; `rate` is what was sent, `rate_received` what came to the dataplane, which must answer for every SYN.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab import millrace, net  # noqa: E402  (the line above finds them)
from lab.measure import Load, nothing_lost, start_echo_servers, start_millrace  # noqa: E402

SYN_FLOOD = os.path.join(millrace.ROOT, "build/tests/tools/syn-flood")
REQUEST = (f"GET /echo HTTP/1.1\r\nHost: {net.BALANCER}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode()
NEW_CLIENTS = 100
SECONDS_TO_SUCCEED = 1.0


def config(addresses, driver, on_link, half_open_max):
    """The lab's, with a network that holds the spoofed sources or a gateway to them."""
    text = millrace.interfaces(driver).replace("relays_max = 20000", f"relays_max = 20000\nhalf_open_max = {half_open_max}")
    if on_link:
        text = text.replace('"198.18.0.1/24"', '"198.18.0.1/24", "198.19.255.254/16"')
    else:
        text += f'[[route]]\ndestination = "198.19.0.0/16"\ngateway = "{net.CLIENT}"\n'
    return text + millrace.listener() + millrace.backend(addresses)


def counters(running):
    """Sums of every worker's statistics."""
    total = {}
    for worker in running.workers():
        for name, value in worker["stats"].items():
            if isinstance(value, (int, float)):
                total[name] = total.get(name, 0) + value
    return total


def connect_once(lab):
    """Seconds from connect() to the whole answer of an upgrade; None when there was none in time."""
    with lab.inside(lab.clients):
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    begin = time.monotonic()
    try:
        connection.settimeout(SECONDS_TO_SUCCEED)
        connection.connect((net.BALANCER, 80))
        connection.sendall(REQUEST)
        answer = b""
        while b"\r\n\r\n" not in answer:
            connection.settimeout(max(0.001, SECONDS_TO_SUCCEED - (time.monotonic() - begin)))
            part = connection.recv(4096)
            if not part:
                return None
            answer += part
        return time.monotonic() - begin if answer.startswith(b"HTTP/1.1 101 ") else None
    except OSError:
        return None
    finally:
        connection.close()


def flood(lab, arguments):
    addresses, _ = start_echo_servers(lab)
    running = start_millrace(lab, config(addresses, arguments.driver, arguments.on_link, arguments.half_open_max), 3)
    mac = re.search(r"link/ether (\S+)", lab.run_in(lab.balancer, "ip", "link", "show", "mr-c")).group(1)
    relays = Load(lab, "--to", f"{net.BALANCER}:80", "--connections", "1000", "--interval-ms", "500", "--sizes", "128")
    relays.up()
    time.sleep(1)
    before = counters(running)
    generator = lab.start(lab.clients, SYN_FLOOD, "--mac", mac, "--sources", "198.19.0.0/16", "--rate", str(arguments.rate),
                          "--seconds", str(arguments.seconds), stdout=subprocess.PIPE, text=True)
    begin = time.monotonic()
    time.sleep(min(1.0, arguments.seconds / 4))
    samples, taken, stop = [], [], threading.Event()

    def watch():
        while not stop.wait(1.0):
            samples.append(counters(running))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    pause = (arguments.seconds - 2) / NEW_CLIENTS
    for number in range(NEW_CLIENTS):
        taken.append(connect_once(lab))
        time.sleep(max(0.0, begin + 1 + (number + 1) * pause - time.monotonic()))
    during = time.monotonic() - begin
    sent = json.loads(generator.communicate()[0])
    after = counters(running)
    stop.set()
    watcher.join()
    echoed = relays.result(stop=True)
    good = sorted(seconds for seconds in taken if seconds is not None)
    difference = {name: after[name] - before[name] for name in after}
    received = difference["tcp_passive_opens_total"] + difference["tcp_syn_cookies_sent_total"]
    result = {
        "seconds": arguments.seconds, "rate_asked": arguments.rate, "rate": sent["rate"],
        "rate_answered": round(received / sent["seconds"]), "syns_sent": sent["sent"], "syns_answered": received,
        "cookies_sent": difference["tcp_syn_cookies_sent_total"], "cookies_accepted": difference["tcp_syn_cookies_accepted_total"],
        "relays": 1000, "relays_lost": echoed["lost"] + echoed["broken"] + echoed["wrong"] + echoed["failed"],
        "echoes": echoed["answered"], "echo_p99_us": echoed["p99_us"],
        "relays_open_most": max((sample["relays_open"] for sample in samples), default=0),
        "new_clients": NEW_CLIENTS, "new_succeeded": len(good),
        "new_p99_ms": round(good[int(len(good) * 0.99) - 1] * 1000, 1) if good else None,
        "new_clients_within_flood": during <= sent["seconds"] + 1,
        "neighbours": len(running.ctl("show", "neighbours")["neighbours"]),
        "neighbours_evicted": difference["neighbours_evicted_total"],
        "questions_sent": difference["ip_solicitations_sent_total"],
        "target": "no relay lost, none made for the flood, 99 of 100 new clients within 1 s"}
    result["relays_for_flood"] = max(0, result["relays_open_most"] - 1000 - 2)
    reached = nothing_lost(echoed) and result["relays_for_flood"] == 0 and len(good) >= NEW_CLIENTS * 99 // 100
    return result, reached


def main():
    parser = argparse.ArgumentParser(prog="scripts/synflood", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=200_000, help="SYNs a second (default 200,000)")
    parser.add_argument("--seconds", type=float, default=30, help="how long (default 30)")
    parser.add_argument("--on-link", action="store_true", help="spoof neighbours instead of addresses behind a gateway")
    parser.add_argument("--half-open-max", type=int, default=65_536, help="places for half-open connections (default 65,536)")
    parser.add_argument("--driver", default="af_xdp", choices=("af_xdp", "af_packet"))
    parser.add_argument("--json", action="store_true", help="accepted for symmetry: the object is always printed")
    arguments = parser.parse_args()
    millrace.leave_cores({0})
    with net.Lab() as lab:
        try:
            result, reached = flood(lab, arguments)
        except (millrace.Refused, RuntimeError, OSError) as error:
            lab.keep_directory = True
            print(f"scripts/synflood: {error}\nThe logs are in {lab.directory}", file=sys.stderr)
            return 1
    print(json.dumps({"measurement": "synflood", "driver": arguments.driver,
                      "sources": "on-link" if arguments.on_link else "routed", **result, "reached": reached}))
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
