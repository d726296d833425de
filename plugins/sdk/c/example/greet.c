#define GCNODE_IMPLEMENTATION
#include "gcnode.h"

static const char *origin;
static int64_t ttl;

/* open_getter is called once per instance. With a result other than 0 the
 * module is refused. */
static int open_getter(void) {
	bool right = gcnode_settings_only("origin, ttl");
	origin = gcnode_setting("origin", "http://127.0.0.1:9000");
	if (!gcnode_setting_ms("ttl", 600000, &ttl)) {
		gcnode_log(GCNODE_ERROR, "the setting ttl is no duration such as 90s or 1h30m");
		right = false;
	}
	return right ? 0 : 1;
}

/* greet is called when the name has been fetched, or could not be. */
static void greet(gcnode_request *req, const gcnode_response *name) {
	if (gcnode_failed(req, name, 60000))
		return; /* unreachable, 404, 503: they are answered with the kind that fits */
	gcnode_log(GCNODE_DEBUG, "fetched a name of %zu bytes", name->body.len);
	char *greeting = gcnode_format(req, "Hello, %.*s!\n", (int)name->body.len, name->body.ptr);
	gcnode_ok(req, gcnode_text(greeting), ttl);
}

/* get is called for each key. It returns while the fetch is under way. */
static void get(gcnode_request *req) {
	if (req->key.len == 0) {
		gcnode_not_found(req, gcnode_text("a user has a name"), 3600000);
		return;
	}
	char *url = gcnode_format(req, "%s/names/%s", origin, gcnode_escape(req, req->key));
	gcnode_fetch(req, &(gcnode_fetch_request){.url = url, .max_body_bytes = 1000}, greet);
}

GCNODE_GETTER(open_getter, get)
