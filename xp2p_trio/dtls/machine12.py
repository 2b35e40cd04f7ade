"""What both machines of the DTLS 1.2 handshake do alike: messages in by the table, messages out by number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from xp2p_trio.dtls.alerts import AlertDescription
from xp2p_trio.dtls.extensions import Extensions, decode_integer_list, decode_renegotiation_info
from xp2p_trio.dtls.flights import Flight, FlightItem
from xp2p_trio.dtls.handshake import Message
from xp2p_trio.dtls.handshake12 import Party, Protection, Refusal, Result, Session, Step, Transcript, malformed
from xp2p_trio.dtls.parameters import UNCOMPRESSED_POINT_FORMAT, ExtensionType, HandshakeType
from xp2p_trio.dtls.states12 import ClientState, Input, ServerState, Verdict
from xp2p_trio.errors import DecodeError, Reason

_State = TypeVar("_State", ClientState, ServerState)


class Machine12(Generic[_State]):
    """Takes the peer's messages in order and answers with flights.

    Attributes:
        state: what it waits for.
        flight: the flight to send now, until it is taken.
        protection: the keys, once there are any.
        session: what was agreed on, once the handshake is complete and everything in it is verified.
    """

    __slots__ = (
        "_first_state",
        "_first_types",
        "_handlers",
        "_message_seq",
        "_now",
        "_party",
        "_table",
        "_transcript",
        "flight",
        "protection",
        "session",
        "state",
    )

    def __init__(
        self,
        party: Party,
        table: Mapping[tuple[_State, Input], _State | Verdict],
        handlers: Mapping[Input, Callable[[Message], Result]],
        *,
        first_state: _State,
        first_types: frozenset[HandshakeType],
    ) -> None:
        self._party = party
        self._table: Mapping[tuple[_State, Input], _State | Verdict] = table
        self._handlers = handlers
        self._first_state: _State = first_state
        self._first_types = first_types
        self._message_seq = 0
        self._now = 0.0
        self._transcript = Transcript()
        self.state: _State = first_state
        self.flight: Flight | None = None
        self.protection: Protection | None = None
        self.session: Session | None = None

    @property
    def first_types(self) -> frozenset[HandshakeType]:
        """What may come now, with any message_seq; none once a hello of the peer was accepted."""
        return self._first_types if self.state is self._first_state else frozenset()

    def receive_message(self, message: Message, now: float) -> Refusal | None:
        """Take the next message. One that is refused leaves everything as it was."""
        self._now = now
        try:
            item = Input(message.handshake_type)
        except ValueError:
            return self._unexpected(message)
        target = self._table[self.state, item]
        if target is Verdict.IGNORE:
            return None
        if isinstance(target, Verdict):
            return self._unexpected(message)
        try:
            result = self._handlers[item](message)
        except DecodeError as error:
            return malformed(f"{item.name}: {error}")
        if isinstance(result, Refusal):
            return result
        if result is Step.ADVANCE:
            self.state = target
        return None

    def receive_change_cipher_spec(self) -> Verdict | None:
        """The peer's keys change; None if the next records are under them."""
        target = self._table[self.state, Input.CHANGE_CIPHER_SPEC]
        if isinstance(target, Verdict):
            return target
        self.state = target
        return None

    def _unexpected(self, message: Message) -> Refusal:
        return Refusal(
            AlertDescription.UNEXPECTED_MESSAGE,
            Reason.PROTOCOL_VIOLATION,
            f"handshake message of type {message.handshake_type} in state {self.state.name}",
        )

    def _write(self, handshake_type: HandshakeType, body: bytes, epoch: int = 0) -> FlightItem:
        message = Message(handshake_type, self._message_seq, body)
        self._message_seq += 1
        self._transcript.append(message)
        return FlightItem(epoch, message)


def check_extensions(extensions: Extensions) -> Refusal | None:
    """Judge those extensions of a hello that can say only one thing in a first handshake, where they are there."""
    if extensions.get(ExtensionType.EXTENDED_MASTER_SECRET):
        return malformed("extended_master_secret is not empty")
    renegotiation_info = extensions.get(ExtensionType.RENEGOTIATION_INFO)
    if renegotiation_info is not None and decode_renegotiation_info(renegotiation_info):
        return Refusal(  # RFC 5746 sections 3.4 and 3.6
            AlertDescription.HANDSHAKE_FAILURE,
            Reason.PROTOCOL_VIOLATION,
            "renegotiation_info is not empty in a first handshake",
        )
    formats = extensions.get(ExtensionType.EC_POINT_FORMATS)
    if formats is not None and UNCOMPRESSED_POINT_FORMAT not in decode_integer_list(formats, 1, 1):
        return Refusal(  # RFC 8422 section 5.1.2
            AlertDescription.ILLEGAL_PARAMETER,
            Reason.PROTOCOL_VIOLATION,
            "the peer does not know uncompressed points",
        )
    return None
