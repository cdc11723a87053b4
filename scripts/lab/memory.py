"""How much memory is in use: by the whole machine, which leaves nothing out (kernel sockets, packet buffers, page tables),
and by one process. Both for the difference between two readings."""

import os
import re


def machine_memory():
    """Bytes of the machine's memory that hold something: anonymous and shared memory, kernel objects, used huge pages.
    What the kernel only caches is given back before. Free pages that each processor keeps at hand count as free: they
    are no part of MemFree, and with 24 GiB and two processors they came and went by 60 MB between readings."""
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as control:
        control.write("3")
    with open("/proc/meminfo", encoding="ascii") as file:
        values = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+)", file.read(), re.MULTILINE)}
    with open("/proc/zoneinfo", encoding="ascii") as file:
        at_hand = sum(map(int, re.findall(r"^\s+count:\s+(\d+)", file.read(), re.MULTILINE)))
    free = values["MemFree"] + values["Buffers"] + values["Cached"] - values["Shmem"] + \
        values["HugePages_Free"] * values["Hugepagesize"]
    return ((values["MemTotal"] - free) << 10) - at_hand * os.sysconf("SC_PAGE_SIZE")


def process_memory(pid):
    """Bytes of one process: what it maps and has touched, shared files included, huge pages too."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        parts = dict(re.findall(r"^(\w+):\s+(\d+)", file.read(), re.MULTILINE))
    return (int(parts["Pss"]) + int(parts["Private_Hugetlb"]) + int(parts["Shared_Hugetlb"])) << 10
