"""The messages of gcnode's peer protocol and the frames in which they travel.

This is the part of docs/protocol.md and transport/wire/peer.proto that a client
needs: it writes requests without a value and reads answers of any kind. Groups,
keys, values, IDs and addresses are bytes. Field numbers stand beside the names.
"""

from dataclasses import dataclass, field
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

FETCH, REMOVE, FINISH, SYNC = 1, 2, 3, 9

MAX_FRAME = 4 << 20
MAX_KEY = 64 << 10
MAX_KEYS = 10_000
MAX_KEYS_BYTES = 1 << 20
MAX_ID = 256
MAX_ADDR = 2 << 10
MAX_WEIGHT = 65535
MAX_MEMBERS = 8192
MAX_TEXT = 4 << 10
MAX_VALUE = 64 << 20

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MASK64 = (1 << 64) - 1
_CHUNK = 64 << 10  # how much is asked of the connection at once


class Violation(Exception):
    """What came is not the protocol: the exchange is given up."""


class OverLimit(Exception):
    """Something is over a limit of the protocol."""


class RemovalID(NamedTuple):
    sender: bytes
    incarnation: int
    seq: int


@dataclass(frozen=True)
class Removal:
    """Takes keys out of a group, and leaves what was set with a later stamp."""

    id: RemovalID
    time: int  # of the stamp, in nanoseconds since 1970
    incarnation: int  # of the stamp
    group: bytes
    keys: Tuple[bytes, ...]


@dataclass
class Request:
    """What is asked of a member. A client is on no list, so its hash is 0."""

    op: int
    sender: bytes = b""
    incarnation: int = 0
    list_hash: int = 0
    group: bytes = b""
    keys: Sequence[bytes] = ()
    removals: Sequence[Removal] = ()
    finished: Sequence[RemovalID] = ()
    timeout_nanos: int = 0
    heartbeat_nanos: int = 0
    to: bytes = b""


class Failure(NamedTuple):
    """An error as it travels; unknown kinds are 0, internal."""

    kind: int
    message: str
    retry_after_nanos: int


class Member(NamedTuple):
    id: bytes
    addr: bytes


@dataclass
class Ack:
    """Of what a member tells, the members that it knows and its time."""

    incarnation: int = 0
    members: List[Member] = field(default_factory=list)
    time: int = 0


@dataclass
class Reply:
    key: int = 0
    pending: bool = False
    keep_nanos: int = 0
    source: int = 0
    list_hash: int = 0
    error: Optional[Failure] = None
    ack: Optional[Ack] = None
    not_modified: bool = False
    value: bytes = b""


class Ended(Exception):
    """The member ended the exchange with an error. If it is a refusal, the
    request was not begun, and the failure answers every key of it."""

    def __init__(self, failure: Failure, refused: bool):
        super().__init__(failure.message)
        self.failure, self.refused = failure, refused


# Writing. As everywhere in proto3, what is zero is left out; elements of
# repeated fields are not, and nor are messages.


def varint(value: int) -> bytes:
    value &= _MASK64  # negative numbers travel as their two's complement
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(num: int, value: int) -> bytes:
    return varint(num << 3 | _VARINT) + varint(value) if value else b""


def _fixed(num: int, value: int) -> bytes:
    return varint(num << 3 | _FIXED64) + (value & _MASK64).to_bytes(8, "little") if value else b""


def _element(num: int, data: bytes) -> bytes:
    return varint(num << 3 | _BYTES) + varint(len(data)) + data


def _string(num: int, data: bytes) -> bytes:
    return _element(num, data) if data else b""


def _removal_id(rid: RemovalID) -> bytes:
    return _string(1, rid.sender) + _fixed(2, rid.incarnation) + _number(3, rid.seq)


def _removal(r: Removal) -> bytes:
    stamp = _fixed(1, r.time) + _fixed(2, r.incarnation)
    keys = b"".join(_element(4, key) for key in r.keys)
    return _element(1, _removal_id(r.id)) + _element(2, stamp) + _string(3, r.group) + keys


def check_keys(keys: Sequence[bytes]) -> None:
    if len(keys) > MAX_KEYS:
        raise OverLimit(f"{len(keys)} keys are too many; at most {MAX_KEYS} are allowed")
    longest, total = max(map(len, keys), default=0), sum(map(len, keys))
    if longest > MAX_KEY:
        raise OverLimit(f"a key has {longest} bytes; at most {MAX_KEY} are allowed")
    if total > MAX_KEYS_BYTES:
        raise OverLimit(f"the keys have {total} bytes in all; at most {MAX_KEYS_BYTES} are allowed")


def check_id(what: str, name: bytes) -> None:
    if len(name) > MAX_ID:
        raise OverLimit(f"{what} has {len(name)} bytes; at most {MAX_ID} are allowed")


def encode_request(r: Request) -> bytes:
    """The frame of a request; OverLimit if something of it is over a limit."""
    check_keys(r.keys)
    check_keys([key for removal in r.removals for key in removal.keys])
    names = [("the sender's ID", r.sender), ("the receiver's ID", r.to), ("the group's name", r.group)]
    names += [("the name of a removal's group", removal.group) for removal in r.removals]
    for what, name in names:
        check_id(what, name)
    sender = _string(1, r.sender) + _fixed(2, r.incarnation)
    message = b"".join(
        [
            _number(1, r.op),
            _string(2, sender),
            _fixed(3, r.list_hash),
            _string(4, r.group),
            b"".join(_element(5, key) for key in r.keys),
            b"".join(_element(6, _removal(removal)) for removal in r.removals),
            b"".join(_element(7, _removal_id(rid)) for rid in r.finished),
            _number(8, r.timeout_nanos),
            _number(9, r.heartbeat_nanos),
            _string(10, r.to),
        ]
    )
    if len(message) > MAX_FRAME:
        raise OverLimit(f"the request has {len(message)} bytes; at most {MAX_FRAME} are allowed")
    return varint(len(message)) + message


# Reading.


def _take_varint(data: bytes, at: int) -> Tuple[int, int]:
    value = 0
    for i in range(10):
        if at + i >= len(data):
            raise Violation("a number is cut off")
        value |= (data[at + i] & 0x7F) << 7 * i
        if data[at + i] < 0x80:
            return value & _MASK64, at + i + 1
    raise Violation("a number of more than ten bytes")


class Fields:
    """The fields of an encoded message. A known number with an unexpected wire
    type is an unknown field."""

    def __init__(self, data: bytes):
        self._values: Dict[Tuple[int, int], list] = {}
        at = 0
        while at < len(data):
            tag, at = _take_varint(data, at)
            num, wire_type = tag >> 3, tag & 7
            if not 0 < num < 1 << 29:
                raise Violation(f"there is no field {num}")
            size = {_FIXED64: 8, _FIXED32: 4}.get(wire_type, 0)
            if wire_type == _VARINT:
                value, at = _take_varint(data, at)
            elif wire_type == _BYTES:
                size, at = _take_varint(data, at)
                value = data[at : at + size]
            elif size:
                value = int.from_bytes(data[at : at + size], "little")
            else:
                raise Violation(f"field {num} has the wire type {wire_type}")
            at += size
            if at > len(data):
                raise Violation(f"field {num} is cut off")
            self._values.setdefault((num, wire_type), []).append(value)

    def number(self, num: int) -> int:
        return self._values.get((num, _VARINT), [0])[-1]

    def signed(self, num: int) -> int:
        return _signed(self.number(num))

    def zigzag(self, num: int) -> int:
        value = self.number(num)
        return value >> 1 ^ -(value & 1)

    def fixed(self, num: int) -> int:
        return self._values.get((num, _FIXED64), [0])[-1]

    def all(self, num: int) -> List[bytes]:
        return self._values.get((num, _BYTES), [])

    def string(self, num: int) -> bytes:
        return (self.all(num) or [b""])[-1]

    def message(self, num: int) -> Optional["Fields"]:
        # To merge messages is to decode one after the other.
        parts = self.all(num)
        return Fields(b"".join(parts)) if parts else None


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _failure(f: Fields) -> Failure:
    try:
        text = f.string(2).decode()
    except UnicodeDecodeError:
        raise Violation("the text of an error is not UTF-8") from None
    text = text.encode()[:MAX_TEXT].decode(errors="ignore")
    kind = f.number(1) & 0xFFFFFFFF  # an enum has 32 bits
    return Failure(kind if kind <= 11 else 0, text, f.signed(3))


def _ack(f: Fields) -> Ack:
    ack = Ack(incarnation=f.fixed(1), time=_signed(f.fixed(4)))
    if len(f.all(2)) > MAX_MEMBERS:
        raise OverLimit(f"more than {MAX_MEMBERS} members")
    for m in map(Fields, f.all(2)):
        check_id("a member's ID", m.string(1))
        if len(m.string(2)) > MAX_ADDR:
            raise OverLimit(f"a member's address has {len(m.string(2))} bytes; at most {MAX_ADDR} are allowed")
        if m.number(3) > MAX_WEIGHT:
            raise Violation(f"the weight {m.number(3)} of a member")
        ack.members.append(Member(m.string(1), m.string(2)))
    return ack


def _reply(f: Fields) -> Tuple[Reply, int]:
    """A reply with the first piece of its value, and the size of the whole
    value, 0 if it is there."""
    error, ack, size, source = f.message(6), f.message(7), f.number(8), f.number(4)
    reply = Reply(
        key=f.number(1) & 0xFFFFFFFF,
        pending=bool(f.number(2)),
        keep_nanos=f.zigzag(3),
        source=source if source <= 4 else 0,
        list_hash=f.fixed(5),
        error=_failure(error) if error else None,
        ack=_ack(ack) if ack else None,
        not_modified=bool(f.number(9)),
        value=f.string(15),
    )
    if size > MAX_VALUE:
        raise OverLimit(f"a value of {size} bytes was announced; at most {MAX_VALUE} are allowed")
    if size and len(reply.value) >= size:
        raise Violation(f"the first piece of a value of {size} bytes has {len(reply.value)}")
    return reply, size


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    """Reads so many bytes; memory is taken as they come."""
    out = bytearray()
    while len(out) < size:
        part = read(min(size - len(out), _CHUNK))
        if not part:
            raise EOFError("the answer ends too early")
        out += part
    return bytes(out)


def _frame(read: Callable[[int], bytes]) -> Fields:
    size = 0
    for i in range(4):  # the limit has four bytes
        byte = _exactly(read, 1)[0]
        size |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            break
    else:
        raise Violation("the length of a frame has more than four bytes")
    if size > MAX_FRAME:
        raise OverLimit(f"a frame of {size} bytes; at most {MAX_FRAME} are allowed")
    fields = Fields(_exactly(read, size))
    if sum(len(fields.all(num)) for num in (1, 2, 3, 4)) > 1:
        raise Violation("a frame with two kinds of content")
    return fields


def read_replies(read: Callable[[int], bytes]) -> Iterator[Reply]:
    """The replies of an answer, with their values. read(n) returns up to n
    bytes, and none at the end. Raises Ended if the member ends the exchange with
    an error, and EOFError if the answer stops before its end."""
    while True:
        frame = _frame(read)
        part, refusal, end = frame.message(1), frame.message(3), frame.message(4)
        if part:
            reply, size = _reply(part)
            if size:
                value = bytearray(reply.value)
                while len(value) < size:
                    frame = _frame(read)
                    piece, end = frame.message(2), frame.message(4)
                    error = end.message(1) if end else None
                    if error:
                        raise Ended(_failure(error), refused=False)
                    data = piece.string(1) if piece else b""
                    if not 0 < len(data) <= size - len(value):
                        raise Violation(f"after {len(value)} of {size} bytes of a value there is no piece that fits")
                    value += data
                reply.value = bytes(value)
            yield reply
        elif frame.all(2):
            raise Violation("a piece of a value without its beginning")
        elif refusal:
            raise Ended(_failure(refusal), refused=True)
        elif end:
            error = end.message(1)
            if error:
                raise Ended(_failure(error), refused=False)
            return
