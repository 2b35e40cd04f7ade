"""Send one file over a byte stream: a header line, the bytes, and the receiver's SHA-256 as the receipt."""

import hashlib
import json
import os
import tempfile

import trio

from xp2p_trio import DataChannelStream, PeerConnection, connect, signaling_pair

CHUNK = 64 * 1024


async def read_line(stream: DataChannelStream, limit: int = 4096) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = await stream.receive_some(1)
        if not byte or len(line) == limit:
            raise ValueError("the peer sent no header line")
        line += byte
    return bytes(line)


async def send_file(pc: PeerConnection, path: trio.Path) -> None:
    digest = hashlib.sha256()
    async with pc.open_stream(f"file:{path.name}") as stream, await trio.open_file(path, "rb") as file:
        await stream.send_all(json.dumps({"name": path.name, "size": (await path.stat()).st_size}).encode() + b"\n")
        while chunk := await file.read(CHUNK):
            digest.update(chunk)
            await stream.send_all(chunk)  # waits for the network, and so for a slow reader
        await stream.send_eof()
        receipt = json.loads(await read_line(stream))
    if receipt["sha256"] != digest.hexdigest():
        raise ValueError(f"{path} arrived damaged")


async def receive_file(pc: PeerConnection, folder: trio.Path) -> trio.Path:
    channel = await pc.incoming_channels.accept()
    digest = hashlib.sha256()
    async with channel.as_stream() as stream:
        header = json.loads(await read_line(stream))
        target = folder / trio.Path(str(header["name"])).name  # never a path from the wire
        part = target.with_name(f"{target.name}.part")
        async with await trio.open_file(part, "wb") as file:
            async for chunk in stream:  # raises if the stream is cut short, so a part never passes for the whole
                digest.update(chunk)
                await file.write(chunk)
        await part.rename(target)
        await stream.send_all(json.dumps({"sha256": digest.hexdigest()}).encode() + b"\n")
    return target


async def main() -> None:
    left, right = signaling_pair()
    with tempfile.TemporaryDirectory() as name:
        folder = trio.Path(name)
        source, inbox = folder / "photo.bin", folder / "inbox"
        await source.write_bytes(os.urandom(3_000_000))
        await inbox.mkdir()
        async with connect(left, initiator=True) as alice, connect(right, initiator=False) as bob:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_file, alice, source)
                target = await receive_file(bob, inbox)
        print("received", target.name, len(await target.read_bytes()), "bytes")


trio.run(main)
