const WHOLE: &str = "{key}"; // as one segment of the path, or one value of the query
const PATH: &str = "{+key}"; // as a path: its slashes stay

/// Makes URLs of keys. No key leads out of the place that it goes to.
pub struct Template(String);

impl Template {
    pub fn parse(text: &str) -> Result<Template, String> {
        if text.is_empty() {
            return Err("the setting url is required, for example http://127.0.0.1:9000/users/{key}.json".into());
        }
        let wrong = |what: &str| Err(format!("the setting url is {:?}, {}", text, what));
        let rest = match text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) {
            Some(rest) => rest,
            None => return wrong("want http:// or https:// at its beginning"),
        };
        let host = &rest[..rest.find(|c| c == '/' || c == '?').unwrap_or(rest.len())];
        let filled = text.replace(PATH, "").replace(WHOLE, "");
        if host.contains('{') {
            wrong("want a slash between the host and the key")
        } else if host.is_empty() || host.contains('@') {
            wrong("want a host, and no user, after the scheme")
        } else if filled == text {
            wrong("want {key} in it, or {+key} for keys that are paths")
        } else if !filled.bytes().all(|c| c.is_ascii_graphic() && !b"{}#".contains(&c)) {
            wrong("want a URL without a fragment, and no other places than {key} and {+key}")
        } else {
            Ok(Template(text.into()))
        }
    }

    pub fn url(&self, key: &[u8]) -> String {
        let segments: Vec<_> = key.split(|&c| c == b'/').map(gcnode::escape).collect();
        self.0.replace(PATH, &segments.join("/")).replace(WHOLE, &gcnode::escape(key))
    }
}
