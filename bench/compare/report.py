"""From samples to what is read: a table in Markdown, the samples as JSON, and one plot for each workload."""

import json
import os
import statistics

import plot
from systems import ALL, BURST_SIZES, KernelBalancer, MillraceVeth

MARK = "†"  # on a cell that the generator limited, and not the balancer as well


def number(value):
    """Four significant digits, whole thousands with commas."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def cell(results, workload, system):
    """The good samples of one cell, what limited most of them, and whether in any it was the generator alone."""
    samples = [sample for sample in results["samples"].get(workload.key, {}).get(system, []) if "error" not in sample]
    limits = [sample["limit"] for sample in samples]
    return samples, max(set(limits), key=limits.count) if limits else None, "generator" in limits


def values(samples, name):
    return [sample[name] for sample in samples if name in sample]


def failed(results):
    """The cells where something went wrong, by system and workload."""
    return [f"{workload}, {system}: {sample.get('error') or sample['mistakes']}"
            for workload, systems in results["samples"].items() for system, samples in systems.items() for sample in samples
            if "error" in sample or sample["mistakes"]]


def table(results, work):
    """One row for each workload and figure, one column for each system: median (lowest to highest), and what limited it;
    and the factor."""
    systems = results["systems"]
    rows = [["", *(system["label"] for system in systems.values()), "factor"], ["---", *("---:" for _ in systems), "---:"]]
    for workload in work:
        for place, figure in enumerate(workload.figures):
            row = [f"**{workload.title}**: " * (place == 0) + f"{figure['name']}, {figure['unit']}"]
            row += [entry(results, workload, figure, system, place == 0) for system in systems]
            rows.append(row + [factor(results, workload, figure) * (place == 0)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def entry(results, workload, figure, system, first):
    """What the table says of one figure of a cell; nothing where the system has none, as at a rate beyond its reach."""
    samples, limit, by_generator = cell(results, workload, system)
    found = values(samples, figure["name"])
    if not found:
        return "failed" if not samples and system in results["samples"].get(workload.key, {}) else ""
    spread = f" ({number(min(found))} – {number(max(found))})" if len(found) > 1 else ""
    side = f"; {limit}" if first and limit != "load" else ""
    return f"{number(statistics.median(found))}{MARK * by_generator}{spread}{side}"


def factor(results, workload, figure):
    """How much better Millrace is on AF_XDP than the better of those on kernel sockets; nothing where either has no figure."""
    def best(kind):
        found = [statistics.median(its) for system in results["systems"] if issubclass(ALL[system], kind)
                 if (its := values(cell(results, workload, system)[0], figure["name"]))]
        return (min if figure["less_is_better"] else max)(found, default=0)
    ours, theirs = best(MillraceVeth), best(KernelBalancer)
    if not ours or not theirs:
        return ""
    return number(float(f"{theirs / ours if figure['less_is_better'] else ours / theirs:.2g}"))


def burst_table(results, work):
    """One row for each cell whose system tells the sizes of its bursts: the medians of the rounds."""
    rows = []
    for workload in work:
        for system, about in results["systems"].items():
            found = values(cell(results, workload, system)[0], "bursts")
            if found:
                shares = [statistics.median(bursts[size] for bursts in found) for size in found[0]]
                rows.append([f"{workload.title}, {about['label']}", *(f"{100 * share:.0f}" for share in shares)])
    head = ["", *(str(size) for size in BURST_SIZES)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---", *("---:" for _ in BURST_SIZES)], *rows])


def page(results, work):
    machine = results["machine"]
    bare = results["bare_device_packets_per_second"]
    versions = ", ".join(f"{system['label']} {system['version']}" for system in results["systems"].values())
    lines = [
        f"# Side by side, {results['when']}", "",
        f"{versions}. One core for the balancer, the other for the generator. {machine['cores']} cores of {machine['cpu']}, "
        f"{machine['mhz']} MHz{', virtual' if machine['virtual'] else ''}, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
        f"{machine['system']}, DPDK {machine['dpdk']}.", "",
        f"`{results['command']}`: {results['rounds']} interleaved rounds of {results['seconds']:g} s; median (lowest – highest). "
        f"\"balancer\" or \"generator\" after a figure: that side's core was at its limit. {MARK}: only the generator was, so the "
        "balancer might have done more, and no claim is made. The factor is that of Millrace on AF_XDP over the better of those "
        "on kernel sockets. With TLS, Millrace's crypto thread has the same core as its worker.", "",
        table(results, work), "",
        "Receive bursts of Millrace by how many frames they had (at least so many, fewer than the next), in percent:", "",
        burst_table(results, work), "",
        "Bare device, packets a second that one core receives and sends again (dpdk-testpmd): " +
        ", ".join(f"{kind} {number(rate)}" for kind, rate in bare.items()) + ".", "",
        "The generator's commands:", "", "```", *commands(results), "```", "",
    ]
    problems = failed(results)
    if problems:
        lines += ["What went wrong:", "", *(f"- {problem}" for problem in problems), ""]
    lines += [f"![{workload.title}]({workload.key}.svg)" for workload in work if not workload.key.startswith("push-")]
    lines += ["![Latency of pushes](push-latency.svg)", ""]
    return "\n".join(lines)


def commands(results):
    """The generator's command lines, one system for each kind of cable."""
    by_cable = {about["cable"]: results["generator_commands"][system] for system, about in results["systems"].items()}
    return [line for lines in by_cable.values() for line in lines.values()]


def bar_chart(results, workload):
    figure = workload.figures[0]
    rows = []
    for system, about in results["systems"].items():
        samples, _, by_generator = cell(results, workload, system)
        if found := values(samples, figure["name"]):
            rows.append((about["label"], statistics.median(found), min(found), max(found), by_generator))
    return plot.bars(workload.title, f"{figure['name']}, {figure['unit']}", rows)


def latency_chart(results, pushes):
    series = []
    for colour, (system, about) in enumerate(results["systems"].items()):
        for name, dashed in (("p50", True), ("p99", False)):
            points = []
            for workload in pushes:
                samples, _, by_generator = cell(results, workload, system)
                found = values(samples, name)
                if found and not by_generator:
                    points.append((workload.options["rate"], statistics.median(found)))
            series.append((f"{about['label']} {name}", dashed, colour, points))
    return plot.lines("Latency of pushes at equal rates", "pushes a second", "µs", series)


def write(results, work, directory):
    os.makedirs(directory, exist_ok=True)
    pushes = [workload for workload in work if workload.key.startswith("push-")]
    files = {"results.md": page(results, work), "results.json": json.dumps(results, indent=1) + "\n",
             **{f"{workload.key}.svg": bar_chart(results, workload) for workload in work if workload not in pushes}}
    if pushes:
        files["push-latency.svg"] = latency_chart(results, pushes)
    for name, content in files.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(content)
