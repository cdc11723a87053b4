"""How much memory something takes: seen from the machine, which leaves nothing of the kernel's out (sockets, packet
buffers, page tables), and seen from one process. Both for the difference between two readings."""

import os
import re


def held_by(pids):
    """Bytes of the machine's memory that the kernel and these processes hold: kernel objects, packet buffers, page tables,
    shared memory that nobody maps, used huge pages, and what the processes map. What the kernel only caches is given back
    before; what other processes map is left out, since they come and go. The lowest of three readings."""
    return min(_machine() - sum(map(_memory_or_nothing, _others(pids))) for _ in range(3))


def _machine():
    """Free pages that each processor keeps at hand count as free: they are no part of MemFree, and with 24 GiB and two
    processors they came and went by 60 MB between readings."""
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as control:
        control.write("3")
    with open("/proc/meminfo", encoding="ascii") as file:
        values = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+)", file.read(), re.MULTILINE)}
    with open("/proc/zoneinfo", encoding="ascii") as file:
        at_hand = sum(map(int, re.findall(r"^\s+count:\s+(\d+)", file.read(), re.MULTILINE)))
    free = values["MemFree"] + values["Buffers"] + values["Cached"] - values["Shmem"] + \
        values["HugePages_Free"] * values["Hugepagesize"]
    return ((values["MemTotal"] - free) << 10) - at_hand * os.sysconf("SC_PAGE_SIZE")


def _others(pids):
    return {int(name) for name in os.listdir("/proc") if name.isdigit()} - set(pids)


def _memory_or_nothing(pid):
    """Of a process without the files that it maps, which the kernel caches; nothing of one that has ended, or of a thread
    of the kernel."""
    try:
        parts = _rollup(pid)
    except OSError:
        return 0
    return sum(parts.get(name, 0) for name in ("Pss_Anon", "Pss_Shmem", "Private_Hugetlb", "Shared_Hugetlb")) << 10


def _rollup(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+)", file.read(), re.MULTILINE)}


def process_memory(pid):
    """Bytes of one process: what it maps and has touched, shared files included, huge pages too."""
    parts = _rollup(pid)
    return (parts["Pss"] + parts["Private_Hugetlb"] + parts["Shared_Hugetlb"]) << 10
