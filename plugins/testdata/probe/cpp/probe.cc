// A getter for the conformance suite: the key is a command and its arguments.
#define GCNODE_IMPLEMENTATION
#include "gcnode.h"

#include <cstdlib>
#include <memory>

namespace {

int open() {
	if (gcnode::setting("open") == "fail") {
		gcnode_log(GCNODE_ERROR, "told to fail");
		return 1;
	}
	return gcnode::setting("open") == "strict" && !gcnode::settings_only("open, known");
}

// cut takes the argument that ends at the next colon off the front.
std::string cut(std::string_view &rest) {
	size_t end = rest.find(':');
	std::string argument(rest.substr(0, end));
	rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
	return argument;
}

long number(const std::string &text) { return std::strtol(text.c_str(), nullptr, 10); }

void again(gcnode::request req, gcnode::fetch_request what, int left) {
	req.fetch(what, [what, left](gcnode::request req, const gcnode::response &answer) {
		if (req.failed(answer, std::chrono::minutes(1)))
			return;
		if (left > 1)
			return again(req, what, left - 1);
		std::string value(answer.header("x-answer").value_or(""));
		req.ok((value += ' ') += answer.body());
	});
}

void many(gcnode::request req, const gcnode::fetch_request &what, int count) {
	struct sum {
		int left, ok = 0;
		size_t bytes = 0;
	};
	auto total = std::make_shared<sum>();
	total->left = count;
	for (int i = 0; i < count; i++)
		req.fetch(what, [total](gcnode::request req, const gcnode::response &answer) {
			if (answer.status() == 200) {
				total->ok++;
				total->bytes += answer.body().size();
			}
			if (--total->left == 0)
				req.ok(std::to_string(total->ok) + " " + std::to_string(total->bytes));
		});
}

void get(gcnode::request req) {
	std::string_view rest = req.key();
	const std::string command = cut(rest);
	if (command == "echo")
		return req.ok(rest);
	if (command == "size")
		return req.ok(std::string(static_cast<size_t>(number(std::string(rest))), 'x'));
	if (command == "ttl")
		return req.ok("", gcnode::milliseconds(std::strtoll(std::string(rest).c_str(), nullptr, 10)));
	if (command == "nostore")
		return req.ok("", gcnode::no_store);
	if (command == "notfound") {
		gcnode::milliseconds ttl(number(cut(rest)));
		return req.not_found(rest, ttl);
	}
	if (command == "transient")
		return req.fail(GCNODE_TRANSIENT, rest);
	if (command == "permanent")
		return req.fail(GCNODE_PERMANENT, rest);
	if (command == "denied")
		return req.fail(GCNODE_DENIED, rest);
	if (command == "overloaded")
		return req.fail(GCNODE_OVERLOADED, rest);
	if (command == "setting")
		return req.ok(gcnode::setting(std::string(rest).c_str(), "unset"));
	if (command == "duration") {
		auto ms = gcnode::duration(std::string(rest).c_str(), gcnode::milliseconds(7));
		return req.ok(ms ? std::to_string(ms->count()) : "invalid");
	}
	if (command == "log") {
		auto level = static_cast<gcnode_level>(number(cut(rest)));
		gcnode_log(level, "%s", std::string(rest).c_str());
		return req.ok(gcnode_logs(level) ? "logs" : "silent");
	}
	if (command == "now")
		return req.ok(std::to_string(gcnode_now_ms()));
	if (command == "monotonic")
		return req.ok(std::to_string(gcnode_monotonic_ns()));
	if (command == "set") {
		gcnode::milliseconds ttl(number(cut(rest)));
		std::string key = cut(rest);
		return req.ok(gcnode::store(key, rest, ttl) ? "stored" : "no room");
	}
	if (command == "stored") {
		auto value = req.stored(rest);
		return value ? req.ok(*value) : req.not_found("not stored");
	}
	if (command == "escape")
		return req.ok(req.escape(rest));
	if (command == "trap")
		std::abort();
	if (command == "spin")
		for (volatile int i = 0;; i = i + 1)
			;

	gcnode::fetch_request what;
	what.fields = {{"X-Probe", "yes"}};
	int count = 1;
	if (command == "post") {
		what.method = "POST";
		what.body = "posted";
	} else if (command == "many" || command == "again") {
		count = static_cast<int>(number(cut(rest)));
	} else if (command == "limit") {
		what.max_body_bytes = static_cast<uint32_t>(number(cut(rest)));
	} else if (command == "timeout") {
		what.timeout = gcnode::milliseconds(number(cut(rest)));
	} else if (command != "fetch" && command != "failure") {
		return req.fail(GCNODE_PERMANENT, "no such command");
	}
	what.url = rest;
	if (command == "many")
		return many(req, what, count);
	if (command == "limit" || command == "timeout" || command == "failure")
		return req.fetch(what, [](gcnode::request req, const gcnode::response &answer) {
			req.ok(std::to_string(answer.failure()));
		});
	again(req, what, count);
}

} // namespace

GCNODE_GETTER(open, get)
GCNODE_BATCHES
