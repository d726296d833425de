"use strict";

// What a getter in JavaScript has of its node. It registers a function that is
// called once per instance, with the settings, and returns the one that is
// called for each key:
//
//	gcnode.register((settings) => {
//		const origin = settings.text("origin", "http://127.0.0.1:9000");
//		return async (key) => {
//			const name = (await key.fetch(`${origin}/names/${key.escaped}`)).check();
//			return {value: `Hello, ${name.text}!\n`, ttl: 600000};
//		};
//	});
//
// Values are strings, which become UTF-8, Uint8Arrays or ArrayBuffers. Times are
// in milliseconds.
globalThis.gcnode = (() => {
	const host = globalThis.host;
	delete globalThis.host;
	const TTL_DEFAULT = -1;
	let registered;

	// bytesOf is what is handed to the node: a string or an ArrayBuffer.
	const bytesOf = (value) => {
		if (typeof value === "string" || value instanceof ArrayBuffer) return value;
		if (ArrayBuffer.isView(value)) return value.buffer.slice(value.byteOffset, value.byteOffset + value.byteLength);
		throw new TypeError("a value must be a string, a Uint8Array or an ArrayBuffer");
	};

	// GetterError is a failure with the kind that nodes know.
	class GetterError extends Error {
		constructor(status, message, ttl = TTL_DEFAULT) {
			super(message);
			this.status = status;
			this.ttl = ttl;
		}
	}

	// escapes are the bytes as they stand in the path of a URL.
	const escapes = Array.from({length: 256}, (_, c) => {
		const letter = String.fromCharCode(c);
		return /[0-9A-Za-z._~-]/.test(letter) ? letter : "%" + (c < 16 ? "0" : "") + c.toString(16).toUpperCase();
	});

	// escaped is bytes as one segment, where "." and ".." would be steps.
	const escaped = (bytes) => {
		const text = Array.from(bytes, (c) => escapes[c]).join("");
		return bytes.length > 2 ? text : text.replace(/\./g, "%2E");
	};

	// Bytes are read as bytes, as text, and as a segment of the path of a URL.
	class Bytes {
		constructor(buffer) {
			this.bytes = new Uint8Array(buffer);
		}
		get text() {
			return host.decode(this.bytes.buffer);
		}
		get escaped() {
			return escaped(this.bytes);
		}
	}

	const failures = ["", "malformed", "denied", "unreachable", "timeout", "too large", "too many"];

	// Response is the answer to a fetch, or why there is none: then failure is
	// not empty, and the message is the text of the body.
	class Response extends Bytes {
		constructor(failure, status, body, fields) {
			super(body);
			this.failure = failures[failure];
			this.failureNumber = failure;
			this.status = status;
			this.fields = fields;
		}
		// header is the first field with a name, in any case of letters.
		header(name) {
			name = name.toLowerCase();
			for (let i = 0; i < this.fields.length; i += 2) {
				if (this.fields[i].toLowerCase() === name) return this.fields[i + 1];
			}
			return undefined;
		}
		// check returns the response, or throws the failure that it is. A status
		// of 404 or 410 is not found, for ttl.
		check(ttl = TTL_DEFAULT) {
			if (this.failure !== "") {
				throw new GetterError(this.failure === "unreachable" || this.failure === "timeout" ? 2 : 3, this.text);
			}
			if (this.status < 400) return this;
			const message = `the origin answered with status ${this.status}`;
			switch (this.status) {
			case 404: case 410: throw new GetterError(1, message, ttl);
			case 401: case 403: throw new GetterError(4, message);
			case 429: case 503: throw new GetterError(5, message);
			case 408: case 425: throw new GetterError(2, message);
			default: throw new GetterError(this.status >= 500 ? 2 : 3, message);
			}
		}
	}

	// native is a function of the engine that not every getter is built with.
	const native = (name, macro) => {
		if (host[name] === undefined) throw new Error(`the getter was built without ${macro}`);
		return host[name];
	};

	// settingNames are those of all settings, while the getter is opened.
	const settingNames = () => {
		const all = new DataView(host.settings());
		const names = [];
		for (let at = 0; at < all.byteLength;) {
			const size = all.getUint32(at, true), begin = at + 8;
			names.push(host.decode(all.buffer.slice(begin, begin + size)));
			at = begin + size + all.getUint32(at + 4, true);
		}
		return names;
	};

	// fetchFor makes the node perform one HTTP exchange for a request.
	const fetchFor = (id, what) => new Promise((resolve) => {
		const {url, method = "GET", headers = {}, body = "", timeout = 0, maxBodyBytes = 0} =
			typeof what === "string" ? {url: what} : what;
		const fields = [];
		for (const [name, value] of Object.entries(headers)) fields.push(String(name), String(value));
		native("fetch", "GCNODE_FETCH")(id, String(url), String(method), fields, bytesOf(body), timeout, maxBodyBytes,
			(failure, status, answer, answerFields) => resolve(new Response(failure, status, answer, answerFields)));
	});

	const fail = (id, error) => {
		if (error instanceof GetterError) {
			host.answer(id, error.status, error.message, error.ttl);
			return;
		}
		const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
		host.answer(id, 3, message, TTL_DEFAULT);
	};

	const answer = (id, result) => {
		const plain = typeof result === "string" || result instanceof ArrayBuffer || ArrayBuffer.isView(result);
		const {value, ttl = TTL_DEFAULT} = plain ? {value: result} : result ?? {};
		host.answer(id, 0, bytesOf(value), ttl);
	};

	// Key is what a node asks for. Its fetches end with it.
	class Key extends Bytes {
		#id;
		constructor(id, buffer) {
			super(buffer);
			this.#id = id;
		}
		fetch(what) {
			return fetchFor(this.#id, what);
		}
	}

	return {
		register(open) {
			registered = open;
		},
		// open is called by the engine.
		open() {
			if (typeof registered !== "function") throw new Error("the script has registered no getter (gcnode.register)");
			const get = registered({
				text: (name, missing) => host.setting(name) ?? missing,
				duration(name, missing) {
					const ms = host.duration(name, missing);
					if (ms === undefined) throw new Error(`the setting ${name} is no duration such as 90s or 1h30m`);
					return ms;
				},
				// only throws if there are other settings than those with these
				// names, so that a mistyped one does not go unnoticed.
				only(...known) {
					const unknown = settingNames().filter((name) => !known.includes(name));
					if (unknown.length === 0) return;
					throw new Error(unknown.map((name) => `unknown setting ${JSON.stringify(name)}: known are ${known.join(", ")}`).join("; "));
				},
			});
			if (typeof get !== "function") throw new Error("the registered function has to return the one that is called for each key");
			return (id, buffer) => {
				try {
					const result = get(new Key(id, buffer));
					if (result instanceof Promise) result.then((r) => answer(id, r)).catch((e) => fail(id, e));
					else answer(id, result);
				} catch (e) {
					fail(id, e);
				}
			};
		},
		// What a getter throws: the message reaches the callers.
		notFound: (message, ttl) => new GetterError(1, message, ttl),
		transient: (message) => new GetterError(2, message),
		permanent: (message) => new GetterError(3, message),
		denied: (message) => new GetterError(4, message),
		overloaded: (message) => new GetterError(5, message),

		log: (level, text) => host.log(level, String(text)),
		logs: (level) => host.logs(level),
		monotonic: () => host.monotonic(), // nanoseconds
		// The store is shared by the instances on a node.
		stored(key) {
			const value = native("stored", "GCNODE_STORE")(bytesOf(key));
			return value === undefined ? undefined : new Bytes(value);
		},
		store: (key, value, ttl = TTL_DEFAULT) => native("store", "GCNODE_STORE")(bytesOf(key), bytesOf(value), ttl),
		encode: (text) => new Uint8Array(host.encode(text)),
		decode: (value) => host.decode(bytesOf(value)),
		escape: (value) => escaped(typeof value === "string" ? new Uint8Array(host.encode(value)) : value),
		debug: 0, info: 1, warn: 2, error: 3,
		noStore: 0,
	};
})();
