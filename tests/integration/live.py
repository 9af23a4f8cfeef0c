"""What a moderator sees live: verdicts in a silent community, flag changes watched through restarts, partitions that hang back."""

import datetime
import json
import subprocess
import threading
import time
import unittest

import grpc

from lib.harness import *  # noqa: F403
from lib.harness import common_pb2, event_pb2, flag_pb2, flags_pb2, flags_pb2_grpc, ingest_pb2, key_users_pb2, out_pb2

# The steps of idle and quiet floors by default: a partition is idle after 5 s, all are quiet after 1 s.
FOLDED_WITHIN = 8
RINGS = ("--users", 1500, "--days", 12, "--seed", 21, "--ring", "20x10:0.9:burst", "--ring", "20x10:0.9:burst")


def ring_flags(serve, status="open"):
    request = flags_pb2.ListFlagsRequest(filter=f"kind = ring AND status = {status}", order_by="opened asc")
    return serve.flags().ListFlags(request, timeout=10).flags


def get_flag(serve, flag_id):
    return serve.flags().GetFlag(flags_pb2.GetFlagRequest(flag=flag_id), timeout=10).flag


def standings(serve, users):
    request = key_users_pb2.BatchGetUsersRequest(users=sorted(users))
    answer = serve.key_users().BatchGetUsers(request, timeout=10)
    return {user.id: [c.score_micros for c in user.capabilities] for user in answer.users}


class Verdict:
    """Dismisses a flag while everything is silent: it must be folded within seconds and give back exactly what it took."""

    def __init__(self, test, serve):
        self.test, self.serve = test, serve

    def dismiss(self):
        test, serve = self.test, self.serve
        flag = get_flag(serve, ring_flags(serve)[0].id)
        losers = [b for b in flag.beneficiaries if any(loss.taken_micros for loss in b.losses)]
        test.assertTrue(losers, flag)
        expected = standings(serve, [b.user for b in losers])
        for b in losers:
            for loss in b.losses:
                expected[b.user][loss.capability - 1] += loss.taken_micros
        begin = time.monotonic()
        request = flags_pb2.DecideFlagRequest(flag=flag.id, decision=event_pb2.DECISION_DISMISSED, reason="all is quiet")
        position = serve.flags().DecideFlag(request, timeout=10).position
        try:
            read = serve.flags().GetFlag(
                flags_pb2.GetFlagRequest(flag=flag.id, min_position=[position]), timeout=FOLDED_WITHIN
            )
        except grpc.RpcError as error:
            test.fail(f"the verdict is not folded: {error.details()}\n{serve.status()}")
        test.assertEqual(read.flag.status, flag_pb2.FLAG_STATUS_DISMISSED)
        wait_for(
            lambda: f"expected {expected}, found {standings(serve, expected)}",
            lambda: standings(serve, expected) == expected,
            FOLDED_WITHIN,
        )
        after = get_flag(serve, flag.id)
        test.assertFalse(any(loss.taken_micros for b in after.beneficiaries for loss in b.losses))
        test.assertEqual([d.reason for d in after.history], ["all is quiet"])
        return position, time.monotonic() - begin


def when(line):
    return datetime.datetime.fromisoformat(json.loads(line)["time"].replace("Z", "+00:00"))


def post(name, user, time_text):
    """An idea, posted: an event worth one point."""
    body = {"post": f"post-{name}", "kind": "POST_KIND_IDEA", "action": "POST_ACTION_PUBLISHED"}
    return {"id": name, "time": time_text, "user": user, "post": body}


def silence(serve):
    """Until every partition is empty and idle."""
    wait_for(
        lambda: f"not silent:\n{serve.status()}",
        lambda: (
            all(p.idle and p.lag_records == 0 for p in serve.status().partitions)
            and serve.status().account.pending == 0
        ),
        60,
    )


class VerdictInSilence(unittest.TestCase):
    def check(self, serve, feed, partitions):
        events, _ = simulate("live", *RINGS)
        lines = read_events(events)
        # The community falls silent early on a day: a day's turn would change every score.
        last = when(lines[-1]).date()
        lines.append(json.dumps(post("last-words", "newcomer", f"{last + datetime.timedelta(days=1)}T00:10:00Z")))
        events = WORK / "live-fed.jsonl"
        events.write_text("\n".join(lines) + "\n", encoding="utf-8")
        try:
            serve.start()
            feed(serve, events, lines)
            serve.wait_consumed(len(lines))
            wait_for("both rings to be flagged", lambda: len(ring_flags(serve)) == 2, 60)
            silence(serve)
            self.assertEqual(len(serve.status().partitions), partitions)
            time.sleep(3)
            position, seconds = Verdict(self, serve).dismiss()
            print(f"folded and restored {seconds:.1f} s after the verdict, on {position.topic}/{position.partition}")
            # After a restart nothing is known of how long it has been silent.
            silence(serve)
            serve.stop()
            serve.start()
            silence(serve)
            position, seconds = Verdict(self, serve).dismiss()
            print(f"after a restart {seconds:.1f} s, on {position.topic}/{position.partition}")
            # An event from before the silence: late, but soon counted.
            before = serve.status().account
            self.late(serve, post("straggler", "straggler", f"{last}T12:00:00Z"))
            after = serve.wait_consumed(before.consumed + 1, FOLDED_WITHIN).account
            self.assertEqual(after.consumed, before.consumed + 1)
            serve.stop()
        finally:
            serve.end()

    def late(self, serve, event):
        path = WORK / "straggler.jsonl"
        path.write_text(json.dumps(event) + "\n", encoding="utf-8")
        serve.ctl_text("publish", path)

    def test_embedded_log(self):
        def feed(serve, events, _):
            serve.ctl_text("publish", events)

        self.check(Serve(folder("silent-log"), {"log.partitions": 6}), feed, 6)

    def test_kafka(self):
        broker = Broker("silent-broker").start()
        try:
            broker.create(topics("community"), 1)
            broker.create([f"bellwether.{name}" for name in OUTPUTS])

            def feed(_, __, lines):
                produce_all(broker, lines, "community", 1)

            self.check(Serve(folder("silent-kafka"), {"kafka.brokers": broker.address}), feed, 6)
        finally:
            broker.wipe()



class FlagWatcher(threading.Thread):
    """Watches flag changes, and goes on from its token whenever the service was away."""

    def __init__(self, serve, token=""):
        super().__init__(daemon=True)
        self.serve, self.token, self.ended = serve, token, threading.Event()
        self.changes, self.resumed, self.failed = [], 0, ""
        self.first = ""  # the first token that came

    def run(self):
        while not self.ended.is_set():
            with grpc.insecure_channel(self.serve.address) as channel:
                try:
                    request = flags_pb2.WatchFlagsRequest(resume_token=self.token)
                    for answer in flags_pb2_grpc.FlagsStub(channel).WatchFlags(request, timeout=3):
                        self.token = answer.resume_token
                        self.first = self.first or answer.resume_token
                        if answer.HasField("change"):
                            self.changes.append(answer.change)
                except grpc.RpcError as error:
                    if error.code() not in (
                        grpc.StatusCode.UNAVAILABLE,
                        grpc.StatusCode.DEADLINE_EXCEEDED,
                        grpc.StatusCode.CANCELLED,
                    ):
                        self.failed = f"{error.code()} {error.details()}"
                        return
                    self.resumed += 1
            time.sleep(0.1)

    def end(self):
        self.ended.set()
        self.join(30)


def changes_from(serve, **where):
    """All flag changes from a token or tick on, until there are no more."""
    found = []
    try:
        for answer in serve.flags().WatchFlags(flags_pb2.WatchFlagsRequest(**where), timeout=3):
            if answer.HasField("change"):
                found.append((answer.change, answer.resume_token))
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
            raise
    return found


class WatchFlags(unittest.TestCase):
    def test_over_restarts(self):
        """Stopped, killed and reconnected: every change once and in order; a token that is too old is OUT_OF_RANGE."""
        rings = [word for _ in range(6) for word in ("--ring", "12x8:0.9:burst")]
        events, _ = simulate("watched", "--users", 1500, "--days", 6, "--seed", 3, *rings)
        lines = read_events(events)
        serve = Serve(folder("watched-data"), {"engine.idle_ms": 500})
        watcher = None
        try:
            serve.start()
            watcher = FlagWatcher(serve)
            watcher.start()
            wait_for("the watcher's first token", lambda: watcher.first, 10)
            fed = 0
            for number, cut in enumerate((0.45, 0.6, 0.75, 0.9, 1)):
                part = WORK / "watched-part.jsonl"
                upto = int(len(lines) * cut)
                part.write_text("\n".join(lines[fed:upto]) + "\n", encoding="utf-8")
                fed = upto
                serve.ctl_text("publish", part)
                time.sleep(0.5)
                if number % 2 == 0:
                    serve.kill()
                else:
                    serve.stop()
                serve.start()
            serve.wait_consumed(len(lines))
            # Decisions are changes too.
            opened = ring_flags(serve)
            self.assertGreaterEqual(len(opened), 3)
            for flag, decision in zip(opened, (event_pb2.DECISION_CONFIRMED, event_pb2.DECISION_DISMISSED)):
                position = (
                    serve.flags().DecideFlag(flags_pb2.DecideFlagRequest(flag=flag.id, decision=decision)).position
                )
                serve.flags().GetFlag(flags_pb2.GetFlagRequest(flag=flag.id, min_position=[position]), timeout=20)
                serve.kill()
                serve.start()
            begin = common_pb2.Tick(slot=4 * int(when(lines[0]).timestamp()))
            everything = changes_from(serve, after=begin)
            place = {change.id: (change.tick.slot, change.tick.sub_tick, change.id) for change, _ in everything}
            wait_for(
                lambda: f"watched {len(watcher.changes)} of {len(everything)} changes",
                lambda: len(watcher.changes) >= len(everything) or watcher.failed,
                20,
            )
            watcher.end()
            self.assertEqual(watcher.failed, "")
            self.assertGreater(watcher.resumed, 4)
            seen = [change.id for change in watcher.changes]
            self.assertEqual(len(seen), len(set(seen)), "a change came twice")
            self.assertEqual(seen, [change.id for change, _ in everything])
            self.assertEqual([place[i] for i in seen], sorted(place.values()))
            kinds = {out_pb2.FlagChange.Name(change.change) for change in watcher.changes}
            self.assertGreaterEqual(kinds, {"FLAG_CHANGE_OPENED", "FLAG_CHANGE_UPDATED", "FLAG_CHANGE_DECIDED"})
            # From any change's token exactly what comes behind it, and only the kinds asked for.
            middle = len(everything) // 2
            rest = changes_from(serve, resume_token=everything[middle][1])
            self.assertEqual([c.id for c, _ in rest], seen[middle + 1 :])
            ranking = changes_from(serve, after=begin, kinds=[flag_pb2.FLAG_KIND_RANKING])
            self.assertEqual(
                [c.id for c, _ in ranking],
                [c.id for c, _ in everything if c.flag.kind == flag_pb2.FLAG_KIND_RANKING],
            )

            # Nine days of event time later they are gone, and it says so instead of leaving them out.
            self.publish(serve, post("later", "u1", f"{(when(lines[-1]) + datetime.timedelta(days=9)).date()}T12:00:00Z"))
            old = everything[0][1]
            wait_for(
                "the old token to be refused",
                lambda: self.code(serve, resume_token=old) == grpc.StatusCode.OUT_OF_RANGE,
                20,
            )
            serve.stop()
            serve.start()
            self.assertEqual(self.code(serve, resume_token=old), grpc.StatusCode.OUT_OF_RANGE)
            self.assertEqual(self.code(serve, after=everything[0][0].tick), grpc.StatusCode.OUT_OF_RANGE)
            self.assertEqual(self.code(serve, resume_token=watcher.first), grpc.StatusCode.OUT_OF_RANGE)
            self.assertEqual(self.code(serve, resume_token="mine"), grpc.StatusCode.INVALID_ARGUMENT)
            refused = run(
                "ctl", "watch", "flags", "--resume", old, "--address", serve.address, expect=1, timeout=20
            )
            self.assertIn("7 days", refused.err)
            fresh = FlagWatcher(serve)
            fresh.start()
            wait_for("a new watcher", lambda: fresh.first, 10)
            fresh.end()
            self.assertEqual((fresh.failed, fresh.changes), ("", []))
            serve.stop()
        finally:
            if watcher:
                watcher.ended.set()
            serve.end()

    def publish(self, serve, event):
        path = WORK / "watched-one.jsonl"
        path.write_text(json.dumps(event) + "\n", encoding="utf-8")
        serve.ctl_text("publish", path)

    def code(self, serve, **where):
        try:
            for _ in serve.flags().WatchFlags(flags_pb2.WatchFlagsRequest(**where), timeout=1.5):
                pass
        except grpc.RpcError as error:
            return error.code()
        return None


def control_rows(data):
    """Rows of the control log of a store that nobody has open."""
    command = ["ldb", f"--db={data}/store", "--column_family=control", "scan", "--hex"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


class Laggard(unittest.TestCase):
    """Two partitions; one is an hour behind and brings a record every half second, so that it is never idle."""

    BEGIN = int(datetime.datetime(2025, 1, 10, 9, tzinfo=datetime.timezone.utc).timestamp())

    def setUp(self):
        self.serve = Serve(folder("laggard"), {"log.partitions": 2})
        self.number, self.stop = 0, threading.Event()

    def publish(self, user, seconds):
        self.number += 1
        event = event_pb2.Event(id=f"e{self.number}", user=user)
        event.time.seconds = self.BEGIN + seconds
        event.post.post, event.post.kind = f"p{self.number}", event_pb2.POST_KIND_IDEA
        event.post.action = event_pb2.POST_ACTION_PUBLISHED
        answer = self.serve.ingest().Publish(ingest_pb2.PublishRequest(events=[event]), timeout=10)
        return answer.positions[0].partition

    def lag(self):
        """Feeds the laggard until told to stop."""
        second = 0
        while not self.stop.wait(0.5):
            second += 1
            self.publish(self.slow, second)

    def feeding(self):
        self.stop.clear()
        thread = threading.Thread(target=self.lag, daemon=True)
        thread.start()
        return thread

    def score(self, user):
        try:
            answer = self.serve.key_users().GetUser(key_users_pb2.GetUserRequest(user=user), timeout=10)
            return answer.user.overall.score_micros
        except grpc.RpcError as error:
            self.assertEqual(error.code(), grpc.StatusCode.NOT_FOUND)
            return None

    def floor(self):
        return next(p for p in self.serve.status().partitions if p.partition == self.slow_partition).floor_slot

    def test_let_go(self):
        serve = self.serve
        try:
            serve.start()
            self.slow, self.slow_partition = "u0", self.publish("u0", 0)
            self.fast = next(f"f{i}" for i in range(50) if self.publish(f"f{i}", 0) != self.slow_partition)
            serve.wait_consumed(self.number, 20)
            # Waited for, as long as it takes.
            feeder = self.feeding()
            for i in range(5):
                self.publish(self.fast, 3600 + i)
            time.sleep(9)
            self.assertEqual(self.score(self.fast), 1_000_000)
            self.assertGreaterEqual(serve.status().account.pending, 1)
            self.assertEqual(serve.status().account.late, 0)
            self.stop.set()
            feeder.join()
            serve.kill()

            # Let go after two seconds: what the others brought counts; what comes from the laggard now is late, and counts.
            serve.settings["engine.max_lag_ms"] = 2000
            serve.start()
            feeder = self.feeding()
            wait_for("the others to be counted", lambda: self.score(self.fast) == 5_000_000, 20)  # a daily cap
            wait_for("late records", lambda: serve.status().account.late >= 4, 20)
            self.assertEqual(self.score(self.slow), 5_000_000)
            floor = self.floor()
            self.assertGreaterEqual(floor, 4 * (self.BEGIN + 3600))
            # It stays let go: the others do not wait again for each of its records.
            self.publish(self.fast, 3700)
            wait_for("the next one", lambda: self.floor() >= 4 * (self.BEGIN + 3698), 5)
            self.stop.set()
            feeder.join()
            late = serve.wait_consumed(self.number, 20).account.late
            serve.kill()
            # The decision is in the control log, and holds when nobody is let go any more.
            self.assertTrue(any(row for row in control_rows(serve.data)))
            serve.settings["engine.max_lag_ms"] = 0
            serve.start()
            account = serve.wait_consumed(self.number, 20).account
            self.assertEqual((account.late, account.consumed), (late, self.number))
            self.assertGreaterEqual(self.floor(), 4 * (self.BEGIN + 3698))
            self.publish(self.slow, 60)
            account = serve.wait_consumed(self.number, 20).account
            self.assertEqual(account.late, late + 1)
            # Caught up, it is a partition like any other: nothing of it is late.
            self.publish(self.fast, 4000)
            self.publish(self.slow, 4000)
            account = serve.wait_consumed(self.number, 20).account
            self.assertEqual((account.late, account.consumed), (late + 1, self.number))
            serve.stop()
        finally:
            self.stop.set()
            serve.end()


if __name__ == "__main__":
    unittest.main(verbosity=2)
