"""Kafka as it is: transactions, compaction, every compression, records too large, records and topics that are gone, a broker that dies or
hangs. What was read must be what is there, and the state that of the same events without the oddities."""

import signal
import time
import unittest

import confluent_kafka

from kafka_secure import Security
from lib.harness import out_pb2
from lib.one_broker import *  # noqa: F403


class Input(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = one_broker()
        Security.setUpClass()

    def transactional(self, name):
        producer = self.broker.client(transactional_id=name, transaction_timeout_ms=600000)
        producer.init_transactions(60)
        return producer

    def account(self, data):
        return by_type(dump(data))["account"]

    def test_transactions(self):
        """What was aborted is not there; an open transaction is waited for, not passed over."""
        topic, lines = "odd-transactions", events(0, 120)
        self.broker.create([topic])
        first, second = self.transactional("odd-1"), self.transactional("odd-2")
        for begin in range(0, 100, 10):
            first.begin_transaction()
            self.broker.send(topic, lines[begin : begin + 10], first)
            first.commit_transaction(60)
            first.begin_transaction()  # would count, and would be no event
            self.broker.send(topic, [*events(begin, begin + 3, "aborted"), b"no event"], first)
            first.abort_transaction(60)
        second.begin_transaction()
        self.broker.send(topic, lines[100:105], second)
        self.broker.send(topic, lines[105:110])  # committed behind the open one
        serve = reader("odd-transactions", topic)
        try:
            serve.start()
            serve.wait_consumed(100)
            time.sleep(2)
            status = serve.status()
            self.assertEqual((status.account.consumed, status.account.pending), (100, 0))
            second.commit_transaction(60)
            serve.wait_consumed(110)
            second.begin_transaction()
            self.broker.send(topic, events(110, 115, "aborted"), second)
            self.broker.send(topic, lines[110:120])
            second.abort_transaction(60)
            status = serve.wait_consumed(120)
            self.assertEqual((status.account.consumed, status.account.gap), (120, 0))
            self.assertEqual([p.lag_records for p in status.partitions], [0])
            serve.stop()
        finally:
            serve.end()
        self.assertEqual("", difference(replayed("odd-transactions", lines), dump(serve.data)))

    def test_compaction(self):
        """Offsets that a compaction took jump; that is no gap in what is there."""
        topic, lines = "odd-compacted", events(0, 50)
        self.broker.create(
            [topic],
            **{
                "cleanup.policy": "compact",
                "segment.ms": "50",
                "min.cleanable.dirty.ratio": "0.01",
                "min.compaction.lag.ms": "0",
                "max.compaction.lag.ms": "100",
            },
        )
        keys = [f"k{number}" for number in range(50)]
        for _ in range(3):
            self.broker.send(topic, [b"replaced later"] * 50, keys=keys)
            time.sleep(0.2)
        self.broker.send(topic, lines, keys=keys)
        time.sleep(0.2)
        self.broker.send(topic, events(50, 51), keys=["last"])  # rolls the segment
        lines += events(50, 51)
        wait_for("the compaction", lambda: len(self.broker.read(topic)) == 51, 60, 0.5)
        serve = reader("odd-compacted", topic)
        until_end(serve)
        self.assertEqual("", difference(replayed("odd-compacted", lines), dump(serve.data)))
        self.assertEqual((self.account(serve.data)["consumed"], self.account(serve.data)["gap"]), (51, 0))

    def test_compressions_and_large_records(self):
        topic, lines = "odd-compressed", events(0, 100)
        self.broker.create([topic], **{"max.message.bytes": "8388608"})
        for number, codec in enumerate(("gzip", "snappy", "lz4", "zstd", "none")):
            producer = self.broker.client(compression_type=codec, linger_ms=50, message_max_bytes=8000000)
            part = lines[number * 20 : number * 20 + 20]
            part[10] += b" " * 5_000_000  # far beyond what one fetch asks for
            lines[number * 20 + 10] = part[10]
            self.broker.send(topic, part, producer)
        serve = reader("odd-compressed", topic)
        until_end(serve)
        self.assertEqual("", difference(replayed("odd-compressed", lines), dump(serve.data)))
        account = self.account(serve.data)
        self.assertEqual((account["consumed"], account["applied"]), (100, 95))
        self.assertEqual(account["dead_lettered"], 5)  # read, and longer than an event may be

    def test_record_larger_than_the_client_may_take(self):
        """Said, with what to do, not at every try; nothing is lost, and it goes on once it may."""
        topic, lines = "odd-large", events(0, 20)
        self.broker.create([topic], **{"max.message.bytes": "8388608"})
        lines[10] += b" " * 5_000_000
        self.broker.send(topic, lines, self.broker.client(message_max_bytes=8000000))
        bounds = {
            "kafka.properties.fetch.max.bytes": 1_100_000,
            "kafka.properties.message.max.bytes": 1_000_000,
            "kafka.properties.receive.message.max.bytes": 1_200_000,
        }
        serve = reader("odd-large", topic, bounds)
        try:
            serve.start()
            wait_for(lambda: f"not said:\n{serve.log()}", lambda: serve.said("receive.message.max.bytes"), 30)
            time.sleep(4)
            self.assertEqual(serve.said("receive.message.max.bytes"), 1, serve.log())
            self.assertLessEqual(serve.status().account.consumed, 10)
            serve.stop()
            for name in bounds:
                del serve.settings[name]
            serve.start()
            serve.wait_consumed(20)
            serve.stop()
        finally:
            serve.end()
        self.assertEqual("", difference(replayed("odd-large", lines), dump(serve.data)))

    def test_gap(self):
        """Records that were deleted before they were read: the operator decides, and what was decided stands in the account."""
        topic, lines = "odd-gap", events(0, 100)
        self.broker.create([topic], **{"message.timestamp.after.max.ms": "9223372036854775807"})
        self.broker.send(topic, lines[:60])
        serve = reader("odd-gap", topic)
        try:
            serve.start()
            # Asked beside the reading: a reader that stops at the end may be gone before the broker has answered.
            unbound = f"topic {topic} carries its producers' times without a bound"
            wait_for(lambda: f"not said:\n{serve.log()}", lambda: serve.said(unbound), 30)
            serve.wait_consumed(60)
            serve.stop()
        finally:
            serve.end()
        until_end(serve)
        before = dump(serve.data)
        self.broker.send(topic, lines[60:])
        self.broker.delete_below(topic, 80)

        for _ in range(2):  # it stays
            refused = until_end(serve, expect=1)
            for word in (topic, r"\[0\]", "our offset 60", "first available is 80", "20 offsets", "--on-gap fail", "--on-gap skip"):
                self.assertRegex(refused.err, word)
            self.assertEqual(dump(serve.data), before)
        run("serve", "--check", "--on-gap", "sometimes", expect=2)
        self.assertIn("fail, skip", run("serve", "--check", "--set", "kafka.on_gap=sometimes", expect=2).err)

        serve.arguments = ["--on-gap", "skip"]
        try:
            serve.start()
            status = serve.wait_consumed(80)
            self.assertEqual((status.account.consumed, status.account.gap), (80, 20))
            self.assertEqual([p.account.gap for p in status.partitions], [20])
            self.assertRegex(serve.log(), f"gap passed over: topic={topic} partition=0 from=60 to=80 offsets=20")
            self.assertIn("20 offsets were gone", serve.ctl_text("status"))
            self.assertEqual(wait_for("the metric", lambda: serve.metric("bellwether_gap_offsets_total")), 20)
            serve.kill()
        finally:
            serve.end()
        # Decided once: a restart does not ask again.
        until_end(serve)
        rows, expected = by_type(dump(serve.data)), by_type(replayed("odd-gap", lines[:60] + lines[80:]))
        self.assertEqual(rows["account"].pop("gap"), 20)
        self.assertEqual(expected["account"].pop("gap"), 0)
        self.assertEqual(rows, expected)

    def test_gap_under_a_running_reader(self):
        """Retention passes a reader that hangs."""
        topic, lines = "odd-passed", events(0, 90)
        self.broker.create([topic])
        self.broker.send(topic, lines[:30])
        for choice in ("fail", "skip"):
            serve = reader(f"odd-passed-{choice}", topic, {"kafka.on_gap": choice})
            try:
                serve.start()
                serve.wait_consumed(30 if choice == "fail" else 5)
                serve.process.send_signal(signal.SIGSTOP)
                # The fetch that is under way is answered with the first record alone.
                new = lines[30:60] if choice == "fail" else lines[60:]
                self.broker.send(topic, new[:1])
                time.sleep(0.5)
                self.broker.send(topic, new[1:])
                self.broker.delete_below(topic, self.end_of(topic) - 5)
                serve.process.send_signal(signal.SIGCONT)
                if choice == "fail":
                    self.assertEqual(serve.wait(60, expect=None), 1)
                    self.assertRegex(serve.log(), rf"{topic} \[0\]: our offset 3\d is gone; the first available is 55")
                    # Begins where the topic begins now: what was deleted before it was seen is no gap.
                    self.broker.delete_below(topic, 55)
                else:
                    wait_for(
                        lambda: f"{serve.status().account}\n{serve.log()}",
                        lambda: (lambda a: a.consumed + a.gap + 55 == self.end_of(topic))(serve.status().account),
                        60,
                    )
                    self.assertGreater(serve.status().account.gap, 10)
                    serve.stop()
            finally:
                serve.end()

    def end_of(self, topic):
        reader_ = confluent_kafka.Consumer({"bootstrap.servers": self.broker.address, "group.id": "odd", "log_level": 0})
        try:
            return reader_.get_watermark_offsets(confluent_kafka.TopicPartition(topic, 0), 20)[1]
        finally:
            reader_.close()

    def test_topic_made_again(self):
        """Another topic of the same name is never read on, however long it has grown."""
        topic, lines = "odd-again", events(0, 50)
        self.broker.create([topic])
        self.broker.send(topic, lines)
        serve = reader("odd-again", topic)
        until_end(serve)
        before = dump(serve.data)
        for records, why in ((80, "another record"), (20, "the log ends at 20")):
            self.broker.delete(topic)
            wait_for("the topic to be gone", lambda: topic not in self.broker.admin().list_topics().topics, 30)
            self.broker.create([topic])
            self.broker.send(topic, events(50, 50 + records, "other"))
            for choice in ("fail", "skip"):
                refused = until_end(serve, "--on-gap", choice, expect=1)
                for word in (topic, why, "our offset is 50", "--on-gap"):
                    self.assertIn(word, refused.err)
                self.assertEqual(dump(serve.data), before)


class Survival(unittest.TestCase):
    """The broker is killed, and hangs for 20 s, while events come in and records go out."""

    def test_killed_and_stopped(self):
        broker, topic, bad = one_broker(), "odd-outage", 40
        broker.create([topic])
        broker.create([f"odd-out.{name}" for name in OUTPUTS], 2)
        out = {"kafka.outputs": "true", "kafka.out_prefix": "odd-out"}
        serve = reader("odd-outage", topic, out)
        values, feed = [], events(0, 400)
        for number, value in enumerate(feed):
            values.append(value)
            if number % 10 == 5:
                values.append(f"no event {number}".encode())
        failed = []
        try:
            serve.start()
            producer = broker.producer()
            self.addCleanup(lambda: broker.signal("CONT"))  # a stopped process cannot be ended
            begin, sent, killed, stopped, resumed = time.monotonic(), 0, False, False, False
            while sent < len(values) or not resumed:
                now = time.monotonic() - begin
                if sent < min(len(values), int(now * len(values) / 34)):
                    produce(producer, topic, 0, values[sent], failed)
                    sent += 1
                    continue
                producer.poll(0.02)
                if not killed and now > 3:
                    killed = True
                    self.assertGreater(serve.status().account.consumed, 0)
                    address = broker.address
                    broker.kill()
                    self.assertEqual(broker.start().address, address)
                if killed and not stopped and time.monotonic() - begin > 12:
                    stopped = time.monotonic()
                    broker.signal("STOP")
                if stopped and not resumed and time.monotonic() - stopped > 20:
                    resumed = True
                    broker.signal("CONT")
            self.assertEqual((producer.flush(120), failed), (0, []))
            self.assertTrue(killed and stopped and resumed)
            status = serve.wait_consumed(len(values))
            self.assertEqual(status.account.consumed, len(values))
            self.assertEqual((status.account.dead_lettered, status.account.late), (bad, 0))
            wait_for("the outbox to empty", lambda: serve.status().outbox_pending == 0, 60)
            serve.stop()
        finally:
            serve.end()

        # The same records by one that nothing happened to.
        calm = reader("odd-calm", topic, {**out, "kafka.out_prefix": "odd-calm"})
        try:
            calm.start()
            calm.wait_consumed(len(values))
            wait_for("the outbox to empty", lambda: calm.status().outbox_pending == 0, 60)
            calm.stop()
        finally:
            calm.end()
        last = 0
        for prefix in ("odd-out", "odd-calm"):
            letters = self.records(broker, f"{prefix}.deadletters", out_pb2.DeadLetter)
            self.assertEqual(
                sorted(record.raw for record in letters.values()), sorted(v for v in values if v.startswith(b"no"))
            )
        for name, kind in (("tiers", out_pb2.TierRecord), ("scores", out_pb2.ScoreRecord)):
            ours, theirs = (self.records(broker, f"{prefix}.{name}", kind) for prefix in ("odd-out", "odd-calm"))
            # Quiet floors go on by the wall's time behind the last event: what falls due there may come in one and not the other yet.
            end = max((record.time.seconds for record in [*ours.values(), *theirs.values()]), default=0) - 120
            for records in (ours, theirs):
                for late in [i for i, record in records.items() if record.time.seconds > end]:
                    del records[late]
            self.assertEqual(ours, theirs)
            last += len(ours)
        self.assertGreater(last, 100)

    def records(self, broker, topic, kind):
        """By id, repeats dropped; a repeat must be the same."""
        found = {}
        for _, value in broker.read(topic):
            record = kind.FromString(value)
            self.assertTrue(record.id)
            self.assertEqual(found.setdefault(record.id, record), record, f"{topic}: {record.id} came twice and differs")
        return found


if __name__ == "__main__":
    main()
