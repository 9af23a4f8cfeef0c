"""What the program refuses, and how it says so: configurations, data folders, a full disk, wrong command lines, requests out of range."""

import contextlib
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

import grpc
from google.protobuf import json_format

from lib.harness import *  # noqa: F403
from lib.harness import event_pb2, ingest_pb2, key_users_pb2, settings

EVENT = {
    "id": "e1",
    "time": "2025-01-10T00:00:00Z",
    "user": "u1",
    "post": {"post": "p1", "kind": "POST_KIND_IDEA", "action": "POST_ACTION_PUBLISHED"},
}


class Configuration(unittest.TestCase):
    def check(self, text, expect):
        path = folder("config") / "bellwether.yaml"
        path.write_text(text, encoding="utf-8")
        return run("serve", "--check", "--config", path, expect=expect)

    def test_good(self):
        self.check((ROOT / "config/bellwether.yaml").read_text(encoding="utf-8"), 0)
        self.check("engine:\n  threads: 2\n  shards: 4\n", 0)
        run("serve", "--check", "--set", "engine.shards=4", env={"BELLWETHER_ENGINE_THREADS": "2"})

    def test_bad(self):
        result = self.check("engine:\n  thread: 2\n  batch: many\n  lateness_ms: -1\nlog: 5\n", 2)
        for word in (
            "bellwether.yaml:2",
            "thread",
            "bellwether.yaml:3",
            "many",
            "1..100000",
            "bellwether.yaml:4",
            "-1",
            "bellwether.yaml:5",
        ):
            self.assertIn(word, result.err)
        self.assertIn("engine.threads", run("serve", "--check", "--set", "engine.threads=lots", expect=2).err)
        self.assertIn(
            "BELLWETHER_ENGINE_THREDS", run("serve", "--check", env={"BELLWETHER_ENGINE_THREDS": "2"}, expect=2).err
        )
        self.assertIn("kafka.properties", run("serve", "--check", "--set", "kafka.properties=5", expect=2).err)


class DataFolder(unittest.TestCase):
    def setUp(self):
        self.events = WORK / "faults.jsonl"
        self.events.write_text(json.dumps(EVENT) + "\n", encoding="utf-8")

    def test_in_use(self):
        serve = Serve(folder("in-use"))
        try:
            serve.start()
            refused = run("replay", self.events, "--data", serve.data, expect=1)
            self.assertIn("in use", refused.err)
            self.assertIn(str(serve.process.pid), refused.err)
            second = Serve(serve.data)
            self.assertIn("in use", run("serve", *settings(second.settings), expect=1).err)
            serve.stop()
        finally:
            serve.end()
        run("replay", self.events, "--data", serve.data)

    def test_taken_port(self):
        serve = Serve(folder("port-1"))
        try:
            serve.start()
            refused = run(
                "serve", *settings({**Serve(folder("port-2")).settings, "service.listen": serve.address}), expect=1
            )
            self.assertIn(str(serve.port), refused.err)
        finally:
            serve.end()

    def test_other_version(self):
        data = folder("version")
        run("replay", self.events, "--data", data)
        subprocess.run(
            ["ldb", f"--db={data}/store", "--column_family=meta", "put", "format", "bellwether-store 999"],
            check=True,
            capture_output=True,
        )
        for command in (
            ["replay", self.events, "--data", data],
            ["dump", "--data", data],
            ["serve", *settings(Serve(data).settings)],
        ):
            self.assertIn("bellwether-store 999", run(*command, expect=1).err)

    def test_not_a_store(self):
        data = folder("stranger")
        (data / "store").mkdir()
        (data / "store" / "letters.txt").write_text("not yours", encoding="utf-8")
        self.assertIn("letters.txt", run("replay", self.events, "--data", data, expect=1).err)
        self.assertEqual(sorted(p.name for p in (data / "store").iterdir()), ["letters.txt"])
        run("dump", "--data", data / "missing", expect=1)

    def test_other_fixed_settings(self):
        data = folder("fixed")
        run("replay", self.events, "--data", data)
        for change in ("community.half_life_days=10", "community.hash_key=other", "engine.lateness_ms=5"):
            self.assertIn(
                change.split("=", maxsplit=1)[0].split(".")[1],
                run("replay", self.events, "--data", data, "--set", change, expect=1).err,
            )

    def test_full_disk(self):
        """Stops with a clear error, and goes on without loss once there is room."""
        disk = folder("disk")
        mounted = (
            os.geteuid() == 0
            and subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)], capture_output=True, check=False
            ).returncode
            == 0
        )
        if not mounted:
            self.skipTest("a small disk needs root and mount")
        try:
            events, _ = simulate(
                "same",
                "--users",
                2000,
                "--days",
                40,
                "--seed",
                5,
                "--ring",
                "20x10:0.9:burst",
                "--ring",
                "12x8:0.9:spread",
            )
            command = [
                "replay",
                events,
                "--data",
                disk / "data",
                *settings({"engine.commit_mb": 1, "engine.commit_ms": 10, "engine.commit_behind_ms": 50}),
            ]
            full = run(*command, expect=1)
            self.assertRegex(full.err, "(?i)no space left|disk is full")
            self.assertLess(len(full.err.splitlines()), 8, full.err)
            self.assertIn("disk/data", full.err)
            again = run(*command, expect=1)  # still full: refused again, nothing worse
            self.assertRegex(again.err, "(?i)no space left|disk is full")
            subprocess.run(["mount", "-o", "remount,size=600m", str(disk)], check=True)
            run(*command)
            whole = folder("disk-expected")
            run("replay", events, "--data", whole)
            self.assertEqual("", difference(dump(whole), dump(disk / "data")))
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)


class SmallDisk:
    """A disk of some megabytes; needs root."""

    def __init__(self, test, megabytes):
        self.path = folder("disk")
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(self.path)]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            test.skipTest("a small disk needs root and mount")

    def resize(self, megabytes):
        subprocess.run(["mount", "-o", f"remount,size={megabytes}m", str(self.path)], check=True)

    def fill(self):
        with open(self.path / "ballast", "ab", buffering=0) as ballast:
            for size in (1 << 16, 1):
                with contextlib.suppress(OSError):
                    while True:
                        ballast.write(b"x" * size)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", str(self.path)], check=True)


class FullDiskUnderServe(unittest.TestCase):
    """What was acknowledged is kept; what was not is refused with a status to repeat it; then it goes on where it stopped."""

    BATCH = 400

    def setUp(self):
        # Posts count the same whether they come in time or late: how long the disk was full does not tell in the scores.
        begin = datetime.datetime(2025, 3, 1, tzinfo=datetime.timezone.utc)
        self.lines = [
            json.dumps(
                {
                    "id": f"event-{i}",
                    "time": (begin + datetime.timedelta(seconds=17 * i)).isoformat(),
                    "user": f"user-{i * i % 997}",
                    "post": {"post": f"post-{i}", "kind": "POST_KIND_IDEA", "action": "POST_ACTION_PUBLISHED"},
                }
            )
            for i in range(60000)
        ]
        self.events = WORK / "full.jsonl"
        self.events.write_text("\n".join(self.lines) + "\n", encoding="utf-8")
        self.sent = 0  # lines acknowledged

    def publish(self, serve, lines_until=None):
        """Sends on from what is acknowledged; the status that ended it, or None."""
        until = len(self.lines) if lines_until is None else lines_until
        while self.sent < until:
            part = self.lines[self.sent : self.sent + self.BATCH]
            request = ingest_pb2.PublishRequest(events=[json_format.Parse(line, event_pb2.Event()) for line in part])
            try:
                serve.ingest().Publish(request, timeout=10)
            except grpc.RpcError as error:
                return error
            self.sent += len(part)
        return None

    def serve_on(self, disk, **more):
        serve = Serve(
            disk.path / "data",
            {"log.segment_mb": 1, "engine.commit_mb": 1, "engine.commit_ms": 50, "service.drain_s": 2, **more},
        )
        serve.log_path = WORK / "full-disk.log"
        serve.log_path.unlink(missing_ok=True)
        return serve

    def test_stops_and_goes_on(self):
        with SmallDisk(self, 9) as disk:
            serve, again = self.serve_on(disk), None
            try:
                serve.start()
                error = wait_for("the disk to be full", lambda: self.publish(serve), 60)
                self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE, error.details())
                self.assertRegex(error.details(), "(?i)no space left|service ends|draining|connect|socket")
                self.assertGreater(self.sent, self.BATCH)
                # Whether what the store still writes fits is chance: it may lie in blocks that its log had reserved. Where
                # it does not, serve ends; until then, and where it does, it answers or says that it is going.
                until = time.monotonic() + 15
                while serve.process.poll() is None and time.monotonic() < until:
                    try:
                        serve.status()
                    except grpc.RpcError as other:  # one that has ended is waited for until the deadline
                        if other.code() != grpc.StatusCode.DEADLINE_EXCEEDED or serve.process.poll() is None:
                            self.assertEqual(other.code(), grpc.StatusCode.UNAVAILABLE, other.details())
                    time.sleep(0.2)
                if serve.process.poll() is None:
                    self.assertGreater(serve.said(" error the log takes nothing in, .*no space left"), 0)
                    serve.process.send_signal(signal.SIGTERM)
                    self.assertIn(serve.wait(60, expect=None), (0, 1))  # its last positions may find no room
                else:
                    serve.wait(1, expect=1)
                    said = serve.log().splitlines()
                    self.assertRegex(said[-1], "(?i)^bellwether: .*no space left")
                    self.assertIn(str(disk.path), said[-1])
                self.assertEqual(serve.said("assert|abort|terminate"), 0)
                # Still full, to the last byte: the same again, nothing worse.
                disk.fill()
                again = self.serve_on(disk)
                again.spawn()
                again.wait(60, expect=1)
                self.assertRegex(again.log().splitlines()[-1], "(?i)no space left")
                disk.resize(600)
                serve.start()
                self.assertIsNone(self.publish(serve))
                status = serve.wait_consumed(len(self.lines))
                account = status.account
                # A request that was refused may stand in the log all the same: its repeat is a duplicate.
                self.assertEqual(account.consumed - account.duplicate, len(self.lines))
                self.assertEqual(account.dead_lettered, 0)
                serve.stop()
                whole = folder("full-expected")
                run("replay", self.events, "--data", whole)
                run("serve", "--until-end", *settings(serve.settings))  # as far in time as a replay goes
                self.assertEqual(self.scores(whole), self.scores(disk.path / "data"))
            finally:
                serve.end()
                if again:
                    again.end()

    def test_the_log_alone_is_full(self):
        """It goes on answering, refuses what is published and says so once; with room it takes it again."""
        with SmallDisk(self, 1) as disk:
            data = folder("full-log")
            (data / "log").symlink_to(disk.path)
            serve = Serve(data, {"log.segment_mb": 1, "service.drain_s": 2})
            try:
                serve.start()
                for _ in range(2):
                    error = wait_for("the log to be full", lambda: self.publish(serve), 60)
                    self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE, error.details())
                    self.assertRegex(error.details(), "(?i)no space left")
                self.assertEqual(serve.said(" error the log takes nothing in, .*no space left"), 1)
                kept = self.sent
                self.assertGreaterEqual(serve.wait_consumed(kept).account.consumed, kept)
                disk.resize(600)
                self.assertIsNone(self.publish(serve))
                serve.wait_consumed(len(self.lines))
                serve.stop()
            finally:
                serve.end()

    def scores(self, data):
        users = by_type(dump(data))["user"]
        self.assertGreater(len(users), 100)
        return {name: row["profiles"] for name, row in users.items()}


class CommandLine(unittest.TestCase):
    def test_exit_codes(self):
        self.assertRegex(run("version").out, r"^bellwether \d+\.\d+\.\d+")
        commands = ["serve", "replay", "dump", "simulate", "import", "evaluate", "ctl", "version"]
        overview = run("--help").out
        for command in commands:
            self.assertIn(command, overview)
            self.assertTrue(run(command, "--help").out.strip())
        for bad in (
            [],
            ["nonsense"],
            ["replay"],
            ["replay", "--nonsense", "x"],
            ["dump"],
            ["simulate", "--users", "many"],
            ["simulate", "--ring", "20by10"],
            ["import"],
            ["import", "csv", "x", "--kind", "like"],
            ["evaluate"],
            ["ctl"],
            ["ctl", "nonsense"],
            ["ctl", "top", "--output", "xml"],
            ["serve", "--config"],
        ):
            result = run(*bad, expect=2)
            self.assertTrue(result.err.strip(), f"{bad} says nothing")
        missing = WORK / "not-there"
        for failing in (
            ["replay", missing, "--data", folder("cli")],
            ["dump", "--data", missing],
            ["import", "edges", missing],
            ["evaluate", "--data", missing, "--labels", missing],
            ["import", "stackexchange", missing],
        ):
            result = run(*failing, expect=1)
            self.assertIn("not-there", result.err)

    def test_client_without_a_server(self):
        for command in (["top"], ["status"], ["user", "u1"], ["flags"]):
            result = run("ctl", *command, "--address", f"127.0.0.1:{free_port()}", expect=1)
            self.assertRegex(result.err, "(?i)reach|connect|running")
            self.assertIn("127.0.0.1", result.err)


class Requests(unittest.TestCase):
    """A request out of range is INVALID_ARGUMENT and names the field."""

    @classmethod
    def setUpClass(cls):
        cls.serve = Serve(folder("requests")).start()

    @classmethod
    def tearDownClass(cls):
        cls.serve.end()

    def refused(self, call, field, code=grpc.StatusCode.INVALID_ARGUMENT):
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        self.assertIn(field, caught.exception.details())
        trailers = dict(caught.exception.trailing_metadata())
        self.assertIn("grpc-status-details-bin", trailers)
        self.assertIn(field.encode(), trailers["grpc-status-details-bin"])

    def test_queries(self):
        users = self.serve.key_users()
        self.refused(lambda: users.GetUser(key_users_pb2.GetUserRequest(), timeout=5), "user")
        self.refused(
            lambda: users.GetUser(key_users_pb2.GetUserRequest(user="nobody"), timeout=5),
            "nobody",
            grpc.StatusCode.NOT_FOUND,
        )
        self.refused(lambda: users.ListUsers(key_users_pb2.ListUsersRequest(page_size=-1), timeout=5), "page_size")
        self.refused(
            lambda: users.ListUsers(key_users_pb2.ListUsersRequest(page_token="mine"), timeout=5), "page_token"
        )
        self.refused(lambda: users.ListUsers(key_users_pb2.ListUsersRequest(filter="tier = "), timeout=5), "filter")
        self.refused(lambda: users.ListUsers(key_users_pb2.ListUsersRequest(order_by="height"), timeout=5), "order_by")
        self.refused(
            lambda: users.GetLeaderboard(key_users_pb2.GetLeaderboardRequest(profile="no-such"), timeout=5), "profile"
        )

    def test_publish_and_read_back(self):
        bad = event_pb2.Event(id="x")
        self.refused(
            lambda: self.serve.ingest().Publish(ingest_pb2.PublishRequest(events=[bad]), timeout=5), "events[0]"
        )
        now = int(time.time())
        event = event_pb2.Event(id="mine", user="writer")
        event.time.seconds = now
        event.post.post, event.post.kind, event.post.action = (
            "my-post",
            event_pb2.POST_KIND_IDEA,
            event_pb2.POST_ACTION_PUBLISHED,
        )
        answer = self.serve.ingest().Publish(ingest_pb2.PublishRequest(events=[event]), timeout=10)
        # Read your own writes: the answer waits until the record is in it.
        read = self.serve.key_users().GetUser(
            key_users_pb2.GetUserRequest(user="writer", min_position=answer.positions), timeout=20
        )
        self.assertEqual(read.user.overall.score_micros, 1_000_000)

    def test_reflection_and_health(self):
        health = self.serve.channel().unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5)
        self.assertEqual(health, b"\x08\x01")
        listed = list(
            self.serve.channel().stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")(
                iter([b"\x3a\x00"]), timeout=5
            )
        )
        self.assertIn(b"bellwether.v1.KeyUsers", listed[0])

    def test_metrics(self):
        (WORK / "metrics.jsonl").write_text(json.dumps({**EVENT, "id": "of-metrics"}) + "\n", encoding="utf-8")
        self.serve.ctl_text("publish", WORK / "metrics.jsonl", "--wait", 20)
        metric = self.serve.metric
        consumed = wait_for("the metrics to be current", lambda: metric("bellwether_records_consumed_total"))
        parts = [
            metric(f"bellwether_records_{name}_total") for name in ("applied", "duplicate", "late", "dead_lettered")
        ]
        self.assertEqual(consumed, sum(parts))
        for name in (
            "lag_records",
            "watermark_seconds",
            "ticks_total",
            "commits_total",
            "cache_bytes",
            "memory_resident_bytes",
            "users",
        ):
            self.assertIsNotNone(metric(f"bellwether_{name}"), name)


class Roles(unittest.TestCase):
    def test_tokens(self):
        tokens = folder("tokens") / "tokens"
        tokens.write_text(
            "".join(
                f"{name}-token-0123456789abcdef {name} {name}\n"
                for name in ("member", "platform", "moderator", "admin")
            ),
            encoding="utf-8",
        )
        tokens.chmod(0o600)
        serve = Serve(folder("roles"), {"service.tokens": tokens})
        try:
            serve.spawn()
            wait_for(
                "the service",
                lambda: (
                    run(
                        "ctl",
                        "status",
                        "--address",
                        serve.address,
                        "--token",
                        "admin-token-0123456789abcdef",
                        expect=None,
                    ).code
                    == 0
                ),
            )

            def code(role, *arguments):
                words = ["--token", f"{role}-token-0123456789abcdef"] if role else []
                return run("ctl", *arguments, "--address", serve.address, *words, expect=None)

            self.assertEqual(code("moderator", "flags").code, 0)
            for role, arguments in (
                (None, ["top"]),
                ("nobody", ["top"]),
                ("member", ["flags"]),
                ("member", ["user", "platform"]),
                ("platform", ["flags"]),
            ):
                result = code(role, *arguments)
                self.assertEqual(result.code, 1, f"{role} {arguments}: {result}")
                self.assertRegex(result.err, "(?i)token|role|permission|allowed|may")
            refused = subprocess.run(
                [PROGRAM, "serve", *settings({**Serve(folder("open")).settings, "service.listen": "0.0.0.0:0"})],
                capture_output=True,
                text=True,
                timeout=30,
                env=environment(),
                check=False,
            )
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("tokens", refused.stderr)
            serve.stop()
        finally:
            serve.end()


if __name__ == "__main__":
    _ = pathlib, shutil
    unittest.main(verbosity=2)
