"""crs-client at a terminal, as a person has it."""

import os
import pty
import secrets
import subprocess
import termios

from node import BIN, PIN, until


def said(terminal):
    """What the program wrote to the terminal until it closed it."""
    text = b""
    try:
        while part := os.read(terminal, 4096):
            text += part
    except OSError:
        # What Linux says when nobody has the other end any more.
        pass
    return text.decode()


def echoes(terminal):
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


async def test_a_pin_that_is_typed_is_not_shown(domain):
    bundle = domain.node.path / f"{secrets.token_hex(8)}.crsenrol"
    domain.cms("enrol", domain.spare.pop(), "--pin", PIN, "-o", bundle)
    profile = domain.node.path / f"profile-{secrets.token_hex(8)}"
    terminal, other_end = pty.openpty()
    assert echoes(terminal)
    # --ctty: /dev/tty is this terminal.
    command = ["setsid", "--ctty", BIN / "crs-client", "--profile", profile, "enrol", bundle]
    program = subprocess.Popen(command, stdin=other_end, stdout=other_end, stderr=other_end)
    try:
        await until(lambda: not echoes(terminal))
        os.write(terminal, f"{PIN}\n".encode())
        await until(lambda: program.poll() is not None)
        assert echoes(terminal), "the terminal is as it was"
        os.close(other_end)
        text = said(terminal)
        assert program.returncode == 0, text
        assert "PIN" in text and PIN not in text and "is enrolled" in text, text
    finally:
        program.kill()
        program.wait()
        os.close(terminal)
