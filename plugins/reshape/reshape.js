"use strict";

// A getter that answers JSON documents from an HTTP origin in another shape. A
// key is the key of a document. Its settings are:
//
//	url            template of the URL of a document, required: {key} is its key as
//	               one segment, {+key} as a path
//	template       what is answered, required, in JSON. A string "$" stands for the
//	               document, "$/a/0" for what a JSON Pointer leads to in it, and
//	               "$$" for a dollar sign at the beginning of a string. An object
//	               {"$each": "/a", "$as": T} is an array with T for each element of
//	               the array that the pointer leads to; T is about the element.
//	               What is not there is left out
//	ttl            life of an answer, default that of the group
//	negative_ttl   life of a not found, default 30s
//	max_bytes      largest document, default 262144

const maxDepth = 64; // of documents and templates
const maxKey = 4096; // bytes
const mostBytes = 1 << 28;

// ---- Templates -----------------------------------------------------------------

// tokensOf are the names and positions of a JSON Pointer.
const tokensOf = (pointer) => {
	if (pointer !== "" && pointer[0] !== "/" || /~(?![01])/.test(pointer)) {
		throw new Error(`${JSON.stringify(pointer)} is no JSON Pointer such as /items/0`);
	}
	return pointer.split("/").slice(1).map((token) => token.replace(/~1/g, "/").replace(/~0/g, "~"));
};

const owns = (value, name) => Object.prototype.hasOwnProperty.call(value, name);

// step is the part of a value with a name or position, or undefined.
const step = (value, token) => {
	if (typeof value !== "object" || value === null) return undefined;
	if (Array.isArray(value) && !/^(0|[1-9][0-9]*)$/.test(token)) return undefined;
	return owns(value, token) ? value[token] : undefined;
};

const follow = (pointer) => {
	const tokens = tokensOf(pointer);
	return (document) => tokens.reduce(step, document);
};

const there = (value) => value !== undefined;

// compiled is a function that makes the answer of a document, or undefined if
// nothing of it is there.
const compiled = (template, depth = 0) => {
	if (depth > maxDepth) throw new Error("it is nested too deep");
	if (typeof template === "string") {
		if (template.startsWith("$$")) return () => template.slice(1);
		return template.startsWith("$") ? follow(template.slice(1)) : () => template;
	}
	if (typeof template !== "object" || template === null) return () => template;
	if (Array.isArray(template)) {
		const elements = template.map((element) => compiled(element, depth + 1));
		return (document) => elements.map((element) => element(document)).filter(there);
	}
	if (owns(template, "$each")) return compiledEach(template, depth);
	const members = Object.entries(template).map(([name, member]) => {
		if (name.startsWith("$")) throw new Error(`there is nothing like ${JSON.stringify(name)}`);
		return [name, compiled(member, depth + 1)];
	});
	return (document) => Object.fromEntries(members.map(([name, member]) => [name, member(document)]).filter(([, value]) => there(value)));
};

const compiledEach = ({$each, $as, ...others}, depth) => {
	if (typeof $each !== "string" || !there($as) || Object.keys(others).length > 0) {
		throw new Error('beside a pointer as "$each" there is "$as", and nothing else');
	}
	const list = follow($each);
	const element = compiled($as, depth + 1);
	return (document) => {
		const values = list(document);
		return Array.isArray(values) ? values.map(element).filter(there) : undefined;
	};
};

// ---- Settings ------------------------------------------------------------------

const urlOf = (text) => {
	const wrong = (want) => new Error(`the setting url is ${JSON.stringify(text)}, want ${want}`);
	if (text === "") throw new Error("the setting url is required, for example http://127.0.0.1:9000/users/{key}.json");
	const [scheme, host] = /^https?:\/\/([^/?]*)/.exec(text) ?? [];
	if (scheme === undefined) throw wrong("http:// or https:// at its beginning");
	if (host.includes("{")) throw wrong("a slash between the host and the key");
	if (host === "" || host.includes("@")) throw wrong("a host, and no user, after the scheme");
	const rest = text.replace(/\{\+?key\}/g, "");
	if (rest === text) throw wrong("{key} in it, or {+key} for keys that are paths");
	if (!/^[!-~]*$/.test(rest) || /[{}#]/.test(rest)) throw wrong("a URL without a fragment, and no other places than {key} and {+key}");
	return text;
};

const templateOf = (text) => {
	if (text === "") throw new Error('the setting template is required, for example {"name": "$/profile/name"}');
	try {
		if (tooDeep(gcnode.encode(text))) throw new Error("it is nested too deep");
		return compiled(JSON.parse(text));
	} catch (e) {
		throw new Error(`the setting template is refused: ${e.message}`);
	}
};

const bytesOf = (text) => {
	const bytes = Number(text);
	if (!/^[0-9]+$/.test(text) || bytes < 1 || bytes > mostBytes) {
		throw new Error(`the setting max_bytes is ${JSON.stringify(text)}, want a number from 1 to ${mostBytes}`);
	}
	return bytes;
};

// read returns all errors at once.
const read = (settings) => {
	const wrong = [];
	const note = (reader) => {
		try {
			return reader();
		} catch (e) {
			wrong.push(e.message);
		}
	};
	const s = {
		url: note(() => urlOf(settings.text("url", ""))),
		answer: note(() => templateOf(settings.text("template", ""))),
		ttl: note(() => settings.duration("ttl", -1)), // the group's default
		negativeTTL: note(() => settings.duration("negative_ttl", 30000)),
		maxBytes: note(() => bytesOf(settings.text("max_bytes", "262144"))),
	};
	note(() => settings.only("url", "template", "ttl", "negative_ttl", "max_bytes"));
	if (wrong.length > 0) throw new Error(wrong.join("; "));
	return s;
};

// ---- Documents -----------------------------------------------------------------

const quote = 0x22, backslash = 0x5c, openings = [0x5b, 0x7b], closings = [0x5d, 0x7d];

// tooDeep tells whether bytes are nested deeper than JSON.parse is trusted with:
// it calls itself for each level.
const tooDeep = (bytes) => {
	let depth = 0;
	for (let at = 0; at < bytes.length; at++) {
		const c = bytes[at];
		if (c === quote) at = endOfString(bytes, at);
		else if (c < openings[0]) continue;
		else if (openings.includes(c) && ++depth > maxDepth) return true;
		else if (closings.includes(c)) depth--;
	}
	return false;
};

// endOfString is the last quote of the string whose first one is at begin.
const endOfString = (bytes, begin) => {
	for (let end = begin;;) {
		end = bytes.indexOf(quote, end + 1);
		if (end < 0) return bytes.length;
		let slashes = 0;
		while (bytes[end - 1 - slashes] === backslash) slashes++;
		if (slashes % 2 === 0) return end;
	}
};

const parsed = ({bytes, text}) => {
	if (tooDeep(bytes)) throw gcnode.permanent("the document is refused: it is nested too deep");
	try {
		return JSON.parse(text);
	} catch (e) {
		throw gcnode.permanent(`the document is refused: ${e.message}`);
	}
};

const steps = {".": "%2E", "..": "%2E%2E"};

// asPath is a key as a path: its slashes stay, and no segment is a step.
const asPath = (key) => key.escaped.split("%2F").map((segment) => owns(steps, segment) ? steps[segment] : segment).join("/");

gcnode.register((settings) => {
	const s = read(settings);
	return async (key) => {
		if (key.bytes.length > maxKey) throw gcnode.notFound("the key of the document is too long", s.negativeTTL);
		const url = s.url.split("{key}").join(key.escaped).split("{+key}").join(asPath(key));
		const document = (await key.fetch({url, maxBodyBytes: s.maxBytes})).check(s.negativeTTL);
		const answer = s.answer(parsed(document));
		if (!there(answer)) throw gcnode.notFound("the document has nothing of the template", s.negativeTTL);
		return {value: JSON.stringify(answer), ttl: s.ttl};
	};
});
