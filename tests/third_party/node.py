"""Starts a node of this workspace for the tests, makes accounts on it, and stops it again.

Everything goes through the programs as a shell would use them. Ends only processes it started.
"""

import asyncio
import datetime
import json
import os
import pathlib
import secrets
import socket
import ssl
import subprocess
import time

import crs_e2e
from crs_client import Client, tls_context

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("CRS_BIN_DIR", ROOT / "target" / "debug")).resolve()
PROGRAMS = ("crs-node", "crs-cli", "crs-cms", "crs-client")
PIN = "3141-5926-5358"
# OpenSSL's X509_V_FLAG_NO_CHECK_TIME: Python's ssl cannot be told of a moved clock.
NO_CHECK_TIME = 0x200000


def run(program, *arguments, env=None):
    """Runs one of our programs to its end and returns the JSON objects it printed."""
    done = subprocess.run(
        [BIN / program, "--output", "json", *map(str, arguments)], capture_output=True, text=True,
        timeout=120, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
    if done.returncode != 0:
        raise RuntimeError(f"{program} {' '.join(map(str, arguments))}: {done.returncode}\n{done.stderr}{done.stdout}")
    text = done.stdout.strip()
    try:
        return [json.loads(text)] if text else []
    except ValueError:
        return [json.loads(line) for line in text.splitlines()]


class Node:
    """A node on loopback in a folder of its own, its clock moved if wanted."""

    def __init__(self, path):
        self.path = path
        self.process = None
        self.offset_ms, self.starts = 0, 0

    def restart(self, now_ms):
        """Starts it again at another time."""
        self.stop()
        return self.start(now_ms - time.time_ns() // 1_000_000)

    def start(self, offset_ms=0):
        """Starts it, or starts it again; returns when it serves."""
        self.offset_ms = offset_ms
        self.starts += 1
        with open(self.path / "node.err", "ab") as errors:
            self.process = subprocess.Popen(
                [BIN / "crs-node", "--dev", "--data", self.path / "node", "--ready-json",
                 f"--clock-offset-ms={offset_ms}"],
                stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if '"ready":true' in line.replace(" ", ""):
                self.ready = json.loads(line)
                self.server = self.ready["client"]
                return self
        raise RuntimeError(f"the node did not start:\n{self.errors()}")

    def configure(self, *lines):
        """Adds directives to the crs.conf that the first start has made, and starts it again with them."""
        self.stop()
        with open(self.path / "node" / "crs.conf", "a") as file:
            file.writelines(f"{line}\n" for line in lines)
        return self.start(self.offset_ms)

    def stop(self):
        """Ends it; whether it had to be killed is an error."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            # Calls that a test left behind would be waited for: a second signal says not to.
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                self.process.terminate()
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError("the node did not end within 30 s") from None
        finally:
            self.process.stdout.close()
            self.process = None

    def errors(self):
        """The end of what it said on standard error."""
        return (self.path / "node.err").read_text()[-3000:]

    def resident_bytes(self):
        """Its memory."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")

    def cli(self, *arguments):
        """crs-cli; returns what it printed."""
        return run("crs-cli", "--socket", self.ready["admin_socket"], *arguments)

    def create_account(self, account):
        """Returns its secret in base64."""
        return text_of(self.cli("create", "account", account, "-B32"), "shared_secret")

    def domain(self, account):
        """An account with its domain made by crs-cms."""
        return Domain(self, account)


class Domain:
    """An account on the node and the crs-cms domain of it."""

    def __init__(self, node, account):
        self.node, self.account, self.numbers = node, account, 0
        self.path = node.path / account
        self.secret = node.create_account(account)
        secret = node.path / f"{account}.secret"
        secret.write_text(self.secret)
        run("crs-cms", "init", "--account", account, "--secret-file", secret, "--server",
            node.server, "--server-ca", node.ready["pool_ca"], self.path)
        # One update file for many users: every test takes its own.
        self.spare = [f"+4670{index:07}" for index in range(1, 161)]
        self.users = len(self.spare)
        self.cms("user", "add", *self.spare)
        self.apply()

    def cms(self, *arguments, now_ms=None):
        """crs-cms; returns what it printed."""
        return run("crs-cms", "--dir", self.path, *arguments, env=cms_clock(now_ms or self.node.offset_ms))

    def apply(self, period=None):
        """Makes an update file and applies it."""
        update = self.node.path / f"{self.account}.upd"
        extra = ["--period", period] if period else []
        self.cms("update", "create", "-o", update, *extra)
        fingerprint = text_of(self.cms("fingerprint"), "fingerprint")
        return self.node.cli("apply", update, "--confirm-fingerprint", fingerprint)

    def enrol(self, number):
        """Enrols as a stranger would: opens the bundle here."""
        bundle = self.node.path / f"{secrets.token_hex(8)}.crsenrol"
        self.cms("enrol", number, "--pin", PIN, "-o", bundle)
        return User(self.node, crs_e2e.open_bundle(bundle.read_bytes(), PIN))

    def user(self):
        """A user of the Python client that no other test has."""
        return self.enrol(self.spare.pop())

    def program(self, number=None):
        """A user of crs-client that no other test has."""
        number = number or self.spare.pop()
        bundle = self.node.path / f"{secrets.token_hex(8)}.crsenrol"
        self.cms("enrol", number, "--pin", PIN, "-o", bundle)
        client = Program(self.node, f"tel:{number}")
        client.run("enrol", bundle, "--pin", PIN, "--device", "program-1")
        return client


class User:
    """A person with a folder of PEM files, who connects with the Python client."""

    def __init__(self, node, person):
        self.node, self.person, self.uri = node, person, person.uri
        self.folder = node.path / f"user-{secrets.token_hex(8)}"
        self.folder.mkdir()
        self.person.write_pems(self.folder)

    def context(self, **files):
        """TLS with this user's certificate."""
        return context_of(self.folder, **files)

    def connect(self):
        """`async with user.connect() as client:`"""
        context = self.context()
        if self.node.offset_ms:
            context.verify_flags |= NO_CHECK_TIME
        return Client(self.node.server, context)

    def use(self, month):
        """Connects with these keys from now on."""
        self.person.write_pems(self.folder, month.sign_cert, month.sign_key)

    async def update(self, client, period):
        """Fetches, verifies, stores and confirms the keys of a month; connects with them once it has begun."""
        reply = await client.update(period)
        month = self.person.take_package(reply["package"])
        if period <= client_period(client):
            self.use(month)
        await client.request("upd.confirm", period=period, serial=reply["serial"])
        return month

    async def keys(self):
        """The keys of the current month."""
        async with self.connect() as client:
            return await self.update(client, client_period(client))


def client_period(client):
    """The server's month."""
    return crs_e2e.period_of(client.welcome["time"])


def context_of(folder, certificate=True):
    """TLS with the PEM files of a folder."""
    if not certificate:
        return tls_context(folder / "ca.pem")
    return tls_context(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")


class Program:
    """A profile of crs-client."""

    def __init__(self, node, uri):
        self.node, self.uri = node, uri
        self.path = node.path / f"profile-{secrets.token_hex(8)}"

    def run(self, *arguments):
        """crs-client to its end; returns the objects it printed."""
        return run("crs-client", *self.options(), *arguments)

    def options(self):
        """Clock, profile, and the node's address when it is not the enrolled one any more."""
        moved = ["--server", self.node.server] if self.node.starts > 1 else []
        return [f"--clock-offset-ms={self.node.offset_ms}", "--profile", self.path, *moved]

    async def start(self, *arguments):
        """crs-client beside the test."""
        process = await asyncio.create_subprocess_exec(
            BIN / "crs-client", "--output", "json", *map(str, self.options()), *map(str, arguments),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        return Running(process)

    def attached(self):
        """Whether the server shows this user as attached."""
        return self.uri.removeprefix("tel:") in json.dumps(self.node.cli("show", "attach"))


class Running:
    """A crs-client that runs; `async with` ends it."""

    def __init__(self, process):
        self.process = process

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def event(self, name, within=30):
        """The next line it prints with this event; earlier ones are skipped."""
        async def wait():
            while line := await self.process.stdout.readline():
                value = json.loads(line)
                if value.get("event") == name:
                    return value
            raise RuntimeError(f"crs-client ended: {(await self.process.stderr.read()).decode()}")
        return await asyncio.wait_for(wait(), within)

    async def ended(self, within=30):
        """Its exit code."""
        return await asyncio.wait_for(self.process.wait(), within)


def cms_clock(offset_ms):
    """The variable that moves crs-cms's clock."""
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(milliseconds=offset_ms)
    return {"CRS_CMS_NOW": now.strftime("%Y-%m-%dT%H:%M:%SZ")} if offset_ms else {}


def text_of(value, name):
    """The text of a field, wherever it is."""
    if isinstance(value, dict):
        if isinstance(value.get(name), str):
            return value[name]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            found = text_of(inner, name)
            if found:
                return found
    return None


async def until(condition, within=30):
    """Polls something that can only be asked, bounded in time."""
    async def wait():
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)
    await asyncio.wait_for(wait(), within)


def refused_with_alert(server, context, check_time=True):
    """The server must refuse a certificate with a TLS alert and no application byte; returns the alert."""
    if not check_time:
        context.verify_flags |= NO_CHECK_TIME
    answer = first_answer(server, context)
    if isinstance(answer, bytes):
        raise AssertionError(f"the server sent application data: {answer!r}")
    return answer


def first_answer(server, context):
    """What the server answers to an upgrade: bytes, or the words of its TLS alert."""
    host, port = server.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 15) as raw:
        try:
            with context.wrap_socket(raw, server_hostname=host) as tls:
                # In TLS 1.3 our handshake ends first: the refusal comes with the first read.
                tls.sendall(
                    b"GET /crs/v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                    b"Sec-WebSocket-Protocol: crs.v1\r\n\r\n")
                return tls.recv(100)
        except ssl.SSLError as error:
            if "ALERT" not in str(error.reason or error).upper():
                raise
            return error.reason
