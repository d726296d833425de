//! An Extism module for tests: the first byte of the key says what it does
//! with the rest. It does what c/get.c does.

#[link(wasm_import_module = "extism:host/env")]
extern "C" {
    fn input_length() -> u64;
    fn input_load_u8(offset: u64) -> u32;
    fn input_load_u64(offset: u64) -> u64;
    fn output_set(offset: u64, length: u64);
    fn error_set(offset: u64);
    fn alloc(length: u64) -> u64;
    fn length(offset: u64) -> u64;
    fn store_u8(offset: u64, byte: u32);
    fn store_u64(offset: u64, word: u64);
    fn config_get(name: u64) -> u64;
    fn var_get(name: u64) -> u64;
    fn var_set(name: u64, value: u64);
}

#[link(wasm_import_module = "extism:host/user")]
extern "C" {
    fn gcnode_ttl(ms: i64);
    fn gcnode_not_found();
}

fn key() -> Vec<u8> {
    let size = unsafe { input_length() };
    let mut key = Vec::with_capacity(size as usize);
    let whole = size / 8 * 8;
    for at in (0..whole).step_by(8) {
        key.extend_from_slice(&unsafe { input_load_u64(at) }.to_le_bytes());
    }
    for at in whole..size {
        key.push(unsafe { input_load_u8(at) } as u8);
    }
    key
}

fn give(bytes: &[u8]) -> u64 {
    let block = unsafe { alloc(bytes.len() as u64) };
    let mut at = block;
    let words = bytes.chunks_exact(8);
    let rest = words.remainder();
    for word in words {
        let mut whole = [0; 8];
        whole.copy_from_slice(word);
        unsafe { store_u64(at, u64::from_le_bytes(whole)) };
        at += 8;
    }
    for byte in rest {
        unsafe { store_u8(at, u32::from(*byte)) };
        at += 1;
    }
    block
}

fn answer(block: u64) {
    unsafe { output_set(block, length(block)) }
}

#[no_mangle]
pub extern "C" fn get() -> i32 {
    let key = key();
    let rest = key.get(1..).unwrap_or(&[]);
    let block = give(rest);
    match key.first() {
        Some(b'=') => answer(block),
        Some(b'c') => answer(unsafe { config_get(block) }),
        Some(b'v') => {
            answer(unsafe { var_get(give(b"last")) });
            unsafe { var_set(give(b"last"), block) };
        }
        Some(b't') => {
            let ms = String::from_utf8_lossy(rest).parse().unwrap_or(0);
            unsafe { gcnode_ttl(ms) };
            answer(block);
        }
        Some(b'n') => unsafe { gcnode_not_found() },
        Some(b'e') => {
            unsafe { error_set(block) };
            return 1;
        }
        _ => return 2,
    }
    0
}
