"""WebSocket byte by byte over TLS (RFC 6455), for frames that no library would send."""

import base64
import os
import socket
import ssl
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def upgrade_request(path="/crs/v1", method="GET", remove=(), body=b"", **headers):
    """The upgrade; headers are given with underscores, `remove` leaves some out."""
    fields = {
        "Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(), "Sec-WebSocket-Protocol": "crs.v1"}
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items() if k not in remove), "", ""]
    return "\r\n".join(lines).encode() + body


def frame(payload=b"", opcode=TEXT, *, fin=True, mask=True, reserved=0, claim=None):
    """A frame; `claim` is a length that is not the payload's."""
    length = len(payload) if claim is None else claim
    head = bytes([fin << 7 | reserved << 4 | opcode])
    bit = mask << 7
    if length < 126:
        head += bytes([bit | length])
    elif length < 65_536:
        head += bytes([bit | 126]) + struct.pack("!H", length)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", length)
    if not mask:
        return head + payload
    key = os.urandom(4)
    stretched = key * (len(payload) // 4 + 1)
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(stretched[:len(payload)], "big")
    return head + key + masked.to_bytes(len(payload), "big")


class Raw:
    """A TLS connection to a node."""

    def __init__(self, server, context, receive_buffer=None):
        host, port = server.rsplit(":", 1)
        plain = socket.socket()
        plain.settimeout(20)
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.connect((host, int(port)))
        self.tls = context.wrap_socket(plain, server_hostname=host)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tls.close()

    def send(self, data):
        """Bytes; a server that has closed already is told by what is read next."""
        try:
            self.tls.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            pass

    def _more(self):
        data = self.tls.recv(65_536)
        if not data:
            raise EOFError("the server closed the connection")
        self.buffer += data

    def _take(self, count):
        while len(self.buffer) < count:
            self._more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def head(self):
        """(status, head) of an HTTP answer."""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return int(head.split(b" ")[1]), head.decode()

    def rest(self):
        """Whatever else comes until the end."""
        try:
            while True:
                self._more()
        except (EOFError, ConnectionResetError, ssl.SSLError):
            return self.buffer

    def upgrade(self):
        """Upgrades and reads `welcome`."""
        self.send(upgrade_request())
        status, head = self.head()
        assert status == 101, head
        opcode, payload = self.frame()
        assert opcode == TEXT and b'"welcome"' in payload, payload
        return self

    def frame(self):
        """(opcode, payload) of the server's next frame."""
        first, second = self._take(2)
        assert first & 0xF0 == 0x80, "servers send whole frames without reserved bits"
        assert second < 128, "servers do not mask"
        length = second
        if second == 126:
            [length] = struct.unpack("!H", self._take(2))
        elif second == 127:
            [length] = struct.unpack("!Q", self._take(8))
        return first & 0x0F, self._take(length)

    def close_frame(self):
        """(code, reason) of the close frame, whatever comes before it."""
        while True:
            opcode, payload = self.frame()
            if opcode == CLOSE:
                return struct.unpack("!H", payload[:2])[0], payload[2:].decode()
