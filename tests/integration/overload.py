"""More than the program can do: memory stays within the bound that it states itself, and what cannot be done is refused.

Each scenario runs a `serve` or `replay` of its own and measures it from outside: VmHWM of /proc against "memory bound" of its log.
Latencies are printed, not judged: a call must be answered or refused with RESOURCE_EXHAUSTED, and nothing may hang.
    tests/integration/run overload                 a minute
    tests/integration/run overload -- --long       ten times as much of everything
    tests/integration/run overload -- flood idle   only these
"""

import argparse
import collections
import gzip
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time

import grpc

from lib.deaf import Deaf, Idle
from lib.harness import *  # noqa: F403
from lib.harness import (
    PROGRAM,
    SANITIZER,
    WORK,
    common_pb2,
    environment,
    event_pb2,
    ingest_pb2,
    ingest_pb2_grpc,
    key_users_pb2,
    key_users_pb2_grpc,
)

MB = 1 << 20
START = 1_740_000_000  # 2025-02-19, event time of what the scenarios make up
# Small budgets, so that what passes them is seen in seconds.
BUDGETS = {
    "engine.cache_mb": 32,
    "engine.block_cache_mb": 16,
    "engine.write_buffer_mb": 8,
    "engine.pending_mb": 16,
    "engine.commit_mb": 8,
    "service.calls_mb": 8,
    "service.publish_mb": 8,
    "service.grpc_mb": 32,
    "service.max_connections": 200,
    "service.max_streams": 200,
    "service.max_calls": 64,
    "service.stall_s": 3,
    "logging.level": "info",
}
HANG_S = 120  # nothing here may take so long, on any machine


def status_mb(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":")), 0)


def bound_of(log):
    found = re.search(r"memory bound: (\d+) MB", log)
    assert found, f"the program does not state its memory bound:\n{log[:2000]}"
    return int(found.group(1))


class Curve(threading.Thread):
    """Resident memory over time."""

    def __init__(self, pid, every=0.25):
        super().__init__(daemon=True)
        self.pid, self.every, self.points, self.over = pid, every, [], threading.Event()
        self.peak = 0
        self.start()

    def run(self):
        while not self.over.wait(self.every):
            try:
                self.points.append(round(status_mb(self.pid, "VmRSS")))
                self.peak = max(self.peak, status_mb(self.pid, "VmHWM"))
            except (OSError, ValueError):
                return

    def end(self):
        if not self.over.is_set():
            try:
                self.peak = max(self.peak, status_mb(self.pid, "VmHWM"))
            except OSError:
                pass
            self.over.set()
        self.join()
        return self.peak

    def text(self):
        step = max(1, len(self.points) // 20)
        return " ".join(str(point) for point in self.points[::step])


class Asker(threading.Thread):
    """Asks all the while, as a moderator's page does."""

    def __init__(self, address, users=("u1",)):
        super().__init__(daemon=True)
        self.address, self.users = address, users
        self.seconds, self.refused, self.wrong, self.over = [], 0, [], threading.Event()
        self.start()

    def run(self):
        with grpc.insecure_channel(self.address) as channel:
            stub = key_users_pb2_grpc.KeyUsersStub(channel)
            number = 0
            while not self.over.wait(0.01):
                number += 1
                begin = time.monotonic()
                try:
                    if number % 2:
                        stub.GetLeaderboard(key_users_pb2.GetLeaderboardRequest(page_size=50), timeout=HANG_S)
                    else:
                        user = self.users[number % len(self.users)]
                        stub.GetUser(key_users_pb2.GetUserRequest(user=user), timeout=HANG_S)
                except grpc.RpcError as error:
                    if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
                        self.refused += 1
                        continue
                    if error.code() != grpc.StatusCode.NOT_FOUND:
                        self.wrong.append(f"{error.code()} {error.details()}")
                        continue
                self.seconds.append(time.monotonic() - begin)

    def end(self):
        self.over.set()
        self.join(HANG_S)
        assert not self.wrong, f"queries failed: {collections.Counter(self.wrong).most_common(3)}"
        assert self.seconds or self.refused, "no query was answered or refused"
        return self

    def text(self):
        if not self.seconds:
            return f"0 queries, {self.refused} refused"
        ordered = sorted(self.seconds)
        p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
        return f"{len(ordered)} queries p50 {p50 * 1000:.1f} p99 {p99 * 1000:.1f} ms, {self.refused} refused"


class Run:
    """A `serve` under test."""

    all = []  # noqa: RUF012

    def __init__(self, name, options=None, env=None):
        self.name = name
        self.serve = Serve(folder(name) / "data", {**BUDGETS, **(options or {})}, env=env)
        Run.all.append(self)
        self.serve.start()
        self.curve = Curve(self.serve.process.pid)
        self.bound = bound_of(self.serve.log())

    def stop(self, *more, clean=True):
        begin = time.monotonic()
        peak = self.curve.end()
        if clean:
            self.serve.stop(HANG_S)
        took = time.monotonic() - begin
        log = self.serve.log()
        assert re.search(r"started in [\d.]+ s: store", log), log[-3000:]
        assert not clean or re.search(r"stopped in [\d.]+ s: fold and last commit", log), log[-3000:]
        report(self.name, peak, self.bound, self.curve.text(), *more, f"stopped in {took:.1f} s")
        return log


def report(name, peak, bound, curve, *more):
    sanitized = " (a sanitizer's own memory is in it: judged by twice that and 256 MB)" if SANITIZER else ""
    print(f"{name:12} peak {peak:.0f} of {bound} MB{sanitized}; {'; '.join(more)}\n{'':12} curve, MB: {curve}", flush=True)
    # AddressSanitizer keeps 256 MB of what was freed, walls around each block, and a shadow beside it all: 1.6 to 2.2 times is usual.
    most = 2 * bound + 256 if SANITIZER else bound
    assert peak <= most, f"{name}: {peak:.0f} MB resident, {bound} MB configured"


def replayed(name, path, options=None):
    """Replays a file; gives what the run printed."""
    command = [PROGRAM, "replay", str(path), "--data", str(folder(name)), *settings({**BUDGETS, **(options or {})})]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment())
        curve = Curve(process.pid)
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
        curve.over.set()
        curve.join()
        out.seek(0), err.seek(0)
        printed, log = out.read(), err.read()
    assert process.returncode == 0, f"{name}: exit code {process.returncode}\n{printed}\n{log[-3000:]}"
    report(name, usage.ru_maxrss / 1024, bound_of(log), curve.text(), re.sub(r"\s+", " ", printed)[:120])
    return dict(line.rsplit(None, 1) for line in printed.splitlines() if len(line.split()) > 1)


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def like(number, seconds, **more):
    event = {
        "id": f"e{number}",
        "time": stamp(seconds),
        "user": f"u{number % 5000}",
        "like": {"post": f"p{number % 999}", "author": f"u{number % 77}", "kind": "LIKE_KIND_LIKE"},
    }
    return json.dumps({**event, **more})


def like_event(number, seconds):
    event = event_pb2.Event(id=f"e{number}", user=f"u{number % 5000}")
    event.time.seconds = seconds
    event.like.post, event.like.author, event.like.kind = f"p{number % 999}", f"u{number % 77}", event_pb2.LIKE_KIND_LIKE
    return event


# ---- files ----


def long_lines(scale):
    """Twenty thousand lines of 20 KB in one second: what waits is what an event says, not the line that said it."""
    path, lines = WORK / "long.jsonl.gz", 20_000 * scale
    with gzip.open(path, "wt", compresslevel=1) as out:
        for number in range(lines):
            out.write(like(number, START, padding="x" * 20_000) + "\n")
    found = replayed("long_lines", path)
    assert found["applied"] == str(lines), found


def dead_letters(scale):
    """A tick full of records of 8 KB that are no events: each is counted, and of their bytes is kept what the tick has room for."""
    path, lines = WORK / "dead.jsonl.gz", 60_000 * scale
    with gzip.open(path, "wt", compresslevel=1) as out:
        out.write(like(0, START) + "\n")
        for number in range(lines):
            out.write(f"{number} is no event " + "y" * 8_000 + "\n")
    found = replayed("dead_letters", path)
    assert found["dead-lettered"] == str(lines), found


# ---- the service ----


class Flood(threading.Thread):
    """Publishes as fast as it may."""

    def __init__(self, address, number, seconds, size=500):
        super().__init__(daemon=True)
        self.address, self.number, self.until, self.size = address, number, time.monotonic() + seconds, size
        self.acknowledged, self.refused, self.wrong, self.last = 0, 0, [], None
        self.start()

    def requests(self):
        at = self.number * 10_000_000
        sequence = 0
        while time.monotonic() < self.until:
            sequence += 1
            # Four requests a second of event time: ticks of thousands of records, one after the other.
            events = [like_event(at + i, START + (at % 10_000_000 + i) // 2000) for i in range(self.size)]
            at += self.size
            yield ingest_pb2.PublishStreamRequest(sequence=sequence, events=events)

    def run(self):
        while time.monotonic() < self.until:
            with grpc.insecure_channel(self.address) as channel:
                try:
                    for answer in ingest_pb2_grpc.IngestStub(channel).PublishStream(self.requests(), timeout=HANG_S):
                        self.acknowledged += len(answer.positions)
                        self.last = list(answer.high_positions)
                except grpc.RpcError as error:
                    if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                        self.wrong.append(f"{error.code()} {error.details()}")
                    self.refused += 1
                    time.sleep(0.2)


def check_priorities(pid):
    """Who folds and stores gives way to who answers (engine.nice)."""
    found = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as file:
            name = "fold" if int(task) == pid else file.read().strip()
        found.setdefault(name, set()).add(os.getpriority(os.PRIO_PROCESS, int(task)))
    own = os.getpriority(os.PRIO_PROCESS, 0)
    low = {min(own + 5, 19)}
    for name in ("fold", "rocksdb:low", "rocksdb:high"):
        assert found.get(name) == low, f"{name} has priority {found.get(name)}, not {low}: {found}"
    for name in ("grpcpp_sync_ser", "event_engine"):  # gRPC's own, which take calls and answer them
        assert found.get(name) == {own}, f"{name} has priority {found.get(name)}, not {own}: {found}"


def flooded(name, seconds, streams, options=None, env=None):
    run = Run(name, options, env)
    asker = Asker(run.serve.address, [f"u{n}" for n in range(77)])
    floods = [Flood(run.serve.address, number, seconds) for number in range(streams)]
    check_priorities(run.serve.process.pid)
    for flood in floods:
        flood.join(HANG_S + seconds)
        assert not flood.is_alive(), f"{name}: a publisher hangs\n{run.serve.log()[-2000:]}"
    acknowledged = sum(flood.acknowledged for flood in floods)
    wrong = [text for flood in floods for text in flood.wrong]
    assert not wrong, f"{name}: publishing failed: {collections.Counter(wrong).most_common(3)}"
    asker.end()
    status = run.serve.status()
    account = status.account
    run.stop(
        f"{acknowledged} acknowledged, {account.consumed} folded, {sum(f.refused for f in floods)} streams refused",
        asker.text(),
    )
    assert acknowledged > 0, f"{name}: nothing was acknowledged"


def flood(scale):
    """Publishers that are faster than the fold."""
    flooded("flood", 8 * scale, 6)


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
static void pause_us(long us) { struct timespec t = {us / 1000000, us % 1000000 * 1000}; nanosleep(&t, 0); }
#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
int fdatasync(int fd) { REAL(fdatasync); pause_us(200000); return real(fd); }
int fsync(int fd) { REAL(fsync); pause_us(200000); return real(fd); }
/* Four megabytes a second for what is worth the name of writing. */
static void pay(size_t n) { if (n >= 32768) pause_us((long)n / 4); }
ssize_t write(int fd, const void* p, size_t n) { REAL(write); pay(n); return real(fd, p, n); }
ssize_t pwrite(int fd, const void* p, size_t n, off_t at) { REAL(pwrite); pay(n); return real(fd, p, n, at); }
ssize_t pwrite64(int fd, const void* p, size_t n, off_t at) { return pwrite(fd, p, n, at); }
"""


def slow_disk(scale):
    """A disk of 4 MB/s that takes 0.2 s for each fsync."""
    source, library = WORK / "slow.c", WORK / "slow.so"
    source.write_text(SHIM, encoding="utf-8")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    flooded("slow_disk", 8 * scale, 6, env={"LD_PRELOAD": str(library)})


def idle(scale):
    """Ten thousand connections that say nothing, and then some that are too many."""
    del scale
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 10_000
    if hard != resource.RLIM_INFINITY and hard < most + 1000:
        most = hard - 1000
        print(f"idle: this machine allows {hard} files, so {most} connections", flush=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    run = Run("idle", {"service.max_connections": most})
    asker = Asker(run.serve.address)
    wait_for("a first answer", lambda: asker.seconds, HANG_S)
    crowd = Idle(run.serve.port, most - 10)
    more = Idle(run.serve.port, 200)
    wait_for("too many connections to be closed", lambda: more.closed() + more.failed >= 150, HANG_S)
    assert crowd.closed() == 0 and crowd.failed == 0, f"{crowd.closed()} of those allowed were closed, {crowd.failed} failed"
    asker.end()
    assert asker.seconds, "no query was answered beside idle connections"
    crowd.close(), more.close()

    def free():
        late = Idle(run.serve.port, 1)
        time.sleep(0.3)
        closed = late.closed()
        late.close()
        return closed == 0

    wait_for("room after the crowd has gone", free, HANG_S)
    log = run.stop(f"{len(crowd.sockets)} idle connections", asker.text())
    assert "connections were closed at once" in log, log[-2000:]
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def community(run, count=3000):
    """Some people with scores and tiers to ask for."""
    stub = run.serve.ingest()
    for at in range(0, count, 1000):
        events = [like_event(n, START + n // 4) for n in range(at, at + 1000)]
        for n, event in enumerate(events):
            event.user, event.like.author = f"u{(at + n) % 1500}", f"a-{'n' * 40}-{n % 1000}"
            event.like.post = f"p{at + n}"
        answer = stub.Publish(ingest_pb2.PublishRequest(events=events), timeout=HANG_S)
    run.serve.key_users().GetLeaderboard(
        key_users_pb2.GetLeaderboardRequest(min_position=list(answer.high_positions)), timeout=HANG_S
    )


def deaf(scale):
    """Clients that ask for long lists, subscribe and publish, and never read a byte."""
    run = Run("deaf")
    community(run)
    asker = Asker(run.serve.address)
    listing = key_users_pb2.ListUsersRequest(page_size=1000).SerializeToString()
    watching = key_users_pb2.WatchTiersRequest(after=common_pb2.Tick(slot=-(1 << 40))).SerializeToString()
    request = ingest_pb2.PublishStreamRequest(sequence=1, events=[like_event(1, START)]).SerializeToString()
    clients = [Deaf(run.serve.port) for _ in range(20)]
    watchers = []
    for client in clients:
        for _ in range(100 * scale):
            client.call("/bellwether.v1.KeyUsers/ListUsers", listing)
        watchers.append(client.call("/bellwether.v1.KeyUsers/WatchTiers", watching))
        client.call("/bellwether.v1.Ingest/PublishStream", request, end=False)
    wait_for(
        lambda: f"slow clients to be dropped: {run.serve.log()[-2000:]}",
        lambda: run.serve.said("answers were dropped") and run.serve.said(r"WatchTiers.*RESOURCE_EXHAUSTED"),
        HANG_S,
    )
    wait_for("slow publishers to be dropped", lambda: run.serve.said(r"PublishStream.*RESOURCE_EXHAUSTED"), HANG_S)
    assert run.serve.said(r"ListUsers.*RESOURCE_EXHAUSTED"), "no list was refused while answers piled up"
    # With them gone there is room again.
    late = key_users_pb2_grpc.KeyUsersStub(run.serve.channel())

    def answered():
        try:
            return late.ListUsers(key_users_pb2.ListUsersRequest(page_size=1000), timeout=10).users
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
            return None

    wait_for("an answer once the slow ones are gone", answered, HANG_S)
    asker.end()
    for client in clients:
        client.close()

    # One that listens again in time hears why, and has the token to go on from.
    client = Deaf(run.serve.port)
    watcher = client.call("/bellwether.v1.KeyUsers/WatchTiers", watching)
    before = run.serve.said("WatchTiers.*does not read")
    wait_for("the watcher to be dropped", lambda: run.serve.said("WatchTiers.*does not read") > before, HANG_S)
    heard = client.listen(watcher, 2)
    assert b"grpc-status\x018" in heard, f"no status RESOURCE_EXHAUSTED behind what was unread: {heard[-300:]}"
    client.close()
    run.stop(f"{len(clients)} deaf clients", asker.text())


def huge(scale):
    """Requests at the bound and beyond it: as many events as fit, no events at all, lists of nobody."""
    run = Run("huge", {"service.grpc_mb": 160})
    asker = Asker(run.serve.address)
    most = 4 * MB - 64
    events = b"\x0a\x00" * (most // 2)  # two million empty events
    names = b"\x0a\x01x" * (most // 3)
    positions = b"\x12\x00" * (most // 2)  # two million positions without a field
    answers, lock = collections.Counter(), threading.Lock()

    def flood_with(method, payload):
        with grpc.insecure_channel(run.serve.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary(method, request_serializer=lambda b: b, response_deserializer=lambda b: b)
            for _ in range(4 * scale):
                try:
                    call(payload, timeout=HANG_S)
                    code = "OK"
                except grpc.RpcError as error:
                    code = error.code().name
                with lock:
                    answers[method.rsplit("/", 1)[1], len(payload) > 4 * MB, code] += 1

    cases = [
        ("/bellwether.v1.Ingest/Publish", events),
        ("/bellwether.v1.Ingest/Publish", b"\xff" * most),
        ("/bellwether.v1.KeyUsers/BatchGetUsers", names),
        ("/bellwether.v1.KeyUsers/GetUser", positions),
        ("/bellwether.v1.Flags/WatchFlags", b"\xff" * 100),
        ("/bellwether.v1.Ingest/Publish", b"\0" * (5 * MB)),
    ]
    threads = [threading.Thread(target=flood_with, args=case, daemon=True) for case in cases for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_S)
        assert not thread.is_alive(), "a huge request hangs"
    # UNAVAILABLE: gRPC closes connections where its buffers are full of what is on the way.
    allowed = {"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAVAILABLE"}
    assert {code for _, _, code in answers} <= allowed, answers
    assert answers["Publish", False, "INVALID_ARGUMENT"] > 0 and answers["Publish", True, "RESOURCE_EXHAUSTED"] > 0, answers
    asker.end()
    said = ", ".join(f"{method} {'5 MB ' if beyond else ''}{code} {n}" for (method, beyond, code), n in sorted(answers.items()))
    run.stop(said, asker.text())


SCENARIOS = (long_lines, dead_letters, flood, slow_disk, idle, deaf, huge)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--long", action="store_true", help="ten times as much of everything")
    parser.add_argument("names", nargs="*", help=", ".join(scenario.__name__ for scenario in SCENARIOS))
    arguments = parser.parse_args()
    names = {scenario.__name__ for scenario in SCENARIOS}
    if unknown := set(arguments.names) - names:
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are: {', '.join(sorted(names))}")
    failed = []
    for scenario in SCENARIOS:
        if arguments.names and scenario.__name__ not in arguments.names:
            continue
        begin = time.monotonic()
        try:
            scenario(10 if arguments.long else 1)
        except Exception as error:  # the others are to be run all the same
            print(f"{scenario.__name__}: FAILED: {type(error).__name__}: {error}", flush=True)
            failed.append(scenario.__name__)
        for run in Run.all:
            run.serve.end()
        print(f"{scenario.__name__:12} {time.monotonic() - begin:.1f} s", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
