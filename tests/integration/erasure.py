"""A person's wish to be forgotten, from `ctl erase` to the last byte on disk: served from the log and from Kafka, killed in the
middle, replayed from an input that still holds the name. What others have stays to the micro-point."""

import datetime
import json
import pathlib
import random
import shutil
import subprocess
import sys
import time
import unittest

from lib.harness import *  # noqa: F403
from lib.harness import event_pb2, ingest_pb2, json_format, settings

UTC = datetime.timezone.utc
USERS = ("user", "author", "parentAuthor", "referrer", "referred", "tester", "subject", "sameAs")


def stamp(when):
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def name_of(user):
    """Nothing but this user's own id holds it."""
    return f"{user}@forget.me"


def renamed(event):
    return {
        key: renamed(value) if isinstance(value, dict) else name_of(value) if key in USERS and value else value
        for key, value in event.items()
    }


def community(days=6):
    """A community of the last days, up to a quarter of an hour ago, with names that can be looked for."""
    events, _ = simulate("erasure", "--users", 300, "--days", days, "--seed", 31, "--ring", "20x10:0.9:burst")
    lines = [json.loads(line) for line in read_events(events)]
    moment = lambda line: datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00"))  # noqa: E731
    shift = datetime.datetime.now(UTC) - datetime.timedelta(minutes=15) - max(map(moment, lines))
    for line in lines:
        line["time"] = stamp(moment(line) + shift)
        line["id"] = f"{line['id']} by {name_of(line['user'])}"[:64]
    return [json.dumps(renamed(line)) for line in lines]


def judgement(tag, by, body, when=None):
    moment = when or stamp(datetime.datetime.now(UTC))
    return json.dumps({"id": tag, "time": moment, "user": by, "judgement": body})


def around(who, other, when=None):
    """Texts about, by and with somebody, and a record that is no event by the time it is placed."""
    return [
        judgement("t1", other, {"hold": {"subject": who, "tier": "TIER_KEY", "reason": "a friend"}}, when),
        judgement("t2", other, {"hold": {"subject": other, "tier": "TIER_KEY", "reason": f"says {who}."}}, when),
        judgement("t3", who, {"verdict": {"flag": "f", "decision": "DECISION_APPEALED", "reason": "not me"}}, when),
        judgement("t4", other, {"verdict": {"flag": "f", "decision": "DECISION_CONFIRMED", "reason": who}}, when),
        judgement("t5", other, {"link": {"user": other, "sameAs": who, "evidence": "one phone"}}, when),
        json.dumps(
            {
                "id": "t6",
                "time": "1970-01-02T00:00:00Z",
                "user": who,
                "like": {"post": "p", "author": other, "kind": "LIKE_KIND_LIKE"},
            }
        ),
    ]


def files_with(folder_path, *names):
    """The files of a data folder, whatever they are, that hold one of the names."""
    found = []
    for path in pathlib.Path(folder_path).rglob("*"):
        try:
            data = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:
            continue
        found += [str(path.relative_to(folder_path)) for name in names if name.encode() in data]
    return found


def details(serve):
    return {d.name: d.value for d in serve.status().details}


def wait_clean(serve, erased, timeout=60):
    wait_for(
        lambda: f"{details(serve)}\n{serve.log()[-1500:]}",
        lambda: (d := details(serve))["erased_people"] == str(erased) and d["erasures_pending"] == "0",
        timeout,
    )


def publish(serve, lines):
    path = WORK / "publish.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run("ctl", "publish", path, "--wait", 60, "--address", serve.address)


def scores(serve):
    """Every user's numbers by name, as of now."""
    found, token = {}, ""
    stub = serve.key_users()
    while True:
        answer = stub.ListUsers(key_users_pb2.ListUsersRequest(page_size=200, page_token=token), timeout=10)
        for user in answer.users:
            found[user.id] = ([c.score_micros for c in user.capabilities], [p.score_micros for p in user.profiles])
        token = answer.next_page_token
        if not token:
            return found


def people_of(text):
    """The users' lines of a dump by id."""
    return {json.loads(line)["id"]: line for line in text.splitlines() if line.startswith('{"type":"user"')}


class OnTheLog(unittest.TestCase):
    def setUp(self):
        self.serve = None

    def tearDown(self):
        if self.serve:
            self.serve.end()

    def start(self, name, **options):
        self.serve = Serve(folder(name), {"log.segment_mb": 1, "log.partitions": 2, **options}).start()
        return self.serve

    def test_no_file_holds_the_name(self):
        lines = community()
        serve = self.start("erasure-data")
        publish(serve, lines)
        ranked = sorted(scores(serve))
        who, other = ranked[7], ranked[20]
        publish(serve, around(who, other))
        before, day = scores(serve), datetime.datetime.now(UTC).date()
        self.assertIn(who, before)
        self.assertTrue(any(file.startswith("log") for file in files_with(serve.data, who)))
        self.assertTrue(any(file.startswith("store") for file in files_with(serve.data, who)))
        # As a rebuild leaves the store that it replaced.
        replaced = serve.data / "before-rebuild/store"
        replaced.mkdir(parents=True)
        (replaced / "000007.sst").write_text(f"of {who}", encoding="utf-8")

        # Not by a slip of the hand, and not for nobody.
        self.assertEqual(run("ctl", "erase", who, "--address", serve.address, expect=2, stdin="").code, 2)
        self.assertIn("nobody", run("ctl", "erase", who + "x", "--yes", "--address", serve.address, expect=1).err)
        self.assertIn(who, scores(serve))
        begin = time.monotonic()
        answer = serve.ctl("erase", who, "--yes", "--by", "staff-1", "--wait", 60)
        seconds = time.monotonic() - begin
        self.assertTrue(answer["gone"])
        self.assertLess(seconds, 45)  # the pages that scores() began do not hold it up
        # Files that nobody needs any more are deleted in the background.
        wait_for(lambda: files_with(serve.data, who), lambda: not files_with(serve.data, who), 10)
        print(f"erased in {seconds:.1f} s, {sum(f.stat().st_size for f in serve.data.rglob('*') if f.is_file()):,} bytes on disk")

        # Who they are is unknown, what they did is not: nobody's number moved.
        self.assertIn("nothing is known", run("ctl", "user", who, "--address", serve.address, expect=1).err)
        after = scores(serve)
        if datetime.datetime.now(UTC).date() == day:  # else a day's decay lies between
            (erased,) = set(after) - set(before)
            self.assertRegex(erased, "^erased:[0-9a-f]{16}$")
            self.assertEqual(before.pop(who), after.pop(erased))
            self.assertEqual(before, after)
            self.assertEqual(serve.ctl("user", erased)["user"]["id"], erased)

        # They come back: counted under the number, and the name is in no file again.
        now = stamp(datetime.datetime.now(UTC))
        back = {"post": "back", "kind": "POST_KIND_IDEA", "action": "POST_ACTION_PUBLISHED"}
        publish(serve, [json.dumps({"id": f"back {who}"[:64], "time": now, "user": who, "post": back})])
        publish(serve, around(who, other))
        self.assertEqual(serve.status().account.id_collisions, 0)
        self.assertNotIn(who, scores(serve))
        self.assertEqual(files_with(serve.data, who), [])

        # And after a restart.
        consumed = serve.status().account.consumed
        serve.stop()
        text = dump(serve.data)
        self.assertNotIn(who, text)
        self.assertEqual(files_with(serve.data, who), [])
        serve.start()
        self.assertEqual(serve.status().account.consumed, consumed)
        self.assertEqual(details(serve)["erasures_pending"], "0")
        serve.stop()

        # The log that was rewritten makes the same people again: it is folded as the one before.
        copied = folder("erasure-copied")
        shutil.copytree(serve.data / "log", copied / "log")
        again = Serve(copied, serve.settings | {"engine.data_dir": copied}, arguments=["--until-end"])
        again.spawn().wait(120)
        mine, theirs = people_of(text), people_of(dump(copied))
        self.assertEqual(set(mine), set(theirs))
        if datetime.datetime.now(UTC).date() == day:
            numbers = lambda lines: {user: json.loads(line)["scores"] for user, line in lines.items()}  # noqa: E731
            self.assertEqual(numbers(mine), numbers(theirs))
        self.assertEqual(files_with(copied, who), [])

    def test_killed_while_it_is_removed(self):
        lines = community()
        serve = self.start("erasure-killed")
        publish(serve, lines)
        people = sorted({json.loads(line)["user"] for line in lines})
        dice = random.Random(7)
        gone = []
        for turn in range(5):
            who = people[3 + 5 * turn]
            publish(serve, around(who, people[1]))
            serve.ctl("erase", who, "--yes")
            gone.append(who)
            time.sleep(dice.random() * 0.8)
            serve.kill()
            serve.start()
        wait_clean(serve, len(gone))
        wait_for(lambda: files_with(serve.data, *gone), lambda: not files_with(serve.data, *gone), 10)
        status = serve.status()
        self.assertEqual(status.account.id_collisions, 0)
        known = scores(serve)
        for who in gone:
            self.assertNotIn(who, known)
        serve.stop()
        self.assertEqual(files_with(serve.data, *gone), [])

    def test_only_admins(self):
        tokens = WORK / "erasure.tokens"
        roles = ("platform", "moderator", "admin")
        tokens.write_text("".join(f"{r}-token-0123456789abcdef {r} {r}\n" for r in roles), encoding="utf-8")
        tokens.chmod(0o600)
        path = WORK / "one.jsonl"
        now = stamp(datetime.datetime.now(UTC))
        post = {"post": "p", "kind": "POST_KIND_IDEA", "action": "POST_ACTION_PUBLISHED"}
        path.write_text(json.dumps({"id": "one", "time": now, "user": "somebody", "post": post}), encoding="utf-8")
        serve = self.serve = Serve(folder("erasure-roles"), {"service.tokens": tokens})
        serve.spawn()

        def ctl(role, *arguments):
            token = f"{role}-token-0123456789abcdef"
            return run("ctl", *arguments, "--address", serve.address, "--token", token, "--connect", 30, expect=None)

        self.assertEqual(ctl("admin", "publish", path, "--wait", 60).code, 0)
        for role in ("platform", "moderator"):
            refused = ctl(role, "erase", "somebody", "--yes")
            self.assertEqual(refused.code, 1, refused)
            self.assertIn("admin", refused.err)
        self.assertEqual(ctl("admin", "erase", "somebody", "--yes", "--wait", 60).code, 0)


class FromFiles(unittest.TestCase):
    def test_a_replay_keeps_them_erased(self):
        lines = community()
        last = json.loads(lines[-1])["time"]
        people = sorted({json.loads(line)["user"] for line in lines})
        who, other = people[11], people[30]
        half = len(lines) // 2
        middle = json.loads(lines[half])["time"]
        wish = {"erasure": {"subject": who}}
        told = [
            *lines[:half],
            *around(who, other, middle),
            judgement("wish", "staff", wish, middle),
            *lines[half:],
            "{broken by " + who,
        ]
        untold = [line for line in told if '"wish"' not in line]
        for name, text in (("told", told), ("untold", untold)):
            (WORK / f"{name}.jsonl").write_text("\n".join(text) + "\n", encoding="utf-8")

        def replay(name, *arguments):
            data = folder(f"erasure-{name}")
            run("replay", WORK / f"{name.split('-')[0]}.jsonl", "--data", data, "--until", last, *arguments)
            return data

        learnt = replay("told")
        self.assertEqual(files_with(learnt, who), [])
        text = dump(learnt)
        self.assertNotIn(who, text)
        # Known from the first record on: the same, byte for byte.
        known = replay("told-known", "--keep-erased", learnt)
        self.assertEqual(difference(text, dump(known)), "")
        self.assertEqual(files_with(known, who), [])
        # An input that has lost the wish, but not the person.
        kept = replay("untold-kept", "--keep-erased", learnt)
        self.assertEqual(files_with(kept, who), [])
        self.assertNotIn(who, dump(kept))
        never = replay("untold")
        self.assertIn(who, dump(never))
        self.assertNotEqual(files_with(never, who), [])
        # All others have what they would have had.
        mine, theirs = people_of(text), people_of(dump(never))
        (erased,) = set(mine) - set(theirs)
        self.assertEqual(theirs.pop(who).replace(who, erased), mine.pop(erased))
        self.assertEqual(mine, theirs)
        other_key = run(
            "replay",
            WORK / "told.jsonl",
            "--data",
            folder("erasure-other"),
            "--keep-erased",
            learnt,
            "--set",
            "community.hash_key=another",
            expect=1,
        )
        self.assertIn("hash_key", other_key.err)


class WithKafka(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = Broker("erasure-broker").start()
        cls.serve = None

    @classmethod
    def tearDownClass(cls):
        if cls.serve:
            cls.serve.end()
        cls.broker.wipe()

    def last_of(self, topic):
        """The last record of each key: its value's size, -1 where there is none."""
        done = subprocess.run(
            ["kcat", "-C", "-b", self.broker.address, "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%k %S\\n"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return {key: int(size) for key, size in (line.rsplit(" ", 1) for line in done.stdout.splitlines())}

    def test_tombstones(self):
        lines = community()
        self.broker.create(topics("community"), 2)
        serve = type(self).serve = Serve(
            folder("erasure-kafka"), {"kafka.brokers": self.broker.address, "engine.idle_ms": 1500}
        ).start()
        produce_all(self.broker, lines, "community", 2)
        serve.wait_consumed(len(lines))
        known = wait_for("scores go out", lambda: self.last_of("bellwether.scores"))
        who = sorted(key for key, size in known.items() if size > 0)[5]
        serve.ctl("erase", who, "--yes", "--wait", 60)
        for topic in ("scores", "tiers"):
            self.assertEqual(self.last_of(f"bellwether.{topic}").get(who), -1, topic)
        self.assertGreater(sum(size > 0 for size in self.last_of("bellwether.scores").values()), 100)
        wait_for(lambda: files_with(serve.data, who), lambda: not files_with(serve.data, who), 10)
        self.assertNotIn(who, scores(serve))
        serve.stop()

        # The topics still hold the person; a new folder that knows of it never does.
        fresh = Serve(
            folder("erasure-kafka-fresh"),
            {"kafka.brokers": self.broker.address, "kafka.outputs": "false"},
            arguments=["--until-end", "--keep-erased", serve.data],
        )
        fresh.spawn().wait(120)
        self.assertEqual(files_with(fresh.data, who), [])
        self.assertNotIn(who, dump(fresh.data))
        self.assertEqual(set(people_of(dump(serve.data))), set(people_of(dump(fresh.data))))


if __name__ == "__main__":
    _ = event_pb2, ingest_pb2, json_format, settings, sys
    unittest.main(verbosity=2)
