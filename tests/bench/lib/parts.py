"""The parts of the bench. Each takes a Bench, measures, and adds rows to its table."""

import os
import pathlib
import re
import shutil
import subprocess
import time

from lib.bench import ROOT
from lib.measure import Skip, busy_s, folder_bytes, free_port, run_json
from lib.scale import scale

LIKES = ROOT / "tests/bench/likes.yaml"
OFF = {
    "without rings": ["community.rings.enabled=false"],
    "without bursts": ["community.bursts.enabled=false"],
    "without ranking": ["community.ranking.enabled=false"],
}
OFF["without detection"] = [one for sets in OFF.values() for one in sets]


def decode(bench):
    """decode alone: JSON lines of the community, protobuf records of both workloads"""
    add = bench.table.add
    community, likes, mixed = bench.community(), bench.workload("likes")[0], bench.workload("mixed")[0]
    add("decode", "JSON lines", bench.repeated(lambda: bench.limit("decode", community)))
    add("decode", "protobuf, likes", bench.repeated(lambda: bench.limit("decode-records", likes)))
    add("decode", "protobuf, mixed", bench.repeated(lambda: bench.limit("decode-records", mixed)))


def drain(bench):
    """reading a topic of a real Kafka and throwing it away, and the same with decode"""
    broker = bench.broker()
    for what in ("likes", "mixed"):
        bench.workload(what)
        for mode in ("drain", "drain-decode"):
            runs = bench.repeated(lambda mode=mode, what=what: bench.limit(mode, broker, f"bench.{what}"))
            bench.table.add("drain", f"{mode}, {what}", runs)


def replay(bench):
    """the whole pipeline from a file, all operators on: simulate's community, the mix, MathOverflow if it is there"""
    bench.table.add("replay", "community", bench.repeated(lambda: bench.replay(bench.community())))
    bench.workload("mixed")
    bench.table.add("replay", "mixed", bench.repeated(lambda: bench.replay(bench.work / "mixed.jsonl")))
    sparse = bench.mathoverflow()
    if sparse is None:
        bench.table.note("replay", "no MathOverflow: BELLWETHER_DATA has none")
    else:
        bench.table.add("replay", "MathOverflow", bench.repeated(lambda: bench.replay(sparse)))


def same_totals(bench, part, totals, reference):
    """Undecayed points, duplicates and authors must be the reference's: a figure of a wrong result is none."""
    wrong = [
        f"{name} {totals[name]}, the reference has {reference[name]}"
        for name in ("records", "duplicates", "authors", "undecayed_micros")
        if name in reference and totals[name] != reference[name]
    ]
    if wrong:
        raise RuntimeError(f"{part}: {'; '.join(wrong)}")
    bench.table.note(
        part,
        f"totals equal the reference's: {totals['undecayed_micros']:,} undecayed micro-points of "
        f"{totals['authors']:,} authors, {totals['duplicates']:,} duplicates",
    )


def our_job(bench, broker, topic, reference, part):
    """Likes alone, then all operators, over one topic; the totals are checked in every run."""
    seen = []

    def measure(*more):
        figures, totals = bench.drain_serve(broker, topic, *more)
        seen.append(totals)
        return figures

    runs = bench.repeated(lambda: measure("--config", LIKES))
    bench.table.add(part, "likes alone", runs)
    for totals in seen:
        if totals != seen[0]:
            raise RuntimeError(f"{part}: two runs differ: {totals}, {seen[0]}")
    same_totals(bench, part, seen[0], reference)
    runs = bench.repeated(lambda: measure("--config", LIKES, "--set", "kafka.outputs=false"), warm=False)
    bench.table.add(part, "likes alone, no outputs", runs)
    bench.table.add(part, "all operators", bench.repeated(measure, warm=False))


def ratios(bench, part, base):
    def ratio(text, a, b):
        if a and b:
            bench.table.note(part, f"{text}: {a / b:.2f}")

    ours, all_on = ((part, "likes alone"), (part, "all operators"))
    value = bench.table.value
    ratio("likes alone, CPU of the reference", value(*ours, "cpu_s_per_m"), value(*base, "cpu_s_per_m"))
    for name in ("drain", "drain+decode", "drain, likes", "drain-decode, likes"):
        for where in (part, "drain"):
            ratio(f"likes alone, rate of {name}", value(*ours, "per_s"), value(where, name, "per_s"))
            ratio(f"all operators, rate of {name}", value(*all_on, "per_s"), value(where, name, "per_s"))
    for row in bench.table.rows:
        if row["part"] == part and row["name"].startswith(("kafka-streams", "flink")):
            ratio(f"likes alone, rate of {row['name']}", value(*ours, "per_s"), row["figures"]["per_s"]["median"])


def peers_job(bench):
    """likes over a topic of 4 partitions: the plain reference, likes alone, all operators; with --peers theirs too"""
    if bench.options.peers:
        peers(bench, pathlib.Path(bench.options.peers).resolve())
        return
    records, _ = bench.workload("likes")

    def measure():
        _, found = run_json([bench.tool["likes_reference"], records], bench.log("reference"))
        reference.update(found)
        n = found["records"]
        return {"records": n, "per_s": n / found["wall_s"], "cpu_s_per_m": found["cpu_s"] * 1e6 / n}

    reference = {}
    bench.table.add("peers_job", "reference", bench.repeated(measure))
    our_job(bench, bench.broker(), "bench.likes", reference, "peers_job")
    ratios(bench, "peers_job", ("peers_job", "reference"))


def peers(bench, folder):
    """The peers' own generator, topic, reference and engines, and ours on the same topic."""
    cache = os.environ.get("BELLWETHER_CACHE") or pathlib.Path.home() / ".cache/bellwether"
    port = next(p for p in iter(free_port, None) if p % 2 == 0)  # the controller takes the next one
    free_port.given.add(port + 1)
    env = {
        **os.environ,
        "PEERS_WORK": str(pathlib.Path(cache) / "peers"),
        "BROKER_PORT": str(port),
        "EVENTS": str(bench.options.likes_events),
        "USERS": str(bench.options.likes_users),
        "SEED": str(bench.options.seed),
    }

    def script(*command):
        command = [str(folder / command[0]), *command[1:]]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            text = (done.stdout + done.stderr)[-3000:]
            raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{text}")
        return [dict(re.findall(r"(\w+)=(\S+)", line)) for line in done.stdout.splitlines() if line.startswith("peer=")]

    try:
        script("broker", "start")
        script("generate")
        found = {}
        for _ in range(bench.options.runs):
            for name in ("drain", "reference", "kafka-streams", "flink"):
                for number, line in enumerate(script("run", name)):
                    # Two lines of Kafka Streams: commits of 200 ms and of 1 s.
                    row = f"{line['peer']}{', 1 s' if name == 'kafka-streams' and number == 1 else ''}"
                    found.setdefault(row, []).append(line)
        for row, lines in found.items():
            names = {
                "records": "events",
                "per_s": "events_per_s",
                "cpu_s_per_m": "cpu_s_per_m",
                "peak_mib": "rss_mib",
                "broker_cpu_s_per_m": "broker_cpu_s_per_m",
                "others_cpus": "others_cpus",
            }
            runs = [{ours: float(line[theirs]) for ours, theirs in names.items() if theirs in line} for line in lines]
            bench.table.add("peers_job", row, runs)
        plain = found["reference"][0]
        reference = {
            "records": int(plain["events"]),
            "duplicates": int(plain["duplicates"]),
            "authors": int(plain["authors"]),
            "undecayed_micros": int(plain["undecayed"]),
        }
        our_job(bench, f"127.0.0.1:{port}", "community.likes", reference, "peers_job")
        ratios(bench, "peers_job", ("peers_job", "reference"))
    finally:
        subprocess.run([folder / "broker", "wipe"], env=env, capture_output=True, check=False)


def mixed(bench):
    """60 % likes, 25 % posts, 5 % referrals, 5 % beta tests, 5 % others over a topic, all operators on"""
    broker = bench.broker()
    _, made = bench.workload("mixed")

    def measure():
        figures, totals = bench.drain_serve(broker, "bench.mixed")
        if totals["records"] != made["events"] or totals["dead"]:
            raise RuntimeError(f"mixed: {made['events']} events made, {totals}")
        return figures

    bench.table.add("mixed", "all operators", bench.repeated(measure))
    ours = bench.table.value("mixed", "all operators", "per_s")
    for name in ("drain, mixed", "drain-decode, mixed"):
        if limit := bench.table.value("drain", name, "per_s"):
            bench.table.note("mixed", f"rate of {name}: {ours / limit:.3f}")


def switches(bench):
    """what each operator and stage costs: CPU with and without it"""
    path = bench.community()
    rows = [("all on", bench.repeated(lambda: bench.replay(path)))]
    for name, sets in OFF.items():
        rows.append((name, bench.repeated(lambda sets=sets: bench.replay(path, *sets), warm=False)))
    rows.append(("memory store", bench.repeated(lambda: bench.limit("memory", path), warm=False)))
    rows.append(("decode alone", bench.repeated(lambda: bench.limit("decode", path), warm=False)))
    for name, runs in rows:
        bench.table.add("switches", name, runs)
    try:
        broker = bench.broker()
    except Skip as why:
        bench.table.note("switches", f"with and without out topics: {why}")
    else:
        bench.workload("mixed")
        for name, sets in (("mixed topic, outputs on", "true"), ("mixed topic, outputs off", "false")):
            more = ("--set", f"kafka.outputs={sets}")
            runs = bench.repeated(lambda more=more: bench.drain_serve(broker, "bench.mixed", *more)[0], warm=False)
            bench.table.add("switches", name, runs)
    base = bench.table.value("switches", "all on", "cpu_s_per_m")
    for name in [*OFF, "memory store"]:
        cost = base - bench.table.value("switches", name, "cpu_s_per_m")
        bench.table.note("switches", f"all on costs {cost:+.2f} CPU s a million events against {name}")


# What the design allows a thread, in ns of processor time an event, and how threads' names begin. Estimated before
# anything was built: librdkafka 500; ingest: decode 256, hash and schedule 90; fold: sort 60, home 180, messages 200,
# detection 150; commit: serialise and put 700 (today states are serialised where they are folded); RocksDB's flush and
# compaction 300.
BUDGET = (
    ("librdkafka", ("rdk:",), 500),
    ("ingest", ("ingest",), 346),
    ("fold", ("bellwether", "fold"), 590),
    ("commit", ("commit",), 700),
    ("RocksDB", ("rocksdb:",), 300),
)


def budget(bench):
    """processor time an event of each thread, beside the budget of the design; no out topics"""
    broker = bench.broker()
    for what, more in (("likes", ("--config", LIKES)), ("mixed", ())):
        bench.workload(what)

        def measure(what=what, more=more):
            threads = {}
            more = (*more, "--set", "kafka.outputs=false")
            figures, _ = bench.drain_serve(broker, f"bench.{what}", *more, threads=threads)
            spent = {"whole process": figures["cpu_s_per_m"] * 1000}
            for name, begins, _ in BUDGET:
                seconds = sum(s for (_, thread), s in threads.items() if thread.startswith(begins))
                spent[name] = seconds * 1e9 / figures["records"]
            return spent

        runs = bench.repeated(measure)
        for name, allowed in ((*((b[0], b[2]) for b in BUDGET), ("whole process", sum(b[2] for b in BUDGET)))):
            rows = [{"ns_per_event": spent[name], "budget_ns": allowed} for spent in runs]
            bench.table.add("budget", f"{what}: {name}", rows)


def load(bench, service, *arguments):
    command = [bench.tool["live"], "load", service.address, "--users", bench.options.users]
    command += ["--seconds", bench.options.seconds, "--warm", bench.options.seconds / 4, *arguments]
    busy, before = busy_s(), service.metrics()
    child, found = run_json(command, bench.log("live"))
    after = service.metrics()
    served = after["bellwether_cpu_seconds_total"] - before["bellwether_cpu_seconds_total"]
    found["others_cpus"] = (busy_s() - busy - child.cpu_s - served) / child.wall_s
    found["waiting"] = after["bellwether_lag_records"] + after["bellwether_pending_records"]
    return found


def told(found):
    return {key: found[key] for key in ("per_s", "failed_calls", "waiting", "others_cpus")}


def quantiles(found, name):
    return {key: found[name][key] for key in ("p50_ms", "p99_ms", "p999_ms", "count")}


def freshness(bench):
    """an event appended by gRPC until GetUser counts it, at half the load that the service folds when flooded"""
    appended, called, rates = [], [], []
    for number in range(bench.options.runs):
        data = bench.work / "fresh"
        shutil.rmtree(data, ignore_errors=True)
        service = bench.service(data, "fresh").wait()
        try:
            # Full load first, on the same state. What it folds counts: the log takes more than that.
            begin, before = time.monotonic(), service.consumed()
            load(bench, service, "--seed", 100 + number)
            service.catch_up()
            full = (service.consumed() - before) / (time.monotonic() - begin)
            found = load(bench, service, "--seed", 200 + number, "--rate", int(full / 2), "--probes", 100)
            rates.append({"full_per_s": full, **told(found)})
            if found["waiting"] > 3 * found["per_s"]:  # the lateness, a slot and a commit take less than 2 s
                bench.table.note("freshness", f"not half a load: {found['waiting']:,.0f} events waited at its end")
            if found["per_s"] < full / 3:
                bench.table.note("freshness", f"the log took {found['per_s']:,.0f} events/s, not {full / 2:,.0f}")
            appended.append(quantiles(found, "appended_to_answer"))
            called.append(quantiles(found, "called_to_answer"))
            service.stop()
        finally:
            service.child.end()
    bench.table.add("freshness", "load", rates)
    bench.table.add("freshness", "appended to answer", appended)
    bench.table.add("freshness", "called to answer", called)


def queries(bench):
    """latency of GetUser, ExplainScore, ListUsers (50) and GetLeaderboard (50) while events come as fast as they are
    taken; then memory and disk a user, and the time from a start after SIGKILL to the first answer"""
    calls = ("get_user", "explain_score", "list_users", "get_leaderboard")
    found, sizes, restarts = [], [], []
    for number in range(bench.options.runs):
        data = bench.work / "asked"
        shutil.rmtree(data, ignore_errors=True)
        service = bench.service(data, "asked").wait()
        try:
            found.append(load(bench, service, "--seed", 300 + number, "--queries", 2000))
            seen = service.metrics()
            users, events = max(1, seen["bellwether_users"]), max(1, seen["bellwether_records_consumed_total"])
            sizes.append(
                {
                    "users": users,
                    "events": events,
                    "disk_bytes_per_user": folder_bytes(data / "store") / users,
                    "cache_bytes_per_user": seen["bellwether_cache_bytes"] / users,
                    "rows_per_event": seen["bellwether_commit_rows_total"] / events,
                    "bytes_per_event": seen["bellwether_commit_bytes_total"] / events,
                }
            )
            service.child.process.kill()
            service.child.wait(expect=None)
            sizes[-1]["peak_mib"] = service.child.peak_mib
            service = bench.service(data, "asked")
            _, answer = run_json([bench.tool["live"], "first", service.address, "u0"], bench.log("first"))
            restarts.append({"first_answer_s": answer["seconds"]})
        finally:
            service.child.end()
    table = bench.table
    table.add("queries", "load", [told(f) for f in found])
    for call in calls:
        table.add("queries", call, [quantiles(f, call) for f in found])
    table.add("queries", "state under load", sizes)
    table.add("queries", "restart after SIGKILL", restarts)


PARTS = {
    part.__name__: part for part in (decode, drain, replay, peers_job, mixed, budget, switches, freshness, queries, scale)
}
