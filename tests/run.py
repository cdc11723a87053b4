#!/usr/bin/python3
"""Runs the tests, group by group; called by scripts/test once the packages are there.

    style     tests/style: formatting, layering, sizes
    unit      every GoogleTest case, as built for release (g++, build/)
    scripts   tests/scripts: timed segment scripts against the TCP stack, one result for each file
    simulate  seeds of the relay simulation
    checked   the same cases under the address and undefined-behaviour sanitizers (clang, build-checked/)
    fault     each planted fault of src/dataplane/base/fault_names.inc must turn some of those cases red
    fuzz      each fuzz target for some seconds, from its committed corpus
    e2e       tests/e2e: real processes, real clients, network namespaces

A test's name is GROUP/…; PATTERN picks the tests whose name holds it (with * as in file names). A test that cannot run is
skipped with its reason, and fails unless tests/allowed_skips.txt names it.
"""

import argparse
import fnmatch
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FUZZ_SECONDS = 10
SEEDS = 500            # of the relay simulation
FAULT_SEEDS = 100      # of it, when it is asked whether it notices a planted fault
SLOW_SECONDS = 60      # what takes longer is told
PROGRAM_SECONDS = 600  # the longest that one test program may take
TIMED_OUT = 124
TEST_SECONDS = 180     # the longest that one Python test may take
SCRIPT_OPTIONS = ("--quiet", "--strict_segments", "--tolerance_usecs=1000")
WORKERS = max(2, os.cpu_count() or 2)
# One build serves the checked, fault and fuzz groups; at -O1 with line tables only it compiles three times as fast.
CHECKED_SETUP = ("-Dbuildtype=plain", "-Dcpp_args=-O1 -g1", "-Db_sanitize=address,undefined", "-Db_lundef=false",
                 "-Dfaults=true", "-Dfuzz=true")
SANITIZERS = {"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}


class Report:
    """Counts and prints outcomes."""

    def __init__(self, pattern, verbose):
        self.pattern, self.verbose = pattern, verbose
        self.passed = self.failed = self.skipped = 0
        with open(os.path.join(ROOT, "tests/allowed_skips.txt"), encoding="utf-8") as lines:
            self.allowed_skips = {line.split()[0] for line in lines if line.strip() and not line.startswith("#")}

    def wants(self, name):
        return self.pattern in name or fnmatch.fnmatch(name, self.pattern)

    def ok(self, name):
        self.passed += 1
        if self.verbose:
            print(f"  ok      {name}", flush=True)

    def fail(self, name, output):
        self.failed += 1
        lines = output.strip().splitlines()[-60:]
        print("\n".join([f"  FAILED  {name}", *("          " + line for line in lines)]), flush=True)

    def skip(self, name, reason):
        if name in self.allowed_skips:
            self.skipped += 1
            print(f"  skipped {name}: {reason}", flush=True)
        else:
            self.fail(name, f"skipped ({reason}), but tests/allowed_skips.txt does not name it")


def timed(call, *arguments):
    """What a call returns, and how many seconds it took."""
    started = time.monotonic()
    result = call(*arguments)
    return result, time.monotonic() - started


def run(argv, seconds=PROGRAM_SECONDS, **environment):
    """Runs a program from the project's root; returns its exit code and everything it printed."""
    try:
        done = subprocess.run(argv, cwd=ROOT, env={**os.environ, **environment}, timeout=seconds, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as expired:
        return TIMED_OUT, (expired.stdout or b"").decode(errors="replace") + f"\nstill running after {seconds} s\n"


# ---- builds

def build(report, directory, *setup, only=None, **environment):
    """Configures (once) and builds everything, or the targets whose path in the build directory begins with `only`. A
    failure is reported as a failed test. Returns whether it succeeded."""
    started = time.monotonic()
    code, output = 0, ""
    if not os.path.exists(os.path.join(ROOT, directory, "build.ninja")):
        code, output = run(["meson", "setup", directory, *setup], 300, **environment)
    if code == 0:
        code, output = run(["ninja", "-C", directory, "build.ninja"], 300)  # or the targets would be those of old
    if code == 0:
        targets = [target for target in programs_of(directory) if target.startswith(only)] if only else []
        code, output = run(["ninja", "-k", "0", "-C", directory, *targets], 1800, **environment)
    if code != 0:
        report.fail(f"build/{directory}", re.sub(r"(?m)^\[\d+/\d+\] .*\n", "", output))
    elif time.monotonic() - started > 2:
        print(f"  built {directory} in {time.monotonic() - started:.0f} s", flush=True)
    return code == 0


def introspect(directory, what):
    return json.loads(subprocess.check_output(["meson", "introspect", what, os.path.join(ROOT, directory)]))


def programs_of(directory):
    """Paths, in the build directory, of the programs that it can build."""
    top = os.path.join(ROOT, directory)
    return [os.path.relpath(target["filename"][0], top) for target in introspect(directory, "--targets")
            if target["type"] == "executable"]


def test_programs(directory):
    """The test programs that Meson knows in a build directory, as {name: argv}, with their path below tests/."""
    below = os.path.join(ROOT, directory, "tests") + "/"
    return {test["cmd"][0].replace(below, ""): test["cmd"] for test in introspect(directory, "--tests")}


# ---- GoogleTest and simulator programs

def cases_of(argv):
    """The GoogleTest cases inside a program; None when it is no GoogleTest program."""
    if len(argv) > 1:
        return None
    code, output = run([*argv, "--gtest_list_tests"], 30)
    if code != 0 or not re.search(r"^\w[\w/]*\.", output, re.MULTILINE):
        return None
    cases, suite = [], ""
    for line in output.splitlines():
        line = line.split("#")[0].rstrip()
        if re.fullmatch(r"\w[\w/]*\.", line):
            suite = line
        elif line.startswith("  "):
            cases.append(suite + line.strip())
    return cases


def run_program(argv, cases, environment):
    """Runs the wanted cases of one program; returns [(case, outcome, output)], outcome one of ok, failed, skipped."""
    if cases is None:
        code, output = run(argv, **environment)
        return [("", "ok" if code == 0 else "failed", output)]
    with tempfile.NamedTemporaryFile("w", suffix=".filter") as flags:
        flags.write("--gtest_filter=" + ":".join(cases) + "\n")
        flags.flush()
        code, output = run([*argv, f"--gtest_flagfile={flags.name}", "--gtest_color=no"], **environment)
    results = []
    for case in cases:
        begin = output.find(f"[ RUN      ] {case}\n")
        end = re.search(rf"\[ +(OK|FAILED|SKIPPED) +\] {re.escape(case)}(?=[ ,\n])", output[max(begin, 0):])
        said = output[max(begin, 0):][:end.end()] if end else output[max(begin, 0):]
        outcome = {"OK": "ok", "FAILED": "failed", "SKIPPED": "skipped"}[end.group(1)] if end else "failed"
        results.append((case, outcome, said))
    if code != 0 and all(outcome != "failed" for _, outcome, _ in results):
        results.append(("exit", "failed", output))  # a leak, or a crash after the last case
    return results


def program_group(report, group, directory, wants, environment):
    """Runs every test program of a build; returns those without a failure as {name: (argv, seconds)}."""
    jobs = []
    for name, argv in test_programs(directory).items():
        cases = cases_of(argv)
        if cases is not None:
            cases = [case for case in cases if wants(f"{group}/{name}/{case}")]
        if cases or (cases is None and wants(f"{group}/{name}")):
            jobs.append((name, argv, cases))
    green = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        outcomes = pool.map(lambda job: timed(run_program, job[1], job[2], environment), jobs)
        for (name, argv, _), (results, seconds) in zip(jobs, outcomes):
            for case, outcome, output in results:
                test = f"{group}/{name}/{case}".rstrip("/")
                {"ok": lambda: report.ok(test), "failed": lambda: report.fail(test, output),
                 "skipped": lambda: report.skip(test, output.strip().splitlines()[-2:][0].strip())}[outcome]()
            if all(outcome != "failed" for _, outcome, _ in results):
                green[name] = argv, seconds
            if seconds > SLOW_SECONDS:
                print(f"  {group}/{name} took {seconds:.0f} s", flush=True)
    return green


def script_names():
    """The names (TOPIC/NAME) of all timed segment scripts, and of those that are known to fail."""
    folder = os.path.join(ROOT, "tests/scripts")
    with open(os.path.join(folder, "known_failures"), encoding="utf-8") as lines:
        known = {line.split()[0] for line in lines if line.strip() and not line.startswith("#")}
    return sorted(os.path.relpath(os.path.join(parent, file), folder)[:-len(".pkt")]
                  for parent, _, files in os.walk(folder) for file in files if file.endswith(".pkt")), known


def play_scripts(directory, names):
    return [f"{directory}/bin/segment-script", *SCRIPT_OPTIONS, *(f"tests/scripts/{name}.pkt" for name in names)]


def scripts_group(report):
    """Each script must pass in full; those of known_failures wait for a mended stack and must fail until then."""
    names, known = script_names()
    for name in sorted(known - set(names)):
        report.fail(f"scripts/{name}", "known_failures names it, but there is no such script")
    names = [name for name in names if report.wants(f"scripts/{name}")]

    def play(name):
        return run(play_scripts("build", [name]), 30)

    with ThreadPoolExecutor(WORKERS) as pool:
        for name, (code, output) in zip(names, pool.map(play, names)):
            if name in known and code == 1:
                print(f"  known   scripts/{name} fails, as tests/scripts/known_failures says", flush=True)
            elif name in known:
                report.fail(f"scripts/{name}", "passes now: take it off tests/scripts/known_failures" if code == 0 else output)
            elif code == 0:
                report.ok(f"scripts/{name}")
            else:
                report.fail(f"scripts/{name}", output)


def simulate_group(report):
    name = "simulate/seeds"
    half = [["build/tests/sim/sim-balancer", "--seeds", str(SEEDS // 2), "--seed", str(first)] for first in (1, SEEDS // 2 + 1)]
    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(run, half))
    if all(code == 0 for code, _ in results):
        report.ok(name)
        print("".join(f"  {output}" for _, output in results), end="")
    else:
        report.fail(name, "".join(output for _, output in results))


def fault_group(report, programs):
    """Each planted fault must turn a program red that is green without it. Those whose names have the fault's first two
    words are asked first, then those with one of them, the quick ones before the slow ones."""
    with open(os.path.join(ROOT, "src/dataplane/base/fault_names.inc"), encoding="utf-8") as lines:
        names = re.findall(r"^MILLRACE_FAULT_NAME\((\w+)\)", lines.read(), re.MULTILINE)
    names = [name for name in names if report.wants(f"fault/{name}")]
    scripts, known = script_names()
    programs = dict(programs)
    for name, argv in {"scripts/tcp": play_scripts("build-checked", [name for name in scripts if name not in known]),
                       "sim/seeds": ["build-checked/tests/sim/sim-balancer", "--seeds", str(FAULT_SEEDS)]}.items():
        (code, _), seconds = timed(lambda: run(argv, **SANITIZERS))
        if code == 0:
            programs[name] = argv, seconds

    def find(fault):
        words = fault.split("_")[:2]

        def rank(name):
            return sum(word not in name for word in words), programs[name][1]

        for name in sorted(programs, key=rank):
            argv = programs[name][0]
            arguments = ["--gtest_fail_fast", "--gtest_brief=1"] if len(argv) == 1 else []
            if run([*argv, *arguments], MILLRACE_FAULT=fault, **SANITIZERS)[0] not in (0, TIMED_OUT):
                return name
        return None

    with ThreadPoolExecutor(WORKERS) as pool:
        for name, (found_by, seconds) in zip(names, pool.map(lambda name: timed(find, name), names)):
            if seconds > SLOW_SECONDS:
                print(f"  fault/{name} took {seconds:.0f} s, noticed by {found_by}", flush=True)
            if found_by:
                report.ok(f"fault/{name}")
            else:
                report.fail(f"fault/{name}", "no test notices this planted fault")


def fuzz_group(report):
    below = os.path.join(ROOT, "build-checked/tests/fuzz")
    targets = [name for name in re.findall(r"^fuzz-(\w+)$", "\n".join(sorted(os.listdir(below))), re.MULTILINE)
               if report.wants(f"fuzz/{name}")]

    def fuzz(name):
        with tempfile.TemporaryDirectory() as found:
            return run([f"{below}/fuzz-{name}", f"-max_total_time={FUZZ_SECONDS}", "-timeout=5", "-rss_limit_mb=1024",
                        f"-artifact_prefix={below}/", found, f"tests/fuzz/corpus/{name}"], FUZZ_SECONDS + 60, **SANITIZERS)

    with ThreadPoolExecutor(WORKERS) as pool:
        for name, (code, output) in zip(targets, pool.map(fuzz, targets)):
            if code == 0:
                report.ok(f"fuzz/{name}")
            else:
                report.fail(f"fuzz/{name}", output)


# ---- Python tests

class PythonResult(unittest.TestResult):
    """Hands the outcomes of unittest to the report."""

    def __init__(self, report, group):
        super().__init__()
        self.report, self.group = report, group

    def name(self, test):
        if isinstance(test, unittest.TestCase):
            return f"{self.group}/{type(test).__module__}/{type(test).__name__}.{test._testMethodName}"
        return f"{self.group}/{test}"

    def startTest(self, test):
        signal.alarm(TEST_SECONDS)

    def stopTest(self, test):
        signal.alarm(0)

    def addSuccess(self, test):
        self.report.ok(self.name(test))

    def addFailure(self, test, err):
        explain = getattr(test, "explain", lambda: "")
        self.report.fail(self.name(test), self._exc_info_to_string(err, test) + explain())

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.report.fail(f"{self.name(test)} {subtest._subDescription()}", self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        self.report.skip(self.name(test), reason)


def python_tests(folder):
    sys.path[:0] = [os.path.join(ROOT, "scripts"), os.path.join(ROOT, folder)]

    def flat(suite):
        for test in suite:
            yield from flat(test) if isinstance(test, unittest.TestSuite) else [test]

    return list(flat(unittest.TestLoader().discover(os.path.join(ROOT, folder), top_level_dir=os.path.join(ROOT, folder))))


def python_group(report, group, folder):
    def too_long(_signal, _frame):
        raise AssertionError(f"still running after {TEST_SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    result = PythonResult(report, group)
    unittest.TestSuite(test for test in python_tests(folder) if report.wants(result.name(test))).run(result)


# ---- all of it

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--verbose", action="store_true", help="name the tests that pass, too")
    arguments = parser.parse_args()
    report = Report(arguments.pattern, arguments.verbose)
    only = arguments.pattern.split("/")[0]
    programs = {}

    def unit():
        if build(report, "build"):
            program_group(report, "unit", "build", report.wants, {})

    def scripts():
        if build(report, "build", only="bin/segment-script"):
            scripts_group(report)

    def simulate():
        if report.wants("simulate/seeds") and build(report, "build", only="tests/sim/"):
            simulate_group(report)

    def checked(wants=report.wants):
        if build(report, "build-checked", *CHECKED_SETUP, only=("bin/", "tests/unit/", "tests/sim/", "tests/fuzz/"), CC="clang",
                 CXX="clang++"):
            programs.update(program_group(report, "checked", "build-checked", wants, SANITIZERS))
            return True
        return False

    def fault():
        if programs or (only == "fault" and checked(lambda _: True)):
            fault_group(report, programs)

    def fuzz():
        if programs or (only == "fuzz" and checked(lambda _: False)):
            fuzz_group(report)

    groups = {"style": lambda: python_group(report, "style", "tests/style"), "unit": unit,
              "scripts": scripts, "simulate": simulate, "checked": checked,
              "fault": fault, "fuzz": fuzz, "e2e": lambda: python_group(report, "e2e", "tests/e2e")}
    for name, test in groups.items():
        if only in groups and name != only:
            continue
        before, started = report.passed, time.monotonic()
        test()
        print(f"{name}: {report.passed - before} passed in {time.monotonic() - started:.0f} s", flush=True)
    if report.passed + report.failed + report.skipped == 0:
        report.fail(arguments.pattern, "no test has such a name")
    print(f"{report.passed} passed, {report.failed} failed, {report.skipped} skipped")
    return 1 if report.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
