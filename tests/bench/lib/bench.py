"""What the parts of the bench share: programs, workloads made once a run, a broker, replays and services measured."""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import time

from lib.measure import Child, Skip, Table, busy_s, folder_bytes, free_port, run, run_json, scrape, threads_s

ROOT = pathlib.Path(__file__).resolve().parents[3]
PARTITIONS = 4


class Bench:
    def __init__(self, options, work):
        self.options, self.work, self.table = options, work, Table()
        build = pathlib.Path(options.build)
        self.program = build / "bellwether"
        if options.program:
            self.program = pathlib.Path(options.program)
        self.tool = {name: build / "tests/bench" / name for name in PROGRAMS}
        self.made, self._broker = {}, None

    def repeated(self, measure, warm=True):
        """Warm-up runs are thrown away."""
        for _ in range(self.options.warm_up if warm else 0):
            measure()
        return [measure() for _ in range(self.options.runs)]

    def log(self, name):
        return self.work / f"{name}.log"

    # ---- inputs ----

    def community(self):
        """simulate's community, all kinds of events, with rings: JSON lines."""
        path = self.work / "community.jsonl"
        if not path.exists():
            days = self.options.days
            command = [self.program, "simulate", "--users", self.options.users // 10, "--days", days, "--seed", 1]
            command += ["--ring", "20x10:0.9:spread", "--out", path, "--labels", self.work / "labels"]
            run(command, self.log("simulate"))
        return path

    def mathoverflow(self):
        """A sparse stream of ten years: JSON lines; None where the data is not there."""
        data = pathlib.Path(os.environ.get("BELLWETHER_DATA") or ROOT.parent / "shared/data") / "mathoverflow"
        path = self.work / "mathoverflow.jsonl"
        if not path.exists():
            files = sorted(data.glob("*.txt.gz"))
            if not files:
                return None
            run([self.program, "import", "edges", *files, "--out", path], self.log("import"))
        return path

    def workload(self, what):
        """The workload's record file, in the topic bench.WHAT too where there is a broker: (file, summary)."""
        if what not in self.made:
            path = self.work / f"{what}.records"
            events, users = self.options.likes_events, self.options.likes_users
            if what == "mixed":
                events, users = self.options.mixed_events, self.options.users
            command = [self.tool["workload"], what, "--events", events, "--users", users, "--seed", self.options.seed]
            command += ["--records", path]
            if what == "mixed":
                command += ["--jsonl", self.work / "mixed.jsonl"]
            with contextlib.suppress(Skip):
                command += ["--broker", self.broker(), "--topic", f"bench.{what}", "--partitions", PARTITIONS]
            self.made[what] = (path, run_json(command, self.log(f"workload-{what}"))[1])
        return self.made[what]

    def broker(self):
        """The address of a real Kafka of this run's own, started at the first call. Skip where there can be none."""
        if self._broker is None:
            env = {**os.environ, "BELLWETHER_BROKER_DIR": str(self.work / "broker")}
            done = subprocess.run(
                [ROOT / "tests/integration/broker", "start"], env=env, capture_output=True, text=True, check=False
            )
            last = (done.stdout.strip().splitlines() or [done.stderr.strip()])[-1]
            self._broker = (done.returncode == 0, last)
        if not self._broker[0]:
            raise Skip(f"no Kafka: {self._broker[1]}")
        return self._broker[1]

    def close(self):
        if self._broker and self._broker[0]:
            env = {**os.environ, "BELLWETHER_BROKER_DIR": str(self.work / "broker")}
            subprocess.run([ROOT / "tests/integration/broker", "wipe"], env=env, capture_output=True, check=False)

    # ---- measured runs ----

    def limit(self, *arguments):
        _, found = run_json([self.tool["limits"], *arguments], self.log("limits"))
        n = found["records"]
        return {
            "records": n,
            "per_s": n / found["wall_s"],
            "cpu_s_per_m": found["cpu_s"] * 1e6 / n,
            "dead": found["dead"] or None,
        }

    def replay(self, path, *sets):
        """The whole pipeline from a file, or several. Wall and processor time are the whole process's."""
        data = self.work / "replayed"
        shutil.rmtree(data, ignore_errors=True)
        command = [self.program, "replay", *(path if isinstance(path, list) else [path]), "--data", data]
        for one in sets:
            command += ["--set", one]
        child, text = run(command, self.log("replay"))
        told = dict(re.findall(r"^([a-z/ -]+?) {2,}([\d.]+)", text, re.M))
        n = int(told["consumed"])
        users = run(["grep", "-c", '"type":"user"', self.dump(data)], self.log("grep"))[1]
        return {
            "records": n,
            "per_s": n / child.wall_s,
            "cpu_s_per_m": child.cpu_s * 1e6 / n,
            "rows_per_event": int(told["rows written"]) / n,
            "bytes_per_event": int(told["bytes written"]) / n,
            "disk_bytes_per_user": folder_bytes(data / "store") / max(1, int(users)),
            "peak_mib": child.peak_mib,
        }

    def dump(self, data):
        path = self.work / "dump.jsonl"
        with open(path, "wb") as out:
            Child([self.program, "dump", "--data", data], self.log("dump"), out).wait()
        return path

    def drain_serve(self, broker, topic, *more, threads=None):
        """`serve --until-end` over a topic: from the start of the process to its end, when all is committed.
        Into `threads` goes the processor time of each."""
        data, port = self.work / "served", free_port()
        shutil.rmtree(data, ignore_errors=True)
        log = self.log("serve")
        log.unlink(missing_ok=True)
        settings = {
            "engine.data_dir": data,
            "kafka.brokers": broker,
            "kafka.topics": topic,
            "kafka.out_prefix": f"out{port}",
            "service.listen": f"127.0.0.1:{free_port()}",
            "service.drain_s": 0,  # nobody asks
            "metrics.listen": f"127.0.0.1:{port}",
        }
        command = [self.program, "serve", "--until-end", *more]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        busy = busy_s()
        child, seen = Child(command, log), {}
        try:
            while not child.poll():
                seen = scrape(port) or seen
                if threads is not None:
                    threads.update(threads_s(child.process.pid))
                time.sleep(0.25)
            child.wait()
        finally:
            child.end()
        others = (busy_s() - busy - child.cpu_s) / child.wall_s
        _, totals = run_json([self.tool["store_points"], data], self.log("store_points"))
        n = totals["records"]
        return {
            "records": n,
            "per_s": n / child.wall_s,
            "cpu_s_per_m": child.cpu_s * 1e6 / n,
            "cache_bytes_per_user": seen.get("bellwether_cache_bytes", 0) / max(1, totals["users"]),
            "disk_bytes_per_user": folder_bytes(data / "store") / max(1, totals["users"]),
            "peak_mib": child.peak_mib,
            "others_cpus": others,
        }, totals

    def service(self, data, name, **settings):
        """`serve` with the embedded log, in the background."""
        return Service(self, data, name, settings)


class Service:
    def __init__(self, bench, data, name, settings):
        self.bench, self.port, self.metrics_port = bench, free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        command = [bench.program, "serve"]
        settings = {
            "engine.data_dir": data,
            "service.listen": self.address,
            "metrics.listen": f"127.0.0.1:{self.metrics_port}",
            "service.drain_s": 1,
            "logging.level": "warn",
            **settings,
        }
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        self.child = Child(command, bench.log(name))

    def wait(self):
        run([self.bench.program, "ctl", "status", "--connect", 60, "--address", self.address], self.bench.log("status"))
        return self

    def metrics(self):
        return scrape(self.metrics_port)

    def consumed(self):
        return self.metrics().get("bellwether_records_consumed_total", 0)

    def catch_up(self, timeout_s=300):
        """Until every event appended is committed, but for the last ones, whose ticks only later events close."""
        until = time.monotonic() + timeout_s
        while True:
            seen = self.metrics()
            if seen.get("bellwether_lag_records") == 0 and seen.get("bellwether_pending_records") == 0:
                return
            if time.monotonic() > until:
                raise RuntimeError(f"serve does not catch up: {seen}\n{self.child.text()[-2000:]}")
            time.sleep(0.1)

    def stop(self):
        self.child.process.terminate()
        return self.child.wait()


PROGRAMS = ("limits", "workload", "likes_reference", "store_points", "live")
