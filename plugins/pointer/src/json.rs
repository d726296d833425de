//! Finds a part of a JSON document (RFC 8259), all of which has to be right:
//! nothing is built of it, and how deep it is nested is bounded.

use crate::pointer::index;
use std::ops::Range;

/// How deep arrays and objects may be nested.
pub const MAX_DEPTH: usize = 128;

/// What is wrong with a document, and where.
pub struct Fault {
    pub at: usize,
    pub what: &'static str,
}

/// The part of a document that the tokens lead to, as it stands there.
pub fn find<'a>(document: &'a [u8], tokens: &[String]) -> Result<Option<&'a [u8]>, Fault> {
    if let Err(e) = std::str::from_utf8(document) {
        return Err(Fault { at: e.valid_up_to(), what: "this is not UTF-8" });
    }
    let mut scanner = Scanner { document, at: 0, depth: 0, found: None };
    scanner.space();
    scanner.value(Some(tokens))?;
    scanner.space();
    if scanner.at < document.len() {
        return scanner.fault("there is something after the value");
    }
    Ok(scanner.found.map(|part| &document[part]))
}

/// The text of a part that is a string.
pub fn text(part: &[u8]) -> Option<String> {
    match part {
        [b'"', inner @ .., b'"'] => Some(unescape(inner)),
        _ => None,
    }
}

struct Scanner<'a> {
    document: &'a [u8],
    at: usize,
    depth: usize,
    found: Option<Range<usize>>,
}

impl Scanner<'_> {
    /// Reads a value. `path` is what leads from it to the part that is looked
    /// for, or nothing if that is elsewhere.
    fn value(&mut self, path: Option<&[String]>) -> Result<(), Fault> {
        let begin = self.at;
        match self.peek() {
            Some(b'{') => self.nested(path, Scanner::object)?,
            Some(b'[') => self.nested(path, Scanner::array)?,
            Some(b'"') => drop(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        }
        if path.map_or(false, <[_]>::is_empty) {
            self.found = Some(begin..self.at);
        }
        Ok(())
    }

    /// Reads an array or an object, whose bracket is next.
    fn nested(
        &mut self,
        path: Option<&[String]>,
        inner: fn(&mut Self, Option<(&String, &[String])>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if self.depth == MAX_DEPTH {
            return self.fault("it is nested too deep");
        }
        self.depth += 1;
        self.at += 1;
        inner(self, path.and_then(<[_]>::split_first))?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self, path: Option<(&String, &[String])>) -> Result<(), Fault> {
        let mut met = false;
        self.space();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let begin = self.at;
            let name = self.string()?;
            self.space();
            self.expect(b':', "a colon is missing")?;
            self.space();
            let rest = path.filter(|(token, _)| self.is(&name, token)).map(|(_, rest)| rest);
            if rest.is_some() && std::mem::replace(&mut met, true) {
                return Err(Fault { at: begin, what: "the object has this member twice" });
            }
            self.value(rest)?;
            self.space();
            if self.take(b'}') {
                return Ok(());
            }
            self.expect(b',', "a comma or the end of the object is missing")?;
            self.space();
        }
    }

    fn array(&mut self, path: Option<(&String, &[String])>) -> Result<(), Fault> {
        let wanted = path.and_then(|(token, rest)| Some((index(token)?, rest)));
        self.space();
        if self.take(b']') {
            return Ok(());
        }
        for position in 0.. {
            self.value(wanted.filter(|(index, _)| *index == position).map(|(_, rest)| rest))?;
            self.space();
            if self.take(b']') {
                break;
            }
            self.expect(b',', "a comma or the end of the array is missing")?;
            self.space();
        }
        Ok(())
    }

    /// Reads a string, and returns where it is, without its quotes.
    fn string(&mut self) -> Result<Range<usize>, Fault> {
        self.expect(b'"', "a string is missing")?;
        let begin = self.at;
        loop {
            match self.peek() {
                None => return self.fault("the string does not end"),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return self.fault("a control character is not escaped"),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(begin..self.at - 1)
    }

    /// Reads an escape. Halves of surrogates come in pairs.
    fn escape(&mut self) -> Result<(), Fault> {
        let rest = &self.document[self.at..];
        let len = match (rest.get(1), unit(rest)) {
            (Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't'), _) => 2,
            (_, Some(0xd800..=0xdbff)) if matches!(unit(&rest[6..]), Some(0xdc00..=0xdfff)) => 12,
            (_, Some(0xd800..=0xdfff)) => return self.fault("half of a surrogate"),
            (_, Some(_)) => 6,
            _ => return self.fault("no such escape"),
        };
        self.at += len;
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let count = self.document[self.at..].iter().take_while(|c| c.is_ascii_digit()).count();
        if count == 0 {
            return self.fault("a digit is missing");
        }
        self.at += count;
        Ok(())
    }

    fn word(&mut self) -> Result<(), Fault> {
        let rest = &self.document[self.at..];
        match ["true", "false", "null"].iter().find(|word| rest.starts_with(word.as_bytes())) {
            None => self.fault("this is no value"),
            Some(word) => {
                self.at += word.len();
                Ok(())
            }
        }
    }

    /// Tells whether a string is a token.
    fn is(&self, string: &Range<usize>, token: &str) -> bool {
        let inner = &self.document[string.clone()];
        if inner.contains(&b'\\') {
            return unescape(inner) == token;
        }
        inner == token.as_bytes()
    }

    fn peek(&self) -> Option<u8> {
        self.document.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    fn take(&mut self, c: u8) -> bool {
        let there = self.peek() == Some(c);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, c: u8, otherwise: &'static str) -> Result<(), Fault> {
        if self.take(c) {
            return Ok(());
        }
        self.fault(otherwise)
    }

    fn fault<T>(&self, what: &'static str) -> Result<T, Fault> {
        Err(Fault { at: self.at, what })
    }
}

/// The unit of UTF-16 that a `\u` escape at the beginning of `rest` stands for.
fn unit(rest: &[u8]) -> Option<u16> {
    let digits = rest.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |sum, &c| Some(sum << 4 | char::from(c).to_digit(16)? as u16))
}

/// The text of a string that has been read.
fn unescape(mut inner: &[u8]) -> String {
    let mut text = Vec::new();
    while let Some(at) = inner.iter().position(|&c| c == b'\\') {
        text.extend(&inner[..at]);
        let rest = &inner[at..];
        inner = match unit(rest) {
            Some(first) => {
                let pair = [first, unit(&rest[6..]).unwrap_or_default()];
                let c = char::decode_utf16(pair).next().and_then(Result::ok).unwrap_or_default();
                text.extend(c.encode_utf8(&mut [0; 4]).bytes());
                &rest[6 * c.len_utf16()..]
            }
            None => {
                text.push(match rest[1] {
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    c => c,
                });
                &rest[2..]
            }
        };
    }
    text.extend(inner);
    String::from_utf8_lossy(&text).into_owned()
}
