import { Request } from "./request";

/** Fetch is an HTTP request for the node to make. */
export class Fetch {
  method: string = "GET";
  body: Uint8Array = new Uint8Array(0);
  /** timeoutMs limits this exchange. 0: the deadline of the request. */
  timeoutMs: u32 = 0;
  /** maxBodyBytes is the largest acceptable body of the answer. 0: the node's limit. */
  maxBodyBytes: u32 = 0;
  private names: string[] = [];
  private values: string[] = [];

  /** url is absolute, with an origin that the node allows. */
  constructor(public url: string) {}

  /** field adds a header field. */
  field(name: string, value: string): this {
    this.names.push(name);
    this.values.push(value);
    return this;
  }

  /** encode is the message of the guest ABI. */
  encode(): Uint8Array {
    const method = String.UTF8.encode(this.method), url = String.UTF8.encode(this.url);
    const names: ArrayBuffer[] = [], values: ArrayBuffer[] = [];
    let size = 20 + method.byteLength + url.byteLength + this.body.length;
    for (let i = 0; i < this.names.length; i++) {
      names.push(String.UTF8.encode(this.names[i]));
      values.push(String.UTF8.encode(this.values[i]));
      size += 6 + names[i].byteLength + values[i].byteLength;
    }
    const message = new Uint8Array(size);
    let at = message.dataStart;
    store<u16>(at, <u16>method.byteLength);
    store<u16>(at + 2, <u16>names.length);
    store<u32>(at + 4, url.byteLength);
    store<u32>(at + 8, this.body.length);
    store<u32>(at + 12, this.timeoutMs);
    store<u32>(at + 16, this.maxBodyBytes);
    at = put(at + 20, method);
    at = put(at, url);
    for (let i = 0; i < names.length; i++) {
      store<u16>(at, <u16>names[i].byteLength);
      store<u32>(at + 2, values[i].byteLength);
      at = put(at + 6, names[i]);
      at = put(at, values[i]);
    }
    memory.copy(at, this.body.dataStart, this.body.length);
    return message;
  }
}

function put(at: usize, bytes: ArrayBuffer): usize {
  memory.copy(at, changetype<usize>(bytes), bytes.byteLength);
  return at + bytes.byteLength;
}

/** Failure says why there is no answer to a fetch. The numbers are those of the guest ABI. */
export enum Failure {
  None = 0,
  Malformed = 1,
  Denied = 2,
  Unreachable = 3,
  Timeout = 4,
  TooLarge = 5,
  TooMany = 6,
}

/** Response is the answer to a fetch, whatever its status. */
export class Response {
  failure: Failure;
  /** status is that of HTTP; 0 if there is a failure. */
  status: i32;
  /** body is the message of the failure, if there is one. */
  body: Uint8Array;

  /** The message is one of the host. */
  constructor(private message: Uint8Array) {
    const at = message.dataStart;
    const size = <i32>load<u32>(at + 8);
    this.status = load<u16>(at);
    this.failure = <Failure>load<u16>(at + 2);
    this.body = message.subarray(message.length - size);
  }

  /** failed is a response that the node had no part in. */
  static failed(failure: Failure, text: string): Response {
    const body = String.UTF8.encode(text);
    const message = new Uint8Array(12 + body.byteLength);
    store<u16>(message.dataStart + 2, <u16>failure);
    store<u32>(message.dataStart + 8, body.byteLength);
    put(message.dataStart + 12, body);
    return new Response(message);
  }

  /** text is the body as UTF-8. */
  get text(): string {
    return String.UTF8.decodeUnsafe(this.body.dataStart, this.body.length);
  }

  /** header is the first header field of that name, in any case of letters, or null. */
  header(name: string): string | null {
    const wanted = name.toLowerCase();
    let at = this.message.dataStart + 12;
    for (let left = load<u16>(this.message.dataStart + 4); left > 0; left--) {
      const nameLen = load<u16>(at), valueLen = load<u32>(at + 2);
      at += 6;
      if (String.UTF8.decodeUnsafe(at, nameLen).toLowerCase() == wanted) {
        return String.UTF8.decodeUnsafe(at + nameLen, valueLen);
      }
      at += nameLen + valueLen;
    }
    return null;
  }
}

/** Then is what goes on when a fetch is over. Its fields are what it needs. */
export abstract class Then {
  abstract fetched(req: Request, response: Response): void;
}
