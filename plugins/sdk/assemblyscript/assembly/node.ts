import * as abi from "./abi";

/** setting is what the operator of the node wrote for this getter under a name, or null. */
export function setting(name: string): string | null {
  const key = String.UTF8.encode(name);
  const size = abi.config_get(changetype<usize>(key), key.byteLength, 0, 0);
  if (size < 0) return null;
  const value = new ArrayBuffer(size);
  abi.config_get(changetype<usize>(key), key.byteLength, changetype<usize>(value), size);
  return String.UTF8.decode(value);
}

/** settingOr is a setting with a default. */
export function settingOr(name: string, missing: string): string {
  const value = setting(name);
  return value === null ? missing : value;
}

/**
 * duration is a setting such as 90s, 10m, 1h30m or 500ms, in milliseconds. It is
 * -1 if the setting is there and no duration.
 */
export function duration(name: string, missing: i64): i64 {
  const text = setting(name);
  if (text === null) return missing;
  let sum: i64 = 0;
  let at = 0;
  do {
    let number: i64 = 0;
    const begin = at;
    for (; at < text.length && text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57; at++) {
      number = number * 10 + (text.charCodeAt(at) - 48);
    }
    if (at == begin || at - begin > 10) return -1;
    const unit = text.substring(at, at + 2);
    if (unit == "ms") {
      sum += number;
      at++;
    } else if (unit.startsWith("s")) sum += number * 1000;
    else if (unit.startsWith("m")) sum += number * 60000;
    else if (unit.startsWith("h")) sum += number * 3600000;
    else return -1;
    at++;
  } while (at < text.length);
  return sum;
}

/**
 * settingsOnly is for the function that is registered, so that a mistyped name
 * does not go unnoticed: it logs each setting that is not known as an error, and
 * is false if there are some.
 */
export function settingsOnly(known: string[]): bool {
  const all = abi.read(0);
  const start = all.dataStart;
  let only = true;
  for (let at: usize = 0; at < <usize>all.length;) {
    const size = load<u32>(start + at), valueSize = load<u32>(start + at + 4);
    const name = String.UTF8.decodeUnsafe(start + at + 8, size);
    if (!known.includes(name)) {
      log(Level.Error, "unknown setting \"" + name + "\": known are " + known.join(", "));
      only = false;
    }
    at += 8 + size + valueSize;
  }
  return only;
}

/** Level is a level of the node's log. The numbers are those of the guest ABI. */
export enum Level {
  Debug = 0,
  Info = 1,
  Warn = 2,
  Error = 3,
}

/** log writes a line to the node's log. */
export function log(level: Level, line: string): void {
  if (!logs(level)) return;
  const bytes = String.UTF8.encode(line);
  abi.log(level, changetype<usize>(bytes), bytes.byteLength);
}

/** logs tells whether lines of a level are recorded. */
export function logs(level: Level): bool {
  return level >= abi.log_level();
}

/** nowMs is Unix time in milliseconds. */
export function nowMs(): i64 {
  return abi.now_ms();
}

/** monotonicNs never goes back; it counts nanoseconds from an arbitrary start. */
export function monotonicNs(): i64 {
  return abi.monotonic_ns();
}

/**
 * storeGet is what is in the store that the instances of this getter share on a
 * node, or null. A getter that uses it needs room for it from the operator.
 */
export function storeGet(key: Uint8Array): Uint8Array | null {
  let value = new Uint8Array(0);
  let size = abi.kv_get(key.dataStart, key.length, 0, 0);
  while (size > value.length) { // another instance may change the value meanwhile
    value = new Uint8Array(size);
    size = abi.kv_get(key.dataStart, key.length, value.dataStart, size);
  }
  return size < 0 ? null : value.subarray(0, size);
}

/**
 * storeSet stores a value for so many milliseconds, with TTL_DEFAULT as long as
 * there is room, and removes it with NO_STORE. It is false if there is no room
 * at all.
 */
export function storeSet(key: Uint8Array, value: Uint8Array, ttlMs: i64 = -1): bool {
  return abi.kv_set(key.dataStart, key.length, value.dataStart, value.length, max(ttlMs, -1)) == 0;
}

/** bytes is a text as UTF-8. */
export function bytes(text: string): Uint8Array {
  return Uint8Array.wrap(String.UTF8.encode(text));
}

/** escape is the bytes as one segment of the path of a URL. */
export function escape(segment: Uint8Array): string {
  const hex = "0123456789ABCDEF";
  let text = "";
  for (let i = 0; i < segment.length; i++) {
    const c = segment[i];
    const letter = (c | 32) >= 97 && (c | 32) <= 122;
    const plain = letter || (c >= 48 && c <= 57) || c == 45 || c == 95 || c == 126;
    if (plain || (c == 46 && segment.length > 2)) { // "." and ".." would be steps
      text += String.fromCharCode(c);
    } else {
      text += "%" + hex.charAt(c >> 4) + hex.charAt(c & 15);
    }
  }
  return text;
}
