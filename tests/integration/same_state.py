"""The same events give the same state, byte for byte: from a file, through the embedded log and through Kafka with 1 and 4
partitions; with other numbers of shards, threads and batches; and killed at twenty random moments."""

import os
import random
import shutil
import subprocess
import time
import unittest

from lib.harness import *  # noqa: F403
from lib.harness import environment, settings


class SameState(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.events, cls.labels = simulate(
            "same", "--users", 2000, "--days", 40, "--seed", 5, "--ring", "20x10:0.9:burst", "--ring", "12x8:0.9:spread"
        )
        cls.lines = read_events(cls.events)
        data = folder("same-file")
        run("replay", cls.events, "--data", data)
        cls.expected = dump(data)
        cls.broker = None

    @classmethod
    def tearDownClass(cls):
        if cls.broker:
            cls.broker.wipe()

    def same(self, data, name):
        self.assertEqual("", difference(self.expected, dump(data)), name)

    def test_the_dump_says_something(self):
        rows = by_type(self.expected)
        self.assertGreater(len(rows["user"]), 1000)
        self.assertTrue(rows["flag"], "no planted ring was found")
        self.assertEqual(rows["account"]["consumed"], len(self.lines))
        self.assertGreater(rows["account"]["applied"], 0.99 * len(self.lines))
        self.assertEqual((rows["account"]["late"], rows["account"]["dead_lettered"]), (0, 0))
        lines = self.expected.splitlines()
        self.assertEqual(lines, sorted(lines))

    def test_shards_threads_batches(self):
        for shards, threads, batch in ((1, 1, 1), (2, 2, 7), (8, 8, 10000)):
            data = folder("same-shards")
            run(
                "replay",
                self.events,
                "--data",
                data,
                *settings({"engine.shards": shards, "engine.threads": threads, "engine.batch": batch}),
            )
            self.assertEqual(
                "", difference(self.expected, dump(data)), f"{shards} shards, {threads} threads, batches of {batch}"
            )

    def test_compressed_and_piped(self):
        data = folder("same-gz")
        subprocess.run(["gzip", "-kf", str(self.events)], check=True)
        run("replay", f"{self.events}.gz", "--data", data)
        self.same(data, "gzip")
        data = folder("same-pipe")
        run("replay", "-", "--data", data, stdin=self.events.read_text(encoding="utf-8"))
        self.same(data, "standard input")

    def test_embedded_log(self):
        # Served live first, so that the events are in the log; then the log alone is read to its end into a new store.
        first = Serve(folder("same-live"), {"log.partitions": 1})
        try:
            first.start()
            first.ctl_text("publish", self.events)
            first.kill()
        finally:
            first.end()
        data = folder("same-log")
        shutil.copytree(first.data / "log", data / "log")
        run("serve", "--until-end", *settings(Serve(data).settings))
        self.same(data, "embedded log")

    def test_kafka(self):
        self.__class__.broker = broker = Broker("same-broker").start()
        for partitions in (1, 4):
            prefix = f"same{partitions}"
            broker.create(topics(prefix), partitions)
            produce_all(broker, self.lines, prefix, partitions)
            data = folder(f"same-kafka-{partitions}")
            serve = Serve(
                data,
                {"kafka.brokers": broker.address, "kafka.topics": ",".join(topics(prefix)), "kafka.outputs": "false"},
            )
            run("serve", "--until-end", *settings(serve.settings))
            self.same(data, f"Kafka, {partitions} partitions")

    def test_killed_at_twenty_moments(self):
        seed = int(os.environ.get("BELLWETHER_TEST_SEED", time.time_ns() % 1_000_000))
        chance, data = random.Random(seed), folder("same-killed")
        # Small commits and often, so that a kill falls into every part of one; slow enough to be killed twenty times.
        command = [
            PROGRAM,
            "replay",
            str(self.events),
            "--data",
            str(data),
            *settings(
                {
                    "engine.commit_ms": 10,
                    "engine.commit_behind_ms": 20,
                    "engine.commit_mb": 1,
                    "engine.batch": 7,
                    "engine.threads": 2,
                }
            ),
        ]
        begin = time.monotonic()
        full = folder("same-timed")
        run(*command[1:3], "--data", full, *command[5:])
        whole = time.monotonic() - begin
        kills = 0
        while kills < 20:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
            try:
                code = process.wait(chance.uniform(0, whole / 8))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                continue
            self.assertEqual(code, 0, f"seed {seed}")
            # Through before the twentieth kill: once more from the beginning.
            self.same(data, f"killed {kills} times, seed {seed}")
            data = folder("same-killed")
        run(*command[1:])
        self.same(data, f"killed {kills} times, seed {seed} (BELLWETHER_TEST_SEED)")


if __name__ == "__main__":
    unittest.main(verbosity=2)
