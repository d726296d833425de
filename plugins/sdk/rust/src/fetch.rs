use crate::{abi, task, Error, Kind, Ttl};
use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::rc::Rc;

/// An HTTP request for the node to make.
#[derive(Clone, Debug, Default)]
pub struct Fetch {
    /// GET if it is empty.
    pub method: String,
    /// Absolute, with an origin that the node allows.
    pub url: String,
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// Zero: the deadline of the request.
    pub timeout: Duration,
    /// The largest acceptable body of the answer; 0: the node's limit.
    pub max_body_bytes: u32,
}

impl Fetch {
    pub fn get(url: impl Into<String>) -> Fetch {
        Fetch { url: url.into(), ..Fetch::default() }
    }

    fn encode(&self) -> Vec<u8> {
        let method = if self.method.is_empty() { "GET" } else { &self.method };
        let mut b = Vec::new();
        b.extend((method.len() as u16).to_le_bytes());
        b.extend((self.fields.len() as u16).to_le_bytes());
        b.extend((self.url.len() as u32).to_le_bytes());
        b.extend((self.body.len() as u32).to_le_bytes());
        let millis = (self.timeout.as_micros() + 999) / 1000;
        b.extend((millis.min(u32::MAX as u128) as u32).to_le_bytes());
        b.extend(self.max_body_bytes.to_le_bytes());
        b.extend(method.as_bytes());
        b.extend(self.url.as_bytes());
        for (name, value) in &self.fields {
            b.extend((name.len() as u16).to_le_bytes());
            b.extend((value.len() as u32).to_le_bytes());
            b.extend(name.as_bytes());
            b.extend(value);
        }
        b.extend(&self.body);
        b
    }
}

/// The answer to a fetch, whatever its status.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the first header field of that name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let field = self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        field.map(|(_, value)| &value[..])
    }

    /// The response if its status is below 400. Otherwise 404 and 410 are not
    /// found, for `ttl`; 401 and 403 are denied, 429 and 503 overloaded, 408,
    /// 425 and the rest of 5xx transient, and everything else is permanent.
    pub fn check(self, ttl: impl Into<Ttl>) -> Result<Response, Error> {
        let kind = match self.status {
            0..=399 => return Ok(self),
            404 | 410 => Kind::NotFound,
            401 | 403 => Kind::Denied,
            429 | 503 => Kind::Overloaded,
            408 | 425 => Kind::Transient,
            status if status >= 500 => Kind::Transient,
            _ => Kind::Permanent,
        };
        let message = format!("the origin answered with status {}", self.status);
        Err(Error::new(kind, message).ttl(ttl))
    }
}

/// Why there was no answer to a fetch. The numbers are those of the guest ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Malformed = 1,
    Denied = 2,
    Unreachable = 3,
    Timeout = 4,
    TooLarge = 5,
    TooMany = 6,
}

/// A fetch that was not answered. As an [`Error`] it is transient if the origin
/// was unreachable or too slow, and otherwise permanent.
#[derive(Clone, Debug)]
pub struct FetchError {
    pub failure: Failure,
    pub message: String,
}

impl From<FetchError> for Error {
    fn from(e: FetchError) -> Error {
        let kind = match e.failure {
            Failure::Unreachable | Failure::Timeout => Kind::Transient,
            _ => Kind::Permanent,
        };
        Error::new(kind, e.message)
    }
}

/// Makes the node perform an HTTP exchange, redirects included. The instance
/// serves other requests until it is over. The exchange begins when the result
/// is awaited, and is of no interest any more when the result is dropped.
pub fn fetch(request: Fetch) -> Fetching {
    Fetching(State::New(request))
}

/// The result of [`fetch`].
pub struct Fetching(State);

enum State {
    New(Fetch),
    Started(i32, Rc<Slot>),
    Done,
}

/// Where the answer to a call is put.
pub(crate) type Slot = RefCell<Option<Vec<u8>>>;

impl Future for Fetching {
    type Output = Result<Response, FetchError>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::New(request) = &self.0 {
            let call = abi::fetch_start(task::current(), &request.encode());
            if call <= 0 {
                self.0 = State::Done;
                return Poll::Ready(Err(refused(call)));
            }
            let slot = Rc::new(Slot::default());
            task::expect(call, &slot);
            self.0 = State::Started(call, slot);
        }
        let answer = match &self.0 {
            State::Started(_, slot) => slot.borrow_mut().take(),
            _ => panic!("a fetch was polled after its end"),
        };
        match answer {
            None => Poll::Pending,
            Some(answer) => {
                self.0 = State::Done;
                Poll::Ready(decode(&answer))
            }
        }
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        if let State::Started(call, _) = &self.0 {
            task::forget(*call);
        }
    }
}

fn refused(code: i32) -> FetchError {
    let (failure, message) = match code {
        -3 => (Failure::TooMany, "the request has used up its fetches"),
        _ => (Failure::Malformed, "malformed fetch request"),
    };
    FetchError { failure, message: message.into() }
}

/// Reads an answer, which the host has written.
fn decode(b: &[u8]) -> Result<Response, FetchError> {
    let u16_at = |at: usize| u16::from_le_bytes([b[at], b[at + 1]]);
    let u32_at = |at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]) as usize;
    let failure = match u16_at(2) {
        0 => None,
        2 => Some(Failure::Denied),
        3 => Some(Failure::Unreachable),
        4 => Some(Failure::Timeout),
        5 => Some(Failure::TooLarge),
        6 => Some(Failure::TooMany),
        _ => Some(Failure::Malformed),
    };
    let mut at = 12;
    let mut fields = Vec::new();
    for _ in 0..u16_at(4) {
        let name = at + 6;
        let value = name + u16_at(at) as usize;
        let end = value + u32_at(at + 2);
        fields.push((String::from_utf8_lossy(&b[name..value]).into_owned(), b[value..end].to_vec()));
        at = end;
    }
    let body = b[at..].to_vec();
    match failure {
        None => Ok(Response { status: u16_at(0), fields, body }),
        Some(failure) => {
            Err(FetchError { failure, message: String::from_utf8_lossy(&body).into_owned() })
        }
    }
}

/// The bytes as one segment of the path of a URL.
pub fn escape(segment: impl AsRef<[u8]>) -> String {
    const HEX: &[u8] = b"0123456789ABCDEF";
    let segment = segment.as_ref();
    let mut text = String::with_capacity(segment.len());
    for &c in segment {
        let plain = c.is_ascii_alphanumeric() || b"-_~".contains(&c);
        // "." and ".." would be steps.
        if plain || c == b'.' && segment.len() > 2 {
            text.push(c as char);
        } else {
            text.push('%');
            text.push(HEX[usize::from(c >> 4)] as char);
            text.push(HEX[usize::from(c & 15)] as char);
        }
    }
    text
}
