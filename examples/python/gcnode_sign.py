"""Signatures of the peer protocol, for members that share secrets: the section
"Signatures" of docs/protocol.md, for plain requests."""

import base64
import hashlib
import hmac
import re
import secrets
import time
from typing import Callable, Optional
from urllib.parse import quote, unquote_to_bytes

SCHEME = "Gcnode-HMAC-SHA256"
MIN_SECRET = 32
MAX_RECORD = 16 << 10


class Forged(ValueError):
    """An answer that the member has not signed, or not as it has come."""


class Secret:
    """A secret and its ID."""

    def __init__(self, key_id: str, secret: str):
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", key_id):
            raise ValueError(f"the id of a secret, {key_id!r}, must be 1 to 64 letters, digits, dots, dashes and underscores")
        if len(secret.encode()) < MIN_SECRET:
            raise ValueError(f"the secret {key_id!r} must have {MIN_SECRET} bytes or more")
        self.id = key_id
        self._secret = secret.encode()

    def sign(self, method: str, target: str, body: bytes, node: bytes) -> "Signed":
        """Signs a request to the member with the ID node."""
        parts = {
            "key": self.id,
            "time": str(time.time_ns() // 10**6),
            "nonce": _encode(secrets.token_bytes(16)),
            "node": quote(node, safe=""),
            "digest": _encode(hashlib.sha256(body).digest()),
        }
        lines = [*list(parts.values())[:4], method, target, parts["digest"]]
        parts["mac"] = _encode(self.mac("gcnode.peer.v1 request", *lines))
        header = SCHEME + " " + ", ".join(f'{name}="{value}"' for name, value in parts.items())
        return Signed(self, header, parts["mac"])

    def mac(self, *lines: str) -> bytes:
        text = "".join(line + "\n" for line in lines)
        return hmac.new(self._secret, text.encode(), hashlib.sha256).digest()


class Signed:
    """A request that was signed: its header field Authorization, and what its
    answer has to be signed for."""

    def __init__(self, secret: Secret, header: str, mac: str):
        self.header = header
        self._secret = secret
        self._mac = mac

    def open(self, info: Optional[str], status: int, read: Callable[[int], bytes]) -> Callable[[int], bytes]:
        """What reads the body of an answer. info is its header field
        Authentication-Info. Raises Forged."""
        nonce, mac = _part(info, "nonce"), _part(info, "mac")
        proof = _encode(self._secret.mac("gcnode.peer.v1 answer", self._mac, nonce, str(status)))
        if not hmac.compare_digest(mac.encode(), proof.encode()):
            raise Forged("the answer is not signed by the member, as that of one with the same secret is")
        return _Records(self._secret.mac("gcnode.peer.v1 answering", self._mac, nonce), read).read


class _Records:
    """Reads records, and hands on what they carry."""

    def __init__(self, key: bytes, read: Callable[[int], bytes]):
        self._key = key
        self._source = read
        self._seq = 0
        self._carried = b""

    def read(self, size: int) -> bytes:
        if not self._carried:
            head = self._take(2, begun=False)
            if not head:
                return b""
            length = int.from_bytes(head, "big")
            if not 1 <= length <= MAX_RECORD:
                raise Forged(f"a record of {length} bytes")
            carried, mac = self._take(length), self._take(hashlib.sha256().digest_size)
            right = hmac.new(self._key, self._seq.to_bytes(8, "big") + carried, hashlib.sha256).digest()
            if not hmac.compare_digest(mac, right):
                raise Forged("a signature is wrong: what has come is not what was sent")
            self._seq += 1
            self._carried = carried
        part, self._carried = self._carried[:size], self._carried[size:]
        return part

    def _take(self, size: int, begun: bool = True) -> bytes:
        """So many bytes, or none at the end if a record has not begun."""
        data = b""
        while len(data) < size:
            more = self._source(size - len(data))
            if not more and (begun or data):
                raise EOFError("the answer stops within a record")
            if not more:
                break
            data += more
        return data


def node_of(challenge: Optional[str]) -> Optional[bytes]:
    """The ID of a member that wants signatures, of its header field
    WWW-Authenticate."""
    if not challenge or not challenge.startswith(SCHEME + " "):
        return None
    return unquote_to_bytes(_part(challenge, "node"))


def _part(header: Optional[str], name: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', header or "")
    return found.group(1) if found else ""


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
