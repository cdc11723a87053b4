"""millrace-load beside a Millrace that it is joined to by memif, two sockets in the lab's directory: no cable, no kernel.

    millrace-load: clients 198.18.0.2 …  ══ clients.sock ══ 198.18.0.1  millrace-dataplane  198.18.1.1 ══ servers.sock ══
                                                                                  millrace-load: servers 198.18.1.11 …
"""

import json
import os
import subprocess

from lab import millrace

LOAD = os.path.join(millrace.BIN, "millrace-load")
CONFIG = """
schema = 1
[dataplane]
cores = [0]
relays_max = {relays}
chunk_memory = "{chunk_memory}"
idle_sleep = "{idle_sleep}"
[[interface]]
name = "clients"
driver = "memif"
device = "{directory}/clients.sock"
memif_role = "server"
addresses = ["198.18.0.1/16", "2001:db8::1/64"]
[[interface]]
name = "servers"
driver = "memif"
device = "{directory}/servers.sock"
memif_role = "server"
addresses = {server_side}
"""


def server_address(number):
    """The address of a server, counted from 0."""
    return f"198.19.0.{number + 11}"


def config(directory, servers=1, sources=1, relays=20000, chunk_memory="256MiB", idle_sleep="0s"):
    """Millrace between the two sockets, with a listener on every address at port 80. One pair of a source and a server
    carries about 64,000 relays."""
    server_side = [f"198.19.1.{number + 1}/16" for number in range(sources)] + ["2001:db8:1::1/64"]
    addresses = {f"load-{number}": f"{server_address(number)}:9000" for number in range(servers)}
    return CONFIG.format(directory=directory, relays=relays, chunk_memory=chunk_memory, idle_sleep=idle_sleep,
                         server_side=json.dumps(server_side)) + \
        millrace.listener() + millrace.backend(addresses, health=None)


def memif_arguments(directory, clients=1, servers=1):
    """The options that join millrace-load to that Millrace, with so many addresses of clients and servers."""
    last = 256 + clients - 1
    return ["--client-interface", f"memif:{directory}/clients.sock,client",
            "--client-addresses", f"198.18.1.0-198.18.{last // 256}.{last % 256}", "--client-prefix", "16",
            "--server-interface", f"memif:{directory}/servers.sock,client",
            "--server-addresses", f"{server_address(0)}-{server_address(servers - 1)}", "--server-prefix", "16",
            "--target", "198.18.0.1:80"]


def start(lab, namespace, *arguments, **popen):
    """Starts millrace-load in a namespace of the lab."""
    popen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **popen}
    return lab.start(namespace, LOAD, *arguments, "--json", "--log-file", os.path.join(lab.directory, "load-eal.log"), **popen)


def finish(process, seconds=120):
    """Its exit code, its JSON object (None when it printed none), and what it said."""
    output, errors = process.communicate(timeout=seconds)
    lines = output.splitlines()
    result = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
    return process.returncode, result, output + errors
