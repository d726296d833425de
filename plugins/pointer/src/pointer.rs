use crate::json::MAX_DEPTH;

/// A JSON Pointer: the names and positions that lead to a part of a document.
pub struct Pointer {
    pub tokens: Vec<String>,
}

impl Pointer {
    pub fn parse(text: &[u8]) -> Result<Pointer, &'static str> {
        let text = std::str::from_utf8(text).map_err(|_| "the pointer is not UTF-8")?;
        let mut tokens = text.split('/');
        if tokens.next() != Some("") {
            return Err("a pointer begins with a slash");
        }
        if tokens.clone().count() > MAX_DEPTH {
            return Err("the pointer leads deeper than documents may be nested");
        }
        Ok(Pointer { tokens: tokens.map(token).collect::<Result<_, _>>()? })
    }
}

fn token(escaped: &str) -> Result<String, &'static str> {
    let mut parts = escaped.split('~');
    let mut token = String::from(parts.next().unwrap_or_default());
    for part in parts {
        let (c, rest) = match (part.strip_prefix('0'), part.strip_prefix('1')) {
            (Some(rest), _) => ('~', rest),
            (_, Some(rest)) => ('/', rest),
            _ => return Err("in a pointer ~ is ~0, and a slash in a name is ~1"),
        };
        token.push(c);
        token.push_str(rest);
    }
    Ok(token)
}

/// The position in an array that a token is, if it is one.
pub fn index(token: &str) -> Option<usize> {
    let digits = token.bytes().all(|c| c.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    token.parse().ok().filter(|_| digits)
}
