"""The directive `rfc-coverage`: which RFC section is cited where, read from the source and the tests themselves.

Code cites what it acts on as `RFC 9260 section 6.3.1, C3`, or `RFC 9260 sections 6.3.1 and 6.3.2`. This collects the
citations, so the page cannot drift from the code.
"""

from __future__ import annotations

import pathlib
import re
from collections import defaultdict
from typing import TypeAlias

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = pathlib.Path(__file__).parents[2]
Citations: TypeAlias = dict[int, dict[str, set[str]]]

TITLES = {
    1035: "Domain Names",
    3758: "SCTP Partial Reliability",
    3596: "DNS Extensions for IPv6",
    4007: "IPv6 Scoped Addresses",
    4034: "Resource Records for DNS Security",
    4145: "Connection-Oriented Media in SDP",
    4347: "DTLS 1.0",
    4960: "SCTP (obsoleted by RFC 9260)",
    5061: "SCTP Dynamic Address Reconfiguration",
    5062: "Security Attacks Found Against SCTP",
    5116: "Authenticated Encryption",
    5245: "ICE (obsoleted by RFC 8445)",
    5246: "TLS 1.2",
    5280: "X.509 Certificates",
    5288: "AES-GCM Cipher Suites for TLS",
    5289: "ECDHE with SHA-256/384 and AES-GCM",
    5389: "STUN (obsoleted by RFC 8489)",
    5681: "TCP Congestion Control",
    5705: "TLS Exporters",
    5746: "TLS Renegotiation Indication",
    5763: "DTLS-SRTP Framework",
    5764: "DTLS-SRTP",
    5769: "STUN Test Vectors",
    5888: "SDP Grouping Framework",
    5952: "IPv6 Address Text Representation",
    6335: "Port Number Registry",
    6347: "DTLS 1.2",
    6525: "SCTP Stream Reconfiguration",
    6544: "ICE over TCP",
    6762: "Multicast DNS",
    7053: "SACK-IMMEDIATELY for SCTP",
    7496: "Additional PR-SCTP Policies",
    7627: "TLS Extended Master Secret",
    7675: "STUN Consent Freshness",
    7714: "AES-GCM in SRTP",
    7748: "X25519",
    7905: "ChaCha20-Poly1305 for TLS",
    7983: "Multiplexing Scheme Updates",
    8122: "Fingerprints in SDP",
    8261: "DTLS Encapsulation of SCTP",
    8265: "Usernames and Passwords",
    8422: "ECC Cipher Suites for TLS",
    8445: "ICE",
    8446: "TLS 1.3",
    8489: "STUN",
    8826: "WebRTC Security Considerations",
    8827: "WebRTC Security Architecture",
    8831: "WebRTC Data Channels",
    8832: "WebRTC Data Channel Establishment Protocol",
    8838: "Trickle ICE",
    8839: "ICE in SDP",
    8840: "Trickle ICE in SDP",
    8841: "SCTP over DTLS in SDP",
    8842: "DTLS in SDP",
    8863: "ICE Patience",
    8866: "SDP",
    8899: "Datagram Path MTU Discovery",
    9143: "BUNDLE",
    9147: "DTLS 1.3",
    9260: "SCTP",
    9325: "Recommendations for TLS and DTLS",
    9429: "JavaScript Session Establishment Protocol",
    9562: "UUIDs",
    9653: "Zero Checksum for SCTP",
}

_SECTION = r"[0-9A-Z]+(?:\.[0-9]+)*"
_MORE = r"(?:(?:,| and|, and|;)[ \n#]+\d+(?:\.\d+)+)*"
_CITATION = re.compile(rf"RFC[ \n#]*(\d{{4}}),?[ \n#]+sections?[ \n#]+({_SECTION}{_MORE})")
_NUMBER = re.compile(r"(?:\A|[ \n])(\d+(?:\.\d+)*|[A-Z](?:\.\d+)*)\b")


def citations(folder: str) -> Citations:
    """RFC number to section to the files of a folder that cite it."""
    found: Citations = defaultdict(lambda: defaultdict(set))
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for match in _CITATION.finditer(path.read_text(encoding="utf-8")):
            for section in _NUMBER.findall(match[2]):
                found[int(match[1])][section].add(name)
    return found


def mirrored(module: str) -> str | None:
    """The test that mirrors a module, `tests/sctp/test_x.py` of `xp2p_trio/sctp/x.py`, or else the nearest folder."""
    path = pathlib.PurePosixPath(module)
    folder = pathlib.PurePosixPath("tests", *path.parts[1:-1])
    test = folder / f"test_{path.name}"
    if (ROOT / test).exists():
        return test.as_posix()
    while not (ROOT / folder).exists():
        folder = folder.parent
    return None if folder.name == "tests" else f"{folder.as_posix()}/"


def _order(section: str) -> tuple[tuple[int, int | str], ...]:
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in section.split("."))


def _names(files: set[str], prefix: str) -> nodes.entry:
    paragraph = nodes.paragraph()
    for index, name in enumerate(sorted(files)):
        if index:
            paragraph += nodes.Text(", ")
        paragraph += nodes.literal(text=name.removeprefix(prefix))
    return nodes.entry("", paragraph)


class RfcCoverage(SphinxDirective):
    """One table for each RFC that the source cites."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Read the tree and build the sections."""
        source, tests = citations("xp2p_trio"), citations("tests")
        for path in [*(ROOT / "xp2p_trio").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
            self.env.note_dependency(str(path))
        output: list[nodes.Node] = []
        for rfc in sorted(source):
            section = nodes.section(ids=[f"rfc{rfc}"])
            section += nodes.title(text=f"RFC {rfc}: {TITLES[rfc]}" if rfc in TITLES else f"RFC {rfc}")
            section += self._table(source[rfc], tests.get(rfc, {}))
            output.append(section)
        return output

    @staticmethod
    def _table(source: dict[str, set[str]], tests: dict[str, set[str]]) -> nodes.table:
        table = nodes.table()
        group = nodes.tgroup(cols=3)
        table += group
        for width in (12, 44, 44):
            group += nodes.colspec(colwidth=width)
        head = nodes.row()
        for title in ("section", "modules", "tests"):
            head += nodes.entry("", nodes.paragraph(text=title))
        group += nodes.thead("", head)
        body = nodes.tbody()
        for number in sorted(source, key=_order):
            mirrors = {name for name in map(mirrored, source[number]) if name}
            precise = tests.get(number, set()) | {name for name in mirrors if name.endswith(".py")}
            body += nodes.row(
                "",
                nodes.entry("", nodes.paragraph(text=number)),
                _names(source[number], "xp2p_trio/"),
                _names(precise or mirrors, "tests/"),
            )
        group += body
        return table


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("rfc-coverage", RfcCoverage)
    return {"parallel_read_safe": True}
