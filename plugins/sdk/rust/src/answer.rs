use core::time::Duration;

/// How long nodes keep an answer. They count in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// The group's default.
    Default,
    /// Serve it, do not keep it.
    NoStore,
    /// This long; what is shorter than a millisecond is not kept.
    For(Duration),
}

impl Ttl {
    pub(crate) fn millis(self) -> i64 {
        match self {
            Ttl::Default => -1,
            Ttl::NoStore => 0,
            Ttl::For(d) => d.as_millis().min(i64::MAX as u128) as i64,
        }
    }
}

impl From<Duration> for Ttl {
    fn from(d: Duration) -> Ttl {
        Ttl::For(d)
    }
}

/// A value and the time that it may be kept for.
#[derive(Clone, Debug)]
pub struct Item {
    pub value: Vec<u8>,
    pub ttl: Ttl,
}

impl Item {
    /// An item with the group's default lifetime.
    pub fn new(value: impl Into<Vec<u8>>) -> Item {
        Item { value: value.into(), ttl: Ttl::Default }
    }

    pub fn ttl(self, ttl: impl Into<Ttl>) -> Item {
        Item { ttl: ttl.into(), ..self }
    }
}

/// The kinds of failure that a node distinguishes. The numbers are those of
/// the guest ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is no such key. Nodes may keep this answer too.
    NotFound = 1,
    /// A later attempt may succeed.
    Transient = 2,
    /// Trying again is of no use.
    Permanent = 3,
    /// The origin refuses.
    Denied = 4,
    /// Ask later.
    Overloaded = 5,
}

/// Why there is no value. The message reaches the callers, cut after 1 KiB.
#[derive(Clone, Debug)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
    /// How long nodes remember that there is nothing, if that is the kind.
    pub ttl: Ttl,
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), ttl: Ttl::Default }
    }

    pub fn not_found(message: impl Into<String>) -> Error {
        Error::new(Kind::NotFound, message)
    }

    pub fn ttl(self, ttl: impl Into<Ttl>) -> Error {
        Error { ttl: ttl.into(), ..self }
    }
}
