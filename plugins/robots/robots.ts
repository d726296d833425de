// A getter that answers whether a robot may fetch a path, by the robots.txt of an
// HTTP origin (RFC 9309): "allow" or "disallow". A key is a path, with the query
// if there is one. Its settings are:
//
//	url         of the robots.txt, required
//	agent       product token of the robot, required
//	ttl         life of an answer, default that of the group
//	max_bytes   largest robots.txt, default 524288

import {
  Fetch, Getter, Level, Request, Response, TTL_DEFAULT, Then,
  duration, log, register, setting, settingOr, settingsOnly,
} from "gcnode/assembly";
export { gcnode_abi_1, gcnode_cancel, gcnode_configure, gcnode_get, gcnode_resume } from "gcnode/assembly";

const MAX_PATH = 2048; // bounds how long matching takes
const MOST_BYTES: i64 = 1 << 28;

const LF: u8 = 10, CR: u8 = 13, TAB: u8 = 9, SPACE: u8 = 32, HASH: u8 = 35, DOLLAR: u8 = 36, PERCENT: u8 = 37;
const STAR: u8 = 42, SLASH: u8 = 47, COLON: u8 = 58;

class Robots extends Getter {
  constructor(private url: string, private agent: string, private ttl: i64, private maxBytes: u32) {
    super();
  }

  get(req: Request): void {
    if (req.key.length == 0 || req.key[0] != SLASH) {
      req.notFound("a path begins with a slash");
      return;
    }
    if (req.key.length > MAX_PATH) {
      req.notFound("the path is too long");
      return;
    }
    const what = new Fetch(this.url);
    what.maxBodyBytes = this.maxBytes;
    req.fetch(what, new Judge(this.agent, this.ttl));
  }
}

// Judge answers when the robots.txt is there. An origin that has none allows
// everything, and one that does not say nothing: that is an error here.
class Judge extends Then {
  constructor(private agent: string, private ttl: i64) {
    super();
  }

  fetched(req: Request, file: Response): void {
    const none = file.status >= 400 && file.status < 500 && file.status != 429;
    if (!none && req.failed(file)) return;
    const path = normal(req.key, false);
    const allowed = none || req.text == "/robots.txt" || new Rules(path, this.agent).allow(file.body);
    req.okText(allowed ? "allow" : "disallow", this.ttl);
  }
}

// Rules are those for one path. The longest pattern that matches it counts, and of
// two that are equally long the one that allows. Patterns are read in groups, each
// of which begins with the agents that it is for.
class Rules {
  private known: bool = false; // a group is for the agent by its name
  private mine: bool = false; // the group that is read is
  private all: bool = false; // the group that is read is for every agent
  private agents: bool = false; // the last line named an agent
  private mineBest: i32 = 0; // length of the pattern that counts, less than 0 if it disallows
  private allBest: i32 = 0;

  constructor(private path: Uint8Array, private agent: string) {}

  allow(file: Uint8Array): bool {
    let begin = file.length >= 3 && file[0] == 0xef && file[1] == 0xbb && file[2] == 0xbf ? 3 : 0; // a byte order mark
    while (begin < file.length) {
      let end = begin;
      while (end < file.length && file[end] != LF && file[end] != CR) end++;
      this.read(file.subarray(begin, end));
      begin = end + 1;
    }
    return (this.known ? this.mineBest : this.allBest) >= 0;
  }

  private read(line: Uint8Array): void {
    const comment = line.indexOf(HASH);
    if (comment >= 0) line = line.subarray(0, comment);
    const colon = line.indexOf(COLON);
    if (colon < 0) return;
    const name = trimmed(line.subarray(0, colon)), value = trimmed(line.subarray(colon + 1));
    if (is(name, "user-agent")) this.readAgent(value);
    else if (is(name, "allow")) this.readPattern(value, 1);
    else if (is(name, "disallow")) this.readPattern(value, -1);
  }

  private readAgent(value: Uint8Array): void {
    if (!this.agents) this.mine = this.all = false;
    this.agents = true;
    let end = 0;
    while (end < value.length && isToken(value[end])) end++;
    if (value.length > 0 && value[0] == STAR) this.all = true;
    else if (is(value.subarray(0, end), this.agent)) this.mine = this.known = true;
  }

  private readPattern(value: Uint8Array, sign: i32): void {
    this.agents = false;
    if (value.length == 0 || !(this.mine || this.all)) return;
    const pattern = normal(value, true);
    if (!matches(pattern, this.path)) return;
    if (this.mine) this.mineBest = better(this.mineBest, sign * pattern.length);
    if (this.all) this.allBest = better(this.allBest, sign * pattern.length);
  }
}

function better(a: i32, b: i32): i32 {
  if (abs(a) == abs(b)) return max(a, b);
  return abs(a) > abs(b) ? a : b;
}

// matches tells whether a pattern matches a path from its beginning, where "*" is
// anything, and "$" at the end of the pattern the end of the path. What is between
// two stars is looked for as far at the beginning as it can be.
function matches(pattern: Uint8Array, path: Uint8Array): bool {
  const anchored = pattern[pattern.length - 1] == DOLLAR;
  const end = anchored ? pattern.length - 1 : pattern.length;
  let to = 0; // what of the path is matched
  for (let begin = 0, last = false; !last;) {
    let star = pattern.indexOf(STAR, begin);
    last = star < 0;
    if (last) star = end;
    const size = star - begin;
    let at = to;
    if (begin == 0) at = startsAt(pattern, 0, size, path, 0) ? 0 : -1;
    else if (!last || !anchored) at = find(pattern, begin, size, path, to);
    else at = max(to, path.length - size);
    if (at < 0 || (last && anchored && !(at + size == path.length && startsAt(pattern, begin, size, path, at)))) return false;
    to = at + size;
    begin = star + 1;
  }
  return true;
}

function startsAt(pattern: Uint8Array, begin: i32, size: i32, path: Uint8Array, at: i32): bool {
  if (size > path.length - at) return false;
  for (let i = 0; i < size; i++) {
    if (pattern[begin + i] != path[at + i]) return false;
  }
  return true;
}

// borders are those of what find looks for: how long the longest beginning is that
// each of its beginnings ends with.
const borders = new StaticArray<i32>(3 * MAX_PATH);

// find is where a part of a pattern is in a path, not before from, or -1. Its time
// is linear (Knuth, Morris and Pratt): robots.txt is by anybody.
function find(pattern: Uint8Array, begin: i32, size: i32, path: Uint8Array, from: i32): i32 {
  if (size > path.length - from) return -1;
  if (size == 0) return from;
  for (let i = 1, k = 0; i < size; i++) {
    while (k > 0 && pattern[begin + i] != pattern[begin + k]) k = borders[k - 1];
    if (pattern[begin + i] == pattern[begin + k]) k++;
    borders[i] = k;
  }
  const length = path.length;
  for (let i = from, k = 0; i < length; i++) {
    const c = unchecked(path[i]);
    while (k > 0 && c != unchecked(pattern[begin + k])) k = unchecked(borders[k - 1]);
    if (c == unchecked(pattern[begin + k])) k++;
    if (k == size) return i + 1 - size;
  }
  return -1;
}

// normal is a path or a pattern in the form in which they are compared: bytes that
// are not ASCII, and "*" and "$" where they mean themselves, are escaped, letters
// and digits are not.
function normal(text: Uint8Array, pattern: bool): Uint8Array {
  const out = new Uint8Array(3 * text.length);
  let len = 0;
  for (let i = 0; i < text.length; i++) {
    let c = text[i];
    let escaped = c <= SPACE || c >= 0x7f;
    if (c == STAR) escaped = !pattern;
    if (c == DOLLAR) escaped = !(pattern && i == text.length - 1);
    if (c == PERCENT && i + 2 < text.length && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      c = <u8>(digit(text[i + 1]) << 4 | digit(text[i + 2]));
      escaped = !isUnreserved(c);
      i += 2;
    }
    if (escaped) {
      out[len++] = PERCENT;
      out[len++] = hex(c >> 4);
      out[len++] = hex(c & 15);
    } else {
      out[len++] = c;
    }
  }
  return out.subarray(0, len);
}

function digit(c: u8): i32 {
  if (c >= 48 && c <= 57) return c - 48;
  const small = c | 32;
  return small >= 97 && small <= 102 ? small - 87 : -1;
}

function hex(value: u8): u8 {
  return value < 10 ? 48 + value : 55 + value;
}

function isLetter(c: u8): bool {
  return (c | 32) >= 97 && (c | 32) <= 122;
}

function isToken(c: u8): bool {
  return isLetter(c) || c == 45 || c == 95; // "-", "_"
}

function isUnreserved(c: u8): bool {
  return isToken(c) || (c >= 48 && c <= 57) || c == 46 || c == 126; // ".", "~"
}

function trimmed(text: Uint8Array): Uint8Array {
  let begin = 0, end = text.length;
  while (begin < end && (text[begin] == SPACE || text[begin] == TAB)) begin++;
  while (end > begin && (text[end - 1] == SPACE || text[end - 1] == TAB)) end--;
  return text.subarray(begin, end);
}

// is tells whether bytes are a text of ASCII, in any case of letters.
function is(bytes: Uint8Array, text: string): bool {
  if (bytes.length != text.length) return false;
  for (let i = 0; i < bytes.length; i++) {
    const a = bytes[i], b = <u8>text.charCodeAt(i);
    if (a != b && !(isLetter(a) && (a | 32) == (b | 32))) return false;
  }
  return true;
}

// ---- Settings ------------------------------------------------------------------

// refused logs what is wrong with a setting.
function refused(name: string, want: string): bool {
  const value = settingOr(name, "");
  log(Level.Error, value == "" ? "the setting " + name + " is required, " + want : "the setting " + name + " is \"" + value + "\", want " + want);
  return false;
}

function isURL(text: string): bool {
  const host = text.startsWith("http://") ? 7 : text.startsWith("https://") ? 8 : text.length;
  if (host >= text.length || text.charCodeAt(host) == <i32>SLASH || text.charAt(host) == "?") return false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c <= <i32>SPACE || c >= 0x7f || c == <i32>HASH || c == 64 || c == 123) return false; // "@", "{"
  }
  return true;
}

function isAgent(text: string): bool {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f || !isToken(<u8>text.charCodeAt(i))) return false;
  }
  return text.length > 0;
}

// numberOf is a setting from 1 to MOST_BYTES, or -1.
function numberOf(text: string): i64 {
  let number: i64 = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 48 || c > 57 || number > MOST_BYTES) return -1;
    number = 10 * number + (c - 48);
  }
  return number >= 1 && number <= MOST_BYTES ? number : -1;
}

register((): Getter | null => {
  const url = settingOr("url", ""), agent = settingOr("agent", "");
  const ttl = setting("ttl") === null ? TTL_DEFAULT : duration("ttl", 0);
  const maxBytes = numberOf(settingOr("max_bytes", "524288"));
  let right = settingsOnly(["url", "agent", "ttl", "max_bytes"]);
  if (!isURL(url)) right = refused("url", "a URL such as http://127.0.0.1:9000/robots.txt");
  if (!isAgent(agent)) right = refused("agent", "a product token such as ExampleBot: letters, - and _");
  if (ttl < 0 && setting("ttl") !== null) right = refused("ttl", "a duration such as 90s or 1h30m");
  if (maxBytes < 0) right = refused("max_bytes", "a number from 1 to " + MOST_BYTES.toString());
  return right ? new Robots(url, agent, ttl, <u32>maxBytes) : null;
});
