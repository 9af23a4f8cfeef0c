"""How cost grows: with users, partitions, unevenness, a famous author, a full window. One table, and a plot of each."""

import hashlib
import json
import pathlib
import shutil

from lib.measure import folder_bytes, run_json
from lib.plot import line_plot

# Of every question but that for users: enough for what it asks, and all of them together stay within an hour.
USERS_MAX = 100_000
# For users: with it, what `replay` says of its memory bound is 1,904 MB.
SMALL = ("engine.cache_mb=448", "engine.write_buffer_mb=64")
MEMORY_MIB = 2048
PLOTTED = {"per_s": "events/s", "cpu_s_per_m": "CPU s a million events", "peak_mib": "peak resident MiB"}


def community(bench):
    """The users and events of every question but that for users."""
    users = min(bench.options.users, USERS_MAX)
    return users, min(bench.options.mixed_events, 10 * users)


def made(bench, name, *options):
    path = bench.work / f"{name}.jsonl"
    command = [bench.tool["workload"], "mixed", "--seed", bench.options.seed, "--jsonl", path, *options]
    run_json(command, bench.log(f"workload-{name}"))
    return path


def split(bench, path, parts):
    """The same events in so many files, each user's in one of them, as partitions by key are."""
    if parts == 1:
        return [path]
    names = [bench.work / f"{path.stem}-{n}.jsonl" for n in range(parts)]
    files = [open(name, "wb") for name in names]
    try:
        with open(path, "rb") as lines:
            for line in lines:
                files[hash_of(json.loads(line)["user"]) % parts].write(line)
    finally:
        for file in files:
            file.close()
    return names


def hash_of(text):
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 % (1 << 32)
    return value


def users_told(dump):
    """What a dump says of users, as one figure: the account is by partition and differs."""
    sum_of = hashlib.sha256()
    with open(dump, "rb") as lines:
        for line in lines:
            if line.startswith(b'{"type":"user"'):
                sum_of.update(line)
    return sum_of.hexdigest()


class Sweep:
    """Rows of one question, and their plots."""

    def __init__(self, bench, title, x_name, log_x=False):
        self.bench, self.title, self.x_name, self.log_x = bench, title, x_name, log_x
        self.points = {figure: [] for figure in PLOTTED}

    def add(self, x, name, runs):
        self.bench.table.add("scale", name, runs)
        for figure, points in self.points.items():
            told = self.bench.table.rows[-1]["figures"][figure]
            points.append((x, told["median"], told["min"], told["max"]))

    def plot(self):
        folder = pathlib.Path(self.bench.options.json).parent / "plots"
        folder.mkdir(parents=True, exist_ok=True)
        for figure, name in PLOTTED.items():
            svg = line_plot(f"{self.title}: {name}", self.x_name, name, {name: self.points[figure]}, self.log_x)
            (folder / f"{self.title.replace(' ', '-')}-{figure}.svg").write_text(svg, encoding="utf-8")
        self.bench.table.note("scale", f"plots of {self.title}: {folder}")


def restart(bench, data):
    """From the start of a process that finds the last one killed to its first answer."""
    service = bench.service(data, "restart").wait()
    service.child.process.kill()
    service.child.wait(expect=None)
    service = bench.service(data, "restart")
    try:
        _, answer = run_json([bench.tool["live"], "first", service.address, "u0"], bench.log("first"))
    finally:
        service.child.end()
    return answer["seconds"]


def users(bench):
    sizes = [10_000, 100_000] + ([1_000_000, 10_000_000] if bench.options.full else [])
    sweep = Sweep(bench, "users", "users", log_x=True)
    for count in sizes:
        # Ten a user, but for the largest, where everybody appears twice: more takes hours.
        events = min(max(10 * count, 300_000), 20_000_000)
        path = made(bench, f"users-{count}", "--users", count, "--events", events, "--zipf-likers", 0)
        figures = bench.repeated(lambda path=path: bench.replay(path, *SMALL), warm=False)
        sweep.add(count, f"{count:,} users", figures)
        peak = max(run["peak_mib"] for run in figures)
        if peak > MEMORY_MIB:
            raise RuntimeError(f"{count:,} users: {peak:,.0f} MiB resident, allowed: {MEMORY_MIB:,}")
        bench.table.note("scale", f"{count:,} users: first answer after SIGKILL {restart(bench, bench.work / 'replayed'):.2f} s")
        path.unlink()
    sweep.plot()


def partitions(bench):
    sweep = Sweep(bench, "partitions", "partitions")
    count, events = community(bench)
    path = made(bench, "partitions", "--users", count, "--events", events)
    dumps = set()
    for parts in (1, 2, 4, 8):
        files = split(bench, path, parts)
        sweep.add(parts, f"{parts} partitions", bench.repeated(lambda files=files: bench.replay(files), warm=False))
        dumps.add(users_told(bench.work / "dump.jsonl"))
        for file in files:
            if file != path:
                file.unlink()
    if len(dumps) != 1:
        raise RuntimeError("the users' scores depend on the number of partitions")
    sweep.plot()
    path.unlink()


def unevenness(bench):
    sweep = Sweep(bench, "unevenness of authors", "Zipf exponent")
    count, events = community(bench)
    for exponent in (0, 0.4, 0.8, 1.2):
        options = ("--users", count, "--events", events, "--zipf-authors", exponent, "--zipf-likers", exponent)
        path = made(bench, f"zipf-{exponent}", *options)
        runs = bench.repeated(lambda path=path: bench.replay(path), warm=False)
        sweep.add(exponent, f"Zipf exponent {exponent}", runs)
        path.unlink()
    sweep.plot()


def famous(bench):
    count, events = community(bench)
    options = ("--users", count, "--events", events)
    for name, more in (("nobody famous", ()), ("one author has a third", ("--famous-permille", 333))):
        path = made(bench, "famous", *options, *more)
        bench.table.add("scale", name, bench.repeated(lambda path=path: bench.replay(path), warm=False))
        path.unlink()


def full_window(bench):
    sweep = Sweep(bench, "days of the window", "days of events")
    count, month = community(bench)
    for days in (30, 90, 180):
        events = month * days // 30
        path = made(bench, f"days-{days}", "--users", count, "--events", events, "--minutes", days * 1440)
        sweep.add(days, f"{days} days, {events:,} events", bench.repeated(lambda path=path: bench.replay(path), warm=False))
        data = bench.work / "replayed"
        bench.table.note("scale", f"{days} days: {folder_bytes(data / 'store') / events:.0f} bytes on disk an event")
        path.unlink()
        shutil.rmtree(data, ignore_errors=True)
    sweep.plot()


def scale(bench):
    """cost by users (10,000 and 100,000; --full: to 10 M); at 100,000 users at most, by partitions, Zipf exponent, a
    famous author, a full window; plots"""
    for question in (users, partitions, unevenness, famous, full_window):
        question(bench)
