#!/usr/bin/env python3
"""serve and Kafka, killed and stopped at random moments under load: nothing acknowledged is lost, nothing counts twice, and nobody
was ever told what did not stand.

  tests/integration/kills.py [--rounds N] [--seed S] [--on log|kafka|both] [--stop-seconds S]

A round is one fault: SIGKILL for serve, for the broker or for both, SIGSTOP for a while, and SIGKILL while stopped; a third of the
rounds on the embedded log, the others on Kafka. In the end: every event is counted once and the account says so; the state is that
of a run over the same logs that nobody disturbed, byte for byte; so are the out records, once repeats are dropped.
Without arguments 20 rounds. The long run: --rounds 1000 --stop-seconds 60.
"""

import os
import pathlib
import sys

if "BELLWETHER_TEST_WORK" not in os.environ:  # by itself: tests/integration/run makes what it needs
    runner = pathlib.Path(__file__).resolve().parent / "run"
    os.execv(runner, [str(runner), "kills", "--", *sys.argv[1:]])

import argparse  # noqa: E402
import contextlib  # noqa: E402
import random  # noqa: E402
import re  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
from collections import Counter  # noqa: E402

import grpc  # noqa: E402

from lib.harness import *  # noqa: E402, F403
from lib.harness import admin_pb2, admin_pb2_grpc, event_pb2, out_pb2  # noqa: E402
from lib.load import *  # noqa: E402, F403
from lib.load import CHANNEL, Answered, Feed, Findings, Publisher, Querier, TierWatcher, tier_changes  # noqa: E402
from lib.undisturbed import undisturbed  # noqa: E402

# Commits and log files small and many, caches too small for the community: a kill falls into every part of the work.
SMALL = {
    "engine.threads": 2,
    "engine.commit_ms": 20,
    "engine.commit_behind_ms": 60,
    "engine.cache_mb": 8,
    "engine.block_cache_mb": 8,
    "engine.write_buffer_mb": 4,
    "engine.idle_ms": 500,
    "log.partitions": 3,
    "log.segment_mb": 1,
    "kafka.refresh_s": 1,
    "community.tiers.contributor.min_score": 2,
    "community.tiers.contributor.gates.days_active": 0,
    "logging.level": "warn",
}
PER_SECOND = 800  # events sent while the service is there; of a small community half of it, so that it lasts
KINDS = {"scores": out_pb2.ScoreRecord, "tiers": out_pb2.TierRecord, "flags": out_pb2.FlagRecord, "alerts": out_pb2.AlertRecord}
ON_LOG = {"kill serve": 6, "stop serve": 1, "kill stopped serve": 1}
ON_KAFKA = ON_LOG | {"kill broker": 2, "kill both": 2, "stop broker": 1, "stop both": 1, "kill serve, broker stopped": 1}


class Run:
    """One community, one store, many faults."""

    def __init__(self, where, rounds, chance, stop_seconds):
        self.where, self.rounds, self.chance, self.stop_seconds = where, rounds, chance, stop_seconds
        self.begun = time.monotonic()
        self.broker, options = None, {}
        if where == "kafka":
            self.broker = Broker("kills-broker").start()
            self.broker.create(topics("community"), 2)
            self.broker.create([f"bellwether.{name}" for name in OUTPUTS])
            options = {"kafka.brokers": self.broker.address}
        self.serve = Serve(folder(f"kills-{where}"), {**SMALL, **options})
        self.findings, self.restarts, self.kinds, self.signals, self.deck = Findings(), [], Counter(), Counter(), []

    def line(self, text):
        print(f"{self.where} {time.monotonic() - self.begun:4.0f} s: {text}", flush=True)

    # ---- faults ----

    def alive(self):
        code = self.serve.process.poll()
        assert code is None, f"serve ended by itself with {code}:\n{self.serve.log()[-3000:]}"

    def ready(self, timeout=90):
        """Until it answers; how long that took."""
        begin = time.monotonic()
        with grpc.insecure_channel(self.serve.address, options=CHANNEL) as channel:
            while True:
                self.alive()
                try:
                    admin_pb2_grpc.AdminStub(channel).GetStatus(admin_pb2.GetStatusRequest(), timeout=5)
                    return time.monotonic() - begin
                except grpc.RpcError as error:
                    assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED), error
                took = time.monotonic() - begin
                assert took < timeout, f"serve does not answer after {took:.0f} s:\n{self.serve.log()[-3000:]}"
                time.sleep(0.02)

    def send(self, number, broker=False):
        self.signals[f"{signal.Signals(number).name} {'broker' if broker else 'serve'}"] += 1
        if broker:
            self.broker.signal(number)
        else:
            self.alive()
            self.serve.process.send_signal(number)

    def kill(self, broker=False):
        if broker:
            self.signals["SIGKILL broker"] += 1
            self.broker.kill()
            return
        self.send(signal.SIGKILL)
        self.serve.process.wait(30)

    def fault(self, kind):
        chance, broker = self.chance, self.broker
        stopped = self.stop_seconds * chance.uniform(0.3, 1)
        if kind == "kill serve":
            self.kill()
        elif kind == "stop serve":
            self.send(signal.SIGSTOP)
            time.sleep(stopped)
            self.send(signal.SIGCONT)
        elif kind == "kill stopped serve":
            self.send(signal.SIGSTOP)
            time.sleep(min(stopped, 1))
            self.kill()
        elif kind == "kill broker":
            self.kill(broker=True)
            time.sleep(chance.uniform(0, 2))
        elif kind == "kill both":
            for is_broker in chance.sample((True, False), 2):
                self.kill(broker=is_broker)
                time.sleep(chance.choice((0, 0, chance.uniform(0, 1))))
        elif kind == "stop broker":
            self.send(signal.SIGSTOP, broker=True)
            time.sleep(stopped)
            self.send(signal.SIGCONT, broker=True)
        elif kind == "stop both":
            for is_broker in chance.sample((True, False), 2):
                self.send(signal.SIGSTOP, broker=is_broker)
            time.sleep(stopped)
            for is_broker in chance.sample((True, False), 2):
                self.send(signal.SIGCONT, broker=is_broker)
                time.sleep(chance.uniform(0, 0.3))
        elif kind == "kill serve, broker stopped":
            self.send(signal.SIGSTOP, broker=True)
            time.sleep(chance.uniform(0, 1))
            self.kill()
            time.sleep(chance.uniform(0, 1))
            self.send(signal.SIGCONT, broker=True)
        else:
            raise AssertionError(kind)
        # Whoever comes back first finds the other one away.
        time.sleep(chance.choice((0, chance.uniform(0, 0.5))))
        if self.serve.process.poll() is not None:
            self.serve.spawn()
        if broker and not broker.running:
            broker.start()

    def round(self, number):
        kind = self.next_kind()
        early = self.chance.random() < 0.25  # while it is still starting up
        before = self.feed.acknowledged
        time.sleep(self.chance.uniform(0, 0.4) if early else self.chance.uniform(0.1, 1.5))
        self.fault(kind)
        self.kinds[kind] += 1
        if "kill" in kind and not early:
            self.restarts.append(self.ready())
        if not early:
            wait_for(
                lambda: f"round {number}, {kind}: nothing was acknowledged since; {self.findings.all}\n{self.serve.log()[-2000:]}",
                lambda: self.feed.acknowledged > before or self.feed.ended or self.findings.all,
                90,
                0.02,
            )
        self.alive()
        self.findings.check()

    def next_kind(self):
        """Each kind once first, then as the weights say."""
        weights = ON_KAFKA if self.broker else ON_LOG
        if not self.kinds and not self.deck:
            self.deck = self.chance.sample(list(weights), len(weights))
        return self.deck.pop() if self.deck else self.chance.choices(list(weights), weights.values())[0]

    # ---- the whole ----

    def run(self):
        # First a small community full of rings, so that flags and alerts come however slow the machine is; then more than is
        # sent: a user has some 0.7 events a day.
        small = self.rounds < 200
        per_second = PER_SECOND // 2 if small else PER_SECOND
        users = 1000 if small else 20000
        days = max(40, self.rounds * 8 * per_second // (users * 7 // 10))
        rings = ["--ring", "20x10:0.9:burst"]
        parts = [
            simulate("kills-opening", "--users", 100, "--days", 5, "--seed", 5, "--start", "2024-12-27", "--camouflage", 0.2, *rings * 3)[0],
            simulate(f"kills-{users}-{days}", "--users", users, "--days", days, "--seed", 5, *rings * (days // 10))[0],
        ]
        events = folder(f"kills-{self.where}-feed") / "events.jsonl"
        opening, main = (part.read_text(encoding="utf-8") for part in parts)
        opening = re.sub(r'"([a-z]+\d+)"', r'"o\1"', opening)  # people, posts and the rest of its own: nothing is said twice
        events.write_text(opening + main, encoding="utf-8")
        self.feed = Feed(events, per_second=per_second)
        self.serve.spawn()
        self.ready()
        answered = Answered(self.findings)
        watcher = TierWatcher(self.serve.address, self.findings)
        watcher.start()
        wait_for("the watcher's first token", lambda: watcher.token, 20)
        publishers = [Publisher(self.serve.address, self.feed, self.findings) for _ in range(3)]
        queriers = [
            Querier(self.serve.address, self.feed, answered, self.findings, self.chance.random()) for _ in range(2)
        ]
        for client in publishers + queriers:
            client.start()
        begin = time.monotonic()
        for number in range(1, self.rounds + 1):
            self.round(number)
            if number % 25 == 0 or number == self.rounds:
                minutes = (time.monotonic() - begin) / 60
                self.line(f"round {number}, {number / minutes:.1f} rounds/min, {self.feed.acknowledged} events acknowledged")
        self.feed.stop()
        if not self.feed.count:
            raise AssertionError("nothing was sent")
        for publisher in publishers:
            publisher.join(90)
            assert not publisher.is_alive(), f"not acknowledged: {len(publisher.waiting)} requests; {self.findings.all}"
        self.ready()
        for querier in queriers:
            querier.ended.set()
            querier.join(30)
        self.findings.check()
        self.check_account()
        self.check_watcher(watcher)
        begin = time.monotonic()
        self.serve.stop()
        self.line(f"SIGTERM to its end: {time.monotonic() - begin:.1f} s")
        self.check_state()
        counts = sum((querier.counts for querier in queriers), Counter())
        self.line(f"faults {dict(self.kinds)}; signals {dict(self.signals)}")
        self.line(f"answers {dict(counts)}; streams opened {sum(p.streams for p in publishers)}; watch resumed {watcher.resumed}")
        if self.restarts:
            self.line(
                f"from start to the first answer: median {statistics.median(self.restarts):.2f} s, longest {max(self.restarts):.2f} s"
            )

    def check_account(self):
        """Sent until acknowledged, so each is there; each once but for repeats, which are told as duplicates."""
        feed = self.feed
        assert feed.acknowledged == feed.count, (feed.acknowledged, feed.count)

        def counted():
            account = self.serve.status().account
            return account.pending == 0 and account.consumed - account.duplicate >= feed.count and account

        account = wait_for(lambda: f"{feed.count} events acknowledged: {self.serve.status()}", counted, 60)
        self.line(f"{feed.count} events acknowledged, {account.consumed} consumed: {account.applied} applied, "
                  f"{account.late} late, {account.duplicate} duplicates")  # fmt: skip
        assert account.consumed - account.duplicate == feed.count, account
        assert account.consumed == account.applied + account.duplicate + account.late, account
        assert not self.serve.said("damaged|assert|broken invariant"), self.serve.log()[-3000:]

    def check_watcher(self, watcher):
        """Each change once over all restarts, and none that does not stand."""
        self.end_slot = self.serve.status().as_of.tick.slot
        there = tier_changes(self.serve, max(self.end_slot - 6 * 86400 * 4, 0))
        wait_for(
            lambda: f"watched {len(watcher.changes)} changes, missing {[c for c in there if c not in watcher.changes][:3]}; "
            f"{self.findings.all}",
            lambda: all(change in watcher.changes for change in there) or self.findings.all,
            20,
        )
        watcher.ended.set()
        self.findings.check()
        assert there or self.rounds < 15, "no tier changed"
        for name, change in there.items():
            assert watcher.changes[name] == change, f"told as {watcher.changes[name]}, stands as {change}"
        places = [(c.tick.slot, c.tick.sub_tick, c.id) for c in watcher.changes.values()]
        assert places == sorted(places), "tier changes came out of order"
        self.watched = watcher.changes
        self.line(f"{len(watcher.changes)} tier changes watched, {len(there)} of them still told")

    def check_state(self):
        serve, alone = self.serve, None
        # As far in time as the logs go, whatever the wall clock did.
        run("serve", "--until-end", *settings(serve.settings))
        if self.broker:
            self.broker.create([f"alone.{name}" for name in OUTPUTS])
            self.deliver(serve)
        state = dump(serve.data)
        alone = undisturbed(serve, folder(f"kills-{self.where}-alone"), {"kafka.out_prefix": "alone"} if self.broker else {})
        run("serve", "--until-end", *settings(alone.settings))
        if self.broker:
            self.deliver(alone)
        assert not difference(dump(alone.data), state), difference(dump(alone.data), state)
        rows = by_type(state)
        lost = [user for user, _ in self.feed.marks if user not in rows["user"]]
        assert not lost, f"{len(lost)} of {len(self.feed.marks)} marks are lost: {lost[:3]}"
        again = [user for user, _ in self.feed.marks if not 0 < rows["user"][user]["profiles"]["overall"] <= 1_000_000]
        assert not again, f"counted more than once: {again[:3]}"
        self.line(f"{len(rows['user'])} users, {len(self.feed.marks)} marks, {len(rows['flag'])} flags: "
                  "as in a run that nobody disturbed")  # fmt: skip
        if self.broker:
            self.check_topics()

    def deliver(self, serve):
        """Until every out record is on its topic."""
        serve.start()
        wait_for(lambda: f"the outbox does not empty: {serve.status().outbox_pending}", lambda: serve.status().outbox_pending == 0, 90)
        serve.stop()

    def check_topics(self):
        for name in topics("community"):
            for partition in range(2):
                there = self.records(name, partition)
                for offset, number in self.feed.places.get((name, partition), {}).items():
                    event = event_pb2.Event.FromString(there[offset])
                    assert event.id == f"k{number}", f"{name}/{partition}@{offset}: {event.id}, not k{number}"
        for name, kind in KINDS.items():
            found = {}
            for prefix in ("bellwether", "alone"):
                rows, repeats = {}, 0
                for _, value in self.broker.read(f"{prefix}.{name}"):
                    record = kind.FromString(value)
                    repeats += record.id in rows
                    assert rows.setdefault(record.id, value) == value, f"{prefix}.{name}: {record.id} came twice and differs"
                found[prefix] = rows
                if prefix == "bellwether":
                    self.line(f"{prefix}.{name}: {len(rows)} records, {repeats} repeats")
            ours, alone = found["bellwether"], found["alone"]
            # What is compared must be there to be compared: a ring's flag and its alert, and more than one of them.
            assert len(ours) > 1 or self.rounds < 12, f"{name}: {len(ours)} records"
            assert set(ours) == set(alone), (
                f"{name}: {len(set(alone) - set(ours))} missing {sorted(set(alone) - set(ours))[:3]}, "
                f"{len(set(ours) - set(alone))} too many {sorted(set(ours) - set(alone))[:3]}"
            )
            differ = [i for i in ours if ours[i] != alone[i]]
            assert not differ, f"{name}: {len(differ)} differ: {kind.FromString(ours[differ[0]])} {kind.FromString(alone[differ[0]])}"
            if name == "tiers":
                missing = set(self.watched) - set(ours)
                assert not missing, f"watched, but not on the topic: {sorted(missing)[:3]}"

    def records(self, topic, partition):
        command = ["kcat", "-C", "-b", self.broker.address, "-t", topic, "-p", str(partition), "-o", "beginning", "-e", "-q", "-D", ""]
        rest = subprocess.run([*command, "-f", "%o,%S,%s"], capture_output=True, timeout=120, check=True).stdout
        found = {}
        while rest:
            offset, size, rest = rest.split(b",", 2)
            found[int(offset)], rest = rest[: int(size)], rest[int(size) :]
        return found

    def end(self):
        self.serve.end()
        if self.broker:
            with contextlib.suppress(subprocess.CalledProcessError):
                self.broker.signal(signal.SIGCONT)
            self.broker.wipe()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--on", choices=("log", "kafka", "both"), default="both")
    parser.add_argument("--stop-seconds", type=float, default=3)
    options = parser.parse_args()
    again = f"--rounds {options.rounds} --seed {options.seed} --on {options.on} --stop-seconds {options.stop_seconds:g}"
    print(f"tests/integration/kills.py {again}", flush=True)
    share = {"log": options.rounds, "kafka": 0} if options.on == "log" else {"log": 0, "kafka": options.rounds}
    if options.on == "both":
        share["log"] = options.rounds // 3
        share["kafka"] = options.rounds - share["log"]
    begin = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whoever ends it leaves no broker behind
    for where, rounds in share.items():
        if rounds == 0:
            continue
        test = None
        try:
            test = Run(where, rounds, random.Random(f"{options.seed} {where}"), options.stop_seconds)
            test.run()
        except BaseException:
            print(f"FAILED on {where}: tests/integration/kills.py {again}", file=sys.stderr)
            if test and os.environ.get("BELLWETHER_TEST_KEEP"):
                shutil.copytree(WORK, os.environ["BELLWETHER_TEST_KEEP"], dirs_exist_ok=True)
            raise
        finally:
            if test:
                test.end()
    minutes = (time.monotonic() - begin) / 60
    print(f"{options.rounds} rounds survived in {minutes:.1f} min, {options.rounds / minutes:.1f} rounds/min")


if __name__ == "__main__":
    main()
