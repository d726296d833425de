use crate::template::Template;
use gcnode::{Config, Ttl};
use std::time::Duration;

/// What the operator says; see the comment of the crate.
pub struct Settings {
    pub url: Template,
    pub text: bool,
    pub ttl: Ttl,
    pub negative_ttl: Ttl,
    pub max_bytes: u32,
}

/// Returns all errors at once.
pub fn read(config: &Config) -> Result<Settings, String> {
    let mut wrong = Vec::new();
    let url = note(&mut wrong, Template::parse(&config.string("url", "")));
    let text = note(&mut wrong, text(config));
    let ttl = note(&mut wrong, ttl(config, "ttl", Ttl::Default));
    let negative_ttl = note(&mut wrong, self::ttl(config, "negative_ttl", Duration::from_secs(30).into()));
    let max_bytes = note(&mut wrong, max_bytes(config));
    let only = note(&mut wrong, config.only(&["url", "ttl", "negative_ttl", "max_bytes", "strings"]));
    match (url, text, ttl, negative_ttl, max_bytes, only) {
        (Some(url), Some(text), Some(ttl), Some(negative_ttl), Some(max_bytes), Some(())) => {
            Ok(Settings { url, text, ttl, negative_ttl, max_bytes })
        }
        _ => Err(wrong.join("; ")),
    }
}

fn note<T>(wrong: &mut Vec<String>, setting: Result<T, String>) -> Option<T> {
    setting.map_err(|message| wrong.push(message)).ok()
}

fn text(config: &Config) -> Result<bool, String> {
    match &*config.string("strings", "json") {
        "json" => Ok(false),
        "text" => Ok(true),
        other => Err(format!("the setting strings is {:?}, want json or text", other)),
    }
}

fn ttl(config: &Config, name: &str, missing: Ttl) -> Result<Ttl, String> {
    match config.get(name) {
        None => Ok(missing),
        Some(_) => config.duration(name, Duration::from_secs(0)).map(Ttl::For),
    }
}

/// The largest value of `max_bytes`.
const MOST_BYTES: u32 = 1 << 28;

fn max_bytes(config: &Config) -> Result<u32, String> {
    let text = config.string("max_bytes", "1048576");
    match text.parse() {
        Ok(bytes) if (1..=MOST_BYTES).contains(&bytes) => Ok(bytes),
        _ => Err(format!("the setting max_bytes is {:?}, want a number from 1 to {}", text, MOST_BYTES)),
    }
}
