import functools

import trio

from xp2p_trio import Certificate, PeerConnection, PeerServer, accept_direct, open_direct_connection, serve_peers

CAROL = Certificate.generate()  # in life: Certificate.from_pem(...), the same at every start


async def greet(pc: PeerConnection) -> None:
    assert pc.remote_description is not None
    is_carol = f"a=fingerprint:{CAROL.fingerprint()}" in pc.remote_description.sdp  # DTLS has made sure that it is true
    async for channel in pc.incoming_channels:
        await channel.send("welcome back" if is_carol else "hello, stranger")


async def call(server: PeerServer, certificate: Certificate | None) -> None:
    # All that a caller must know, from a web page or a QR code: where the server is, and which certificate it has.
    address, fingerprint = server.addresses[0], server.fingerprint
    async with open_direct_connection(address, fingerprint, certificate=certificate) as pc:
        async with pc.create_data_channel("greeting") as channel:
            print(await channel.receive())


async def main() -> None:
    async with trio.open_nursery() as nursery:
        serve = functools.partial(serve_peers, on_unknown=accept_direct)
        server: PeerServer = await nursery.start(serve, greet, 0)
        await call(server, None)
        await call(server, CAROL)
        nursery.cancel_scope.cancel("done")


trio.run(main)
