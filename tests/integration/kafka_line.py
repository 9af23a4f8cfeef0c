"""The whole line against a real Kafka: producers of unequal speed -> topics -> serve -> gRPC clients and out topics.

serve is stopped, killed and started again in the middle, the broker goes away and comes back, a partition is added, and bad records
of every kind are sent.
"""

import collections
import datetime
import json
import threading
import time
import unittest

import grpc
from google.protobuf import json_format

from lib.harness import *  # noqa: F403
from lib.harness import admin_pb2, event_pb2, flag_pb2, flags_pb2, key_users_pb2, key_users_pb2_grpc, out_pb2

PREFIX = "community"  # the topics' own names: verdicts go to community.judgements
PARTITIONS = 4


def bad_records():
    """(reason, bytes) of every kind of record that is no event."""

    def like(**changes):
        event = {
            "id": "bad",
            "time": "2025-01-10T00:00:00Z",
            "user": "u1",
            "like": {"post": "p1", "author": "u2", "kind": "LIKE_KIND_LIKE"},
        }
        for name, value in changes.items():
            target = event["like"] if name in event["like"] else event
            if value is None:
                target.pop(name)
            else:
                target[name] = value
        return json.dumps(event).encode()

    good = event_pb2.Event()
    json_format.Parse(like(), good)
    message = good.SerializeToString()
    user_at = message.index(b"\x1a\x02u1")
    return [
        ("UNDECODABLE", b"\xff\xfe\xfdnot an event"),
        ("UNDECODABLE", b'{"id": "cut'),
        ("UNDECODABLE", b""),
        ("EMPTY_ID", like(id="")),
        ("EMPTY_ID", like(author="")),
        ("ID_TOO_LONG", like(user="x" * 65)),
        ("INVALID_UTF8", message[:user_at] + b"\x1a\x02\xc3\x28" + message[user_at + 4 :]),
        ("UNSPECIFIED_ENUM", like(kind="LIKE_KIND_UNSPECIFIED")),
        ("FUTURE", like(time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600)))),
        ("BODY_MISSING", like(like=None)),
        ("TIME_MISSING", like(time=None)),
    ]


class Feeder(threading.Thread):
    """Sends one partition's records evenly over `seconds`."""

    def __init__(self, broker, rows, partition, seconds):
        super().__init__(daemon=True)
        self.broker, self.rows, self.partition, self.seconds, self.failed = broker, rows, partition, seconds, []

    def run(self):
        producer, begin = self.broker.producer(), time.monotonic()
        for i, (topic, value) in enumerate(self.rows):
            due = begin + self.seconds * i / max(len(self.rows), 1)
            while time.monotonic() < due:
                producer.poll(min(0.05, max(due - time.monotonic(), 0)))
            produce(producer, topic, self.partition, value, self.failed)
        if producer.flush(120) != 0:
            self.failed.append("not delivered")


class Watcher(threading.Thread):
    """Watches tier changes, and goes on from its token whenever the service was away."""

    def __init__(self, serve):
        super().__init__(daemon=True)
        self.serve, self.ended, self.changes, self.resumed, self.failed = serve, threading.Event(), [], 0, ""

    def run(self):
        token = ""
        while not self.ended.is_set():
            with grpc.insecure_channel(self.serve.address) as channel:
                try:
                    request = key_users_pb2.WatchTiersRequest(resume_token=token)
                    for answer in key_users_pb2_grpc.KeyUsersStub(channel).WatchTiers(request, timeout=3):
                        token = answer.resume_token
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


class KafkaLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = Broker("line-broker").start()
        cls.broker.create(topics(PREFIX), PARTITIONS, **{"message.timestamp.type": "LogAppendTime"})
        cls.broker.create([f"bellwether.{name}" for name in OUTPUTS])
        cls.serve = Serve(
            folder("line-data"), {"kafka.brokers": cls.broker.address, "kafka.refresh_s": 1, "engine.idle_ms": 2500}
        )

    @classmethod
    def tearDownClass(cls):
        cls.serve.end()
        cls.broker.wipe()

    def test_line(self):
        serve, broker = self.serve, self.broker
        events, labels = simulate("line", "--users", 2000, "--days", 6, "--seed", 11, "--ring", "20x10:0.9:burst")
        lines = read_events(events)
        # Likes come live, at four speeds; what else happened is on the topics already.
        fast = [line for line in lines if topic_of(line) != f"{PREFIX}.likes"]
        likes = [line for line in lines if topic_of(line) == f"{PREFIX}.likes"]
        producer, failed = broker.producer(), []
        for number, line in enumerate(fast):
            produce(producer, topic_of(line), number * 7 % PARTITIONS, encoded(line, number), failed)
        self.assertEqual((producer.flush(60), failed), (0, []))
        feeders = [
            Feeder(
                broker,
                [
                    (f"{PREFIX}.likes", encoded(line, i // PARTITIONS))
                    for i, line in enumerate(likes)
                    if i % PARTITIONS == p
                ],
                p,
                seconds,
            )
            for p, seconds in enumerate((2, 6, 12, 24))
        ]
        for feeder in feeders:
            feeder.start()

        # Stopped, killed and started again while events come in.
        serve.start()
        watcher = Watcher(serve)
        watcher.start()
        time.sleep(2)
        before = wait_for("the first records to be counted", lambda: serve.status().account.consumed, 30)
        serve.stop()
        serve.start()
        self.assertGreaterEqual(serve.status().account.consumed, before)
        time.sleep(4)
        serve.kill()
        serve.start()
        time.sleep(2)

        # The broker goes away: said once, nothing lost, answers go on.
        before = serve.status().account
        broker.stop()
        wait_for(
            lambda: f"the broker's absence is not said:\n{serve.log()[-2000:]}",
            lambda: serve.said("no broker answers"),
            30,
        )
        time.sleep(6)
        away = serve.status().account
        self.assertEqual(away.consumed, away.applied + away.duplicate + away.late + away.dead_lettered)
        self.assertGreaterEqual(away.consumed, before.consumed)
        # Three clients miss it, one speaks.
        self.assertEqual(serve.said("no broker answers"), 1, serve.log()[-2000:])
        self.assertEqual(serve.said("assert|abort"), 0)
        broker.start()

        for feeder in feeders:
            feeder.join(120)
            self.assertFalse(feeder.is_alive() or feeder.failed, feeder.failed[:3])
        status = serve.wait_consumed(len(lines))
        account = status.account
        self.assertEqual(account.consumed, len(lines))
        self.assertEqual(account.consumed, account.applied + account.duplicate + account.late + account.dead_lettered)
        self.assertEqual(account.dead_lettered, 0)
        self.assertEqual(sum(p.account.consumed for p in status.partitions), len(lines))
        self.assertEqual({p.lag_records for p in status.partitions}, {0})

        self.check_answers(lines)
        self.check_new_partition(lines)
        self.check_dead_letters()
        tiers = self.check_out_topics()
        self.check_watch(watcher, tiers)
        self.check_verdict()
        serve.stop()
        # The ring was found live; the verdict has dismissed its flag since.
        found = run_json("evaluate", "--data", serve.data, "--labels", labels, "--output", "json")
        self.assertEqual(found["dismissed_flags"], 1, found)

    def check_answers(self, lines):
        """ctl and a client of another library agree with each other and with a replay of the same events."""
        path = WORK / "line-fed.jsonl"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        data = folder("line-replay")
        run("replay", path, "--data", data)
        users = by_type(dump(data))["user"]
        expected = sorted(((row["profiles"]["overall"], name) for name, row in users.items()), reverse=True)[:20]
        request = key_users_pb2.GetLeaderboardRequest(profile="overall", page_size=20)
        board = self.serve.key_users().GetLeaderboard(request, timeout=10)
        self.assertTrue(board.as_of.positions)
        late = self.serve.status().account.late
        if late == 0:  # a record that comes late may be halved after another one
            self.assertEqual([e.score_micros for e in board.entries], [score for score, _ in expected])
        top = self.serve.ctl("top", "--limit", 20)
        self.assertEqual([row["user"] for row in top["entries"]], [e.user for e in board.entries])
        self.assertEqual([int(row["scoreMicros"]) for row in top["entries"]], [e.score_micros for e in board.entries])
        for entry in board.entries[:5]:
            answer = self.serve.key_users().ExplainScore(
                key_users_pb2.ExplainScoreRequest(user=entry.user, profile="overall"), timeout=10
            )
            self.assertEqual(sum(c.contribution_micros for c in answer.contributions), answer.score.score_micros)
            self.assertEqual(answer.score.score_micros, entry.score_micros)

    def check_new_partition(self, lines):
        """A partition that is added while serve runs is read from its beginning."""
        self.broker.grow(f"{PREFIX}.posts", PARTITIONS + 1)
        # Early on the day after the last: much later, and all scores and flags would be gone.
        last = datetime.datetime.fromisoformat(json.loads(lines[-1])["time"].replace("Z", "+00:00")).date()
        when = f"{last + datetime.timedelta(days=1)}T00:10:00Z"
        event = {
            "id": "added-1",
            "time": when,
            "user": "newcomer",
            "post": {"post": "added-post", "kind": "POST_KIND_IDEA", "action": "POST_ACTION_PUBLISHED"},
        }
        wait_for(
            "the new partition on the broker",
            lambda: (
                len(self.broker.admin().list_topics(f"{PREFIX}.posts").topics[f"{PREFIX}.posts"].partitions)
                > PARTITIONS
            ),
        )
        kcat_line(self.broker, f"{PREFIX}.posts", json.dumps(event).encode(), partition=PARTITIONS)
        status = self.serve.wait_consumed(len(lines) + 1)
        self.assertIn((f"{PREFIX}.posts", PARTITIONS), [(p.topic, p.partition) for p in status.partitions])
        user = self.serve.key_users().GetUser(key_users_pb2.GetUserRequest(user="newcomer"), timeout=10).user
        self.assertEqual(user.overall.score_micros, 1_000_000)  # an idea posted: 1 point

    def check_dead_letters(self):
        bad = bad_records()
        before = self.serve.status().account
        producer, failed = self.broker.producer(), []
        for _, value in bad:
            produce(producer, f"{PREFIX}.likes", 0, value, failed)
        self.assertEqual((producer.flush(30), failed), (0, []))
        status = self.serve.wait_consumed(before.consumed + len(bad))
        self.assertEqual(status.account.dead_lettered, before.dead_lettered + len(bad))
        expected = collections.Counter(reason for reason, _ in bad)
        listed = self.serve.ctl("deadletters", "--limit", 100)["deadLetters"]
        self.assertEqual(
            collections.Counter(row["reason"].removeprefix("DEAD_LETTER_REASON_") for row in listed), expected
        )
        sent = sorted(value for _, value in bad)
        for row in self.serve.admin().ListDeadLetters(admin_pb2.ListDeadLettersRequest(), timeout=10).dead_letters:
            self.assertEqual((row.topic, row.partition), (f"{PREFIX}.likes", 0))
            self.assertIn(row.raw, sent)
            self.assertTrue(row.text)
        self.assertIn(f"{PREFIX}.likes", self.serve.ctl_text("deadletters"))

        def arrived():
            return len({key for key, _ in self.broker.read("bellwether.deadletters")}) >= len(bad)

        wait_for("the dead letters on their topic", arrived, 30)
        records = {}
        for _, value in self.broker.read("bellwether.deadletters"):
            record = out_pb2.DeadLetter.FromString(value)
            self.assertEqual(records.setdefault(record.id, value), value)
        raws = sorted(out_pb2.DeadLetter.FromString(value).raw for value in records.values())
        self.assertEqual(raws, sent)

    def check_out_topics(self):
        """What is repeated is the same; the last record about a user is what the service answers."""
        status = wait_for(
            "the outbox to empty", lambda: (lambda s: s if s.outbox_pending == 0 else None)(self.serve.status()), 60
        )
        kinds = {
            "scores": out_pb2.ScoreRecord,
            "tiers": out_pb2.TierRecord,
            "flags": out_pb2.FlagRecord,
            "alerts": out_pb2.AlertRecord,
        }
        records = {}
        for name, kind in kinds.items():
            seen = {}
            for key, value in self.broker.read(f"bellwether.{name}"):
                record = kind.FromString(value)
                self.assertEqual(
                    seen.setdefault(record.id, value), value, f"{name}: {record.id} came twice and differs"
                )
                if hasattr(record, "user"):
                    self.assertEqual(key.decode(), record.user)
            records[name] = [kind.FromString(value) for value in seen.values()]
        self.assertTrue(records["scores"] and records["tiers"])
        # Once in each minute of the user's own: three records lie more than a minute apart.
        times = collections.defaultdict(list)
        for record in records["scores"]:
            times[record.user].append(record.time.ToMilliseconds())
        close = [
            (user, second)
            for user, all_of in times.items()
            for first, second, third in zip(*(sorted(all_of)[i:] for i in range(3)), strict=False)
            if third - first <= 60_000
        ]
        self.assertEqual(close, [], "more than one score record of a user in a minute of their own")
        self.assertTrue(any(len(all_of) > 2 for all_of in times.values()))
        last = {}
        for record in records["tiers"]:
            if record.user not in last or (record.tick.slot, record.tick.sub_tick, record.id) > last[record.user][0]:
                last[record.user] = ((record.tick.slot, record.tick.sub_tick, record.id), record.tier)
        answer = self.serve.key_users().BatchGetUsers(
            key_users_pb2.BatchGetUsersRequest(users=sorted(last)[:100]), timeout=10
        )
        self.assertEqual({u.id: u.tier for u in answer.users}, {name: last[name][1] for name in sorted(last)[:100]})
        flags = self.serve.flags().ListFlags(flags_pb2.ListFlagsRequest(), timeout=10).flags
        self.assertEqual({f.id for f in flags}, {r.flag.id for r in records["flags"]})
        self.check_records_say_enough(records)
        self.assertGreater(status.users, 0)
        return records["tiers"]

    def check_records_say_enough(self, records):
        """A consumer can act without asking: whom a flag names, and what a tier asked for."""
        newest = {}
        for record in sorted(records["flags"], key=lambda r: (r.tick.slot, r.tick.sub_tick, r.id)):
            newest[record.flag.id] = record.flag
        for flag in newest.values():
            whole = self.serve.flags().GetFlag(flags_pb2.GetFlagRequest(flag=flag.id), timeout=10).flag
            self.assertEqual((flag.kind, flag.status), (whole.kind, whole.status))
            self.assertEqual(len(flag.subjects), min(32, len(whole.subjects)))
            self.assertLessEqual(set(flag.subjects), set(whole.subjects))
            gained = {b.user for b in whole.beneficiaries}
            self.assertEqual(len(flag.beneficiaries), min(32, len(gained)))
            self.assertLessEqual({b.user for b in flag.beneficiaries}, gained)
            figures = {d.name: d.value for d in flag.details}
            self.assertEqual(figures["subjects"], str(len(whole.subjects)))
            self.assertEqual(figures["beneficiaries"], str(len(gained)))
        for record in records["tiers"]:
            self.assertNotEqual(record.from_visible_tier, 0)
            self.assertEqual(record.gates.tier, max(record.from_tier, record.tier))
            self.assertEqual(record.gates.total, len(record.gates.gates))
            self.assertEqual(record.gates.met, sum(g.met for g in record.gates.gates))
            if record.tier > record.from_tier and "dismissed" not in record.reason.text:
                self.assertEqual(record.gates.met, record.gates.total, record)
            # Points in a sentence have at most two decimals.
            self.assertNotRegex(record.reason.text, r"\d\.\d{3}")

    def check_watch(self, watcher, tiers):
        """Through a stop, a kill and reconnections: every change from the first one watched, and none twice."""
        watcher.ended.set()
        watcher.join(30)
        self.assertEqual(watcher.failed, "")
        self.assertGreater(watcher.resumed, 2)
        seen = [change.id for change in watcher.changes]
        self.assertTrue(seen, "no tier change was watched")
        self.assertEqual(len(seen), len(set(seen)), "a change came twice")
        place = {r.id: (r.tick.slot, r.tick.sub_tick) for r in tiers}
        first = place[seen[0]]
        self.assertEqual({i for i in seen if place[i] > first}, {i for i, at in place.items() if at > first})
        self.assertEqual([place[i] for i in seen], sorted(place[i] for i in seen))

    def check_verdict(self):
        """A verdict that dismisses a flag goes through community.judgements and gives back exactly what the flag took."""
        flags = self.serve.flags().ListFlags(flags_pb2.ListFlagsRequest(filter="kind = ring"), timeout=10).flags
        self.assertTrue(flags, "the planted ring was not flagged")
        flag = self.serve.flags().GetFlag(flags_pb2.GetFlagRequest(flag=flags[0].id), timeout=10).flag
        losers = [b for b in flag.beneficiaries if any(loss.taken_micros for loss in b.losses)]
        self.assertTrue(losers and flag.evidence and flag.summary)

        def standing(user):
            answer = self.serve.key_users().GetUser(key_users_pb2.GetUserRequest(user=user), timeout=10).user
            return [c.score_micros for c in answer.capabilities]

        before = {b.user: standing(b.user) for b in losers}
        decided = self.serve.ctl("decide", flag.id, "dismiss", "--reason", "end-to-end test")
        position = decided["position"]
        self.assertEqual(position["topic"], f"{PREFIX}.judgements")

        def dismissed():
            now = self.serve.flags().GetFlag(flags_pb2.GetFlagRequest(flag=flag.id), timeout=10).flag
            return now if now.status == flag_pb2.FLAG_STATUS_DISMISSED else None

        now = wait_for("the verdict to be folded", dismissed, 30)
        self.assertEqual([d.reason for d in now.history], ["end-to-end test"])
        self.assertFalse(any(loss.taken_micros for b in now.beneficiaries for loss in b.losses))
        for b in losers:
            for loss in b.losses:
                before[b.user][loss.capability - 1] += loss.taken_micros
            self.assertEqual(standing(b.user), before[b.user])
        self.assertEqual(
            run("ctl", "decide", "no-such-flag", "dismiss", "--address", self.serve.address, expect=1).code, 1
        )


if __name__ == "__main__":
    unittest.main(verbosity=2)
