// A getter for the conformance suite: the key is a command and its arguments.

// cut takes bytes up to the next colon off the front.
const cut = (bytes) => {
	const end = bytes.indexOf(58);
	return end < 0 ? [bytes, new Uint8Array(0)] : [bytes.subarray(0, end), bytes.subarray(end + 1)];
};

const latin = (bytes) => String.fromCharCode(...bytes);

const join = (text, bytes) => {
	const head = gcnode.encode(text), all = new Uint8Array(head.length + bytes.length);
	all.set(head);
	all.set(bytes, head.length);
	return all;
};

const shown = (response) => join((response.header("x-answer") ?? "") + " ", response.bytes);

gcnode.register((settings) => {
	if (settings.text("open", "") === "fail") throw new Error("told to fail");
	if (settings.text("open", "") === "strict") settings.only("open", "known");
	return (key) => {
		const [head, rest] = cut(key.bytes);
		const command = head.length < 20 ? latin(head) : "";
		const [first, second] = cut(rest);
		const text = (bytes) => gcnode.decode(bytes);
		const headers = {"X-Probe": "yes"};
		const fetch = async (url, more) => key.fetch({url, headers, ...more});
		const again = async (n, url) => {
			let response;
			while (n-- > 0) response = (await fetch(url)).check(60000);
			return shown(response);
		};
		const many = async (n, url) => {
			let ok = 0, bytes = 0;
			for (const r of await Promise.all(Array.from({length: n}, () => fetch(url)))) {
				if (r.status === 200) ok++;
				if (r.failure === "") bytes += r.bytes.length;
			}
			return `${ok} ${bytes}`;
		};
		const failure = async (url, more) => String((await fetch(url, more)).failureNumber);
		switch (command) {
		case "echo": return rest;
		case "size": return "x".repeat(Number(text(rest)));
		case "ttl": return {value: "", ttl: Number(text(rest))};
		case "nostore": return {value: "", ttl: gcnode.noStore};
		case "notfound": throw gcnode.notFound(text(second), Number(text(first)));
		case "transient": throw gcnode.transient(text(rest));
		case "permanent": throw gcnode.permanent(text(rest));
		case "denied": throw gcnode.denied(text(rest));
		case "overloaded": throw gcnode.overloaded(text(rest));
		case "setting": return settings.text(text(rest), "unset");
		case "duration":
			try {
				return String(settings.duration(text(rest), 7));
			} catch {
				return "invalid";
			}
		case "log":
			gcnode.log(Number(text(first)), text(second));
			return gcnode.logs(Number(text(first))) ? "logs" : "silent";
		case "now": return String(Date.now());
		case "monotonic": return String(gcnode.monotonic());
		case "set": {
			const [name, value] = cut(second);
			return gcnode.store(name, value, Number(text(first))) ? "stored" : "no room";
		}
		case "stored": {
			const value = gcnode.stored(rest);
			if (value === undefined) throw gcnode.notFound("not stored");
			return value.bytes;
		}
		case "escape": return gcnode.escape(rest);
		case "trap": throw new Error("told to throw");
		case "spin": for (;;) ;
		case "fetch": return again(1, text(rest));
		case "post": return fetch(text(rest), {method: "POST", body: "posted"}).then((r) => shown(r.check()));
		case "again": return again(Number(text(first)), text(second));
		case "many": return many(Number(text(first)), text(second));
		case "failure": return failure(text(rest));
		case "limit": return failure(text(second), {maxBodyBytes: Number(text(first))});
		case "timeout": return failure(text(second), {timeout: Number(text(first))});
		}
		throw gcnode.permanent("no such command");
	};
});
