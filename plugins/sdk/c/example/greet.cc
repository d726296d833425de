#define GCNODE_IMPLEMENTATION
#include "gcnode.h"

using namespace std::chrono_literals;

static std::string origin;
static gcnode::milliseconds ttl;

// open_getter is called once per instance. With a result other than 0 the
// module is refused.
static int open_getter() {
	bool right = gcnode::settings_only("origin, ttl");
	origin = gcnode::setting("origin", "http://127.0.0.1:9000");
	auto setting = gcnode::duration("ttl", 10min);
	if (!setting) {
		gcnode_log(GCNODE_ERROR, "the setting ttl is no duration such as 90s or 1h30m");
		right = false;
	}
	ttl = setting.value_or(10min);
	return right ? 0 : 1;
}

// get is called for each key. It returns while the fetch is under way.
static void get(gcnode::request req) {
	if (req.key().empty())
		return req.not_found("a user has a name", 1h);
	gcnode::fetch_request what;
	what.url = origin + "/names/" + req.escape(req.key());
	what.max_body_bytes = 1000;
	req.fetch(what, [](gcnode::request req, const gcnode::response &name) {
		if (req.failed(name, 1min))
			return; // unreachable, 404, 503: they are answered with the kind that fits
		req.ok("Hello, " + std::string(name.body()) + "!\n", ttl);
	});
}

GCNODE_GETTER(open_getter, get)
