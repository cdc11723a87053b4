"""No secret of a live connection is in what a core dump of the dataplane would hold."""

import asyncio
import hashlib
import hmac
import os
import re
import ssl
import time

from test_tls import TlsTest

# core(5): what coredump_filter says by default. Shared file mappings, and what madvise(MADV_DONTDUMP) names, are left out.
SMAPS_HEAD = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (....) [0-9a-f]+ \S+ (\d+)\s*(.*)")


def mappings(pid):
    """(first, last, dumped, name) of each readable mapping of a process."""
    found = []
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as smaps:
        for line in smaps:
            if head := SMAPS_HEAD.match(line):
                first, last, access, inode, name = head.groups()
                shared_file = access[3] == "s" and inode != "0" and not name.startswith("/dev/zero")
                found.append([int(first, 16), int(last, 16), not shared_file, name, access[0] == "r"])
            elif line.startswith("VmFlags:") and " dd" in line:
                found[-1][2] = False
    return [tuple(entry[:4]) for entry in found if entry[4] and entry[3] not in ("[vvar]", "[vsyscall]")]


def resident(pid, first, last):
    """The pages of a mapping that are there, as one text; a page that was never used holds nothing."""
    pieces = []
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        page = os.sysconf("SC_PAGE_SIZE")
        pagemap.seek(first // page * 8)
        entries = pagemap.read((last - first) // page * 8)
        run = None
        for number in range(len(entries) // 8 + 1):
            there = number < len(entries) // 8 and entries[number * 8 + 7] & 0xc0
            if there and run is None:
                run = number
            elif not there and run is not None:
                memory.seek(first + run * page)
                pieces.append(memory.read((number - run) * page))
                run = None
    return b"".join(pieces)


def expand_label(secret, label, length):
    """HKDF-Expand-Label of RFC 8446 §7.1 for a length below one hash."""
    digest = hashlib.sha384 if len(secret) == 48 else hashlib.sha256
    info = length.to_bytes(2, "big") + bytes([6 + len(label)]) + b"tls13 " + label + b"\0\x01"
    return hmac.new(secret, info, digest).digest()[:length]


class Secrets(TlsTest):
    def secrets(self, key_log):
        """The traffic secrets of a client's key log, and the keys that follow from them."""
        found = {}
        with open(key_log, encoding="ascii") as lines:
            for number, line in enumerate(lines):
                words = line.split()
                if words and re.fullmatch(r"(CLIENT|SERVER)_TRAFFIC_SECRET_0", words[0]):
                    secret = bytes.fromhex(words[2])
                    found[f"secret {number}"] = secret
                    found[f"key {number}"] = expand_label(secret, b"key", 32 if len(secret) == 48 else 16)
                elif words and words[0] == "CLIENT_RANDOM":
                    found[f"master secret {number}"] = bytes.fromhex(words[2])
        return found

    def search(self, pid, secrets, dumped):
        hits = []
        for first, last, is_dumped, name in mappings(pid):
            if is_dumped == dumped:
                memory = resident(pid, first, last)
                hits += [f"{what} in {name or 'anonymous memory'}" for what, secret in secrets.items() if secret in memory]
        return hits

    def test_a_core_dump_holds_none(self):
        key_log = os.path.join(self.lab.directory, "client.keys")
        pid = self.millrace.dataplane.pid

        async def traffic():
            contexts = [self.context(keylog_filename=key_log) for _ in range(2)]
            contexts[1].maximum_version = ssl.TLSVersion.TLSv1_2
            relays = [await self.connect(contexts[number % 2]) for number in range(40)]
            until = time.monotonic() + 3
            while time.monotonic() < until:
                await asyncio.gather(*(relay.send("live") for relay in relays))
                await asyncio.gather(*(relay.recv() for relay in relays))
            hits = await asyncio.to_thread(lambda: self.search(pid, self.secrets(key_log), True))
            # What is looked for is there, and the search can find it: in the memory that dumps leave out.
            elsewhere = await asyncio.to_thread(lambda: self.search(pid, self.secrets(key_log), False))
            for relay in relays:
                await relay.close()
            return hits, elsewhere

        hits, elsewhere = self.run_clients(traffic(), seconds=90)
        self.assertGreaterEqual(len([hit for hit in elsewhere if hit.startswith("secret")]), 40, elsewhere)
        self.assertEqual(hits, [])
