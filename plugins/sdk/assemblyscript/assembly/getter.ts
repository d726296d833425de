import * as abi from "./abi";
import { Request, cancel, rest, resume } from "./request";
import { Level, log } from "./node";

/** Getter answers keys. There is one in each instance. */
export abstract class Getter {
  abstract get(req: Request): void;
}

let open: (() => Getter | null) | null = null;
let getter: Getter | null = null;

/**
 * register names the function that makes the getter. It is called once, before
 * the first key. With null it refuses the settings, which it explains with
 * log(Level.Error, …).
 */
export function register(make: () => Getter | null): void {
  open = make;
}

export function gcnode_abi_1(): void {}

export function gcnode_configure(_len: i32): i32 {
  const make = open;
  if (make === null) {
    log(Level.Error, "no getter: call register");
    return 1;
  }
  getter = make();
  return getter === null ? 1 : 0;
}

function begin(id: i32): void {
  getter!.get(new Request(id, abi.read(id)));
}

export function gcnode_get(id: i32, _len: i32): i32 {
  begin(id);
  return rest(id);
}

export function gcnode_get_many(base: i32, count: i32, _len: i32): i32 {
  for (let i = 0; i < count; i++) begin(base + i);
  let pending = 0;
  for (let i = 0; i < count; i++) pending |= rest(base + i);
  return pending;
}

export function gcnode_resume(id: i32, call: i32, _len: i32): i32 {
  resume(call);
  return rest(id);
}

export function gcnode_cancel(id: i32): void {
  cancel(id);
}

/** abort ends the instance, after it has said why. The compiler is told to use it. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  const what = message === null ? "aborted" : message;
  const where = file === null ? "?" : file;
  log(Level.Error, what + " (" + where + ":" + line.toString() + ":" + column.toString() + ")");
  unreachable();
}
