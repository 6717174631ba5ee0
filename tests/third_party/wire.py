"""TLS by hand (ssl.MemoryBIO), to see, cut and repeat what goes over the wire."""

import socket
import ssl


class Wire:
    """A TLS connection whose records are in our hands; `sent` holds every byte that went out."""

    def __init__(self, server, context):
        host, port = server.rsplit(":", 1)
        self.tcp = socket.create_connection((host, int(port)), 20)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=host)
        self.sent = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tcp.close()

    def records(self):
        """What TLS wants to send."""
        return self.outgoing.read()

    def flush(self):
        """Sends it."""
        data = self.records()
        self.sent += data
        self.tcp.sendall(data)

    def step(self, action):
        """Repeats an action until TLS has read enough for it."""
        while True:
            try:
                return action()
            except ssl.SSLWantReadError:
                self.flush()
                data = self.tcp.recv(65_536)
                if not data:
                    raise EOFError("the server closed the connection") from None
                self.incoming.write(data)
            finally:
                self.flush()

    def handshake(self):
        self.step(self.tls.do_handshake)
        return self

    def send(self, data):
        self.tls.write(data)
        self.flush()

    def receive(self):
        return self.step(lambda: self.tls.read(65_536))

    def receive_until(self, wanted):
        """Everything up to and with the data that holds this."""
        data = b""
        while wanted not in data:
            data += self.receive()
        return data


def first_records(server, sent):
    """What a server answers to bytes that somebody else has sent before, until it closes."""
    host, port = server.rsplit(":", 1)
    answer = b""
    with socket.create_connection((host, int(port)), 20) as tcp:
        try:
            tcp.sendall(sent)
            while data := tcp.recv(65_536):
                answer += data
        except ConnectionResetError:
            pass
    kinds, at = [], 0
    while at + 5 <= len(answer):
        kinds.append(answer[at])
        at += 5 + int.from_bytes(answer[at + 3:at + 5], "big")
    return kinds, answer
