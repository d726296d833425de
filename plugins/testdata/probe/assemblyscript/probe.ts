// A getter for the conformance suite: the key is a command and its arguments.

import {
  Failure, Fetch, Getter, Kind, Level, NO_STORE, Request, Response, Then,
  bytes, duration, escape, log, logs, monotonicNs, nowMs, register, settingOr, settingsOnly, storeGet, storeSet,
} from "gcnode/assembly";
export {
  gcnode_abi_1, gcnode_cancel, gcnode_configure, gcnode_get, gcnode_get_many, gcnode_resume,
} from "gcnode/assembly";

function text(bytes: Uint8Array): string {
  return String.UTF8.decodeUnsafe(bytes.dataStart, bytes.length);
}

/** Arguments are taken off the front of a key, up to the next colon. */
class Arguments {
  constructor(public rest: Uint8Array) {}

  cut(): string {
    const end = this.rest.indexOf(58);
    const argument = text(end < 0 ? this.rest : this.rest.subarray(0, end));
    this.rest = end < 0 ? new Uint8Array(0) : this.rest.subarray(end + 1);
    return argument;
  }

  number(): i64 {
    return I64.parseInt(this.cut());
  }

  get text(): string {
    return text(this.rest);
  }
}

class Numbered extends Then {
  fetched(req: Request, response: Response): void {
    req.okText((<i32>response.failure).toString());
  }
}

class Again extends Then {
  constructor(private what: Fetch, private left: i64) {
    super();
  }

  fetched(req: Request, response: Response): void {
    if (req.failed(response, 60000)) return;
    if (--this.left > 0) {
      req.fetch(this.what, this);
      return;
    }
    const header = response.header("x-answer");
    const head = bytes((header === null ? "" : header) + " ");
    const value = new Uint8Array(head.length + response.body.length);
    value.set(head);
    value.set(response.body, head.length);
    req.ok(value);
  }
}

class Many extends Then {
  private good: i32 = 0;
  private size: i32 = 0;

  constructor(private left: i64) {
    super();
  }

  fetched(req: Request, response: Response): void {
    if (response.status == 200) {
      this.good++;
      this.size += response.body.length;
    }
    if (--this.left == 0) req.okText(this.good.toString() + " " + this.size.toString());
  }
}

class Probe extends Getter {
  get(req: Request): void {
    const args = new Arguments(req.key);
    const command = args.cut();
    if (command == "echo") req.ok(args.rest);
    else if (command == "size") req.ok(new Uint8Array(<i32>args.number()).fill(120));
    else if (command == "ttl") req.okText("", args.number());
    else if (command == "nostore") req.okText("", NO_STORE);
    else if (command == "notfound") {
      const ttl = args.number();
      req.notFound(args.text, ttl);
    } else if (command == "transient") req.fail(Kind.Transient, args.text);
    else if (command == "permanent") req.fail(Kind.Permanent, args.text);
    else if (command == "denied") req.fail(Kind.Denied, args.text);
    else if (command == "overloaded") req.fail(Kind.Overloaded, args.text);
    else if (command == "setting") req.okText(settingOr(args.text, "unset"));
    else if (command == "duration") {
      const ms = duration(args.text, 7);
      req.okText(ms < 0 ? "invalid" : ms.toString());
    } else if (command == "log") {
      const level = <Level>(<i32>args.number());
      log(level, args.text);
      req.okText(logs(level) ? "logs" : "silent");
    } else if (command == "now") req.okText(nowMs().toString());
    else if (command == "monotonic") req.okText(monotonicNs().toString());
    else if (command == "set") {
      const ttl = args.number();
      const key = bytes(args.cut());
      req.okText(storeSet(key, args.rest, ttl) ? "stored" : "no room");
    } else if (command == "stored") {
      const value = storeGet(args.rest);
      if (value === null) req.notFound("not stored");
      else req.ok(value);
    } else if (command == "escape") req.okText(escape(args.rest));
    else if (command == "trap") assert(false, "told to");
    else if (command == "spin") for (;;) {}
    else this.fetch(req, command, args);
  }

  private fetch(req: Request, command: string, args: Arguments): void {
    let count: i64 = 1, limit: u32 = 0, timeout: u32 = 0;
    if (command == "many" || command == "again") count = args.number();
    else if (command == "limit") limit = <u32>args.number();
    else if (command == "timeout") timeout = <u32>args.number();
    else if (command != "fetch" && command != "post" && command != "failure") {
      req.fail(Kind.Permanent, "no such command");
      return;
    }
    const what = new Fetch(args.text).field("X-Probe", "yes");
    what.maxBodyBytes = limit;
    what.timeoutMs = timeout;
    if (command == "post") {
      what.method = "POST";
      what.body = bytes("posted");
    }
    if (command == "many") {
      const then = new Many(count);
      for (let i: i64 = 0; i < count; i++) req.fetch(what, then);
    } else if (command == "fetch" || command == "post" || command == "again") req.fetch(what, new Again(what, count));
    else req.fetch(what, new Numbered());
  }
}

register((): Getter | null => {
  if (settingOr("open", "") == "fail") {
    log(Level.Error, "told to fail");
    return null;
  }
  if (settingOr("open", "") == "strict" && !settingsOnly(["open", "known"])) return null;
  return new Probe();
});
