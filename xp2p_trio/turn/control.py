"""The life of an allocation on its server: what is asked, what the answers mean, and when to ask again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from xp2p_trio.errors import Failure, Reason
from xp2p_trio.sansio import Address, Closed, Failed, RandomBytes, Timer, canonical_address, is_ipv6
from xp2p_trio.stun import Lifetime, Message, XorMappedAddress, XorRelayedAddress
from xp2p_trio.turn import diagnosis
from xp2p_trio.turn.authentication import Authentication
from xp2p_trio.turn.channels import Channels
from xp2p_trio.turn.configuration import (
    CLOSE_TIMEOUT,
    DEFAULT_LIFETIME,
    MAX_LIFETIME,
    AddressFamily,
    Configuration,
    Credentials,
)
from xp2p_trio.turn.events import (
    Allocated,
    AllocationRefused,
    ChannelBound,
    ChannelDenied,
    CredentialsRequested,
    Event,
    PermissionCreated,
    PermissionDenied,
    Redirected,
)
from xp2p_trio.turn.permissions import FIRST_RETRY, LAST_RETRY, Permissions
from xp2p_trio.turn.redirect import alternate_server
from xp2p_trio.turn.requests import (
    Allocate,
    ChannelBind,
    CreatePermission,
    Outcome,
    Refresh,
    Refused,
    Requests,
    Succeeded,
    Unanswered,
)
from xp2p_trio.turn.state import TRANSITIONS, Input, State
from xp2p_trio.turn.statistics import Counters

_GONE: Final = 437
_WRONG_CREDENTIALS: Final = 441


def _is_passing(code: int) -> bool:
    """Whether the same request may well succeed later: a nonce that went stale twice, a server in trouble."""
    return code == 438 or (code >= 500 and code != 508)


@final
class Control:
    """Everything but the data.

    Attributes:
        state: where it stands.
        server: where requests go; another one after a redirect.
        permissions: the hosts.
        channels: the peers.
        events: not taken yet.
    """

    def __init__(
        self,
        server: Address,
        credentials: Credentials,
        random_bytes: RandomBytes,
        configuration: Configuration,
        counters: Counters,
        on_permissions: Callable[[], None],
    ) -> None:
        self.state = State.NEW
        self.server = server
        self.permissions = Permissions()
        self.channels = Channels()
        self.events: list[Event] = []
        self._configuration = configuration
        self._authentication = Authentication(credentials, configuration.realm or None)
        self._requests = Requests(self._authentication, random_bytes, configuration, counters)
        self._on_permissions = on_permissions
        self._is_redirected = not configuration.follow_redirect
        self._end: Closed | Failed = Closed()
        self._deadline = Timer()  # of the allocating and of the closing
        self._expiry = Timer()
        self._refresh = Timer()
        self._refresh_retry = FIRST_RETRY

    @property
    def has_ended(self) -> bool:
        """Whether the terminal event has come."""
        return self.state >= State.CLOSED

    def start(self, now: float) -> None:
        """Ask for the allocation."""
        self._step(Input.START)
        self._deadline.start(now + self._configuration.allocation_timeout)
        self._requests.add(Allocate(self._configuration))

    def close(self, now: float) -> None:
        """Delete the allocation if there may be one."""
        if self.state is State.ALLOCATED or (
            # An Allocate that could be answered with success may be under way.
            self.state is State.ALLOCATING and self._authentication.session is not None
        ):
            self._delete(Closed(), now)
        elif self.state <= State.ALLOCATING:
            self._finish(Input.CLOSE, Closed())

    @property
    def silence(self) -> str:
        """Why there is no answer, as far as we can tell."""
        return diagnosis.of_silence(self.server, self._configuration.transport, self._requests.oldest)[1]

    def refresh(self, now: float) -> None:
        """Let the next refresh be due, unless one is under way."""
        if self.state is State.ALLOCATED and self._refresh.is_running:
            self._refresh.start(now)

    def replace_credentials(self, credentials: Credentials) -> None:
        """Sign with these, and let what waited for them go."""
        self._authentication.replace(credentials)
        self._requests.is_paused = False

    def request_due(self, now: float) -> None:
        """Let the requests leave that permissions and channels have become due for."""
        for hosts in self.permissions.take_due(now):
            self._requests.add(CreatePermission(hosts))
        for channel in self.channels.take_due(now):
            self._requests.add(ChannelBind(channel.peer, channel.number))

    def transmit(self, now: float, limit: int) -> list[bytes]:
        """Requests that are due."""
        return self._requests.transmit(now, limit)

    def receive(self, response: Message, now: float) -> None:
        """Take a response."""
        outcome = self._requests.receive(response, now)
        if outcome is not None:
            self._handle(outcome, now)
            self._ask(now)

    def next_timeout(self, now: float) -> float:
        """When something is due."""
        soonest = min(self._requests.next_timeout(now), self._deadline.deadline)
        if self.state is State.ALLOCATED:
            soonest = min(
                soonest,
                self._expiry.deadline,
                self._refresh.deadline,
                self.permissions.next_timeout,
                self.channels.next_timeout,
            )
        return soonest

    def lapse(self, now: float) -> None:
        """Stop using what the server has forgotten by now."""
        if self.state is not State.ALLOCATED:
            return
        if self._expiry.expire(now):
            name = diagnosis.name_of(self.server, self._configuration.transport)
            what = "the credentials had run out" if self._requests.is_paused else "it answered no refresh"
            self._fail(Reason.PEER_UNREACHABLE, f"the allocation on {name} has expired: {what}")
            return
        if self.permissions.next_timeout <= now:
            self.permissions.expire(now)
        if self.channels.next_timeout <= now:
            self.channels.expire(now)

    def handle_timeout(self, now: float) -> None:
        """Give up, retransmit, refresh."""
        if self._deadline.deadline <= now:
            self._deadline.stop()
            if self.state is State.CLOSING:
                self._finish(Input.FAIL if isinstance(self._end, Failed) else Input.DELETED, self._end)
            elif self.state is State.ALLOCATING:
                self._fail(*diagnosis.of_silence(self.server, self._configuration.transport, self._requests.oldest))
        self.lapse(now)
        if self.has_ended:
            return
        for outcome in self._requests.handle_timeout(now):
            self._handle(outcome, now)
        if self.state is State.ALLOCATED and self._refresh.expire(now):
            self._requests.add(Refresh(self._configuration.lifetime, self._configuration.software))
        self._ask(now)

    def _ask(self, now: float) -> None:
        if self.state is State.ALLOCATED:
            self.request_due(now)

    def _handle(self, outcome: Outcome, now: float) -> None:
        if self.has_ended:
            return
        if self.state is State.CLOSING:
            # Deleted, or not there (RFC 8656 section 8.3), or a server that does not answer us any more.
            self._finish(Input.FAIL if isinstance(self._end, Failed) else Input.DELETED, self._end)
            return
        match outcome:
            case Succeeded():
                self._succeeded(outcome, now)
            case Refused():
                self._refused(outcome, now)
            case Unanswered():
                self._unanswered(outcome, now)

    def _succeeded(self, outcome: Succeeded, now: float) -> None:
        request, sent_at = outcome.request, outcome.sent_at
        new: list[str] = []
        match request:
            case Allocate():
                self._allocated(outcome.response, sent_at, now)
            case Refresh():
                self._lasts(outcome.response, sent_at, now)
                self._refresh_retry = FIRST_RETRY
            case CreatePermission():
                new = self.permissions.installed(request.hosts, sent_at)
            case ChannelBind():
                # A ChannelBind installs the permission too (RFC 8656 section 12.2).
                new = self.permissions.installed([request.peer[0]], sent_at)
                if self.channels.installed(request.peer, sent_at):
                    self.events.append(ChannelBound(request.peer))
        if new:
            self.events += map(PermissionCreated, new)
            self._on_permissions()

    def _allocated(self, response: Message, sent_at: float, now: float) -> None:
        relayed_attribute, mapped_attribute = response.get(XorRelayedAddress), response.get(XorMappedAddress)
        relayed = None if relayed_attribute is None else canonical_address(relayed_attribute.address)
        mapped = None if mapped_attribute is None else canonical_address(mapped_attribute.address)
        lifetime = self._lasts(response, sent_at, now)
        name = diagnosis.name_of(self.server, self._configuration.transport)
        problem = ""
        if relayed is None or mapped is None:
            problem = "without the addresses that RFC 8656 section 7.2 demands"
        elif is_ipv6(relayed[0]) != (self._configuration.address_family is AddressFamily.IPV6):
            problem = f"with {relayed[0]}, which is of another address family than asked for"
        elif lifetime <= 0:
            problem = "for no time at all"
        if relayed is None or mapped is None or problem:
            # RFC 8656 section 7.3: delete it.
            detail = f"{name} answered ALLOCATE {problem}; use another server"
            self._delete(Failed(Failure("turn", Reason.PROTOCOL_VIOLATION, detail)), now)
            return
        self._step(Input.ALLOCATED)
        self._deadline.stop()
        self.events.append(Allocated(relayed, mapped, lifetime))

    def _lasts(self, response: Message, sent_at: float, now: float) -> float:
        """Set the timers by a LIFETIME, and return it."""
        attribute = response.get(Lifetime)
        lifetime = float(min(DEFAULT_LIFETIME if attribute is None else attribute.seconds, MAX_LIFETIME))
        self._expiry.start(sent_at + lifetime)
        # Half-way, where RFC 8656 section 8 suggests a minute before: time for many retransmissions. At most once a
        # second, whatever the server says.
        self._refresh.start(max(sent_at + lifetime / 2, now + 1.0))
        return lifetime

    def _refused(self, outcome: Refused, now: float) -> None:
        request, code = outcome.request, outcome.code
        if isinstance(request, Allocate):
            if code == 300 and self._redirect(outcome, now):
                return
            self._refuse(outcome)
        elif code in (_GONE, _WRONG_CREDENTIALS):
            self._refuse(outcome, "it no longer exists; make a new one" if code == _GONE else "")
        elif code == 401:
            if not self._requests.is_paused:
                self._requests.is_paused = True
                self.events.append(CredentialsRequested(outcome.realm, outcome.reason))
            self._requests.put_back(request)
        elif isinstance(request, Refresh):
            self._retry_refresh(now)
        elif isinstance(request, CreatePermission):
            self._refused_permission(request, outcome, now)
        elif _is_passing(code):
            self.channels.failed(request.peer, now)
        else:
            self.channels.forget(request.peer, now)
            self.events.append(ChannelDenied(request.peer, code, outcome.reason))

    def _refused_permission(self, request: CreatePermission, outcome: Refused, now: float) -> None:
        if _is_passing(outcome.code):
            self.permissions.failed(request.hosts, now)
        elif len(request.hosts) > 1:
            # One bad host has the whole request refused (RFC 8656 section 10.2); find out which.
            self.permissions.failed(request.hosts, now, is_alone=True)
        elif request.hosts[0] in self.permissions.wanted:
            self.forget_host(request.hosts[0], now)
            self.events.append(PermissionDenied(request.hosts[0], outcome.code, outcome.reason))

    def forget_host(self, host: str, now: float) -> None:
        """Send it nothing any more and let its permission and channels lapse."""
        self.permissions.forget(host)
        for peer in [peer for peer in self.channels.wanted if peer[0] == host]:
            self.channels.forget(peer, now)
        self._on_permissions()

    def _unanswered(self, outcome: Unanswered, now: float) -> None:
        match outcome.request:
            case Allocate():
                self._fail(*diagnosis.of_silence(self.server, self._configuration.transport, outcome))
            case Refresh():
                self._retry_refresh(now)
            case CreatePermission(hosts):
                self.permissions.failed(hosts, now)
            case ChannelBind(peer):
                self.channels.failed(peer, now)

    def _retry_refresh(self, now: float) -> None:
        self._refresh.start(now + self._refresh_retry)
        self._refresh_retry = min(self._refresh_retry * 2, LAST_RETRY)

    def _redirect(self, outcome: Refused, now: float) -> bool:
        """Follow a 300 if that may be. Returns whether it was."""
        if self._is_redirected:
            return False
        alternate = alternate_server(outcome.response, self.server)
        if isinstance(alternate, str):
            return False
        self._is_redirected = True
        self.events.append(Redirected(alternate, outcome.realm))
        if self._configuration.transport.is_stream:
            self._finish(Input.CLOSE, Closed())
            return True
        self._step(Input.REDIRECTED)
        self.server = alternate
        self._authentication.forget()
        self._requests.clear()
        self._deadline.start(now + self._configuration.allocation_timeout)
        self._requests.add(Allocate(self._configuration))
        return True

    def _refuse(self, outcome: Refused, note: str = "") -> None:
        if outcome.code == 300:
            alternate = alternate_server(outcome.response, self.server)
            note = alternate if isinstance(alternate, str) else "one redirect is followed, and no more"
        self.events.append(AllocationRefused(self.server, outcome.realm, outcome.code, outcome.reason))
        self._fail(*diagnosis.of_refusal(self.server, self._configuration.transport, outcome, note))

    def _delete(self, end: Closed | Failed, now: float) -> None:
        self._step(Input.DELETE)
        self._end = end
        self._requests.clear()
        self._requests.add(Refresh(0, self._configuration.software))
        self._deadline.start(now + CLOSE_TIMEOUT)

    def _fail(self, reason: Reason, detail: str) -> None:
        self._finish(Input.FAIL, Failed(Failure("turn", reason, detail)))

    def _finish(self, cause: Input, end: Closed | Failed) -> None:
        self._step(cause)
        self._requests.clear()
        self.permissions.clear()
        self.channels.clear()
        self._deadline.stop()
        self._expiry.stop()
        self._refresh.stop()
        self.events.append(end)
        self._on_permissions()

    def _step(self, cause: Input) -> None:
        self.state = TRANSITIONS[self.state].get(cause, self.state)
