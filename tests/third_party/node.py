"""Starts a node of this workspace for the tests, with a domain of its own, and stops it again."""

import json
import os
import pathlib
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("CRS_BIN_DIR", ROOT / "target" / "debug")).resolve()
PIN = "314159265358"


def run(program, *arguments, env=None, check=True):
    done = subprocess.run(
        [BIN / program, *map(str, arguments)], capture_output=True, text=True, timeout=120,
        env={**os.environ, **(env or {})})
    if check and done.returncode != 0:
        raise RuntimeError(f"{program} {arguments}: {done.stderr or done.stdout}")
    return done


class Node:
    """A node on loopback in a temporary folder."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="crs-third-party-")
        self.path = pathlib.Path(self.folder.name)
        self.process = None

    def start(self):
        self.errors = open(self.path / "node.err", "ab")
        self.process = subprocess.Popen(
            [BIN / "crs-node", "--dev", "--data", self.path / "node", "--ready-json"],
            stdout=subprocess.PIPE, stderr=self.errors, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError((self.path / "node.err").read_text()[-2000:])
        self.ready = json.loads(line)
        self.server = self.ready["client"]
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.folder.cleanup()

    def cli(self, *arguments):
        return run("crs-cli", "--socket", self.ready["admin_socket"], *arguments)

    def domain(self, account, numbers):
        return Domain(self, account, numbers)


class Domain:
    """An account on the node, with users."""

    def __init__(self, node, account, numbers):
        self.node, self.account = node, account
        self.path = node.path / account
        created = json.loads(
            node.cli("--output", "json", "create", "account", account, "-B32").stdout)
        secret = node.path / f"{account}.secret"
        secret.write_text(find(created, "shared_secret"))
        run("crs-cms", "init", "--account", account, "--secret-file", secret, "--server",
            node.server, "--server-ca", node.ready["pool_ca"], self.path)
        self.cms("user", "add", *numbers)
        self.apply()

    def cms(self, *arguments, now=None):
        env = {"CRS_CMS_NOW": now} if now else None
        return run("crs-cms", "--dir", self.path, *arguments, env=env)

    def apply(self, period=None):
        update = self.node.path / f"{self.account}.upd"
        extra = ["--period", period] if period else []
        self.cms("update", "create", "-o", update, *extra)
        print_ = json.loads(self.cms("--output", "json", "fingerprint").stdout)["fingerprint"]
        return self.node.cli("apply", update, "--confirm-fingerprint", print_)

    def enrol(self, number, name=None):
        """A profile of crs-client; returns the folder of its PEM files."""
        name = name or f"{self.account}-{number[-4:]}"
        profile, bundle = self.node.path / name, self.node.path / f"{name}.crsenrol"
        self.cms("enrol", number, "--pin", PIN, "-o", bundle)
        run("crs-client", "--profile", profile, "enrol", bundle, "--pin", PIN)
        pem = self.node.path / f"{name}.pem"
        run("crs-client", "--profile", profile, "export", "--pem", pem)
        return pem


def find(value, name):
    """The text of a field, wherever it is."""
    if isinstance(value, dict):
        if isinstance(value.get(name), str):
            return value[name]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            found = find(inner, name)
            if found:
                return found
    return None


def wait_until(true, within=10):
    end = time.monotonic() + within
    while time.monotonic() < end:
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("not in time")
