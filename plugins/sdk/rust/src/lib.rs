//! Getters for gcnode in Rust, as WebAssembly modules. docs/writing-getters.md
//! tells how to build one, docs/plugin-abi.md is the contract with the node.
//!
//! A getter has a function that opens it, once per instance, and an async one
//! that answers a key:
//!
//! ```ignore
//! use gcnode::{Config, Error, Item};
//! use std::rc::Rc;
//!
//! fn open(config: &Config) -> Result<String, String> {
//!     Ok(config.string("greeting", "Hello"))
//! }
//!
//! async fn get(greeting: Rc<String>, key: Vec<u8>) -> Result<Item, Error> {
//!     Ok(Item::new(format!("{}, {}", greeting, String::from_utf8_lossy(&key))))
//! }
//!
//! gcnode::getter!(open, get);
//! ```
//!
//! An instance runs one request at a time. While one awaits a [`fetch`], it
//! serves others. Nothing else can be awaited, but for what is made of fetches,
//! like [`join_all`]. A panic ends the instance, and its message is logged.


mod abi;
mod answer;
mod fetch;
#[doc(hidden)]
pub mod task;

pub use answer::{Error, Item, Kind, Ttl};
pub use fetch::{escape, fetch, Failure, Fetch, FetchError, Fetching, Response};
pub use task::join_all;

use core::time::Duration;

/// Makes the exports of a getter out of a function that opens it and one that
/// answers a key. With `batch` as a third argument the node may hand over
/// several keys in one call; they are answered at the same time, and a panic
/// fails all of them.
#[macro_export]
macro_rules! getter {
    ($open:expr, $get:expr, batch) => {
        $crate::getter!($open, $get);

        #[no_mangle]
        pub extern "C" fn gcnode_get_many(base: i32, count: i32, _len: i32) -> i32 {
            $crate::task::begin_many(base, count)
        }
    };
    ($open:expr, $get:expr) => {
        #[no_mangle]
        pub extern "C" fn gcnode_abi_1() {}

        #[no_mangle]
        pub extern "C" fn gcnode_configure(_len: i32) -> i32 {
            $crate::task::configure($open, $get)
        }

        #[no_mangle]
        pub extern "C" fn gcnode_get(req: i32, key_len: i32) -> i32 {
            $crate::task::begin(req, key_len)
        }

        #[no_mangle]
        pub extern "C" fn gcnode_resume(req: i32, call: i32, len: i32) -> i32 {
            $crate::task::resume(req, call, len)
        }

        #[no_mangle]
        pub extern "C" fn gcnode_cancel(req: i32) {
            $crate::task::cancel(req)
        }
    };
}

/// What the operator of the node wrote for this getter.
#[derive(Clone, Copy, Debug)]
pub struct Config(pub(crate) ());

impl Config {
    /// A setting, if it is there. What is not UTF-8 in it is replaced.
    pub fn get(&self, name: &str) -> Option<String> {
        abi::setting(name.as_bytes()).map(|v| String::from_utf8_lossy(&v).into_owned())
    }

    pub fn string(&self, name: &str, missing: &str) -> String {
        self.get(name).unwrap_or_else(|| missing.into())
    }

    /// A duration such as 90s, 10m, 1h30m or 500ms.
    pub fn duration(&self, name: &str, missing: Duration) -> Result<Duration, String> {
        match self.get(name) {
            None => Ok(missing),
            Some(text) => parse_duration(&text)
                .ok_or_else(|| format!("the setting {} is {:?}, want a duration such as 90s or 1h30m", name, text)),
        }
    }

    /// An error that names every setting that is not one of `known`, so that a
    /// mistyped name does not go unnoticed. It is for the function that opens
    /// the getter.
    pub fn only(&self, known: &[&str]) -> Result<(), String> {
        let unknown: Vec<_> = abi::setting_names()
            .iter()
            .filter(|name| !known.iter().any(|k| k.as_bytes() == name.as_slice()))
            .map(|name| format!("unknown setting {:?}: known are {}", String::from_utf8_lossy(name), known.join(", ")))
            .collect();
        match unknown.is_empty() {
            true => Ok(()),
            false => Err(unknown.join("; ")),
        }
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::from_secs(0);
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u32 = rest[..digits].parse().ok()?;
        let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
        let (unit, millis) = units.iter().find(|(unit, _)| rest[digits..].starts_with(unit))?;
        sum = sum.checked_add(Duration::from_millis(u64::from(number) * millis))?;
        rest = &rest[digits + unit.len()..];
    }
    Some(sum)
}

/// Levels of the node's log. The numbers are those of the guest ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug = 0,
    Info = 1,
    Warn = 2,
    Error = 3,
}

/// Writes a line to the node's log.
pub fn log(level: Level, line: &str) {
    if logs(level) {
        abi::log(level as i32, line);
    }
}

/// Tells whether lines of a level are recorded.
pub fn logs(level: Level) -> bool {
    level as i32 >= abi::log_level()
}

/// Unix time in milliseconds.
pub fn now_ms() -> i64 {
    abi::now_ms()
}

/// A clock that never goes back, in nanoseconds from an arbitrary start.
pub fn monotonic_ns() -> i64 {
    abi::monotonic_ns()
}

/// What is in the store that the instances of this getter share on a node. A
/// getter that uses it needs room for it from the operator.
pub fn store_get(key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    abi::store_get(key.as_ref())
}

/// Stores a value, with [`Ttl::Default`] as long as there is room, and removes
/// it with [`Ttl::NoStore`]. The result is false if there is no room at all.
pub fn store_set(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, ttl: impl Into<Ttl>) -> bool {
    abi::store_set(key.as_ref(), value.as_ref(), ttl.into().millis())
}
