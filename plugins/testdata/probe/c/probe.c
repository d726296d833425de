/* A getter for the conformance suite: the key is a command and its arguments. */
#define GCNODE_IMPLEMENTATION
#include "gcnode.h"

#include <stdlib.h>
#include <string.h>

static int open(void) {
	if (strcmp(gcnode_setting("open", ""), "fail") == 0) {
		gcnode_log(GCNODE_ERROR, "told to fail");
		return 1;
	}
	return strcmp(gcnode_setting("open", ""), "strict") == 0 && !gcnode_settings_only("open, known");
}

/* cut takes the argument that ends at the next colon off the front. */
static char *cut(char **rest) {
	char *argument = *rest, *end = strchr(argument, ':');
	*rest = end == NULL ? argument + strlen(argument) : end + 1;
	if (end != NULL)
		*end = 0;
	return argument;
}

/* job is what a request that fetches has to do. */
typedef struct job {
	const char *command;
	gcnode_fetch_request fetch;
	int left;
	size_t ok, bytes;
} job;

static void fetched(gcnode_request *req, const gcnode_response *response) {
	job *j = req->data;
	if (strcmp(j->command, "failure") == 0) {
		gcnode_ok(req, gcnode_text(gcnode_format(req, "%d", response->failure)), GCNODE_TTL_DEFAULT);
		return;
	}
	if (strcmp(j->command, "many") == 0) {
		j->ok += response->status == 200;
		j->bytes += response->failure == GCNODE_FETCHED ? response->body.len : 0;
		if (--j->left == 0)
			gcnode_ok(req, gcnode_text(gcnode_format(req, "%zu %zu", j->ok, j->bytes)), GCNODE_TTL_DEFAULT);
		return;
	}
	if (gcnode_failed(req, response, 60000))
		return;
	if (--j->left > 0) {
		gcnode_fetch(req, &j->fetch, fetched);
		return;
	}
	gcnode_bytes header = {NULL, 0};
	gcnode_header(response, "x-answer", &header);
	char *value = gcnode_alloc(req, header.len + 1 + response->body.len);
	memcpy(value, header.ptr, header.len);
	value[header.len] = ' ';
	memcpy(value + header.len + 1, response->body.ptr, response->body.len);
	gcnode_ok(req, (gcnode_bytes){value, header.len + 1 + response->body.len}, GCNODE_TTL_DEFAULT);
}

static void get(gcnode_request *req) {
	static const gcnode_field field = {{"X-Probe", 7}, {"yes", 3}};
	char *rest = (char *)req->key.ptr, *command = cut(&rest);
	gcnode_bytes argument = {rest, req->key.len - (size_t)(rest - req->key.ptr)};
	if (strcmp(command, "echo") == 0) {
		gcnode_ok(req, argument, GCNODE_TTL_DEFAULT);
	} else if (strcmp(command, "size") == 0) {
		size_t size = strtoul(rest, NULL, 10);
		gcnode_ok(req, (gcnode_bytes){memset(gcnode_alloc(req, size), 'x', size), size}, GCNODE_TTL_DEFAULT);
	} else if (strcmp(command, "ttl") == 0) {
		gcnode_ok(req, (gcnode_bytes){NULL, 0}, strtoll(rest, NULL, 10));
	} else if (strcmp(command, "nostore") == 0) {
		gcnode_ok(req, (gcnode_bytes){NULL, 0}, GCNODE_NO_STORE);
	} else if (strcmp(command, "notfound") == 0) {
		int64_t ttl = strtoll(cut(&rest), NULL, 10);
		gcnode_not_found(req, gcnode_text(rest), ttl);
	} else if (strcmp(command, "transient") == 0) {
		gcnode_fail(req, GCNODE_TRANSIENT, argument);
	} else if (strcmp(command, "permanent") == 0) {
		gcnode_fail(req, GCNODE_PERMANENT, argument);
	} else if (strcmp(command, "denied") == 0) {
		gcnode_fail(req, GCNODE_DENIED, argument);
	} else if (strcmp(command, "overloaded") == 0) {
		gcnode_fail(req, GCNODE_OVERLOADED, argument);
	} else if (strcmp(command, "setting") == 0) {
		gcnode_ok(req, gcnode_text(gcnode_setting(rest, "unset")), GCNODE_TTL_DEFAULT);
	} else if (strcmp(command, "duration") == 0) {
		int64_t ms;
		bool valid = gcnode_setting_ms(rest, 7, &ms);
		gcnode_ok(req, gcnode_text(valid ? gcnode_format(req, "%lld", ms) : "invalid"), GCNODE_TTL_DEFAULT);
	} else if (strcmp(command, "log") == 0) {
		int level = atoi(cut(&rest));
		gcnode_log((gcnode_level)level, "%s", rest);
		gcnode_ok(req, gcnode_text(gcnode_logs((gcnode_level)level) ? "logs" : "silent"), GCNODE_TTL_DEFAULT);
	} else if (strcmp(command, "now") == 0) {
		gcnode_ok(req, gcnode_text(gcnode_format(req, "%lld", gcnode_now_ms())), GCNODE_TTL_DEFAULT);
	} else if (strcmp(command, "monotonic") == 0) {
		gcnode_ok(req, gcnode_text(gcnode_format(req, "%lld", gcnode_monotonic_ns())), GCNODE_TTL_DEFAULT);
	} else if (strcmp(command, "set") == 0) {
		int64_t ttl = strtoll(cut(&rest), NULL, 10);
		gcnode_bytes key = gcnode_text(cut(&rest));
		bool stored = gcnode_store_set(key, gcnode_text(rest), ttl);
		gcnode_ok(req, gcnode_text(stored ? "stored" : "no room"), GCNODE_TTL_DEFAULT);
	} else if (strcmp(command, "stored") == 0) {
		gcnode_bytes value;
		if (gcnode_store_get(req, argument, &value))
			gcnode_ok(req, value, GCNODE_TTL_DEFAULT);
		else
			gcnode_not_found(req, gcnode_text("not stored"), GCNODE_TTL_DEFAULT);
	} else if (strcmp(command, "escape") == 0) {
		gcnode_ok(req, gcnode_text(gcnode_escape(req, argument)), GCNODE_TTL_DEFAULT);
	} else if (strcmp(command, "trap") == 0) {
		abort();
	} else if (strcmp(command, "spin") == 0) {
		for (volatile int i = 0;; i++)
			;
	} else {
		job *j = memset(gcnode_alloc(req, sizeof *j), 0, sizeof *j);
		req->data = j;
		j->command = command;
		j->left = 1;
		j->fetch.fields = &field;
		j->fetch.field_count = 1;
		if (strcmp(command, "post") == 0) {
			j->fetch.method = "POST";
			j->fetch.body = gcnode_text("posted");
		} else if (strcmp(command, "many") == 0 || strcmp(command, "again") == 0) {
			j->left = atoi(cut(&rest));
		} else if (strcmp(command, "limit") == 0) {
			j->fetch.max_body_bytes = (uint32_t)atoi(cut(&rest));
			j->command = "failure";
		} else if (strcmp(command, "timeout") == 0) {
			j->fetch.timeout_ms = (uint32_t)atoi(cut(&rest));
			j->command = "failure";
		} else if (strcmp(command, "fetch") != 0 && strcmp(command, "failure") != 0) {
			gcnode_fail(req, GCNODE_PERMANENT, gcnode_text("no such command"));
			return;
		}
		j->fetch.url = rest;
		int at_once = strcmp(command, "many") == 0 ? j->left : 1;
		while (at_once-- > 0)
			gcnode_fetch(req, &j->fetch, fetched);
	}
}

GCNODE_GETTER(open, get)
GCNODE_BATCHES
