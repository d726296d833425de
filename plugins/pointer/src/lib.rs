//! A getter that answers a part of a JSON document from an HTTP origin. A key is
//! the key of a document, `#`, and a JSON Pointer (RFC 6901):
//! `ann#/addresses/0/city`. Without `#` it is the whole document.
//!
//! Its settings are:
//!
//! - `url`: template of the URL of a document, required
//! - `strings`: `json` (default): strings are answered as they stand in the
//!   document, with quotes; `text`: as text
//! - `ttl`: life of an answer, default that of the group
//! - `negative_ttl`: life of *not found*, default 30s
//! - `max_bytes`: largest document, default 1048576

mod json;
mod pointer;
mod settings;
mod template;

use gcnode::{Error, Fetch, Item, Kind};
use json::Fault;
use pointer::Pointer;
use settings::Settings;
use std::rc::Rc;

/// The longest key of a document.
const MAX_KEY: usize = 4096;

async fn get(settings: Rc<Settings>, key: Vec<u8>) -> Result<Item, Error> {
    let not_found = |message: String| Error::not_found(message).ttl(settings.negative_ttl);
    let (document, pointer) = match key.iter().position(|&c| c == b'#') {
        Some(at) => (&key[..at], &key[at + 1..]),
        None => (&key[..], &[][..]),
    };
    if document.len() > MAX_KEY {
        return Err(not_found("the key of the document is too long".into()));
    }
    let pointer = Pointer::parse(pointer).map_err(|what| not_found(what.into()))?;
    let url = settings.url.url(document);
    let answer = gcnode::fetch(Fetch { max_body_bytes: settings.max_bytes, ..Fetch::get(url) })
        .await?
        .check(settings.negative_ttl)?;
    let part = json::find(&answer.body, &pointer.tokens)
        .map_err(|Fault { at, what }| Error::new(Kind::Permanent, format!("the document is refused: byte {}: {}", at, what)))?
        .ok_or_else(|| not_found("the document has no such part".into()))?;
    let value = match json::text(part) {
        Some(text) if settings.text => text.into_bytes(),
        _ => part.to_vec(),
    };
    Ok(Item::new(value).ttl(settings.ttl))
}

gcnode::getter!(settings::read, get);
