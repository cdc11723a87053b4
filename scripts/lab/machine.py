"""What the figures were measured on."""

import functools
import os
import platform
import re

from lab import net


@functools.cache
def cycles_per_second():
    """Of the time stamp counter, which on this kind of machine runs at the nominal clock."""
    return float(_cpu(r"^cpu MHz\s*:\s*([\d.]+)")) * 1e6


def describe():
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(re.search(r"^MemTotal:\s+(\d+)", file.read()).group(1)) >> 20
    return {"cpu": _cpu(r"^model name\s*:\s*(.+)"), "cores": os.cpu_count(), "mhz": round(cycles_per_second() / 1e6),
            "memory_gib": memory, "kernel": platform.release(), "system": _os_name(),
            "virtual": "hypervisor" in _cpu(r"^flags\s*:\s*(.+)").split(),
            "dpdk": net.run("pkg-config", "--modversion", "libdpdk").strip()}


def _cpu(pattern):
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        return re.search(pattern, file.read(), re.MULTILINE).group(1)


def _os_name():
    with open("/etc/os-release", encoding="utf-8") as file:
        return re.search(r'^PRETTY_NAME="(.+)"', file.read(), re.MULTILINE).group(1)
