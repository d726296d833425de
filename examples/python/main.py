"""Reads and removes keys of a gcnode cluster from the command line.

    python3 main.py --peer http://10.0.0.5:7001/ get users ann bob
    python3 main.py --peer http://10.0.0.5:7001/ remove users ann

get writes the values to standard output, one after the other, with nothing in
between. Exit status: 0 done; 1 failed; 2 the command line is wrong; 3 a key has
no value, and the values of the others were written.
"""

import argparse
import os
import sys
from typing import List

from gcnode_peer import Client, NotConfirmed, NotFound, PeerError
from gcnode_sign import Secret


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(description="Reads and removes keys of a gcnode cluster.")
    add = parser.add_argument
    add("--peer", action="append", required=True, metavar="URL", help="of a member; may be given several times")
    add("--secret", metavar="ID=FILE", help="a secret that the members share, and its ID: signs requests")
    add("--timeout", type=float, default=30.0, metavar="SECONDS", help="for the whole command (default: 30)")
    add("--hex", action="store_true", help="keys are given as hexadecimal digits")
    add("command", choices=["get", "remove"])
    add("group")
    add("key", nargs="+")
    args = parser.parse_args(arguments)
    try:
        keys = [bytes.fromhex(key) if args.hex else os.fsencode(key) for key in args.key]
    except ValueError as e:
        parser.error(f"a key is not hexadecimal: {e}")
    try:
        secret = read_secret(args.secret) if args.secret else None
    except (OSError, ValueError) as e:
        parser.error(f"--secret: {e}")
    client, group = Client(args.peer, secret=secret), os.fsencode(args.group)
    if args.command == "get":
        return get(client, group, keys, args.timeout)
    try:
        client.remove(group, keys, args.timeout)
    except (PeerError, NotConfirmed) as e:
        return complain(f"remove {len(keys)} keys from group {show(group)}: {e}")
    return 0


def read_secret(arg: str) -> Secret:
    key_id, sep, path = arg.partition("=")
    if not sep:
        raise ValueError(f"{arg!r} must be ID=FILE")
    with open(path, encoding="utf-8") as file:
        return Secret(key_id, file.read().strip())


def get(client: Client, group: bytes, keys: List[bytes], timeout: float) -> int:
    status = 0
    answers = dict(client.fetch(group, keys, timeout))
    for key in keys:
        answer = answers[key]
        if isinstance(answer, bytes):
            sys.stdout.buffer.write(answer)
            continue
        complain(f"get {show(key)} of group {show(group)}: {answer}")
        status = 3 if isinstance(answer, NotFound) and status != 1 else 1
    return status


def show(name: bytes) -> str:
    return repr(name)[1:]


def complain(text: str) -> int:
    print(text, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
