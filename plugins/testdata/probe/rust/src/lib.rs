//! A getter for the conformance suite: the key is a command and its arguments.

use gcnode::{Config, Error, Fetch, Item, Kind, Level, Ttl};
use std::rc::Rc;
use std::time::Duration;

fn open(config: &Config) -> Result<Config, String> {
    match config.string("open", "").as_str() {
        "fail" => Err("told to fail".into()),
        "strict" => config.only(&["open", "known"]).map(|()| *config),
        _ => Ok(*config),
    }
}

/// Takes the argument that ends at the next colon off the front.
fn cut<'a>(rest: &mut &'a [u8]) -> &'a str {
    let end = rest.iter().position(|&c| c == b':');
    let argument = &rest[..end.unwrap_or(rest.len())];
    *rest = end.map_or(&[], |end| &rest[end + 1..]);
    std::str::from_utf8(argument).unwrap_or("")
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or(0)
}

fn ttl(text: &str) -> Ttl {
    match number(text) {
        -1 => Ttl::Default,
        0 => Ttl::NoStore,
        n => Ttl::For(Duration::from_millis(n as u64)),
    }
}

fn level(text: &str) -> Level {
    [Level::Debug, Level::Info, Level::Warn, Level::Error][number(text) as usize]
}

async fn get(config: Rc<Config>, key: Vec<u8>) -> Result<Item, Error> {
    let mut rest = &key[..];
    let command = cut(&mut rest);
    let text = String::from_utf8_lossy(rest);
    let fail = |kind| Err(Error::new(kind, &*text));
    match command {
        "echo" => Ok(Item::new(rest)),
        "size" => Ok(Item::new(vec![b'x'; number(&text) as usize])),
        "ttl" => Ok(Item::new("").ttl(ttl(&text))),
        "nostore" => Ok(Item::new("").ttl(Ttl::NoStore)),
        "notfound" => {
            let life = ttl(cut(&mut rest));
            Err(Error::not_found(String::from_utf8_lossy(rest)).ttl(life))
        }
        "transient" => fail(Kind::Transient),
        "permanent" => fail(Kind::Permanent),
        "denied" => fail(Kind::Denied),
        "overloaded" => fail(Kind::Overloaded),
        "setting" => Ok(Item::new(config.string(&text, "unset"))),
        "duration" => match config.duration(&text, Duration::from_millis(7)) {
            Ok(d) => Ok(Item::new(d.as_millis().to_string())),
            Err(_) => Ok(Item::new("invalid")),
        },
        "log" => {
            let level = level(cut(&mut rest));
            gcnode::log(level, &String::from_utf8_lossy(rest));
            Ok(Item::new(if gcnode::logs(level) { "logs" } else { "silent" }))
        }
        "now" => Ok(Item::new(gcnode::now_ms().to_string())),
        "monotonic" => Ok(Item::new(gcnode::monotonic_ns().to_string())),
        "set" => {
            let life = ttl(cut(&mut rest));
            let key = cut(&mut rest);
            Ok(Item::new(if gcnode::store_set(key, rest, life) { "stored" } else { "no room" }))
        }
        "stored" => gcnode::store_get(rest).map(Item::new).ok_or_else(|| Error::not_found("not stored")),
        "escape" => Ok(Item::new(gcnode::escape(rest))),
        "trap" => panic!("told to"),
        "spin" => loop {
            std::hint::spin_loop();
        },
        _ => fetch(command, rest).await,
    }
}

async fn fetch(command: &str, mut rest: &[u8]) -> Result<Item, Error> {
    let mut request = Fetch { fields: vec![("X-Probe".into(), b"yes".to_vec())], ..Fetch::default() };
    let mut count = 1;
    match command {
        "fetch" | "failure" => {}
        "post" => {
            request.method = "POST".into();
            request.body = b"posted".to_vec();
        }
        "again" | "many" => count = number(cut(&mut rest)),
        "limit" => request.max_body_bytes = number(cut(&mut rest)) as u32,
        "timeout" => request.timeout = Duration::from_millis(number(cut(&mut rest)) as u64),
        _ => return Err(Error::new(Kind::Permanent, "no such command")),
    }
    request.url = String::from_utf8_lossy(rest).into_owned();
    match command {
        "many" => {
            let all = gcnode::join_all((0..count).map(|_| gcnode::fetch(request.clone()))).await;
            let good: Vec<_> = all.into_iter().flatten().filter(|r| r.status == 200).collect();
            let bytes: usize = good.iter().map(|r| r.body.len()).sum();
            Ok(Item::new(format!("{} {}", good.len(), bytes)))
        }
        "failure" | "limit" | "timeout" => {
            let failure = gcnode::fetch(request).await.err().map_or(0, |e| e.failure as i32);
            Ok(Item::new(failure.to_string()))
        }
        _ => {
            for _ in 1..count {
                gcnode::fetch(request.clone()).await?.check(Duration::from_secs(60))?;
            }
            let answer = gcnode::fetch(request).await?.check(Duration::from_secs(60))?;
            let mut value = answer.header("x-answer").unwrap_or(b"").to_vec();
            value.push(b' ');
            value.extend(answer.body);
            Ok(Item::new(value))
        }
    }
}

gcnode::getter!(open, get, batch);
