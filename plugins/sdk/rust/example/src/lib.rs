use gcnode::{Config, Error, Fetch, Item};
use std::rc::Rc;
use std::time::Duration;

struct Greeter {
    origin: String,
    ttl: Duration,
}

/// Called once per instance. An error refuses the module.
fn open(config: &Config) -> Result<Greeter, String> {
    config.only(&["origin", "ttl"])?;
    Ok(Greeter {
        origin: config.string("origin", "http://127.0.0.1:9000"),
        ttl: config.duration("ttl", Duration::from_secs(600))?,
    })
}

/// Called for each key. Others are served while the fetch is under way.
async fn get(greeter: Rc<Greeter>, user: Vec<u8>) -> Result<Item, Error> {
    if user.is_empty() {
        return Err(Error::not_found("a user has a name").ttl(Duration::from_secs(3600)));
    }
    let url = format!("{}/names/{}", greeter.origin, gcnode::escape(&user));
    let name = gcnode::fetch(Fetch { max_body_bytes: 1000, ..Fetch::get(url) })
        .await? // unreachable, timeout, not allowed, …
        .check(Duration::from_secs(60))?; // 404 becomes not found, 503 overloaded, …
    let name = String::from_utf8_lossy(&name.body);
    Ok(Item::new(format!("Hello, {}!\n", name)).ttl(greeter.ttl))
}

gcnode::getter!(open, get);
