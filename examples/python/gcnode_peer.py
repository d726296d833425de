"""A client of a gcnode cluster that speaks the members' own protocol over HTTP.

It needs nothing but the standard library of Python 3.9 and is written from
docs/protocol.md ("Clients that are no members" says what is expected of one):

    client = Client(["http://10.0.0.5:7001/", "http://10.0.0.6:7001/"])
    client.get("users", "ann")           # bytes, or an error such as NotFound
    client.remove("users", ["ann"])      # returns: no member serves it any more

It is for programs on the network of the members, or with a secret that they
share (gcnode_sign.py). Others use the HTTP API of the gcnode program.
"""

import contextlib
import dataclasses
import http.client
import secrets
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Set, Tuple, Union
from urllib.parse import urlsplit

import gcnode_wire as wire
from gcnode_sign import Secret, Signed, node_of

CONTENT_TYPE = "application/vnd.gcnode.peer.v1"
# A removal that takes longer promises nothing: others begin to forget it.
REMOVE_SECONDS = 30.0
# So many removals are kept for a member that does not confirm them.
MAX_OWED = 1000

Bytes = Union[bytes, str]
# Whom to ask: a member, or, with an empty ID, whoever is at the address.
Target = wire.Member
Key = Tuple[bytes, bytes]


class PeerError(Exception):
    """What a member, or the way to it, has failed with. Each kind of the
    protocol is a class."""

    text = "failed"

    def __init__(self, message: str = "", retry_after: float = 0.0, peer: str = ""):
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after  # seconds; 0: nothing is known
        self.peer = peer  # the URL that was asked

    def __str__(self) -> str:
        return ": ".join(filter(None, [self.text, self.message]))


class Internal(PeerError):
    text = "internal error"


class NotFound(PeerError):
    text = "not found"


class Transient(PeerError):
    text = "transient failure"


class Permanent(PeerError):
    text = "permanent failure"


class Denied(PeerError):
    text = "denied"


class Overloaded(PeerError):
    text = "overloaded, try later"


class TooLarge(PeerError):
    text = "too large"


class NoSuchGroup(PeerError):
    text = "no such group"


class Unsupported(PeerError):
    text = "unsupported"


class Timeout(PeerError):
    text = "timed out"


class Unreachable(PeerError):
    text = "unreachable"


class Draining(PeerError):
    text = "shutting down"


# The place of a class is the number of its kind.
KINDS = [
    Internal, NotFound, Transient, Permanent, Denied, Overloaded,
    TooLarge, NoSuchGroup, Unsupported, Timeout, Unreachable, Draining,
]  # fmt: skip

# These say nothing about a key: another member may answer.
GOES_ON = (Unreachable, Draining, NoSuchGroup, Unsupported)


class NotConfirmed(Exception):
    """A removal that these members have not confirmed; the others have obeyed.
    They are told again with the client's next removal, and until then, or until
    they hear of it from the others, they may serve what was removed."""

    def __init__(self, failures: Dict[str, PeerError]):
        super().__init__("not confirmed by " + "; ".join(f"{name}: {e}" for name, e in sorted(failures.items())))
        self.failures = failures


class Client:
    """A client of the members at the URLs. It may be used by many threads.

    Members remember a client that has removed something for a day or two, and
    4096 lives of members and clients in all. So keep one for the whole life of a
    process, and do not start a process for each removal.
    """

    def __init__(
        self,
        urls: Iterable[str],
        client_id: Optional[str] = None,
        silence: float = 5.0,
        tls: Optional[ssl.SSLContext] = None,
        secret: Optional[Secret] = None,
    ):
        """client_id must not be the ID of a member, and begins with the ID of the
        secret and "/" if there is one. silence is for how many seconds a member may
        say nothing before it counts as unreachable. secret signs requests, and only
        answers that are signed with it are taken."""
        self._urls = list(urls)
        if not self._urls:
            raise ValueError("a client needs the URL of a member")
        name = secret.id + "/" if secret else "client-"
        self._id = (client_id or name + secrets.token_hex(8)).encode()
        self._incarnation = secrets.randbits(64)
        self._silence = silence
        self._tls = tls
        self._secret = secret
        self._nodes: Dict[str, bytes] = {}  # who is at a URL, as far as that was asked
        self._lock = threading.Lock()  # one removal at a time; guards what follows
        self._clock = 0  # hybrid logical: never behind what was taken or seen
        self._seq = 0
        # What members have not confirmed, the oldest first.
        self._owed: Dict[Key, List[wire.Removal]] = {}

    def get(self, group: Bytes, key: Bytes, timeout: float = 30.0) -> bytes:
        """The value of a key. Raises a PeerError, such as NotFound."""
        ((_, answer),) = self.fetch(group, [key], timeout)
        if isinstance(answer, PeerError):
            raise answer
        return answer

    def fetch(
        self, group: Bytes, keys: Iterable[Bytes], timeout: float = 30.0
    ) -> Iterator[Tuple[bytes, Union[bytes, PeerError]]]:
        """Yields each key with its value or its error, as they become ready.

        The first member answers with what it has or loads; the next is asked for
        the keys that the first could say nothing about.
        """
        deadline = time.monotonic() + timeout
        rest = dict(enumerate(map(_bytes, keys)))
        failures: Dict[int, PeerError] = {}
        for url in self._urls:
            asked, said = list(rest), {}
            if not asked:
                return
            request = wire.Request(wire.FETCH, group=_bytes(group), keys=[rest[i] for i in asked])
            stopped: PeerError = Unreachable(f"{url}: it finished without an answer", peer=url)
            try:
                for reply in self._exchange(url, request, deadline):
                    error = _error(reply.error, url) if reply.error else None
                    if isinstance(error, GOES_ON):
                        said[asked[reply.key]] = error
                    else:
                        yield rest.pop(asked[reply.key]), error or reply.value
            except PeerError as e:
                stopped = e
            failures = {i: said.get(i, stopped) for i in rest}
            if not isinstance(stopped, GOES_ON):
                break
        for i, key in rest.items():
            yield key, failures[i]

    def remove(self, group: Bytes, keys: Iterable[Bytes], timeout: float = REMOVE_SECONDS) -> None:
        """Takes the keys out of the cache on all members.

        When it returns, no Get that starts afterwards on a member returns a value
        whose load began before the call. NotConfirmed names the members of which
        that cannot be said. A PeerError means that nothing was removed, but for a
        Timeout: all have confirmed, but too late to promise anything.
        """
        group, keys = _bytes(group), tuple(map(_bytes, keys))
        if not keys:
            return
        with self._lock:
            begun, wall = time.monotonic(), time.time()
            deadline = begun + min(timeout, REMOVE_SECONDS)
            # What is over a limit must not take a number.
            self._encode(wire.Request(wire.REMOVE, removals=[self._removal(group, keys)]), deadline)
            failures: Dict[str, PeerError] = {}
            targets = self._ask_times(failures, deadline)
            if not targets:
                raise Unreachable("nobody told the time: " + "; ".join(map(str, failures.values())))
            early = self._tell(self._next(group, keys), targets, failures, deadline)
            if early:
                self._tell(self._next(group, keys), targets, failures, deadline)
            # One of the clocks may have been set, and one may stand still while
            # the machine sleeps.
            took = max(time.monotonic() - begun, time.time() - wall)
        if failures:
            raise NotConfirmed(failures)
        if took >= REMOVE_SECONDS:
            raise Timeout(f"all members confirmed after {took:.0f} s; at most {REMOVE_SECONDS:.0f} s are allowed")

    def _removal(self, group: bytes, keys: Tuple[bytes, ...]) -> wire.Removal:
        rid = wire.RemovalID(self._id, self._incarnation, self._seq)
        return wire.Removal(rid, self._clock, self._incarnation, group, keys)

    def _next(self, group: bytes, keys: Tuple[bytes, ...]) -> wire.Removal:
        """A removal that takes a number, and is later than the clock."""
        self._seq += 1
        self._clock = max(self._clock + 1, time.time_ns())
        return self._removal(group, keys)

    def _ask_times(self, failures: Dict[str, PeerError], deadline: float) -> List[Target]:
        """Asks the members at the client's URLs, and all that these know, for
        their clocks, so that the removal is later than any write that has
        returned. Returns those who are to be told of it."""
        alone: List[Target] = []
        times: List[int] = []

        def ask(target: Target) -> List[Target]:
            ack = self._ack(target, wire.Request(wire.SYNC), deadline)
            times.append(ack.time)
            if not ack.members and not target.id:  # it has no list, and so no other member
                alone.append(target)
            return ack.members

        # Whose ID is not known yet is asked again by its ID, which it confirms.
        asked = _spread([Target(b"", url.encode()) for url in self._urls], ask, failures)
        members = [target for target in asked if target.id]
        for target in members:
            failures.pop(_name(Target(b"", target.addr)), None)  # it has failed by its ID as well
        self._clock = max([self._clock, *times])
        return members + alone

    def _tell(
        self, removal: wire.Removal, targets: List[Target], failures: Dict[str, PeerError], deadline: float
    ) -> bool:
        """Sends the removal to all and to those whom they name, to each after
        what it has not confirmed so far, and announces what all have confirmed.
        Returns whether somebody whose clock was not asked for has kept something
        that was set later; the client's clock is not behind it then."""
        confirmed: Set[wire.RemovalID] = set()
        asked, kept = set(map(_key, targets)), [0]

        def tell(target: Target) -> List[Target]:
            owed = self._owed.setdefault(_key(target), [])
            owed.append(removal)
            del owed[:-MAX_OWED]
            while True:
                ack = self._ack(target, wire.Request(wire.REMOVE, removals=owed[:1]), deadline)
                confirmed.add(owed.pop(0).id)
                if _key(target) not in asked:
                    kept.append(ack.time)
                if not owed:
                    return ack.members

        told = _spread(targets, tell, failures)
        finished = confirmed.difference(r.id for owed in self._owed.values() for r in owed)
        known = set(map(_key, told))
        # Who has not confirmed and is known to nobody any more need not be told.
        self._owed = {k: owed for k, owed in self._owed.items() if owed and (failures or k in known)}
        if finished:  # nothing depends on it: others remember the removals for a minute
            request = wire.Request(wire.FINISH, finished=sorted(finished)[: wire.MAX_KEYS])
            _spread(told, lambda target: list(self._exchange_with(target, request, deadline))[:0], {})
        self._clock = max(self._clock, *kept)
        return max(kept) >= removal.time

    def _ack(self, target: Target, request: wire.Request, deadline: float) -> wire.Ack:
        """What the member acknowledges, in one reply or several."""
        ack: Optional[wire.Ack] = None
        for reply in self._exchange_with(target, request, deadline):
            if reply.error:
                raise _error(reply.error, _url(target))
            if reply.ack and ack:
                ack.members += reply.ack.members
            ack = ack or reply.ack
        if not ack:
            raise Internal("it finished without an acknowledgement", peer=_url(target))
        return ack

    def _exchange_with(self, target: Target, request: wire.Request, deadline: float) -> Iterator[wire.Reply]:
        return self._exchange(_url(target), dataclasses.replace(request, to=target.id), deadline)

    def _encode(self, request: wire.Request, deadline: float) -> bytes:
        request = dataclasses.replace(
            request,
            sender=self._id,
            incarnation=self._incarnation,
            timeout_nanos=max(1, int((deadline - time.monotonic()) * 1e9)),
            heartbeat_nanos=int(self._silence / 5 * 1e9),
        )
        try:
            return wire.encode_request(request)
        except wire.OverLimit as e:
            raise TooLarge(str(e)) from None

    def _exchange(self, url: str, request: wire.Request, deadline: float) -> Iterator[wire.Reply]:
        """Sends a request and yields the replies that are not pending. Raises a
        PeerError if the member refuses, fails or does not answer."""
        body = self._encode(request, deadline)
        answered: Set[int] = set()
        try:
            with self._post(url, body, request.to, deadline) as read:
                for reply in wire.read_replies(read):
                    if reply.pending:
                        continue
                    if reply.key >= max(1, len(request.keys)) or reply.not_modified:
                        raise wire.Violation(f"a reply to key {reply.key} that was not asked for")
                    if reply.key in answered and request.op != wire.SYNC:
                        raise wire.Violation(f"a second reply to key {reply.key}")
                    answered.add(reply.key)
                    yield reply
        except wire.Ended as e:
            if e.refused:
                raise _error(e.failure, url) from None
            raise Unreachable(f"{url}: it failed to answer: {_error(e.failure, url)}", peer=url) from None
        except wire.OverLimit as e:
            raise TooLarge(f"{url}: {e}", peer=url) from None
        except (OSError, http.client.HTTPException, EOFError, ValueError, wire.Violation) as e:
            if time.monotonic() >= deadline:
                raise Timeout(f"{url}: no answer in time", peer=url) from e
            raise Unreachable(f"{url}: {e or type(e).__name__}", peer=url) from e

    @contextlib.contextmanager
    def _post(self, url: str, body: bytes, node: bytes, deadline: float) -> Iterator[Callable[[int], bytes]]:
        """Sends a request, signed for the node if there is a secret; in the context
        is what reads the answer."""
        signed: Optional[Signed] = None
        if self._secret:
            signed = self._secret.sign("POST", _target(url), body, node or self._node(url, deadline))
        with self._send(url, body, {"Authorization": signed.header} if signed else {}, deadline) as (answer, read):
            try:
                if signed:
                    read = signed.open(answer.headers["Authentication-Info"], answer.status, read)
            except ValueError:
                self._nodes.pop(url, None)  # another one may be there now
                if answer.status == 200:
                    raise
                raise wire.Violation(f"{answer.status} {_problem(read)}") from None
            if answer.status == 413:
                raise wire.OverLimit(_problem(read))
            if answer.status != 200 or answer.headers.get_content_type() != CONTENT_TYPE:
                raise wire.Violation(f"it does not answer as a member: {answer.status} {_problem(read)}")
            yield read

    def _node(self, url: str, deadline: float) -> bytes:
        """The ID of the member at a URL, which it says to whoever does not sign.
        Somebody on the way could name another one: then the request is good for
        that one, and for nobody else."""
        node = self._nodes.get(url)
        if node is None:
            with self._send(url, b"", {}, deadline) as (answer, read):
                node = node_of(answer.headers["WWW-Authenticate"])
                if node is None:
                    raise wire.Violation(f"it does not ask for a signature: {answer.status} {_problem(read)}")
            self._nodes[url] = node
        return node

    @contextlib.contextmanager
    def _send(
        self, url: str, body: bytes, headers: Dict[str, str], deadline: float
    ) -> Iterator[Tuple[http.client.HTTPResponse, Callable[[int], bytes]]]:
        """Sends a POST; in the context is the answer, and what reads its body."""
        to = urlsplit(url)
        if to.scheme == "https":
            self._tls = self._tls or ssl.create_default_context()
            conn: http.client.HTTPConnection
            conn = http.client.HTTPSConnection(to.hostname or "", to.port, context=self._tls)
        elif to.scheme == "http":
            conn = http.client.HTTPConnection(to.hostname or "", to.port)
        else:
            raise ValueError("this is no URL of HTTP")
        conn.timeout = self._patience(deadline)
        with contextlib.closing(conn):
            conn.connect()
            sock = conn.sock  # the connection lets go of it when the answer begins
            conn.request("POST", _target(url), body, {"Content-Type": CONTENT_TYPE, "Connection": "close", **headers})
            with conn.getresponse() as answer:

                def read(size: int) -> bytes:
                    sock.settimeout(self._patience(deadline))
                    return answer.read(size)

                yield answer, read

    def _patience(self, deadline: float) -> float:
        """For how long a member may be silent from now on, in seconds."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise EOFError
        return min(left, self._silence)


def _spread(
    first: List[Target], ask: Callable[[Target], List[Target]], failures: Dict[str, PeerError]
) -> List[Target]:
    """Asks all at the same time, then those whom they name, until nobody names
    another one. Returns who was asked, and adds to the failures."""
    asked: Dict[Tuple[bytes, bytes], Target] = {}

    def outcome(target: Target) -> Union[List[Target], PeerError]:
        try:
            return ask(target)
        except PeerError as e:
            return e

    todo = _distinct(first)
    while todo:
        asked.update(todo)
        with ThreadPoolExecutor(min(32, len(todo))) as pool:
            outcomes = list(pool.map(outcome, todo.values()))
        named: List[Target] = []
        for target, o in zip(todo.values(), outcomes):
            if isinstance(o, PeerError):
                failures.setdefault(_name(target), o)
            else:
                named += o
        todo = {k: t for k, t in _distinct(named).items() if k not in asked}
    return list(asked.values())


def _key(target: Target) -> Key:
    return target.id, b"" if target.id else target.addr


def _distinct(targets: Iterable[Target]) -> Dict[Key, Target]:
    distinct: Dict[Key, Target] = {}
    for target in targets:
        distinct.setdefault(_key(target), target)
    return distinct


def _name(target: Target) -> str:
    return (target.id or target.addr).decode(errors="backslashreplace")


def _url(target: Target) -> str:
    return target.addr.decode(errors="backslashreplace")


def _bytes(text: Bytes) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)


def _error(failure: wire.Failure, url: str) -> PeerError:
    return KINDS[failure.kind](failure.message, max(0, failure.retry_after_nanos) / 1e9, url)


def _target(url: str) -> str:
    to = urlsplit(url)
    return (to.path or "/") + ("?" + to.query if to.query else "")


def _problem(read: Callable[[int], bytes]) -> str:
    """The beginning of what a server says that does not answer as a member."""
    return read(256).decode(errors="replace").strip()
