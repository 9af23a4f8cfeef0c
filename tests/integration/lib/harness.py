"""What the end-to-end tests share: the program, a broker, topics, event encodings, and dumps to compare.

The tests drive the program from outside, as its users do: by its command line, by gRPC with a client library of its own, and by
Kafka with librdkafka's Python client and kcat. Nothing here links against it.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

import confluent_kafka
import confluent_kafka.admin
import grpc
from google.protobuf import json_format

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = os.environ.get("BELLWETHER_TEST_PROGRAM", str(ROOT / "build/release/bellwether"))
WORK = pathlib.Path(
    os.environ["BELLWETHER_TEST_WORK"]
)  # a folder of this run, made and deleted by tests/integration/run
BROKER_SCRIPT = ROOT / "tests/integration/broker"
INPUTS = ("posts", "likes", "referrals", "betatests", "judgements", "accounts")
OUTPUTS = ("scores", "tiers", "flags", "alerts", "deadletters")
TOPIC_OF_BODY = {
    "post": "posts",
    "like": "likes",
    "referral": "referrals",
    "betaTest": "betatests",
    "judgement": "judgements",
    "account": "accounts",
    "entitlementUse": "accounts",
    "feedback": "accounts",
}

sys.path.insert(0, str(WORK / "schemas"))
from bellwether.v1 import admin_pb2, admin_pb2_grpc, common_pb2, event_pb2, flag_pb2, flags_pb2, flags_pb2_grpc  # noqa: E402
from bellwether.v1 import ingest_pb2, ingest_pb2_grpc, key_users_pb2, key_users_pb2_grpc, out_pb2  # noqa: E402


def sanitizer():
    """The library of AddressSanitizer that the program is linked with, or None: tests/run --asan-integration."""
    linked = subprocess.run(["ldd", PROGRAM], capture_output=True, text=True, check=False).stdout
    found = re.search(r"libasan\.so\S* => (\S+)", linked)
    return found and found.group(1)


SANITIZER = sanitizer()


def environment(**more):
    """Variables of the tests' own are no settings of the program, which would refuse them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BELLWETHER_")}
    if SANITIZER:
        kept.setdefault("LSAN_OPTIONS", f"suppressions={ROOT}/tests/lsan.supp:print_suppressions=0")
        if "LD_PRELOAD" in more:  # it insists on being loaded before any other library
            more["LD_PRELOAD"] = f"{SANITIZER} {more['LD_PRELOAD']}"
    return {**kept, **more}


class Result:
    def __init__(self, arguments, code, out, err, seconds):
        self.arguments, self.code, self.out, self.err, self.seconds = arguments, code, out, err, seconds

    def __str__(self):
        return f"{' '.join(self.arguments)}: exit code {self.code}\n{self.out[-2000:]}\n{self.err[-4000:]}"


def run(*arguments, expect=0, timeout=180, stdin=None, env=None):
    """Runs the program to its end. `expect`: its exit code; None: any."""
    command = [PROGRAM, *map(str, arguments)]
    begin = time.monotonic()
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(**(env or {})),
        check=False,
    )
    result = Result(command, done.returncode, done.stdout, done.stderr, time.monotonic() - begin)
    assert expect is None or result.code == expect, f"expected exit code {expect}: {result}"
    return result


def run_json(*arguments, **more):
    return json.loads(run(*arguments, **more).out)


def free_port():
    """Below the range that the system hands out to clients, where a port may be taken between choice and use."""
    first, count = map(int, os.environ.get("BELLWETHER_TEST_PORTS", "20000,10000").split(","))
    for port in range(first + os.getpid() * 7 % (count - 1000), first + count):
        with contextlib.closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in free_port.given:
            free_port.given.add(port)
            return port
    raise RuntimeError("no free port")


free_port.given = set()


def wait_for(what, condition, timeout=60, every=0.2):
    """Waits until condition() is true, and gives what it gave."""
    until = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < until, f"after {timeout} s: {what() if callable(what) else what}"
        time.sleep(every)


def folder(name):
    path = WORK / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def settings(values):
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


# ---- dumps ----


def dump(data):
    return run("dump", "--data", data).out


def by_type(text):
    """The lines of a dump: {"user": {id: {...}}, "flag": {id: {...}}, "account": {...}}."""
    found = {"user": {}, "flag": {}, "account": {}}
    for line in text.splitlines():
        row = json.loads(line)
        if row["type"] == "account":
            found["account"] = row
        else:
            found[row["type"]][row["id"]] = row
    return found


def difference(left, right):
    a, b = left.splitlines(), right.splitlines()
    only_a, only_b = sorted(set(a) - set(b)), sorted(set(b) - set(a))
    if not only_a and not only_b and a == b:
        return ""
    return "\n".join(
        [f"{len(only_a)} and {len(only_b)} lines differ (of {len(a)} and {len(b)})"]
        + [f"- {line[:600]}" for line in only_a[:3]]
        + [f"+ {line[:600]}" for line in only_b[:3]]
    )


# ---- the service ----


class Serve:
    """`bellwether serve` in a data folder. Its output is kept in FOLDER/serve.log."""

    def __init__(self, data, options=None, arguments=(), env=None):
        self.data, self.log_path = pathlib.Path(data), pathlib.Path(data).parent / (pathlib.Path(data).name + ".log")
        self.log_path.unlink(missing_ok=True)
        self.port, self.metrics_port = free_port(), free_port()
        self.settings = {
            "engine.data_dir": data,
            "service.listen": f"127.0.0.1:{self.port}",
            "service.drain_s": 1,
            "metrics.listen": f"127.0.0.1:{self.metrics_port}",
            **(options or {}),
        }
        self.arguments, self.env, self.process = list(arguments), env or {}, None
        self._channel = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def spawn(self):
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", *settings(self.settings), *self.arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment(**self.env),
            )
        return self

    def start(self, timeout=60):
        self.spawn()

        def answers():
            assert self.process.poll() is None, f"serve ended with {self.process.returncode}:\n{self.log()[-3000:]}"
            return run("ctl", "status", "--address", self.address, "--output", "json", expect=None).code == 0

        wait_for(lambda: f"serve does not answer:\n{self.log()[-3000:]}", answers, timeout)
        return self

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def said(self, pattern):
        return len(re.findall(pattern, self.log(), re.IGNORECASE))

    def wait(self, timeout=60, expect=0):
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"serve did not end within {timeout} s:\n{self.log()[-3000:]}") from None
        assert expect is None or code == expect, f"serve ended with {code}, not {expect}:\n{self.log()[-3000:]}"
        self._close()
        return code

    def stop(self, timeout=60):
        self._close()
        self.process.send_signal(signal.SIGTERM)
        self.wait(timeout)

    def kill(self):
        self._close()
        self.process.kill()
        self.process.wait(30)

    def end(self):
        """For clean-up: whatever state it is in."""
        if self.process and self.process.poll() is None:
            self.kill()

    def ctl(self, *arguments, **more):
        return run_json("ctl", *arguments, "--address", self.address, "--output", "json", **more)

    def ctl_text(self, *arguments, **more):
        return run("ctl", *arguments, "--address", self.address, **more).out

    # A second client, made from the .proto files by another library.
    def channel(self):
        if self._channel is None:
            self._channel = grpc.insecure_channel(self.address, options=[("grpc.enable_retries", 0)])
        return self._channel

    def _close(self):
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def key_users(self):
        return key_users_pb2_grpc.KeyUsersStub(self.channel())

    def flags(self):
        return flags_pb2_grpc.FlagsStub(self.channel())

    def ingest(self):
        return ingest_pb2_grpc.IngestStub(self.channel())

    def admin(self):
        return admin_pb2_grpc.AdminStub(self.channel())

    def status(self):
        return self.admin().GetStatus(admin_pb2.GetStatusRequest(), timeout=10, wait_for_ready=True)

    def wait_consumed(self, records, timeout=120):
        """Waits until so many records were read and none waits in an open tick."""
        last = []

        def done():
            status = self.status()
            last[:] = [status.account]
            return status.account.consumed >= records and status.account.pending == 0 and status

        return wait_for(lambda: f"{records} records expected, account: {last}\n{self.log()[-2000:]}", done, timeout)

    def metric(self, name):
        """Sum over the labels of one Prometheus metric; None where it is not there."""
        import urllib.request

        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        found = [float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}(\{{| )", line)]
        return sum(found) if found else None


# ---- Kafka ----


class Broker:
    """A real Kafka of this test run's own."""

    def __init__(self, name="broker"):
        self.folder = WORK / name
        self.env = {**os.environ, "BELLWETHER_BROKER_DIR": str(self.folder)}
        self.address, self.running = None, False

    def _script(self, action):
        done = subprocess.run([str(BROKER_SCRIPT), action], env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"broker {action}: exit code {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""

    def start(self):
        self.address, self.running = self._script("start"), True
        return self

    def stop(self):
        self._script("stop")
        self.running = False

    def signal(self, number):
        pid = int((self.folder / "pid").read_text(encoding="utf-8"))
        subprocess.run(["kill", f"-{number}", str(pid)], check=True)

    def kill(self):
        """Returns once its ports are free again: a process that ends closes them last."""
        files = [self.folder / name for name in ("ports", "ports-tls")]
        ports = [int(port) for file in files if file.exists() for port in file.read_text(encoding="utf-8").split()]
        self.signal("KILL")
        self.running = False

        def refused(port):
            with contextlib.closing(socket.socket()) as probe:
                return probe.connect_ex(("127.0.0.1", port)) != 0

        wait_for("the broker's end", lambda: all(refused(port) for port in ports), 30)

    def wipe(self):
        self._script("wipe")

    def admin(self):
        return confluent_kafka.admin.AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def create(self, names, partitions=1, **config):
        client = self.admin()  # its answers end with it
        made = client.create_topics(
            [confluent_kafka.admin.NewTopic(name, partitions, 1, config=config) for name in names]
        )
        for future in made.values():
            future.result(30)

    def grow(self, name, partitions):
        client = self.admin()
        for future in client.create_partitions([confluent_kafka.admin.NewPartitions(name, partitions)]).values():
            future.result(30)

    def producer(self):
        return confluent_kafka.Producer(
            {
                "bootstrap.servers": self.address,
                "linger.ms": 5,
                "acks": "all",
                "log_level": 0,
                "enable.idempotence": True,
                "queue.buffering.max.messages": 1000000,
            }
        )

    def read(self, topic):
        """Every record of a topic by kcat, an independent consumer: [(key, value bytes)]."""
        done = subprocess.run(
            [
                "kcat",
                "-C",
                "-b",
                self.address,
                "-t",
                topic,
                "-o",
                "beginning",
                "-e",
                "-q",
                "-D",
                "",
                "-f",
                "%K,%S,%k%s",
            ],
            capture_output=True,
            timeout=60,
            check=True,
        )
        rows, rest = [], done.stdout
        while rest:
            key_size, size, rest = rest.split(b",", 2)
            key_size, size = max(int(key_size), 0), max(int(size), 0)
            rows.append((rest[:key_size], rest[key_size : key_size + size]))
            rest = rest[key_size + size :]
        return rows


def topics(prefix):
    return [f"{prefix}.{name}" for name in INPUTS]


# ---- events ----


def read_events(path):
    with open(path, encoding="utf-8") as lines:
        return [line.rstrip("\n") for line in lines]


def topic_of(line, prefix="community"):
    body = next(name for name in json.loads(line) if name in TOPIC_OF_BODY)
    return f"{prefix}.{TOPIC_OF_BODY[body]}"


def encoded(line, number):
    """The same event as protobuf, as protobuf behind the schema-registry prefix, or as JSON, in turn."""
    if number % 3 == 2:
        return line.encode()
    value = json_format.Parse(line, event_pb2.Event()).SerializeToString()
    return value if number % 3 == 0 else b"\0" + struct.pack(">I", 7) + b"\0" + value


def produce(producer, topic, partition, value, failed):
    while True:
        try:
            producer.produce(
                topic,
                value=value,
                partition=partition,
                on_delivery=lambda error, _: error and failed.append(str(error)),
            )
            producer.poll(0)
            return
        except BufferError:
            producer.poll(0.1)


def produce_all(broker, lines, prefix, partitions, shares=(64, 25, 8, 3)):
    """In order, each record to one of `partitions` partitions, which get very unequal shares; all encodings mixed on each."""
    producer, failed = broker.producer(), []
    wheel = [p for p in range(partitions) for _ in range(shares[p])]
    for number, line in enumerate(lines):
        produce(producer, topic_of(line, prefix), wheel[number * 37 % len(wheel)], encoded(line, number), failed)
    assert producer.flush(60) == 0 and not failed, f"not delivered: {failed[:3]}"


def simulate(name, *arguments):
    """A community's events as a file, made once a run: (events, labels)."""
    events, labels = WORK / f"{name}.jsonl", WORK / f"{name}.labels.jsonl"
    if not events.exists():
        run("simulate", *arguments, "--out", events, "--labels", labels)
    return events, labels


def kcat_line(broker, topic, value, key="", partition=0):
    subprocess.run(
        ["kcat", "-P", "-b", broker.address, "-t", topic, "-p", str(partition), *(["-k", key] if key else [])],
        input=value,
        check=True,
        timeout=60,
    )


__all__ = [name for name in globals() if not name.startswith("_")]
_ = common_pb2, flag_pb2, flags_pb2, ingest_pb2, out_pb2, key_users_pb2
