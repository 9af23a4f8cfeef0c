"""One broker with every kind of listener for several test modules, and small communities to send to it."""

import json
import sys
import unittest

import confluent_kafka
import confluent_kafka.admin

from lib.harness import *  # noqa: F403
from secure import Authority

OPTIONS = "log.cleaner.backoff.ms=300 transaction.max.timeout.ms=900000"


class OddBroker(Broker):
    """Listeners without TLS, with mutual TLS, with SCRAM over TLS, and with a certificate that has expired."""

    def __init__(self):
        super().__init__("odd-broker")
        where = folder("odd-certificates")
        self.ours, self.strangers = Authority(where, "ours"), Authority(where, "strangers")
        for name, days in (("broker", 2), ("expired", -1)):
            certificate, key = self.ours.issue(name, days=days)
            certificate.write_text(key.read_text() + certificate.read_text(), encoding="utf-8")
        (where / "ca.pem").write_text(self.ours.ca.read_text(), encoding="utf-8")
        self.env |= {"BELLWETHER_BROKER_TLS": str(where), "BELLWETHER_BROKER_OPTS": OPTIONS}

    def start(self):
        super().start()
        ports = (self.folder / "ports-tls").read_text(encoding="utf-8").split()
        self.mutual, self.scram, self.expired = (f"127.0.0.1:{port}" for port in ports)
        return self

    def delete(self, topic):
        client = self.admin()  # its answers end with it
        for future in client.delete_topics([topic]).values():
            future.result(30)

    def delete_below(self, topic, offset, partition=0):
        wanted = [confluent_kafka.TopicPartition(topic, partition, offset)]
        client = self.admin()
        for future in client.delete_records(wanted).values():
            future.result(30)

    def client(self, **settings):
        return confluent_kafka.Producer(
            {"bootstrap.servers": self.address, "log_level": 0, "acks": "all"}
            | {name.replace("_", "."): value for name, value in settings.items()}
        )

    def send(self, topic, values, producer=None, keys=None):
        producer, failed = producer or self.client(), []
        for number, value in enumerate(values):
            producer.produce(
                topic,
                value=value,
                key=keys[number] if keys else None,
                partition=0,
                on_delivery=lambda error, _: error and failed.append(str(error)),
            )
            producer.poll(0)
        assert producer.flush(60) == 0 and not failed, f"not delivered: {failed[:3]}"

    def user(self, name, password, mechanism):
        change = confluent_kafka.admin.UserScramCredentialUpsertion(
            name,
            confluent_kafka.admin.ScramCredentialInfo(
                getattr(confluent_kafka.admin.ScramMechanism, mechanism.replace("-", "_")), 4096
            ),
            password.encode(),
        )
        client = self.admin()
        for future in client.alter_user_scram_credentials([change]).values():
            future.result(30)


class _One:
    broker = None


def one_broker():
    """Started by whoever asks first."""
    if _One.broker is None:
        _One.broker = OddBroker().start()
    return _One.broker


def wipe_one_broker():
    if _One.broker is not None:
        _One.broker.wipe()
        _One.broker = None


def main():
    """Runs the tests of the module that is the program."""
    try:
        program = unittest.main(verbosity=2, exit=False)
    finally:
        wipe_one_broker()
    sys.exit(not program.result.wasSuccessful())


def event(number, name="e"):
    """The number-th event of a community, two minutes after the one before it."""
    minute = 2 * number
    when = f"2025-03-{1 + minute // 1440:02d}T{minute % 1440 // 60:02d}:{minute % 60:02d}:00Z"
    row = {"id": f"{name}-{number}", "time": when, "user": f"u{number * 7 % 11}"}
    if number % 4 == 0:
        row["post"] = {"post": f"p{number}", "kind": "POST_KIND_IDEA", "action": "POST_ACTION_PUBLISHED"}
    else:
        of = number - number % 4
        row["like"] = {"post": f"p{of}", "author": f"u{of * 7 % 11}", "kind": "LIKE_KIND_LIKE"}
    return json.dumps(row)


def events(begin, end, name="e"):
    return [event(number, name).encode() for number in range(begin, end)]


def replayed(name, lines):
    """The dump of a replay of these lines."""
    path, data = WORK / f"{name}.jsonl", folder(f"{name}-replay")
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    run("replay", path, "--data", data)
    return dump(data)


def reader(name, topic, options=None, **more):
    """A serve of its own on one topic."""
    return Serve(
        folder(name),
        {"kafka.brokers": one_broker().address, "kafka.topics": topic, "kafka.outputs": "false", **(options or {})},
        **more,
    )


def until_end(serve, *arguments, expect=0):
    return run("serve", "--until-end", *arguments, *settings(serve.settings), expect=expect)


__all__ = [name for name in globals() if not name.startswith("_")]
