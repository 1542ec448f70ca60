"""An S3-compatible server in a process of its own (`moto`), which can be away and come back with all that it had."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import obstore
from obstore.store import S3Store

BUCKET = "calls"
PLACE = f"s3://{BUCKET}/recorded"
#: A bound for what takes a second or two.
PATIENCE_S = 30.0


class Bucket:
    """`options`: as RECORDINGS_STORE has them."""

    def __init__(self, port: int) -> None:
        self.options = {
            "endpoint": f"http://127.0.0.1:{port}", "region": "us-east-1", "access_key_id": "simulated",
            "secret_access_key": "simulated-secret"}
        options: Any = self.options
        self._store = S3Store.from_url(PLACE, config=options, client_options={"allow_http": True})

    @property
    def setting(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self.options.items())

    async def names(self) -> list[str]:
        return [meta["path"] for meta in await obstore.list(self._store).collect_async()]

    async def read(self, name: str) -> bytes:
        return bytes(await (await obstore.get_async(self._store, name)).bytes_async())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def object_store(port: int) -> AsyncIterator[Bucket]:
    """A server at this port, with an empty bucket."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await _made(port):
                await asyncio.sleep(0.05)
        yield Bucket(port)
    finally:
        process.kill()
        await process.wait()


async def _made(port: int) -> bool:
    """Makes the bucket, if the server answers already."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(f"PUT /{BUCKET} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n"
                 "Authorization: AWS4-HMAC-SHA256 Credential=simulated/20260101/us-east-1/s3/aws4_request, "
                 "SignedHeaders=host, Signature=0\r\n\r\n".encode())
    status = await reader.readline()
    writer.close()
    return b" 200 " in status
