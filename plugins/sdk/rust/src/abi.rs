//! The imports of the guest ABI, as docs/plugin-abi.md has them. Those that a
//! getter does not reach are not in its module.

#[link(wasm_import_module = "gcnode1")]
extern "C" {
    fn input_read(id: i32, dst: *mut u8, off: i32, len: i32) -> i32;
    #[link_name = "respond"]
    fn abi_respond(req: i32, status: i32, flags: i32, ttl_ms: i64, ptr: *const u8, len: i32) -> i32;
    #[link_name = "fetch_start"]
    fn abi_fetch_start(req: i32, ptr: *const u8, len: i32) -> i32;
    fn config_get(key: *const u8, key_len: i32, dst: *mut u8, cap: i32) -> i32;
    fn kv_get(key: *const u8, key_len: i32, dst: *mut u8, cap: i32) -> i32;
    fn kv_set(key: *const u8, key_len: i32, ptr: *const u8, len: i32, ttl_ms: i64) -> i32;
    #[link_name = "log"]
    fn abi_log(level: i32, ptr: *const u8, len: i32);
    #[link_name = "log_level"]
    fn abi_log_level() -> i32;
    #[link_name = "now_ms"]
    fn abi_now_ms() -> i64;
    #[link_name = "monotonic_ns"]
    fn abi_monotonic_ns() -> i64;
}

/// The size of the input with a number.
pub fn size(id: i32) -> i32 {
    unsafe { input_read(id, core::ptr::null_mut(), 0, 0) }
}

/// The input with a number, whose size the node has told.
pub fn read(id: i32, size: i32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size.max(0) as usize);
    // What is read is initialized: at most size bytes.
    unsafe {
        let copied = input_read(id, bytes.as_mut_ptr(), 0, size).min(size).max(0);
        bytes.set_len(copied as usize);
    }
    bytes
}

pub fn respond(req: i32, status: i32, ttl_ms: i64, bytes: &[u8]) {
    unsafe { abi_respond(req, status, 0, ttl_ms, bytes.as_ptr(), bytes.len() as i32) };
}

pub fn fetch_start(req: i32, message: &[u8]) -> i32 {
    unsafe { abi_fetch_start(req, message.as_ptr(), message.len() as i32) }
}

/// Calls a function that copies into a buffer and returns the whole size until
/// the buffer is large enough: what it copies may change meanwhile.
fn copy(mut from: impl FnMut(*mut u8, i32) -> i32) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let size = from(bytes.as_mut_ptr(), bytes.len() as i32);
        if size < 0 {
            return None;
        }
        let fits = size as usize <= bytes.len();
        bytes.resize(size as usize, 0);
        if fits {
            return Some(bytes);
        }
    }
}

pub fn setting(name: &[u8]) -> Option<Vec<u8>> {
    copy(|dst, cap| unsafe { config_get(name.as_ptr(), name.len() as i32, dst, cap) })
}

/// The names of all settings, while the node configures the getter.
pub fn setting_names() -> Vec<Vec<u8>> {
    let settings = read(0, size(0));
    let mut names = Vec::new();
    let mut rest = &settings[..];
    while let [a, b, c, d, e, f, g, h, more @ ..] = rest {
        let name_len = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        let value_len = u32::from_le_bytes([*e, *f, *g, *h]) as usize;
        names.push(more[..name_len].to_vec());
        rest = &more[name_len + value_len..];
    }
    names
}

pub fn store_get(key: &[u8]) -> Option<Vec<u8>> {
    copy(|dst, cap| unsafe { kv_get(key.as_ptr(), key.len() as i32, dst, cap) })
}

pub fn store_set(key: &[u8], value: &[u8], ttl_ms: i64) -> bool {
    let (k, v) = (key.len() as i32, value.len() as i32);
    unsafe { kv_set(key.as_ptr(), k, value.as_ptr(), v, ttl_ms) == 0 }
}

pub fn log(level: i32, line: &str) {
    unsafe { abi_log(level, line.as_ptr(), line.len() as i32) }
}

pub fn log_level() -> i32 {
    unsafe { abi_log_level() }
}

pub fn now_ms() -> i64 {
    unsafe { abi_now_ms() }
}

pub fn monotonic_ns() -> i64 {
    unsafe { abi_monotonic_ns() }
}
