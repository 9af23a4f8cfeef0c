"""A run over the same logs that nobody disturbed: the state that a disturbed one must have."""

import shutil
import subprocess

from lib.harness import *  # noqa: F403
from lib.harness import run, settings


def control_rows(data):
    """The control log of a store that nobody has open, as hexadecimal "KEY : VALUE" lines."""
    command = ["ldb", f"--db={data}/store", "--column_family=control", "scan", "--hex"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def undisturbed(serve, data, options=None):
    """A Serve in a new store of the folder `data` that reads the logs `serve` read: its input and its control log."""
    again = Serve(data, {**serve.settings, **(options or {})})
    for name, value in (("engine.data_dir", data), ("service.listen", again.address)):
        again.settings[name] = value
    again.settings["metrics.listen"] = f"127.0.0.1:{again.metrics_port}"
    # A start that fails once the store is made and before anything is read: it cannot read the tokens.
    refused = run("serve", *settings({**again.settings, "service.tokens": data / "no-tokens"}), expect=1)
    assert "no-tokens" in refused.err, refused
    if (serve.data / "log").exists():
        shutil.copytree(serve.data / "log", data / "log", dirs_exist_ok=True)
    rows = "".join(line.replace(" : ", " ==> ", 1) + "\n" for line in control_rows(serve.data))
    load = ["ldb", f"--db={data}/store", "--column_family=control", "load", "--hex", "--disable_wal=false"]
    subprocess.run(load, input=rows, check=True, capture_output=True, text=True)
    assert control_rows(data) == control_rows(serve.data)
    return again
