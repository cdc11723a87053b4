"""Sets Millrace beside nginx and HAProxy on the same work, in one run: each balancer on core 0, the load generator on
core 1, between the same clients and servers. Rounds are interleaved (every system once, then again), so that what changes
on the machine meanwhile touches all of them; a cell tells the median of its rounds and their spread.

nginx, HAProxy and Millrace on AF_XDP stand on one pair of virtual cables; Millrace on memif has no kernel beside it and
stands for a network card, with dpdk-testpmd's figure for the bare device of each kind. A cell that the generator limited
is marked, and is no claim.

Writes the table (results.md), every sample (results.json) and one plot for each workload.
"""

import argparse
import fnmatch
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "scripts")]

import cables  # noqa: E402  (the line above finds them)
import device  # noqa: E402
import report  # noqa: E402
import systems  # noqa: E402
import workloads  # noqa: E402
from lab import machine, millrace  # noqa: E402


def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench/compare/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three short rounds and fewer rates: under ten minutes")
    parser.add_argument("--rounds", type=int, help="of every cell (default 5; quick: 3)")
    parser.add_argument("--seconds", type=float, help="of each measurement (default 5; quick: 2)")
    parser.add_argument("--systems", default=",".join(systems.ALL), help="only these, comma separated (default: %(default)s)")
    parser.add_argument("--workloads", default="*", help="only these, comma separated, with * as in file names: idle, echo, "
                        "push, push-RATE, storm-fin, storm-rst, bulk; with TLS: wss-idle, wss-echo, wss-push, wss-push-RATE, "
                        "wss-storm-full, wss-storm-resumed, wss-bulk")
    parser.add_argument("--output", help="directory of the results (default bench/results; quick: build/compare)")
    parser.add_argument("--json", metavar="FILE", help="write the results there too")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (3 if arguments.quick else 5)
    arguments.seconds = arguments.seconds or (2 if arguments.quick else 5)
    arguments.output = arguments.output or os.path.join(ROOT, "build/compare" if arguments.quick else "bench/results")
    unknown = set(arguments.systems.split(",")) - set(systems.ALL)
    if unknown:
        parser.error(f"no such system: {', '.join(sorted(unknown))}")
    return arguments


def chosen_workloads(arguments):
    names = arguments.workloads.split(",")
    return [workload for workload in workloads.workloads(arguments.quick)
            if any(fnmatch.fnmatch(workload.key, name) for name in names)]


def beyond_reach(workload, system, samples):
    """Whether pushes are to come faster than the system's last saturation: there is no latency to tell then."""
    pushed = samples.get("wss-push" if workload.tls else "push", {}).get(system.name)
    return bool(pushed) and workload.options.get("rate", 0) > pushed[-1].get("rate", 0) > 0


def measure_round(system, work, seconds, samples):
    """One sample of each cell of a system, each with the balancer started anew."""
    for workload in work:
        if beyond_reach(workload, system, samples):
            continue
        try:
            system.start(workload.tls)
            sample = workloads.run(workload, system, seconds)
        except millrace.Refused as error:
            sample = {"error": str(error)}
        finally:
            system.stop()
        samples.setdefault(workload.key, {}).setdefault(system.name, []).append(sample)
        names = [figure["name"] for figure in workload.figures if figure["name"] in sample]
        told = sample.get("error") or "  ".join(f"{name} {report.number(sample[name])}" for name in names)
        print(f"  {system.name:15} {workload.key:17} {told}  [{sample.get('limit', 'failed')}]", flush=True)


def main():
    arguments = parse_arguments()
    if os.geteuid() != 0 or (os.cpu_count() or 1) < 2:
        print("bench/compare/run: it takes root, for network namespaces, and two cores", file=sys.stderr)
        return 1
    millrace.leave_cores({systems.CORE})
    work, samples = chosen_workloads(arguments), {}
    begin = time.time()
    with cables.CablesLab() as lab:
        compared = [systems.ALL[name](lab) for name in arguments.systems.split(",")]
        bare = device.measure(lab, {system.cable for system in compared}, arguments.seconds)
        for number in range(1, arguments.rounds + 1):
            print(f"round {number} of {arguments.rounds}", flush=True)
            for system in compared:
                measure_round(system, work, arguments.seconds, samples)
        results = {
            "when": time.strftime("%Y-%m-%d", time.gmtime(begin)), "took_seconds": round(time.time() - begin),
            "command": " ".join(["bench/compare/run", *sys.argv[1:]]), "machine": machine.describe(),
            "rounds": arguments.rounds, "seconds": arguments.seconds,
            "generator_commands": {system.name: system.generator.commands for system in compared},
            "systems": {system.name: {"label": system.label, "cable": system.cable, "version": system.version()}
                        for system in compared},
            "bare_device_packets_per_second": bare, "samples": samples,
        }
    report.write(results, work, arguments.output)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    print(f"\n{report.table(results, work)}\nWritten to {os.path.relpath(arguments.output)}")
    return 1 if report.failed(results) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
