"""Runs programs and keeps what they cost by the kernel's account; medians and spread."""

import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import time
import urllib.request


class Skip(Exception):
    """A part cannot be measured here; the text says why."""


def environment():
    """Variables of tests are no settings of the program, which would refuse them."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BELLWETHER_")}


class Child:
    """A program under way. `cpu_s` and `peak_mib` are known once it has ended."""

    def __init__(self, command, log, stdout=None):
        self.command, self.log = [str(word) for word in command], log
        with open(log, "ab") as err:
            self.begin = time.monotonic()
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=stdout or err, stderr=err, env=environment()
            )
        self.code = self.cpu_s = self.peak_mib = self.wall_s = None

    def poll(self):
        return self._ended(os.WNOHANG)

    def wait(self, expect=0):
        self._ended(0)
        if expect is not None and self.code != expect:
            raise RuntimeError(f"{' '.join(self.command)}: exit code {self.code}\n{self.text()[-3000:]}")
        return self

    def _ended(self, how):
        if self.code is None:
            pid, status, usage = os.wait4(self.process.pid, how)
            if pid:
                self.wall_s = time.monotonic() - self.begin
                self.code = self.process.returncode = os.waitstatus_to_exitcode(status)
                self.cpu_s, self.peak_mib = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
        return self.code is not None

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as text:
            return text.read()

    def end(self):
        if not self.poll():
            self.process.kill()
            self._ended(0)


def run(command, log):
    """Runs to the end; gives the child and what it printed."""
    with open(f"{log}.out", "wb") as out:
        child = Child(command, log, out)
        try:
            child.wait()
        finally:
            child.end()
    with open(f"{log}.out", encoding="utf-8") as out:
        return child, out.read()


def run_json(command, log):
    child, text = run(command, log)
    return child, json.loads(text.strip().splitlines()[-1])


def free_port():
    """Below the range that the system hands out to clients."""
    for port in range(20000 + os.getpid() * 13 % 9000, 32000):
        if port in free_port.given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        free_port.given.add(port)
        return port
    raise RuntimeError("no free port")


free_port.given = set()


def scrape(port):
    """Prometheus metrics summed over their labels; {} where nobody answers."""
    found = {}
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return found
    for name, value in re.findall(r"^(\w+)(?:\{[^}]*\})? (\S+)$", text, re.M):
        found[name] = found.get(name, 0) + float(value)
    return found


def folder_bytes(path):
    return sum(
        os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(path) for name in names
    )


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = re.search(r"model name\s*:\s*(.*)", info.read())
    with open("/proc/meminfo", encoding="utf-8") as info:
        memory = int(re.search(r"MemTotal:\s*(\d+)", info.read())[1]) // 1024
    return {"cpus": os.cpu_count(), "model": model[1] if model else "", "memory_mib": memory}


def busy_s():
    """Processor time that the whole machine has spent."""
    with open("/proc/stat", encoding="utf-8") as stat:
        fields = [int(word) for word in stat.readline().split()[1:]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def threads_s(pid):
    """Processor time of a program's threads so far, {(number, name): seconds}; {} once it has ended."""
    found = {}
    with contextlib.suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{number}/stat", encoding="utf-8") as stat:
                name, fields = re.match(r"\d+ \((.*)\) (.*)", stat.read(), re.S).groups()
                ticks = sum(int(word) for word in fields.split()[11:13])
                found[number, name] = ticks / os.sysconf("SC_CLK_TCK")
    return found


class Table:
    """Rows of figures over several runs: {part, name, figures: {figure: {median, min, max, values}}}."""

    def __init__(self):
        self.rows, self.notes = [], []

    def add(self, part, name, runs):
        figures = {}
        for key in runs[0]:
            values = [r[key] for r in runs if r.get(key) is not None]
            if values:
                figures[key] = {
                    "median": statistics.median(values),
                    "min": min(values),
                    "max": max(values),
                    "values": values,
                }
        self.rows.append({"part": part, "name": name, "figures": figures})
        print(self.line(self.rows[-1]), flush=True)

    def note(self, part, text):
        self.notes.append({"part": part, "text": text})
        print(f"{part:<10} {text}", flush=True)

    def value(self, part, name, figure):
        for row in self.rows:
            if (row["part"], row["name"]) == (part, name) and figure in row["figures"]:
                return row["figures"][figure]["median"]
        return None

    @staticmethod
    def line(row):
        def text(value):
            if value == int(value) and abs(value) < 1e15:
                return f"{int(value):,}"
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"

        cells = []
        for key, figure in row["figures"].items():
            spread = ""
            if figure["max"] > figure["min"]:
                middle = abs(figure["median"]) or 1
                spread = f" ±{50 * (figure['max'] - figure['min']) / middle:.0f}%"
            cells.append(f"{key} {text(figure['median'])}{spread}")
        return f"{row['part']:<10} {row['name']:<26} " + "  ".join(cells)
