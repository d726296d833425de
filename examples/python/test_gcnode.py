"""Tests without a cluster: golden files of the protocol, limits, and what the
client says to members that fail. python_test.go runs them, and the client with
real members.
"""

import hmac
import io
import pathlib
import time
import unittest
from typing import Dict, Iterator, List

import gcnode_peer as peer
import gcnode_sign as sign
import gcnode_wire as wire

TESTDATA = pathlib.Path(__file__).parent / "../../transport/wire/testdata"
REMOVAL = wire.Removal(
    id=wire.RemovalID(b"node-a", 2**64 - 1, 300),
    time=1_790_000_000_000_000_000,
    incarnation=2**64 - 1,
    group=b"docs",
    keys=(b"net/http", b"", b"\xff\x00"),
)


def golden(name: str) -> bytes:
    return bytes.fromhex((TESTDATA / (name + ".hex")).read_text().replace("\n", ""))


def replies(data: bytes) -> List[wire.Reply]:
    return list(wire.read_replies(io.BytesIO(data).read))


def frame(*parts: bytes) -> bytes:
    message = b"".join(parts)
    return wire.varint(len(message)) + message


def part(num: int, data: bytes) -> bytes:
    return wire.varint(num << 3 | 2) + wire.varint(len(data)) + data


END = frame(part(4, b""))


class GoldenFiles(unittest.TestCase):
    def test_answers_are_read(self) -> None:
        values = replies(golden("answer-values"))
        self.assertEqual(
            values[1],
            wire.Reply(key=1, keep_nanos=60 * 10**9, source=4, list_hash=2**64 - 1, value=b"a value \x00\xff"),
        )
        self.assertTrue(values[0].pending)
        self.assertEqual((values[2].keep_nanos, values[3].keep_nanos), (2**63 - 1, -1))
        self.assertEqual(values[3].value, b"v" * 300)
        self.assertEqual(
            [r.error for r in replies(golden("answer-errors"))],
            [
                wire.Failure(1, "", 0),
                wire.Failure(5, "queue full: naïve", 10**9),
                wire.Failure(0, "", 2**63 - 1),
                wire.Failure(11, "", 0),
            ],
        )
        acks = [r.ack for r in replies(golden("answer-acks")) if r.ack]
        self.assertEqual(acks[0].incarnation, 2**64 - 1)
        first, second, _ = acks[0].members
        self.assertEqual(first, wire.Member(b"node-a", b"http://10.0.0.1:7001/"))
        self.assertEqual(second, wire.Member(b"\xff", b""))
        self.assertEqual(acks[2].time, -(2**63))
        self.assertEqual(replies(golden("answer-empty")), [])
        self.assertEqual(len(replies(golden("answer-keys"))), 2)

    def test_errors_that_end_an_exchange_are_read(self) -> None:
        for name, refused in [("answer-refused", True), ("answer-failed", False)]:
            with self.subTest(name), self.assertRaises(wire.Ended) as ended:
                replies(golden(name))
            self.assertEqual(ended.exception.refused, refused)
            self.assertEqual(ended.exception.failure, wire.Failure(8, "no such operation", 10**9))

    def test_an_answer_that_is_cut_off_anywhere_has_no_end(self) -> None:
        for name in ["answer-values", "answer-acks", "answer-failed"]:
            data = golden(name)
            for size in range(len(data)):
                with self.assertRaises(EOFError):
                    replies(data[:size])

    def test_requests_are_written(self) -> None:
        sender = {"sender": b"node-a", "incarnation": 0x1122334455667788}
        for name, request in {
            "request-least": wire.Request(wire.FETCH),
            "request-remove": wire.Request(
                wire.REMOVE, **sender, list_hash=1, removals=[REMOVAL], timeout_nanos=2**63 - 1
            ),
            "request-gone": wire.Request(10, **sender),
            "request-long-key": wire.Request(wire.FETCH, **sender, group=b"g" * 256, keys=[b"k" * 300]),
            "request-keys": wire.Request(6, **sender, list_hash=1, group=b"docs"),
        }.items():
            with self.subTest(name):
                self.assertEqual(wire.encode_request(request).hex(), golden(name).hex())


class Frames(unittest.TestCase):
    def test_unknown_fields_and_frames_are_skipped(self) -> None:
        unknown = part(99, b"new") + wire.varint(98 << 3 | 1) + bytes(8) + wire.varint(97 << 3 | 5) + bytes(4)
        data = frame(unknown) + frame(part(1, part(15, b"v") + unknown)) + frame()
        self.assertEqual(replies(data + END), [wire.Reply(value=b"v")])

    def test_values_come_in_pieces(self) -> None:
        begin = frame(part(1, wire.varint(8 << 3) + wire.varint(6) + part(15, b"ab")))
        pieces = frame(part(2, part(1, b"cde"))) + frame(part(2, part(1, b"f")))
        self.assertEqual(replies(begin + pieces + END)[0].value, b"abcdef")
        for bad in [END, frame(part(2, b"")), frame(part(2, part(1, b"cdefg"))), frame(part(1, b""))]:
            with self.assertRaises(wire.Violation):
                replies(begin + bad + END)
        with self.assertRaises(wire.Ended) as ended:
            replies(begin + frame(part(4, part(1, wire.varint(1 << 3) + wire.varint(9)))))
        self.assertEqual((ended.exception.failure.kind, ended.exception.refused), (9, False))

    def test_violations_and_limits(self) -> None:
        too_many = b"".join(part(2, part(1, b"m%d" % i)) for i in range(wire.MAX_MEMBERS + 1))
        for data, error in [
            (wire.varint(wire.MAX_FRAME + 1), wire.OverLimit),
            (b"\x80\x80\x80\x80\x00", wire.Violation),
            (frame(part(1, b"") + part(4, b"")), wire.Violation),
            (frame(part(2, part(1, b"x"))), wire.Violation),
            (frame(part(1, wire.varint(8 << 3) + wire.varint(wire.MAX_VALUE + 1))), wire.OverLimit),
            (frame(part(1, wire.varint(8 << 3) + wire.varint(1) + part(15, b"v"))), wire.Violation),
            (frame(part(1, part(6, part(2, b"\xff")))), wire.Violation),
            (frame(part(1, part(7, too_many))), wire.OverLimit),
            (frame(part(1, part(7, part(2, part(1, b"i" * 257))))), wire.OverLimit),
            (frame(b"\x0b"), wire.Violation),
            (frame(b"\x0a\x05x"), wire.Violation),
        ]:
            with self.subTest(data[:20]), self.assertRaises(error):
                replies(data)

    def test_requests_over_a_limit_are_not_written(self) -> None:
        for request in [
            wire.Request(wire.FETCH, keys=[b""] * (wire.MAX_KEYS + 1)),
            wire.Request(wire.FETCH, keys=[bytes(wire.MAX_KEY + 1)]),
            wire.Request(wire.FETCH, keys=[bytes(wire.MAX_KEY)] * 17),
            wire.Request(wire.FETCH, group=bytes(257)),
            wire.Request(wire.REMOVE, removals=[wire.Removal(wire.RemovalID(b"", 0, 1), 1, 0, bytes(257), ())]),
        ]:
            with self.assertRaises(wire.OverLimit):
                wire.encode_request(request)
        wire.encode_request(wire.Request(wire.FETCH, keys=[bytes(wire.MAX_KEY)] * 16))


class Scripted(peer.Client):
    """A client of members that are not there: each has the list that it names,
    a clock, and takes note of what it is asked."""

    def __init__(self, urls: List[str], **lists: List[str]):
        super().__init__(urls)
        self.lists, self.clocks, self.dead, self.deaf = lists, dict.fromkeys(lists, 1), set(), set()
        self.heard: Dict[str, List[wire.Request]] = {name: [] for name in lists}

    def _exchange(self, url: str, request: wire.Request, deadline: float) -> Iterator[wire.Reply]:
        name = url
        if name in self.dead or name in self.deaf and request.op == wire.REMOVE:
            raise peer.Unreachable(name)
        if request.to not in (b"", name.encode()):
            raise AssertionError(f"{name} is asked for {request.to!r}")
        self.heard[name].append(request)
        members = [wire.Member(m.encode(), m.encode()) for m in self.lists[name]]
        yield wire.Reply(ack=wire.Ack(members=members, time=self.clocks[name]))

    def removals(self, name: str) -> List[wire.Removal]:
        return [r for request in self.heard[name] for r in request.removals]

    def finished(self, name: str) -> List[int]:
        return [rid.seq for request in self.heard[name] for rid in request.finished]


class Removals(unittest.TestCase):
    def test_all_members_that_anybody_names_are_told(self) -> None:
        c = Scripted(["a"], a=["a", "b"], b=["a", "b", "c"], c=["c"])
        c.clocks["c"] = time.time_ns() + 3600 * 10**9
        c.remove("g", ["k"])
        c.remove("g", ["k", b"\xff"])
        for name in "abc":
            told = c.removals(name)
            self.assertEqual([r.id.seq for r in told], [1, 2])
            self.assertEqual([r.keys for r in told], [(b"k",), (b"k", b"\xff")])
            self.assertEqual(c.finished(name), [1, 2])
        first, second = c.removals("a")
        self.assertGreater(first.time, c.clocks["c"], "a removal is later than the clock of every member")
        self.assertGreater(second.time, first.time)
        self.assertEqual(first.id.incarnation, first.incarnation)

    def test_a_member_that_is_named_late_is_told(self) -> None:
        class Growing(Scripted):
            def _exchange(self, url: str, request: wire.Request, deadline: float) -> Iterator[wire.Reply]:
                if request.op == wire.REMOVE:
                    self.lists["a"] = ["a", "late"]
                return super()._exchange(url, request, deadline)

        c = Growing(["a"], a=["a"], late=["late"])
        c.remove("g", ["k"])
        self.assertEqual([r.id.seq for r in c.removals("late")], [1])

        c = Growing(["a"], a=["a"], late=["late"])
        c.clocks["late"] = time.time_ns() + 3600 * 10**9
        c.remove("g", ["k"])
        for name in ["a", "late"]:
            self.assertEqual([r.id.seq for r in c.removals(name)], [1, 2])
        self.assertGreater(c.removals("late")[1].time, c.clocks["late"], "what it has kept was set before")
        self.assertEqual(c.finished("late"), [1, 2])

    def test_what_was_not_confirmed_is_sent_again_in_order(self) -> None:
        c = Scripted(["a"], a=["a", "b"], b=["a", "b"])
        c.dead.add("b")
        for key in ["k1", "k2"]:
            with self.assertRaises(peer.NotConfirmed) as failed:
                c.remove("g", [key])
            self.assertEqual(list(failed.exception.failures), ["b"])
        self.assertEqual(c.finished("a"), [])
        c.dead.clear()
        c.remove("g", ["k3"])
        self.assertEqual(c.removals("b"), c.removals("a"))
        self.assertEqual([r.id.seq for r in c.removals("b")], [1, 2, 3])
        self.assertEqual(c.finished("a"), [1, 2, 3])

    def test_a_number_that_nobody_confirmed_is_sent_again(self) -> None:
        c = Scripted(["a"], a=["a"])
        c.deaf.add("a")
        with self.assertRaises(peer.NotConfirmed):
            c.remove("g", ["k1"])
        c.deaf.clear()
        c.remove("g", ["k2"])
        self.assertEqual([r.id.seq for r in c.removals("a")], [1, 2])

    def test_no_number_is_taken_when_nobody_answers(self) -> None:
        c = Scripted(["a"], a=["a"])
        c.dead.add("a")
        with self.assertRaises(peer.Unreachable):
            c.remove("g", ["k1"])
        c.dead.clear()
        with self.assertRaises(peer.TooLarge):
            c.remove("g", [bytes(wire.MAX_KEY + 1)])
        c.remove("g", ["k2"])
        self.assertEqual([r.id.seq for r in c.removals("a")], [1])

    def test_what_a_member_that_is_gone_owes_is_forgotten(self) -> None:
        c = Scripted(["a"], a=["a", "b"], b=["a", "b"])
        c.dead.add("b")
        with self.assertRaises(peer.NotConfirmed):
            c.remove("g", ["k1"])
        c.lists["a"] = ["a"]
        c.remove("g", ["k2"])
        self.assertEqual(c._owed, {})

    def test_a_member_that_is_alone_is_told(self) -> None:
        c = Scripted(["a"], a=[])
        c.remove("g", ["k"])
        self.assertEqual([r.id.seq for r in c.removals("a")], [1])

    def test_a_member_that_has_not_told_its_time_is_named(self) -> None:
        c = Scripted(["a", "x"], a=["a"], x=["x"])
        c.dead.add("x")
        with self.assertRaisesRegex(peer.NotConfirmed, "x: unreachable"):
            c.remove("g", ["k"])
        self.assertEqual([r.id.seq for r in c.removals("a")], [1])

    def test_a_removal_that_took_too_long_promises_nothing(self) -> None:
        class Slow(Scripted):
            def _exchange(self, url: str, request: wire.Request, deadline: float) -> Iterator[wire.Reply]:
                if request.op == wire.REMOVE:
                    peer.REMOVE_SECONDS = -1.0
                return super()._exchange(url, request, deadline)

        self.addCleanup(setattr, peer, "REMOVE_SECONDS", peer.REMOVE_SECONDS)
        with self.assertRaises(peer.Timeout):
            Slow(["a"], a=["a"]).remove("g", ["k"])


class Signatures(unittest.TestCase):
    SECRET = sign.Secret("k", "a secret that is long enough for it")

    def answer(self, signed: sign.Signed, *carried: bytes) -> "tuple[str, List[bytes]]":
        """The header field and the records of an answer with the status 200."""
        nonce = "bm9uY2U"
        lines = [signed._mac, nonce]
        proof = sign._encode(self.SECRET.mac("gcnode.peer.v1 answer", *lines, "200"))
        key = self.SECRET.mac("gcnode.peer.v1 answering", *lines)
        records = []
        for seq, data in enumerate(carried):
            mac = hmac.new(key, seq.to_bytes(8, "big") + data, "sha256").digest()
            records.append(len(data).to_bytes(2, "big") + data + mac)
        return f'nonce="{nonce}", mac="{proof}"', records

    def read(self, *changed: bytes, status: int = 200) -> bytes:
        signed = self.SECRET.sign("POST", "/", b"body", b"a")
        info, records = self.answer(signed, b"one", b"two")
        data = b"".join(changed) if changed else b"".join(records)
        read = signed.open(info, status, io.BytesIO(data).read)
        got = b""
        while True:
            part = read(2)
            if not part:
                return got
            got += part

    def test_records_are_read(self) -> None:
        self.assertEqual(self.read(), b"onetwo")

    def test_the_head_of_an_answer_is_signed(self) -> None:
        with self.assertRaises(sign.Forged):
            self.read(status=413)
        signed = self.SECRET.sign("POST", "/", b"body", b"a")
        info, _ = self.answer(self.SECRET.sign("POST", "/", b"body", b"a"))
        for wrong in [info, None, "", 'nonce="a"']:
            with self.assertRaises(sign.Forged):
                signed.open(wrong, 200, io.BytesIO().read)

    def test_records_cannot_be_changed(self) -> None:
        signed = self.SECRET.sign("POST", "/", b"body", b"a")
        info, (one, two) = self.answer(signed, b"one", b"two")
        for data, error in [
            (one[:2] + b"0" + one[3:], sign.Forged),
            (two + one, sign.Forged),
            (one + one, sign.Forged),
            (b"\x00\x00", sign.Forged),
            (b"\xff\xff", sign.Forged),
            (one + two[:-1], EOFError),
        ]:
            read = signed.open(info, 200, io.BytesIO(data).read)
            with self.assertRaises(error):
                while read(100):
                    pass

    def test_a_bad_secret_is_refused(self) -> None:
        for key_id, secret in [("", "x" * 32), ("a b", "x" * 32), ("a", "x" * 31)]:
            with self.assertRaises(ValueError):
                sign.Secret(key_id, secret)


class Fetches(unittest.TestCase):
    def test_what_one_member_cannot_say_the_next_is_asked(self) -> None:
        class Turns(peer.Client):
            asked: List[List[bytes]] = []

            def _exchange(self, url: str, request: wire.Request, deadline: float) -> Iterator[wire.Reply]:
                self.asked.append(list(request.keys))
                if url == "first":
                    yield wire.Reply(key=2, value=b"v2")
                    yield wire.Reply(key=0, error=wire.Failure(1, "", 0))
                    raise peer.Unreachable("it broke off")
                yield wire.Reply(key=0, value=b"v1")

        c = Turns(["first", "second"])
        got = list(c.fetch("g", ["k0", "k1", "k2", "k3"]))
        self.assertEqual(c.asked, [[b"k0", b"k1", b"k2", b"k3"], [b"k1", b"k3"]])
        self.assertEqual(got[0], (b"k2", b"v2"))
        self.assertIsInstance(got[1][1], peer.NotFound)
        self.assertEqual(got[2], (b"k1", b"v1"))
        self.assertIsInstance(got[3][1], peer.Unreachable)
        self.assertEqual(list(c.fetch("g", [])), [])


if __name__ == "__main__":
    unittest.main()
