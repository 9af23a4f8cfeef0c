"""Clients that use a service while it is being broken: they publish, query and watch, and hold it to what it told them.

What they find wrong they add to Findings; that the service is away is nothing wrong.
"""

import collections
import json
import random
import threading
import time

import grpc
from google.protobuf import json_format

from lib.harness import *  # noqa: F403
from lib.harness import common_pb2, event_pb2, ingest_pb2, ingest_pb2_grpc, key_users_pb2, key_users_pb2_grpc

AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
# A client that comes back at once, for the time without the service is what is to be short.
CHANNEL = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
]


def is_away(error):
    # A connection that is cut in the middle of a stream has no code of its own.
    return error.code() in AWAY or (error.code() == grpc.StatusCode.UNKNOWN and "Stream removed" in error.details())


class Findings:
    def __init__(self):
        self.lock, self.all = threading.Lock(), []

    def add(self, text):
        with self.lock:
            if len(self.all) < 20:
                self.all.append(text)

    def check(self):
        assert not self.all, "\n".join(self.all)


class Feed:
    """The events of a simulated community, each once. Every `mark_every`-th is a mark instead: an idea of a user whom nobody
    else knows, so that one look at this user tells whether the event was counted, and how often."""

    def __init__(self, path, mark_every=40, per_second=400):
        self.lines = open(path, encoding="utf-8")  # noqa: SIM115
        self.mark_every, self.per_second, self.begun = mark_every, per_second, time.monotonic()
        self.lock, self.count, self.acknowledged, self.meanings = threading.Lock(), 0, 0, set()
        self.marks, self.places, self.stopped, self.ended = [], {}, False, False

    def _event(self):
        """The next event that is none again under any order: an undo, or the same like twice, would count by their order."""
        while True:
            line = self.lines.readline()
            if not line:
                self.ended = True
                return None
            row = json.loads(line)
            like = row.get("like")
            if like:
                meaning = hash((row["user"], like.get("post", ""), like["author"], like["kind"]))
                if like.get("undo") or meaning in self.meanings:
                    continue
                self.meanings.add(meaning)
            return json_format.ParseDict(row, event_pb2.Event())

    def take(self, most):
        """[(number, event)] of up to `most` events; none while the pace forbids or once stopped."""
        with self.lock:
            if self.stopped or self.ended:
                return []
            due = int((time.monotonic() - self.begun) * self.per_second) - self.count
            if due > 4 * most:  # nobody took any for long: no flood afterwards
                self.begun += (due - 4 * most) / self.per_second
            taken = []
            while len(taken) < min(most, due):
                event = self._event()
                if event is None:
                    break
                self.count += 1
                if self.count % self.mark_every == 0:
                    when = event.time
                    event = event_pb2.Event(user=f"mark-{self.count}", time=when)
                    event.post.post, event.post.kind = f"post-of-{self.count}", event_pb2.POST_KIND_IDEA
                    event.post.action = event_pb2.POST_ACTION_PUBLISHED
                event.id = f"k{self.count}"
                taken.append((self.count, event))
            return taken

    def acknowledge(self, batch, positions, findings):
        with self.lock:
            for (number, event), p in zip(batch, positions):
                before = self.places.setdefault((p.topic, p.partition), {}).setdefault(p.offset, number)
                if before != number:
                    findings.add(f"{p.topic}/{p.partition}@{p.offset} was given to k{before} and to k{number}")
                if event.user.startswith("mark-"):
                    self.marks.append((event.user, p))
            self.acknowledged += len(batch)

    def stop(self):
        self.stopped = True


class Publisher(threading.Thread):
    """Streams events; what is not acknowledged when the service goes away it sends again."""

    BATCH, WINDOW = 20, 4

    def __init__(self, address, feed, findings):
        super().__init__(daemon=True)
        self.address, self.feed, self.findings = address, feed, findings
        self.waiting = collections.OrderedDict()  # by sequence: sent, not acknowledged
        self.sequence, self.streams, self.refused = 0, 0, collections.Counter()

    def run(self):
        while not ((self.feed.stopped or self.feed.ended) and not self.waiting):
            alive = threading.Event()
            alive.set()
            with grpc.insecure_channel(self.address, options=CHANNEL) as channel:
                try:
                    self.streams += 1
                    for answer in ingest_pb2_grpc.IngestStub(channel).PublishStream(self._requests(alive)):
                        self._answered(answer)
                except grpc.RpcError as error:
                    if not is_away(error):
                        self.findings.add(f"PublishStream: {error.code()} {error.details()}")
                        return
                    self.refused[error.code().name] += 1
                finally:
                    alive.clear()
            time.sleep(0.05)

    def _requests(self, alive):
        for sequence, batch in list(self.waiting.items()):
            yield ingest_pb2.PublishStreamRequest(sequence=sequence, events=[event for _, event in batch])
        while alive.is_set():
            batch = self.feed.take(self.BATCH) if len(self.waiting) < self.WINDOW else []
            if batch:
                self.sequence += 1
                self.waiting[self.sequence] = batch
                yield ingest_pb2.PublishStreamRequest(sequence=self.sequence, events=[event for _, event in batch])
            elif (self.feed.stopped or self.feed.ended) and not self.waiting:
                return
            else:
                time.sleep(0.01)

    def _answered(self, answer):
        oldest = next(iter(self.waiting), None)
        if answer.sequence != oldest:
            self.findings.add(f"request {answer.sequence} was answered before {oldest}")
            return
        batch = self.waiting[oldest]
        if answer.rejected or len(answer.positions) != len(batch):
            self.findings.add(f"of {len(batch)} events {len(answer.positions)} were written: {answer.rejected[:1]}")
        self.feed.acknowledge(batch, answer.positions, self.findings)
        del self.waiting[oldest]


def tick_of(as_of):
    return (as_of.tick.slot, as_of.tick.sub_tick)


class Answered:
    """The furthest that any answer stood: whoever asks afterwards must not be sent behind it."""

    def __init__(self, findings):
        self.lock, self.findings, self.tick, self.positions = threading.Lock(), findings, (-(2**63), 0), {}

    def before(self):
        with self.lock:
            return self.tick, dict(self.positions)

    def answer(self, what, as_of, before):
        tick, positions = before
        here = {(p.topic, p.partition): p.offset for p in as_of.positions}
        if tick_of(as_of) < tick:
            self.findings.add(f"{what} stands at {tick_of(as_of)}, after an answer that stood at {tick}")
        for place, offset in positions.items():
            if here.get(place, -1) < offset:
                self.findings.add(f"{what} stands at {place} {here.get(place)}, after an answer at {offset}")
        with self.lock:
            self.tick = max(self.tick, tick_of(as_of))
            for place, offset in here.items():
                self.positions[place] = max(self.positions.get(place, -1), offset)


class Querier(threading.Thread):
    """Asks for users, lists and explanations, and for what was just published."""

    def __init__(self, address, feed, answered, findings, seed):
        super().__init__(daemon=True)
        self.address, self.feed, self.answered, self.findings = address, feed, answered, findings
        self.chance, self.ended, self.found = random.Random(seed), threading.Event(), {}
        self.counts, self.known, self.scores = collections.Counter(), [], collections.OrderedDict()

    def run(self):
        while not self.ended.is_set():
            with grpc.insecure_channel(self.address, options=CHANNEL) as channel:
                stub = key_users_pb2_grpc.KeyUsersStub(channel)
                while not self.ended.wait(0.01):
                    try:
                        self.chance.choice((self.user, self.explain, self.list, self.own_write))(stub)
                    except grpc.RpcError as error:
                        if not is_away(error):
                            self.findings.add(f"query: {error.code()} {error.details()}")
                        self.counts["away"] += 1
                        time.sleep(0.05)

    def same(self, user, as_of, score):
        """Asked again at the same tick, the answer is the same, whatever happened between."""
        key = (user, tick_of(as_of))
        if self.scores.setdefault(key, score) != score:
            self.findings.add(f"{user} at tick {key[1]}: {self.scores[key]} points, then {score}")
        while len(self.scores) > 10000:
            self.scores.popitem(last=False)

    def user(self, stub):
        name = self.chance.choice(self.known) if self.known else "u1"
        before = self.answered.before()
        try:
            answer = stub.GetUser(key_users_pb2.GetUserRequest(user=name), timeout=10)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise
            if name in self.known:
                self.findings.add(f"{name} was found once, and now it is not: {error.details()}")
            return
        self.answered.answer("GetUser", answer.as_of, before)
        self.same(name, answer.as_of, answer.user.overall.score_micros)
        self.counts["GetUser"] += 1

    def explain(self, stub):
        if not self.known:
            return
        before, name = self.answered.before(), self.chance.choice(self.known)
        answer = stub.ExplainScore(key_users_pb2.ExplainScoreRequest(user=name, profile="overall"), timeout=10)
        self.answered.answer("ExplainScore", answer.as_of, before)
        total = sum(c.contribution_micros for c in answer.contributions)
        if total != answer.score.score_micros:
            self.findings.add(f"{name}: {answer.score.score_micros} explained by {total}")
        self.same(name, answer.as_of, answer.score.score_micros)
        self.counts["ExplainScore"] += 1

    def list(self, stub):
        before = self.answered.before()
        answer = stub.ListUsers(key_users_pb2.ListUsersRequest(page_size=20), timeout=10)
        self.answered.answer("ListUsers", answer.as_of, before)
        for user in answer.users:
            self.same(user.id, answer.as_of, user.overall.score_micros)
            if len(self.known) < 200:
                self.known.append(user.id)
        if answer.next_page_token:
            token = answer.next_page_token
            more = stub.ListUsers(key_users_pb2.ListUsersRequest(page_size=20, page_token=token), timeout=10)
            if {u.id for u in more.users} & {u.id for u in answer.users} and not more.snapshot_moved:
                self.findings.add("two pages of one list name the same user")
        self.counts["ListUsers"] += 1

    def own_write(self, stub):
        if not self.feed.marks:
            return
        name, position = self.feed.marks[-1]
        before = self.answered.before()
        try:
            request = key_users_pb2.GetUserRequest(user=name, min_position=[position])
            answer = stub.GetUser(request, timeout=5)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                self.findings.add(f"{name} at {position} was acknowledged, and is not found: {error.details()}")
                return
            raise
        self.answered.answer("GetUser with min_position", answer.as_of, before)
        # One point, which a day's turn makes a little less; counted twice it would be more.
        if not 500_000 < answer.user.overall.score_micros <= 1_000_000:
            self.findings.add(f"{name} has {answer.user.overall.score_micros}, not 1 point")
        if name not in self.found:
            self.found[name] = True
            self.known.append(name)
        self.counts["own write"] += 1


class TierWatcher(threading.Thread):
    """Watches tier changes, and goes on from its token whenever the service was away."""

    def __init__(self, address, findings):
        super().__init__(daemon=True)
        self.address, self.findings, self.token = address, findings, ""
        self.ended, self.changes, self.resumed = threading.Event(), collections.OrderedDict(), 0

    def run(self):
        while not self.ended.is_set():
            with grpc.insecure_channel(self.address, options=CHANNEL) as channel:
                try:
                    request = key_users_pb2.WatchTiersRequest(resume_token=self.token)
                    for answer in key_users_pb2_grpc.KeyUsersStub(channel).WatchTiers(request, timeout=20):
                        self._take(answer)
                        if self.ended.is_set():
                            return
                except grpc.RpcError as error:
                    if not is_away(error):
                        self.findings.add(f"WatchTiers: {error.code()} {error.details()}")
                        return
                    self.resumed += 1
            time.sleep(0.05)

    def _take(self, answer):
        self.token = answer.resume_token
        if not answer.HasField("change"):
            return
        if answer.change.id in self.changes:
            self.findings.add(f"tier change {answer.change.id} came twice")
        self.changes[answer.change.id] = answer.change


def tier_changes(serve, after_slot):
    """All tier changes since, as the service tells them now."""
    found, request = {}, key_users_pb2.WatchTiersRequest(after=common_pb2.Tick(slot=after_slot))
    try:
        for answer in serve.key_users().WatchTiers(request, timeout=4):
            if answer.HasField("change"):
                found[answer.change.id] = answer.change
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
            raise
    return found


__all__ = [name for name in globals() if not name.startswith("_")]
