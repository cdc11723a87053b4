"""The rules of the tree that a machine can check. Each test names every place that breaks its rule."""

import json
import os
import re
import shlex
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Which folders of src/dataplane a folder may include from. Those with no entry, and the files beside them, join the parts.
LAYERS = {
    "base": set(),
    "wire": {"base"},
    "store": {"base"},
    "tcp": {"base", "wire", "store"},
    "http": {"base"},
    "ws": {"base"},
    "balance": {"base"},
    "config": {"base", "balance"},
    "net": {"base", "wire", "config"},
    "relay": {"base", "wire", "store", "tcp", "http", "ws", "balance", "config", "net"},
    "worker": {"base", "wire", "store", "tcp", "http", "ws", "balance", "config", "net", "relay"},
    "port": {"base", "wire", "config", "net", "relay", "worker"},
}
# What a program may include from other folders of src. Control judges health probes with the dataplane's parsers, which
# know no device, clock or thread.
PARSERS = {"dataplane/base", "dataplane/http", "dataplane/ws"}
PROGRAMS = {
    "include/": set(),
    "src/abi/": {"abi"},
    "src/control/": {"control", "tls"} | PARSERS,
    "src/cli/": {"cli"},
    "src/tls/": {"tls", "dataplane/base"},
    "src/dataplane/": {"dataplane", "tls"},
    "src/load/": {"load", "tls"} | {f"dataplane/{folder}" for folder in
                                    ("base", "wire", "store", "tcp", "http", "ws", "config", "net", "port")},
}
# What a folder of src/dataplane may include from src/tls: relays open and seal records; who shakes hands is given to them.
TLS_PARTS = {"relay": {"tls/record"}}
DPDK_FOLDERS = ("src/dataplane/port/", "src/dataplane/main", "src/load/main")
LINES_MAX = 600
CORPUS_FILES_MAX = 60
CORPUS_FILE_BYTES_MAX = 64 << 10


def tracked(*patterns):
    """The files of the project that match, committed or about to be."""
    names = subprocess.check_output(["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
                                    cwd=ROOT, text=True).splitlines()
    return sorted({name for name in names if os.path.isfile(os.path.join(ROOT, name))})


def text(name):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def includes(name):
    """What a file includes, in order; nothing when there is no such file."""
    if not os.path.exists(os.path.join(ROOT, name)):
        return []
    return re.findall(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', text(name), re.MULTILINE)


class Style(unittest.TestCase):
    def none(self, places):
        if places:
            self.fail("\n" + "\n".join(places))

    def test_format(self):
        done = subprocess.run(["clang-format", "--dry-run", "-Werror", *tracked("*.h", "*.cpp")], cwd=ROOT,
                              capture_output=True, text=True)
        self.none(sorted({f"clang-format -i {name}" for name in re.findall(r"^(\S+?):\d+:\d+: error: ", done.stderr, re.MULTILINE)}))

    def test_headers_compile_alone(self):
        """Those that a source beside them includes first are proven by the build."""
        proven = {name for name in tracked("*.h") if (first := includes(name[:-2] + ".cpp")[:1])
                  and os.path.basename(first[0]) == os.path.basename(name)}
        with open(os.path.join(ROOT, "build/compile_commands.json"), encoding="utf-8") as commands:
            words = [shlex.split(entry["command"]) for entry in json.load(commands)]
        flags = [flag for flag in words[0] if re.match(r"-(std|W|march)", flag)]
        flags += sorted({flag for command in words for flag in command if flag.startswith("-D")})
        flags += [f"-I{os.path.join(ROOT, folder)}" for folder in ("include", "src", "tests/unit", "tests/unit/dataplane", "")]
        flags += subprocess.check_output(["pkg-config", "--cflags", "libdpdk"], text=True).replace("-I", "-isystem").split()

        def compile_alone(name):
            done = subprocess.run(["g++", *flags, "-fsyntax-only", "-x", "c++", "-include", name, "/dev/null"], cwd=ROOT,
                                  capture_output=True, text=True)
            return f"{name}: " + re.search(r".*error:.*", done.stderr).group() if done.returncode else None

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self.none([place for place in pool.map(compile_alone, set(tracked("*.h")) - proven) if place])

    def test_headers_open_with_a_description_and_pragma_once(self):
        self.none([name for name in tracked("*.h") if not re.match(r"//[^\n]{10}(.*\n)*?#pragma once\n", text(name))])

    def test_layers_of_the_dataplane(self):
        places = []
        for name in tracked("src/dataplane/*.h", "src/dataplane/*.cpp"):
            folder = name.split("/")[2]
            for included in includes(name):
                if included.startswith("dataplane/") and folder in LAYERS:
                    other = included.split("/")[1]
                    if other != folder and other not in LAYERS[folder]:
                        places.append(f"{name} includes {included}")
                part = "/".join(included.split("/")[:2])
                if included.startswith("tls/") and folder in LAYERS and part not in TLS_PARTS.get(folder, set()):
                    places.append(f"{name} includes {included}")
        self.none(places)

    def test_programs_share_only_the_abi_and_pure_code(self):
        folders = {folder.name for folder in os.scandir(os.path.join(ROOT, "src")) if folder.is_dir()}
        self.none([f"{name} includes {included}" for start, allowed in PROGRAMS.items() for name in tracked("*.h", "*.cpp")
                   if name.startswith(start) for included in includes(name)
                   if included.split("/")[0] in folders - allowed and "/".join(included.split("/")[:2]) not in allowed])

    def test_dpdk_stays_in_its_folders(self):
        self.none([f"{name} includes {included}" for name in tracked("*.h", "*.cpp") for included in includes(name)
                   if re.match(r"rte_", included) and not name.startswith(DPDK_FOLDERS)])

    def test_prefetching_is_left_to_the_function_that_works(self):
        """dataplane/base/prefetch.h says why."""
        self.none([f"{name}:{number}" for name in tracked("*.h", "*.cpp") if name != "src/dataplane/base/prefetch.h"
                   for number, line in enumerate(text(name).splitlines(), 1) if re.search(r"__builtin_prefe[t]ch|_mm_prefe[t]ch", line)])

    def test_includes_are_absolute(self):
        self.none([f"{name} includes {included}" for name in tracked("*.h", "*.cpp") for included in includes(name)
                   if included.startswith(".")])

    def test_sizes_of_files(self):
        self.none([f"{name}: {lines} lines" for name in tracked("*.h", "*.cpp", "*.py", "*.sh", "scripts/*")
                   if (lines := text(name).count("\n")) > LINES_MAX])

    def test_no_marks_of_unfinished_work(self):
        marks = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
        self.none([f"{name}:{number}" for name in tracked("*.h", "*.cpp", "*.py", "*.md", "*.toml", "*.build", "scripts/*")
                   for number, line in enumerate(text(name).splitlines(), 1) if marks.search(line)])

    def test_no_paths_of_one_machine(self):
        paths = re.compile(r"(^|[\s\"'`(=])/(" + "|".join(["wo" + "rk", "ho" + "me", "ro" + "ot"]) + r")/")
        self.none([f"{name}:{number}" for name in tracked() if not name.startswith("tests/fuzz/corpus/")
                   for number, line in enumerate(text(name).splitlines(), 1) if paths.search(line)])

    def test_every_fuzz_target_has_a_small_corpus(self):
        places = []
        for name in tracked("tests/fuzz/*.cpp"):
            target = os.path.basename(name)[:-len(".cpp")]
            seeds = tracked(f"tests/fuzz/corpus/{target}/")
            if not 1 <= len(seeds) <= CORPUS_FILES_MAX:
                places.append(f"tests/fuzz/corpus/{target}: {len(seeds)} files, not 1 to {CORPUS_FILES_MAX}")
            places += [f"{seed}: larger than {CORPUS_FILE_BYTES_MAX} bytes" for seed in seeds
                       if os.path.getsize(os.path.join(ROOT, seed)) > CORPUS_FILE_BYTES_MAX]
            if f"'{target}'" not in text("tests/fuzz/meson.build"):
                places.append(f"{name}: not in tests/fuzz/meson.build")
        self.none(places)

    def test_names_in_the_table_of_rfcs_exist(self):
        """docs/tcp.md: `FILE` FUNCTION… in the third column, `scripts/NAME` and `unit|sim/FILE` CASE… in the fourth."""
        places, rows = [], re.findall(r"^\|([^|]*)\|[^|]*\|([^|]*)\|([^|]*)\|$", text("docs/tcp.md"), re.MULTILINE)
        for rfc, where, shown in rows[2:]:
            for column, found in ((where, {}), (shown, {"unit": "tests/unit/dataplane", "sim": "tests/sim"})):
                names = re.findall(r"`([^`]+)`([\w ]*)", column)
                places += [] if names else [f"RFC{rfc}: names nothing"]
                for name, words in names:
                    top, rest = name.split("/", 1)
                    file = (f"tests/scripts/{rest}.pkt" if top == "scripts" else
                            f"{found[top]}/{rest}.cpp" if top in found else f"src/dataplane/{name}")
                    if not os.path.exists(os.path.join(ROOT, file)):
                        places.append(f"RFC{rfc}: there is no {file}")
                        continue
                    begin = r", " if top in found else r"\b"  # the case in TEST(SUITE, CASE)
                    places += [f"RFC{rfc}: {file} has no {word}" for word in words.split()
                               if not re.search(begin + word + r"\b", text(file))]
        self.assertGreater(len(rows), 30)
        self.none(places)

    def test_scripts_parse(self):
        places = []
        for name in tracked("scripts/*", ".ci/*", "*.sh", "*.py"):
            first = text(name).split("\n", 1)[0]
            if name.endswith(".sh") or first.endswith("bash"):
                done = subprocess.run(["bash", "-n", name], cwd=ROOT, capture_output=True, text=True)
                places += done.stderr.splitlines()
            elif name.endswith(".py"):
                try:
                    compile(text(name), name, "exec")
                except SyntaxError as error:
                    places.append(f"{name}: {error}")
        self.none(places)

    def test_readme_opens_with_the_two_commands(self):
        self.assertTrue(os.path.exists(os.path.join(ROOT, "README.md")), "there is no README.md")
        first_screen = "\n".join(text("README.md").splitlines()[:40])
        commands = re.findall(r"^\s*(scripts/\S+)", first_screen, re.MULTILINE)
        self.assertEqual(commands, ["scripts/demo", "scripts/test"])
