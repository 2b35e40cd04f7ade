"""Headless Chromium behind the control protocol of `../foreign.py`.

Serves this folder on loopback, starts a browser with a fresh profile on `page.html`, and passes lines between standard
input and output and the page: in by `Runtime.evaluate`, out by a binding, over the browser's remote debugging port
(Chrome DevTools Protocol). Runs in an interpreter that has `websockets`. The arguments
are the browser's command and further flags for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.server
import itertools
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-proxy-server",
    "--remote-debugging-port=0",
]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves the peers' folder and says nothing about it."""

    def log_message(self, format: str, *args: Any) -> None:
        """Keep standard error for the browser's own words."""


def serve_page() -> str:
    """The address of `page.html` on a server thread that ends with this process."""
    handler = functools.partial(QuietHandler, directory=str(Path(__file__).parent))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/page.html"


class Page:
    """A DevTools session with the one page."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.session: str | None = None

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One DevTools command."""
        number = next(self._ids)
        future = self._replies[number] = asyncio.get_running_loop().create_future()
        request: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self.session is not None:
            request["sessionId"] = self.session
        await self._socket.send(json.dumps(request))
        return await future

    async def pump(self) -> None:
        """Sort what the browser says: replies, lines of the page, complaints."""
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                future = self._replies.pop(message["id"])
                if "error" in message:
                    future.set_exception(RuntimeError(f"DevTools: {message['error']}"))
                else:
                    future.set_result(message["result"])
            elif message.get("method") == "Runtime.bindingCalled":
                sys.stdout.write(message["params"]["payload"] + "\n")
                sys.stdout.flush()
            elif message.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
                print(json.dumps(message["params"]), file=sys.stderr, flush=True)


async def drive(browser: asyncio.subprocess.Process, address: str) -> None:
    """Open the page and pass lines until standard input ends."""
    assert browser.stderr is not None
    async for raw in browser.stderr:
        line = raw.decode(errors="replace")
        sys.stderr.write(line)
        if found := re.search(r"DevTools listening on (ws://\S+)", line):
            break
    else:
        raise SystemExit("the browser ended before it opened its debugging port")
    drain = asyncio.create_task(copy_lines(browser.stderr))
    async with connect(found[1], max_size=None, proxy=None, ping_interval=None) as socket:
        page = Page(socket)
        pump = asyncio.create_task(page.pump())
        version = await page.call("Browser.getVersion")
        target = (await page.call("Target.createTarget", url="about:blank"))["targetId"]
        page.session = (await page.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        await page.call("Runtime.enable")
        await page.call("Runtime.addBinding", name="emitLine")
        await page.call("Page.enable")
        await page.call("Page.navigate", url=address)
        loaded = "typeof handleLine"
        while (await page.call("Runtime.evaluate", expression=loaded))["result"]["value"] != "function":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        sys.stdout.write(json.dumps({"event": "ready", "name": version["product"]}) + "\n")
        sys.stdout.flush()
        reader = asyncio.StreamReader(limit=1 << 26)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line_in := await reader.readline():
            await page.call("Runtime.evaluate", expression=f"handleLine({json.dumps(line_in.decode())})")
        pump.cancel()
    drain.cancel()


async def copy_lines(stream: asyncio.StreamReader) -> None:
    """Keep the browser's standard error flowing into ours."""
    async for raw in stream:
        sys.stderr.write(raw.decode(errors="replace"))


async def main(command: str, flags: Sequence[str]) -> None:
    """Run one browser from start to end."""
    profile = tempfile.mkdtemp(prefix="profile-", dir=Path.cwd())
    debug = ["--enable-logging=stderr", "--v=0", "--vmodule=*/webrtc/*=1"] if os.environ.get("INTEROP_DEBUG") else []
    browser = await asyncio.create_subprocess_exec(
        command,
        *FLAGS,
        *flags,
        *debug,
        f"--user-data-dir={profile}",
        "about:blank",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await drive(browser, serve_page())
    finally:
        with contextlib.suppress(ProcessLookupError):
            browser.send_signal(signal.SIGKILL)
        await browser.wait()
        shutil.rmtree(profile, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
