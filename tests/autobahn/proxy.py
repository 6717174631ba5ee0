"""Plain TCP on loopback to the node's TLS listener, holding a client certificate.

The Autobahn fuzzing client speaks neither TLS 1.3 nor client certificates; this carries its bytes
unchanged. `proxy.py SERVER_HOST:PORT PEM_FOLDER` prints the port it listens on.
"""

import asyncio
import json
import pathlib
import ssl
import sys

BUFFER = 1 << 16
CASE_TIME_MAX = 120


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies until the end of the stream, then passes the end on and nothing more: closing at
    once would reset the other side before it has read the node's last words. What can no longer
    be delivered is read and dropped."""
    delivering = True
    try:
        while data := await reader.read(BUFFER):
            if delivering:
                try:
                    writer.write(data)
                    await writer.drain()
                except (ConnectionError, ssl.SSLError):
                    delivering = False
        if writer.can_write_eof():
            writer.write_eof()
    except (ConnectionError, ssl.SSLError):
        pass


async def main() -> None:
    host, port = sys.argv[1].rsplit(":", 1)
    folder = pathlib.Path(sys.argv[2])
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection(host, int(port), ssl=context)
        except OSError as error:
            print(f"cannot reach the node: {error}", file=sys.stderr)
            writer.close()
            return
        both = asyncio.gather(copy(reader, upstream[1]), copy(upstream[0], writer))
        try:
            await asyncio.wait_for(both, CASE_TIME_MAX)
        except TimeoutError:
            pass
        finally:
            writer.close()
            upstream[1].close()

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


asyncio.run(main())
