import * as abi from "./abi";
import { Failure, Fetch, Response, Then } from "./fetch";

/** The group's default lifetime. Other lifetimes are in milliseconds. */
export const TTL_DEFAULT: i64 = -1;
/** Serve the answer, do not keep it. */
export const NO_STORE: i64 = 0;

/** Kind is what kind of failure an answer is. The numbers are those of the guest ABI. */
export enum Kind {
  /** A later attempt may succeed. */
  Transient = 2,
  /** Trying again is of no use. */
  Permanent = 3,
  /** The origin refuses. */
  Denied = 4,
  /** Ask later. */
  Overloaded = 5,
}

/** Call is a fetch that is under way, or that could not begin. */
class Call {
  constructor(public req: Request, public then: Then) {}
}

const requests = new Map<i32, Request>();
const calls = new Map<i32, Call>();
let stillborn: Call[] = [];
let refusals: i32[] = [];

/**
 * Request is one key that the node asks for. It ends when it is answered; until
 * then it may fetch, and the instance serves others while it waits. It has to
 * be answered or have a fetch under way when the function returns that was
 * called for it.
 */
export class Request {
  private answered: bool = false;
  private calls: i32[] = [];

  /** key may be any bytes. */
  constructor(public id: i32, public key: Uint8Array) {
    requests.set(id, this);
  }

  /** text is the key as UTF-8. */
  get text(): string {
    return String.UTF8.decodeUnsafe(this.key.dataStart, this.key.length);
  }

  /** ok answers with a value. */
  ok(value: Uint8Array, ttlMs: i64 = TTL_DEFAULT): void {
    this.respond(0, value.dataStart, value.length, ttlMs);
  }

  /** okText answers with a text as UTF-8. */
  okText(value: string, ttlMs: i64 = TTL_DEFAULT): void {
    const bytes = String.UTF8.encode(value);
    this.respond(0, changetype<usize>(bytes), bytes.byteLength, ttlMs);
  }

  /** notFound says that there is no such key, and how long nodes remember that. */
  notFound(message: string, ttlMs: i64 = TTL_DEFAULT): void {
    const bytes = String.UTF8.encode(message);
    this.respond(1, changetype<usize>(bytes), bytes.byteLength, ttlMs);
  }

  /** fail answers with an error. The message reaches the callers, cut after 1 KiB. */
  fail(kind: Kind, message: string): void {
    const bytes = String.UTF8.encode(message);
    this.respond(kind, changetype<usize>(bytes), bytes.byteLength, TTL_DEFAULT);
  }

  private respond(status: i32, ptr: usize, len: i32, ttlMs: i64): void {
    if (this.answered) return;
    abi.respond(this.id, status, 0, max(ttlMs, TTL_DEFAULT), ptr, len);
    this.end();
  }

  /** end forgets the request. The SDK calls it. */
  end(): void {
    this.answered = true;
    requests.delete(this.id);
    for (let i = 0; i < this.calls.length; i++) calls.delete(this.calls[i]);
  }

  /** over tells whether the request has ended. */
  get over(): bool {
    return this.answered;
  }

  /**
   * fetch makes the node perform an HTTP exchange, redirects included, and
   * returns at once. then.fetched is called when it is over, whatever came of
   * it, unless the request has ended before.
   */
  fetch(what: Fetch, then: Then): void {
    const message = what.encode();
    const call = new Call(this, then);
    const id = abi.fetch_start(this.id, message.dataStart, message.length);
    if (id <= 0) {
      stillborn.push(call);
      refusals.push(id);
      return;
    }
    this.calls.push(id);
    calls.set(id, call);
  }

  /**
   * failed answers with the failure of a fetch, if it is one, and tells whether
   * it did. A status of 404 or 410 is not found, for ttlMs; 401 and 403 are
   * denied, 429 and 503 overloaded, 408, 425 and the rest of 5xx transient, as
   * are an unreachable origin and a timeout; everything else from 400 on is
   * permanent.
   */
  failed(response: Response, ttlMs: i64 = TTL_DEFAULT): bool {
    const status = response.status;
    if (response.failure != Failure.None) {
      const later = response.failure == Failure.Unreachable || response.failure == Failure.Timeout;
      this.fail(later ? Kind.Transient : Kind.Permanent, response.text);
      return true;
    }
    if (status < 400) return false;
    const message = "the origin answered with status " + status.toString();
    if (status == 404 || status == 410) this.notFound(message, ttlMs);
    else if (status == 401 || status == 403) this.fail(Kind.Denied, message);
    else if (status == 429 || status == 503) this.fail(Kind.Overloaded, message);
    else this.fail(status == 408 || status == 425 || status >= 500 ? Kind.Transient : Kind.Permanent, message);
    return true;
  }
}

/** resume hands an answer to what waits for it. The SDK calls it. */
export function resume(id: i32): void {
  if (!calls.has(id)) return;
  const call = calls.get(id);
  calls.delete(id);
  call.then.fetched(call.req, new Response(abi.read(id)));
}

/** cancel forgets a request. The SDK calls it. */
export function cancel(id: i32): void {
  if (requests.has(id)) requests.get(id).end();
}

/** rest is what an export returns for a request. The SDK calls it. */
export function rest(id: i32): i32 {
  while (stillborn.length > 0) {
    const call = stillborn.pop();
    const failure = refusals.pop() == -3 ? Failure.TooMany : Failure.Malformed;
    if (call.req.over) continue;
    const text = failure == Failure.TooMany ? "the request has used up its fetches" : "malformed fetch request";
    call.then.fetched(call.req, Response.failed(failure, text));
  }
  return requests.has(id) ? 1 : 0;
}
