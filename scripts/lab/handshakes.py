"""TLS handshakes a second: of one crypto thread by itself, beside OpenSSL's primitives on the same core, and end to end
through Millrace, nginx and HAProxy, full and resumed, with what each side's core worked (bench/compare)."""

import json
import os
import re
import statistics
import subprocess
import sys

from lab import millrace

CORE = str(os.cpu_count() - 1)  # on which scripts/bench runs
SPEED_SECONDS = "2"
# By what `openssl speed` calls it, and the place of its operations a second in the line.
PRIMITIVES = {"ecdsap256": ("ecdsap256_sign", r"ecdsa \(nistp256\) +\S+s +\S+s +([\d.]+)"),
              "ecdhx25519": ("ecdhx25519", r"ecdh \(X25519\) +\S+s +([\d.]+)"),
              "rsa2048": ("rsa2048_sign", r"rsa 2048 bits +\S+s +\S+s +([\d.]+)")}
KINDS = {"full": "version:2/resumed:0", "resumed": "version:2/resumed:1"}
TOLD = ("rate", "busy", "crypto", "crypto_busy", "generator_busy", "resumed")
TARGETS = {"full": 2500, "resumed": 3000}


def run(*argv):
    done = subprocess.run(argv, cwd=millrace.ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise millrace.Refused(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


def of_one_thread():
    """The server's part in TLS 1.3 (X25519, P-256, one ticket), both ends in one process."""
    found = json.loads(run("scripts/bench", "tls", "--benchmark_filter=server_handshake/version:2", "--benchmark_format=json"))
    rates = {entry["name"]: entry["items_per_second"] for entry in found["benchmarks"]}
    return {kind: round(next(rate for name, rate in rates.items() if text in name)) for kind, text in KINDS.items()}


def of_primitives():
    said = run("taskset", "-c", CORE, "openssl", "speed", "-seconds", SPEED_SECONDS, *PRIMITIVES)
    return {name: float(re.search(pattern, said).group(1)) for name, pattern in PRIMITIVES.values()}


def end_to_end(lab, arguments):
    """Medians of the rounds, and what limited each; with the conditions."""
    directory = os.path.join(lab.directory, "compare")
    done = subprocess.run(["bench/compare/run", "--workloads", "wss-storm-*", "--rounds", str(arguments.rounds), "--seconds",
                           str(arguments.seconds), "--output", directory], cwd=millrace.ROOT, stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise millrace.Refused("bench/compare/run: something went wrong, see above")
    with open(os.path.join(directory, "results.json"), encoding="utf-8") as text:
        results = json.load(text)
    rates = {}
    for workload, systems in results["samples"].items():
        rates[workload.removeprefix("wss-storm-")] = {system: {
            **{name: round(statistics.median(sample[name] for sample in samples), 3) for name in TOLD if name in samples[0]},
            "limits": [sample["limit"] for sample in samples]} for system, samples in systems.items()}
    return rates, {name: results[name] for name in ("when", "command", "systems", "generator_commands")}


def measure(lab, arguments):
    thread, primitives = of_one_thread(), of_primitives()
    rates, conditions = end_to_end(lab, arguments)
    floor_us = 1e6 / primitives["ecdsap256_sign"] + 2e6 / primitives["ecdhx25519"]
    return {"crypto_thread_per_s": thread, "primitives_per_s": primitives,
            "full_handshake_us": round(1e6 / thread["full"], 1), "signature_and_two_exchanges_us": round(floor_us, 1),
            "end_to_end_per_s": rates, "conditions": conditions,
            "target": f"of one thread at least {TARGETS['full']:,} a second full, {TARGETS['resumed']:,} resumed"}, \
        all(thread[kind] >= rate for kind, rate in TARGETS.items())
