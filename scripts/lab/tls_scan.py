"""What testssl.sh finds in a listener with TLS that is configured as little as possible."""

import json
import os
import subprocess

from lab import millrace, net
from lab.pki import Pki, listener_tls

ABOVE_LOW = ("MEDIUM", "HIGH", "CRITICAL")


def measure(lab, arguments):
    """Runs testssl.sh against an RSA and an ECDSA certificate; its findings by severity, and those above LOW."""
    pki = Pki(os.path.join(lab.directory, "pki"))
    certificates = [pki.certificate(kind, "ticker.test", key=kind, days=90) for kind in ("ec", "rsa")]
    server = millrace.start_server(lab, "one", [net.SERVERS[0]])
    config = millrace.interfaces(arguments.driver) + millrace.listener(port=443, more=listener_tls(*certificates)) + \
        millrace.backend({"one": f"{net.SERVERS[0]}:9001"})
    running = millrace.Millrace(lab, config).start()
    running.wait_running()
    running.wait_servers_up(1)
    found = os.path.join(lab.directory, "testssl.json")
    print("testssl.sh asks about a thousand questions: some minutes", flush=True)
    subprocess.run(["ip", "netns", "exec", lab.clients, "testssl", "--quiet", "--color", "0", "--warnings", "batch",
                    "--nodns", "none", "--add-ca", pki.authority, "--ip", net.BALANCER, "--jsonfile", found,
                    "ticker.test:443"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False, timeout=1500)
    with open(found, encoding="utf-8") as file:
        findings = json.load(file)
    counts = {}
    for finding in findings:
        counts[finding["severity"]] = counts.get(finding["severity"], 0) + 1
    alive = running.dataplane.poll() is None and server.poll() is None
    above = [f"{f['severity']} {f['id']}: {f['finding']}" for f in findings if f["severity"] in ABOVE_LOW]
    return {"findings": counts, "above_low": above, "alive": alive}, alive and not above
