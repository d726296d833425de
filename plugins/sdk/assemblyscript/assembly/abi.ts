// The imports of the guest ABI, as docs/plugin-abi.md has them. Those that a
// getter does not reach are not in its module.

// @ts-ignore: decorator
@external("gcnode1", "input_read")
export declare function input_read(id: i32, dst: usize, off: i32, len: i32): i32;

// @ts-ignore: decorator
@external("gcnode1", "respond")
export declare function respond(req: i32, status: i32, flags: i32, ttlMs: i64, ptr: usize, len: i32): i32;

// @ts-ignore: decorator
@external("gcnode1", "fetch_start")
export declare function fetch_start(req: i32, ptr: usize, len: i32): i32;

// @ts-ignore: decorator
@external("gcnode1", "config_get")
export declare function config_get(key: usize, keyLen: i32, dst: usize, cap: i32): i32;

// @ts-ignore: decorator
@external("gcnode1", "kv_get")
export declare function kv_get(key: usize, keyLen: i32, dst: usize, cap: i32): i32;

// @ts-ignore: decorator
@external("gcnode1", "kv_set")
export declare function kv_set(key: usize, keyLen: i32, ptr: usize, len: i32, ttlMs: i64): i32;

// @ts-ignore: decorator
@external("gcnode1", "log")
export declare function log(level: i32, ptr: usize, len: i32): void;

// @ts-ignore: decorator
@external("gcnode1", "log_level")
export declare function log_level(): i32;

// @ts-ignore: decorator
@external("gcnode1", "now_ms")
export declare function now_ms(): i64;

// @ts-ignore: decorator
@external("gcnode1", "monotonic_ns")
export declare function monotonic_ns(): i64;

/** read is the whole input with a number. */
export function read(id: i32): Uint8Array {
  const bytes = new Uint8Array(max(input_read(id, 0, 0, 0), 0));
  input_read(id, bytes.dataStart, 0, bytes.length);
  return bytes;
}
