"""Backups, restore, check and rebuild end to end: of a service under load, of a stopped folder, of damaged ones, and what is refused."""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import confluent_kafka
import grpc

from lib.harness import *  # noqa: F403
from lib.harness import admin_pb2
from lib.load import Feed, Findings, Publisher
from lib.undisturbed import control_rows, undisturbed


COMMUNITY = ("--users", 1200, "--days", 30, "--seed", 7, "--ring", "20x10:0.9:burst")


def tree(path):
    """Every file below a folder with its content, but for the locks, which opening a store touches."""
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(pathlib.Path(path).rglob("*"))
        if file.is_file() and file.name not in ("LOCK", "lock")
    }


def other_disk():
    """A folder on another file system than WORK, or None."""
    for place in ("/dev/shm", "/run", tempfile.gettempdir()):
        with contextlib.suppress(OSError):
            if os.stat(place).st_dev != os.stat(WORK).st_dev and os.access(place, os.W_OK):
                return pathlib.Path(tempfile.mkdtemp(prefix="bellwether-", dir=place))
    return None


def read_on(data, options=None):
    """Reads a data folder's own log to its end; gives the Serve that did."""
    serve = Serve(data, options, ["--until-end"])
    try:
        serve.spawn().wait()
    finally:
        serve.end()
    return serve


class UnderLoad(unittest.TestCase):
    """One service that takes events all the time, and backups of it meanwhile."""

    OPTIONS = {"log.segment_mb": 1, "engine.commit_ms": 50, "engine.block_cache_mb": 8, "engine.write_buffer_mb": 4}

    @classmethod
    def setUpClass(cls):
        cls.events, _ = simulate("backup", *COMMUNITY)
        cls.serve = Serve(folder("backup-live"), cls.OPTIONS)
        cls.elsewhere = other_disk()
        cls.backups = []
        try:
            cls.serve.start()
            # The community must last until the last backup is made, which takes as long as the program is slow.
            cls.feed = Feed(cls.events, mark_every=10**9, per_second=300 if SANITIZER else 3000)
            cls.findings = Findings()
            publishers = [Publisher(cls.serve.address, cls.feed, cls.findings) for _ in range(2)]
            for publisher in publishers:
                publisher.start()
            folded = lambda: int(cls.serve.ctl("status")["account"].get("consumed", 0)) > 500  # noqa: E731
            wait_for(cls.serve.log, folded)
            targets = [(WORK / f"backup-{n}", ()) for n in range(3)] + [(WORK / "backup-copy", ("--copy",))]
            if cls.elsewhere:
                targets.append((cls.elsewhere / "backup", ()))
            for target, flags in targets:
                shutil.rmtree(target, ignore_errors=True)
                time.sleep(1.5)
                acknowledged = cls.feed.acknowledged
                cls.backups.append((target, cls.serve.ctl("backup", "--to", target, *flags), acknowledged))
            cls.feed.stop()
            cls.feed.lines.close()
            for publisher in publishers:
                publisher.join(60)
            cls.findings.check()
            cls.serve.stop()
        except BaseException:
            cls.serve.end()
            raise

    @classmethod
    def tearDownClass(cls):
        if cls.elsewhere:
            shutil.rmtree(cls.elsewhere, ignore_errors=True)

    def test_read_on(self):
        """Restored, a backup is whole, holds all that was acknowledged before it, and reads on to what a fresh run comes to."""
        for number, (target, _, acknowledged) in enumerate(self.backups):
            with self.subTest(backup=target.name):
                data = WORK / f"backup-restored-{number}"
                shutil.rmtree(data, ignore_errors=True)
                run("restore", "--from", target, "--data", data)
                self.assertIn("nothing is wrong", run("check", "--data", data).out)
                serve = read_on(data, self.OPTIONS)
                self.assertGreaterEqual(by_type(dump(data))["account"]["consumed"], acknowledged)
                self.assertIn("nothing is wrong", run("check", "--data", data).out)
                if number in (0, len(self.backups) - 1):
                    again = undisturbed(serve, folder("backup-again"))
                    again.arguments = ["--until-end"]
                    try:
                        again.spawn().wait()
                    finally:
                        again.end()
                    self.assertEqual("", difference(dump(again.data), dump(data)))

    def test_while_the_log_grew(self):
        """Otherwise the load was none: each backup holds more than the one before, and less than there was at the end."""
        read = [sum(int(p.get("offset", 0)) for p in answer["asOf"]["positions"]) for _, answer, _ in self.backups]
        self.assertEqual(read, sorted(read))
        self.assertGreater(read[1], read[0])
        self.assertGreater(self.feed.acknowledged, read[-1])
        self.assertGreater(read[0], 100)

    def test_links(self):
        """Files that never change are shared on one file system, and only there."""
        shared = [int(answer.get("linkedBytes", 0)) for _, answer, _ in self.backups]
        self.assertGreater(shared[2], 0)
        self.assertEqual(shared[3], 0, "--copy")
        links = [path.stat().st_nlink for path in (WORK / "backup-copy").rglob("*") if path.is_file()]
        self.assertEqual(set(links), {1})
        if self.elsewhere:
            self.assertEqual(shared[4], 0, "on another file system")

    def test_the_service_went_on(self):
        self.assertIn("nothing is wrong", run("check", "--data", self.serve.data).out)
        self.assertIn("is in use", run_refused_while_open(self.serve.data))

    def test_rebuild(self):
        """Of the stopped service, with all its idle and quiet floors: the same, row for row; beside first, then the rest."""
        data = folder("backup-rebuild")
        shutil.copytree(self.serve.data, data, dirs_exist_ok=True)
        expected = dump(data)
        told = run("rebuild", "--data", data, "--beside", self.backups[0][0])
        self.assertIn("the same, row for row", told.out)
        self.assertIn("not switched", told.out)
        self.assertEqual(expected, dump(data))
        told = run("rebuild", "--data", data, "--remove-old")
        self.assertIn("the same, row for row", told.out)
        self.assertEqual(expected, dump(data))
        self.assertEqual(control_rows(self.serve.data), control_rows(data))
        self.assertEqual(sorted(path.name for path in data.iterdir() if path.is_dir()), ["log", "store"])
        self.assertIn("nothing is wrong", run("check", "--data", data).out)
        # And it goes on as the one it took the place of.
        other = folder("backup-rebuild-other")
        shutil.copytree(self.serve.data, other, dirs_exist_ok=True)
        for folder_ in (data, other):
            read_on(folder_, self.OPTIONS)
        self.assertEqual("", difference(dump(other), dump(data)))


def run_refused_while_open(data):
    """What `check` says of a folder that a service has open."""
    serve = Serve(data)
    try:
        serve.start()
        texts = [run(*words, "--data", data, expect=1).err for words in (["check"], ["rebuild"])]
        said = run("backup", "--data", data, "--to", WORK / "backup-never", expect=1).err
        assert "ctl backup" in said and not (WORK / "backup-never").exists(), said
        serve.stop()
        assert all("is in use" in text for text in texts), texts
        return texts[0]
    finally:
        serve.end()


class Stopped(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.events, _ = simulate("stopped", "--users", 400, "--days", 20, "--seed", 3, "--ring", "20x10:0.9:burst")
        cls.many, _ = simulate("backup", *COMMUNITY)
        cls.data = folder("stopped")
        run("replay", cls.events, "--data", cls.data)
        cls.expected = dump(cls.data)

    def copy(self, name):
        data = folder(name)
        shutil.copytree(self.data, data, dirs_exist_ok=True)
        return data

    def absent(self, name):
        shutil.rmtree(WORK / name, ignore_errors=True)
        return WORK / name

    def test_there_and_back(self):
        before = tree(self.data)
        target = self.absent("stopped-backup")
        run("backup", "--data", self.data, "--to", target)
        self.assertEqual(before, tree(self.data))
        for data in (self.absent("stopped-restored"), folder("stopped-empty")):
            run("restore", "--from", target, "--data", data)
            self.assertEqual(self.expected, dump(data))
            self.assertIn("nothing is wrong", run("check", "--data", data).out)

    def test_check_changes_nothing(self):
        before = tree(self.data)
        run("check", "--data", self.data)
        self.assertEqual(before, tree(self.data))

    def test_refused(self):
        target = self.absent("stopped-refused")
        run("backup", "--data", self.data, "--to", target)
        self.assertIn("is there already", run("backup", "--data", self.data, "--to", target, expect=1).err)
        self.assertIn("is not empty", run("restore", "--from", target, "--data", self.data, expect=1).err)
        self.assertIn("is no backup", run("restore", "--from", self.data, "--data", WORK / "never", expect=1).err)
        self.assertIn("there is no", run("restore", "--from", WORK / "none", "--data", WORK / "never", expect=1).err)
        missing = run("backup", "--data", self.data, "--to", WORK / "no" / "such", expect=1).err
        self.assertIn("No such file", missing)
        (WORK / "cut.partial").mkdir(exist_ok=True)
        self.assertIn("cut off", run("backup", "--data", self.data, "--to", WORK / "cut", expect=1).err)
        self.assertIn("no store", run("backup", "--data", WORK / "cut.partial", "--to", WORK / "x", expect=1).err)
        self.assertFalse((WORK / "never").exists() or (WORK / "cut").exists())

    def test_damaged_backup(self):
        target = self.absent("stopped-damaged")
        run("backup", "--data", self.data, "--to", target, "--copy")
        largest = max((target / "store").iterdir(), key=lambda path: path.stat().st_size)
        content = bytearray(largest.read_bytes())
        content[len(content) // 2] ^= 1
        largest.write_bytes(content)
        said = run("restore", "--from", target, "--data", WORK / "never", expect=1).err
        self.assertIn(f"store/{largest.name}", said)
        self.assertIn("damaged", said)
        largest.unlink()
        self.assertIn("missing", run("restore", "--from", target, "--data", WORK / "never", expect=1).err)
        self.assertFalse((WORK / "never").exists())

    def test_full_disk(self):
        disk = folder("disk")
        mounted = (
            os.geteuid() == 0
            and subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
            ).returncode
            == 0
        )
        if not mounted:
            self.skipTest("a small disk needs root and mount")
        try:
            self.assertIn("disk is full", run("backup", "--data", self.data, "--to", disk / "b", expect=1).err)
            self.assertEqual([], list(disk.iterdir()))
            target = self.absent("stopped-full")
            run("backup", "--data", self.data, "--to", target)
            for data in (disk, disk / "data"):
                self.assertIn("disk is full", run("restore", "--from", target, "--data", data, expect=1).err)
                self.assertEqual([], list(disk.iterdir()))
            # The running service says the same, leaves nothing, and goes on.
            serve = Serve(self.copy("stopped-serve"))
            try:
                serve.start()
                said = run("ctl", "backup", "--to", disk / "b", "--address", serve.address, expect=None)
                self.assertNotEqual(0, said.code)
                self.assertIn("disk is full", said.err)
                self.assertEqual([], list(disk.iterdir()))
                serve.ctl("status")
                serve.stop()
            finally:
                serve.end()
        finally:
            subprocess.run(["umount", str(disk)], check=False)

    def test_interrupted(self):
        """A backup that is killed leaves no folder of its name."""
        for number in range(5):
            target = self.absent("stopped-killed")
            shutil.rmtree(str(target) + ".partial", ignore_errors=True)
            process = subprocess.Popen(
                [PROGRAM, "backup", "--data", str(self.data), "--to", str(target), "--copy"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(0.01 * number)
            process.send_signal(signal.SIGKILL)
            process.wait(30)
            if target.exists():
                run("restore", "--from", target, "--data", self.absent("stopped-killed-restored"))

    def test_rebuild_of_a_damaged_state(self):
        """A user's scores gone from the store: check names it, rebuild brings it back, says what differed, and keeps the old store."""
        data = self.copy("stopped-damaged-state")
        ldb = ["ldb", f"--db={data}/store", "--column_family=state", "--key_hex", "--value_hex"]
        rows = subprocess.run([*ldb, "scan"], check=True, capture_output=True, text=True).stdout.splitlines()
        # Slice of 2 bytes, then operator 5, scores, and kind 1, users.
        keys = [row.split(" : ")[0] for row in rows if re.match(r"0x....000501", row)]
        self.assertGreater(len(keys), 100)
        subprocess.run([*ldb, "delete", keys[7]], check=True, capture_output=True)
        found = run("check", "--data", data, expect=1)
        self.assertIn("index: ", found.out)
        self.assertIn("counter: ", found.out)
        self.assertIn("bellwether rebuild", found.out)
        self.assertIn("nothing was changed", found.err)
        told = run("rebuild", "--data", data, "--remove-old").out
        self.assertIn("DIFFERS", told)
        self.assertIn("states: 0 rows differ, 0 are in the old one only, 1 in the new one only", told)
        self.assertIn('+ {"type":"user"', told)
        self.assertEqual(self.expected, dump(data))
        self.assertIn("nothing is wrong", run("check", "--data", data).out)
        # What differs is kept, whatever the options say.
        self.assertNotEqual(self.expected, dump(data / "before-rebuild"))

    def test_rebuild_refused(self):
        """Where the log does not go back far enough, or is not the one that was read."""
        data = self.copy("stopped-file-gone")
        moved = self.events.with_suffix(".moved")
        self.events.rename(moved)
        try:
            self.assertIn(self.events.name, run("rebuild", "--data", data, expect=1).err)
        finally:
            moved.rename(self.events)
        self.assertEqual(self.expected, dump(data))

    def test_rebuild_of_a_log_cut_by_retention(self):
        data = folder("stopped-retention")
        serve = Serve(data, {"log.segment_mb": 1})
        try:
            serve.start()
            run("ctl", "publish", self.many, "--wait", 60, "--address", serve.address)
            serve.stop()
        finally:
            serve.end()
        segments = sorted((data / "log" / "0").glob("*.seg"))
        self.assertGreater(len(segments), 1)
        kept = WORK / "stopped-segment"
        segments[0].rename(kept)
        said = run("rebuild", "--data", data, expect=1).err
        self.assertIn("no longer goes back far enough", said)
        self.assertIn("log/0 begins at offset", said)
        kept.rename(segments[0])
        newest = segments[-1].read_bytes()
        segments[-1].write_bytes(newest[: len(newest) // 2])
        self.assertIn("cut short", run("rebuild", "--data", data, expect=1).err)
        self.assertIn("up to", run("check", "--data", data, expect=1).out)
        segments[-1].write_bytes(newest)
        # With the log whole, but a store that cannot be opened: from the logs alone.
        expected = by_type(dump(data))
        (data / "store" / "CURRENT").write_text("MANIFEST-999999\n", encoding="utf-8")
        self.assertIn("--fresh", run("rebuild", "--data", data, expect=1).err)
        run("rebuild", "--data", data, "--fresh")
        self.assertEqual(expected["account"], by_type(dump(data))["account"])
        self.assertEqual(expected["user"].keys(), by_type(dump(data))["user"].keys())
        self.assertIn("nothing is wrong", run("check", "--data", data).out)


class Kafka(unittest.TestCase):
    def test_rebuild(self):
        """From the topics: the same, out records that wait included; refused where retention has deleted what was read."""
        events, _ = simulate("stopped", "--users", 400, "--days", 20, "--seed", 3, "--ring", "20x10:0.9:burst")
        lines = read_events(events)
        broker = Broker("backup-broker").start()
        serve = Serve(folder("backup-kafka"), {"kafka.brokers": broker.address})
        try:
            broker.create(topics("community"), 2)
            broker.create([f"bellwether.{name}" for name in OUTPUTS])
            produce_all(broker, lines, "community", 2, shares=(7, 3))
            serve.start().wait_consumed(len(lines))
            target = WORK / "backup-kafka-backup"
            shutil.rmtree(target, ignore_errors=True)
            serve.ctl("backup", "--to", target)
            serve.stop()
            expected = dump(serve.data)
            rebuild = ["rebuild", "--set", f"kafka.brokers={broker.address}", "--data"]
            self.assertIn("the same, row for row", run(*rebuild, serve.data).out)
            self.assertEqual(expected, dump(serve.data))
            # It goes on from where it stood.
            serve.spawn()
            serve.wait_consumed(len(lines))
            serve.stop()
            self.assertEqual(by_type(expected)["account"], by_type(dump(serve.data))["account"])

            restored = WORK / "backup-kafka-restored"
            shutil.rmtree(restored, ignore_errors=True)
            run("restore", "--from", target, "--data", restored)
            self.assertIn("nothing is wrong", run("check", "--data", restored).out)
            self.assertIn("name the brokers", run("rebuild", "--data", restored, expect=1).err)
            self.assertIn("the same, row for row", run(*rebuild, restored, "--remove-old").out)

            client = broker.admin()  # its answers end with it
            for future in client.delete_records([confluent_kafka.TopicPartition("community.likes", 0, 100)]).values():
                future.result(30)
            refused = run(*rebuild, restored, expect=1).err
            self.assertIn("no longer goes back far enough: community.likes/0 begins at offset 100", refused)
            self.assertIn("nothing is wrong", run("check", "--data", restored).out)
        finally:
            serve.end()
            broker.wipe()


class Roles(unittest.TestCase):
    def test_admin_only(self):
        data = folder("backup-roles")
        tokens = WORK / "backup-tokens"
        tokens.write_text("token-of-moderator1 mo moderator\ntoken-of-the-admin1 root admin\n", encoding="utf-8")
        serve = Serve(data, {"service.tokens": tokens})
        try:
            serve.spawn()
            ask = ["ctl", "backup", "--address", serve.address, "--connect", 60, "--to"]
            refused = run(*ask, WORK / "backup-role", "--token", "token-of-moderator1", expect=None)
            self.assertNotEqual(0, refused.code)
            self.assertIn("Admin.CreateBackup is for admin", refused.err)
            self.assertFalse((WORK / "backup-role").exists())
            run(*ask, WORK / "backup-role", "--token", "token-of-the-admin1")
            self.assertTrue((WORK / "backup-role" / "manifest").exists())
            for to in ("", "relative/path"):
                with self.assertRaises(grpc.RpcError) as caught:
                    serve.admin().CreateBackup(
                        admin_pb2.CreateBackupRequest(to=to),
                        timeout=10,
                        metadata=[("authorization", "Bearer token-of-the-admin1")],
                    )
                self.assertEqual(grpc.StatusCode.INVALID_ARGUMENT, caught.exception.code())
            serve.stop()
        finally:
            serve.end()
            shutil.rmtree(WORK / "backup-role", ignore_errors=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
