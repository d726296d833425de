/*
 * gcnode.h - getters for gcnode in C (C11) and C++ (C++17), as WebAssembly
 * modules. docs/writing-getters.md tells how to build one, docs/plugin-abi.md
 * is the contract that this header keeps.
 *
 * One file of a getter contains the implementation and names its functions:
 *
 *	#define GCNODE_IMPLEMENTATION
 *	#include "gcnode.h"
 *
 *	static void get(gcnode_request *req) {
 *		gcnode_ok(req, req->key, GCNODE_TTL_DEFAULT);
 *	}
 *	GCNODE_GETTER(NULL, get)
 *
 * In C++ the namespace gcnode, at the end of this file, is more comfortable.
 *
 * An instance runs one function of the getter at a time. A request ends when it
 * is answered; until then it may fetch, and the instance serves others while it
 * waits. Every request has to be answered or have a fetch under way when the
 * function that was called for it returns. Memory from gcnode_alloc lives as
 * long as its request.
 */
#ifndef GCNODE_H
#define GCNODE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that belong to somebody else. They need not be text. */
typedef struct gcnode_bytes {
	const char *ptr;
	size_t len;
} gcnode_bytes;

/* gcnode_text is the bytes of a string that ends with NUL. */
gcnode_bytes gcnode_text(const char *text);

/* One key that the node asks for. It is gone when it has been answered. */
typedef struct gcnode_request {
	gcnode_bytes key; /* any bytes */
	void *data;       /* the getter's own; NULL at first */

	/* The rest belongs to this header. */
	int32_t id;
	struct gcnode_block *memory;
	struct gcnode_request *next;
} gcnode_request;

/* How a getter is entered. An open function is called once, before the first
 * request; it returns 0, or something else to refuse the settings, which it
 * explains with gcnode_log(GCNODE_ERROR, ...). */
typedef int (*gcnode_open_function)(void);
typedef void (*gcnode_get_function)(gcnode_request *req);

/* GCNODE_GETTER names the functions of the getter; the first may be NULL. */
#define GCNODE_GETTER(open, get)                                  \
	GCNODE_LINKAGE int gcnode_user_open(void) {               \
		gcnode_open_function function = (open);           \
		return function == NULL ? 0 : function();         \
	}                                                         \
	GCNODE_LINKAGE void gcnode_user_get(gcnode_request *req) { \
		(get)(req);                                       \
	}

/* GCNODE_BATCHES lets the node hand over several keys in one call, for each of
 * which the get function is called. What is fetched for them is fetched at the
 * same time, and a trap fails all of them. */
#define GCNODE_BATCHES                                                               \
	GCNODE_LINKAGE __attribute__((export_name("gcnode_get_many"))) int32_t       \
	gcnode_export_get_many(int32_t base, int32_t count, int32_t len) {           \
		(void)len;                                                           \
		return gcnode_get_each(base, count);                                 \
	}

/* ---- Answers ---------------------------------------------------------- */

/* How long nodes keep an answer, in milliseconds, or one of these. */
#define GCNODE_TTL_DEFAULT INT64_C(-1) /* the group's default */
#define GCNODE_NO_STORE INT64_C(0)     /* serve it, do not keep it */

/* Kinds of failure. The numbers are those of the guest ABI. */
typedef enum gcnode_kind {
	GCNODE_TRANSIENT = 2,  /* a later attempt may succeed */
	GCNODE_PERMANENT = 3,  /* trying again is of no use */
	GCNODE_DENIED = 4,     /* the origin refuses */
	GCNODE_OVERLOADED = 5, /* ask later */
} gcnode_kind;

/* Each answers a request and ends it: req and its memory are gone afterwards.
 * Messages reach the callers, cut after 1 KiB. */
void gcnode_ok(gcnode_request *req, gcnode_bytes value, int64_t ttl_ms);
void gcnode_not_found(gcnode_request *req, gcnode_bytes message, int64_t ttl_ms);
void gcnode_fail(gcnode_request *req, gcnode_kind kind, gcnode_bytes message);

/* ---- Memory ------------------------------------------------------------ */

/* gcnode_alloc is malloc for as long as the request lives. It does not return
 * NULL: without memory the instance ends, and the request fails. */
void *gcnode_alloc(gcnode_request *req, size_t size);
/* gcnode_format is printf into such memory. */
char *gcnode_format(gcnode_request *req, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* gcnode_escape is the bytes as one segment of the path of a URL. */
char *gcnode_escape(gcnode_request *req, gcnode_bytes segment);

/* ---- Fetching ---------------------------------------------------------- */

typedef struct gcnode_field {
	gcnode_bytes name, value;
} gcnode_field;

/* What to fetch. Everything but url may be left out. */
typedef struct gcnode_fetch_request {
	const char *url;    /* absolute, with an origin that the node allows */
	const char *method; /* NULL: GET */
	const gcnode_field *fields;
	size_t field_count;
	gcnode_bytes body;
	uint32_t timeout_ms;     /* 0: the deadline of the request */
	uint32_t max_body_bytes; /* 0: the node's limit */
} gcnode_fetch_request;

/* Why there is no answer to a fetch. The numbers are those of the guest ABI. */
typedef enum gcnode_failure {
	GCNODE_FETCHED = 0,
	GCNODE_FETCH_MALFORMED = 1,
	GCNODE_FETCH_DENIED = 2,
	GCNODE_FETCH_UNREACHABLE = 3,
	GCNODE_FETCH_TIMEOUT = 4,
	GCNODE_FETCH_TOO_LARGE = 5,
	GCNODE_FETCH_TOO_MANY = 6,
} gcnode_failure;

/* The answer to a fetch. What it points to lives until the function that it is
 * given to returns. */
typedef struct gcnode_response {
	gcnode_failure failure;
	int status;        /* of HTTP; 0 if there is a failure */
	gcnode_bytes body; /* or the message of the failure */

	/* The rest belongs to this header. */
	const char *fields;
	size_t field_count;
} gcnode_response;

/* gcnode_header finds a header field, in any case of letters. */
bool gcnode_header(const gcnode_response *response, const char *name, gcnode_bytes *value);

/* What is called with the answer to a fetch, and with the data of the request
 * of the fetch. */
typedef void (*gcnode_fetched)(gcnode_request *req, const gcnode_response *response);

/* gcnode_fetch makes the node perform an HTTP exchange, redirects included, and
 * returns at once; what fetch points to is not needed any longer then. fetched
 * is called when the exchange is over, whatever came of it, unless the request
 * has ended before. */
void gcnode_fetch(gcnode_request *req, const gcnode_fetch_request *fetch, gcnode_fetched fetched);

/* gcnode_fetch_with is gcnode_fetch for functions that need something of their
 * own. drop, unless it is NULL, is called once with state when it is not needed
 * any more: after fetched has returned, or when the request has ended before. */
typedef void (*gcnode_fetched_with)(gcnode_request *req, const gcnode_response *response, void *state);
void gcnode_fetch_with(gcnode_request *req, const gcnode_fetch_request *fetch, gcnode_fetched_with fetched, void *state,
                       void (*drop)(void *state));

/* gcnode_failed answers the request with the failure of a fetch, if it is one,
 * and says whether it did. A status of 404 or 410 is not found, for ttl_ms; 401
 * and 403 are denied, 429 and 503 overloaded, 408, 425 and the rest of 5xx
 * transient, as are an unreachable origin and a timeout; everything else from
 * 400 on is permanent. */
bool gcnode_failed(gcnode_request *req, const gcnode_response *response, int64_t ttl_ms);

/* ---- Settings, log, time, store ---------------------------------------- */

/* Settings are what the operator of the node wrote for this getter. The result
 * lives as long as the instance; it is missing if there is no such setting. */
const char *gcnode_setting(const char *name, const char *missing);
/* A duration such as 90s, 10m, 1h30m or 500ms, in milliseconds. It returns false
 * if the setting is there and no duration. */
bool gcnode_setting_ms(const char *name, int64_t missing, int64_t *ms);
/* For the function that opens the getter, so that a mistyped name does not go
 * unnoticed: it logs each setting whose name is not in a list such as
 * "origin, ttl" as an error, and returns false if there are some. */
bool gcnode_settings_only(const char *known);

typedef enum gcnode_level { GCNODE_DEBUG, GCNODE_INFO, GCNODE_WARN, GCNODE_ERROR } gcnode_level;

void gcnode_log(gcnode_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* gcnode_logs tells whether lines of a level are recorded. */
bool gcnode_logs(gcnode_level level);

int64_t gcnode_now_ms(void);       /* of Unix */
int64_t gcnode_monotonic_ns(void); /* never goes back */

/* The store is shared by the instances of this getter on a node, if the operator
 * gives it room. gcnode_store_get returns false if there is no such key; the
 * value lives as long as the request. gcnode_store_set keeps a value for ttl_ms,
 * with GCNODE_TTL_DEFAULT as long as there is room, and removes it with
 * GCNODE_NO_STORE; it returns false if there is no room at all. */
bool gcnode_store_get(gcnode_request *req, gcnode_bytes key, gcnode_bytes *value);
bool gcnode_store_set(gcnode_bytes key, gcnode_bytes value, int64_t ttl_ms);

/* ---- What the macros above need ---------------------------------------- */

int32_t gcnode_get_each(int32_t base, int32_t count);

#ifdef __cplusplus
}
#define GCNODE_LINKAGE extern "C"
#else
#define GCNODE_LINKAGE
#endif

/* ---- C++ ---------------------------------------------------------------- */

#ifdef __cplusplus

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gcnode {

using std::chrono::milliseconds;

/* How long nodes keep an answer; other times are durations. */
inline constexpr milliseconds by_default{GCNODE_TTL_DEFAULT};
inline constexpr milliseconds no_store{GCNODE_NO_STORE};

inline gcnode_bytes bytes(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view view(gcnode_bytes bytes) { return {bytes.ptr, bytes.len}; }

/* The answer to a fetch, for as long as the function runs that it is given to. */
class response {
  public:
	explicit response(const gcnode_response *of) : of_(of) {}
	gcnode_failure failure() const { return of_->failure; }
	int status() const { return of_->status; }
	std::string_view body() const { return view(of_->body); }
	std::optional<std::string_view> header(const char *name) const {
		gcnode_bytes value;
		if (!gcnode_header(of_, name, &value))
			return std::nullopt;
		return view(value);
	}
	const gcnode_response *get() const { return of_; }

  private:
	const gcnode_response *of_;
};

/* What to fetch. Everything but url may be left out. */
struct fetch_request {
	std::string url;
	std::string method = "GET";
	std::vector<std::pair<std::string, std::string>> fields;
	std::string body;
	milliseconds timeout{0};
	uint32_t max_body_bytes = 0;
};

/* A request is a handle: it can be copied, and is of no use any more when the
 * request has been answered. A function for GCNODE_GETTER takes one. */
class request {
  public:
	request(gcnode_request *of) : of_(of) {}

	std::string_view key() const { return view(of_->key); }

	void ok(std::string_view value, milliseconds ttl = by_default) { gcnode_ok(of_, bytes(value), ttl.count()); }
	void not_found(std::string_view message, milliseconds ttl = by_default) {
		gcnode_not_found(of_, bytes(message), ttl.count());
	}
	void fail(gcnode_kind kind, std::string_view message) { gcnode_fail(of_, kind, bytes(message)); }

	/* fetch calls fetched(request, response) when the exchange is over, unless
	 * the request has ended before. What fetched has captured is destroyed
	 * then. */
	template <class Function> void fetch(const fetch_request &what, Function fetched) {
		std::vector<gcnode_field> fields;
		for (const auto &[name, value] : what.fields)
			fields.push_back({bytes(name), bytes(value)});
		gcnode_fetch_request c = {};
		c.url = what.url.c_str();
		c.method = what.method.c_str();
		c.fields = fields.data();
		c.field_count = fields.size();
		c.body = bytes(what.body);
		c.timeout_ms = static_cast<uint32_t>(what.timeout.count());
		c.max_body_bytes = what.max_body_bytes;
		gcnode_fetch_with(
		    of_, &c,
		    [](gcnode_request *of, const gcnode_response *answer, void *state) {
			    (*static_cast<Function *>(state))(request(of), response(answer));
		    },
		    new Function(std::move(fetched)), [](void *state) { delete static_cast<Function *>(state); });
	}

	/* failed answers the request if the fetch has failed; see gcnode_failed. */
	bool failed(const response &answer, milliseconds ttl = by_default) {
		return gcnode_failed(of_, answer.get(), ttl.count());
	}

	std::string escape(std::string_view segment) { return gcnode_escape(of_, bytes(segment)); }

	std::optional<std::string> stored(std::string_view key) {
		gcnode_bytes value;
		if (!gcnode_store_get(of_, bytes(key), &value))
			return std::nullopt;
		return std::string(view(value));
	}

  private:
	gcnode_request *of_;
};

inline bool store(std::string_view key, std::string_view value, milliseconds ttl = by_default) {
	return gcnode_store_set(bytes(key), bytes(value), ttl.count());
}

inline std::string setting(const char *name, const char *missing = "") { return gcnode_setting(name, missing); }

/* duration is nothing if the setting is there and no duration. */
inline std::optional<milliseconds> duration(const char *name, milliseconds missing) {
	int64_t ms;
	if (!gcnode_setting_ms(name, missing.count(), &ms))
		return std::nullopt;
	return milliseconds(ms);
}

/* settings_only tells whether all settings are known; see gcnode_settings_only. */
inline bool settings_only(const char *known) { return gcnode_settings_only(known); }

} /* namespace gcnode */

#endif /* __cplusplus */

/* ======================================================================== */

#ifdef GCNODE_IMPLEMENTATION

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GCNODE_IMPORT(name) __attribute__((import_module("gcnode1"), import_name(#name)))

GCNODE_IMPORT(input_read) int32_t gcnode_abi_input_read(int32_t id, void *dst, int32_t off, int32_t len);
GCNODE_IMPORT(respond)
int32_t gcnode_abi_respond(int32_t req, int32_t status, int32_t flags, int64_t ttl_ms, const void *ptr, int32_t len);
GCNODE_IMPORT(fetch_start) int32_t gcnode_abi_fetch_start(int32_t req, const void *ptr, int32_t len);
GCNODE_IMPORT(config_get) int32_t gcnode_abi_config_get(const void *key, int32_t key_len, void *dst, int32_t cap);
GCNODE_IMPORT(kv_get) int32_t gcnode_abi_kv_get(const void *key, int32_t key_len, void *dst, int32_t cap);
GCNODE_IMPORT(kv_set)
int32_t gcnode_abi_kv_set(const void *key, int32_t key_len, const void *ptr, int32_t len, int64_t ttl_ms);
GCNODE_IMPORT(log) void gcnode_abi_log(int32_t level, const void *ptr, int32_t len);
GCNODE_IMPORT(log_level) int32_t gcnode_abi_log_level(void);
GCNODE_IMPORT(now_ms) int64_t gcnode_abi_now_ms(void);
GCNODE_IMPORT(monotonic_ns) int64_t gcnode_abi_monotonic_ns(void);

int gcnode_user_open(void);
void gcnode_user_get(gcnode_request *req);

/* Memory of a request is a list of blocks. */
struct gcnode_block {
	struct gcnode_block *next;
	max_align_t data[1];
};

/* A fetch that is under way, or that could not begin. */
struct gcnode_call {
	struct gcnode_call *next;
	gcnode_request *req;
	gcnode_fetched_with fetched;
	void *state;
	void (*drop)(void *state);
	int32_t id; /* <= 0: it could not begin */
};

static gcnode_request *gcnode_requests; /* those that are open */
static struct gcnode_call *gcnode_calls;

static void *gcnode_must(void *memory) {
	if (memory == NULL)
		__builtin_trap();
	return memory;
}

gcnode_bytes gcnode_text(const char *text) {
	gcnode_bytes bytes = {text, strlen(text)};
	return bytes;
}

void *gcnode_alloc(gcnode_request *req, size_t size) {
	struct gcnode_block *block =
	    (struct gcnode_block *)gcnode_must(size > SIZE_MAX / 2 ? NULL : malloc(offsetof(struct gcnode_block, data) + size));
	block->next = req->memory;
	req->memory = block;
	return block->data;
}

char *gcnode_format(gcnode_request *req, const char *format, ...) {
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, format, args);
	char *text = (char *)gcnode_alloc(req, (size_t)len + 1);
	vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	va_end(args);
	return text;
}

char *gcnode_escape(gcnode_request *req, gcnode_bytes segment) {
	static const char hex[] = "0123456789ABCDEF";
	char *text = (char *)gcnode_alloc(req, 3 * segment.len + 1), *end = text;
	for (size_t i = 0; i < segment.len; i++) {
		unsigned char c = (unsigned char)segment.ptr[i];
		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_' || c == '~' ||
		    (c == '.' && segment.len > 2)) { /* "." and ".." would be steps */
			*end++ = (char)c;
			continue;
		}
		*end++ = '%';
		*end++ = hex[c >> 4];
		*end++ = hex[c & 15];
	}
	*end = 0;
	return text;
}

/* gcnode_drop frees a call that is not on the list any more. */
static void gcnode_drop(struct gcnode_call *call) {
	if (call->drop != NULL)
		call->drop(call->state);
	free(call);
}

/* gcnode_close forgets a request and its calls. */
static void gcnode_close(gcnode_request *req) {
	for (struct gcnode_call **at = &gcnode_calls; *at != NULL;) {
		struct gcnode_call *call = *at;
		if (call->req != req) {
			at = &call->next;
			continue;
		}
		*at = call->next;
		gcnode_drop(call);
		at = &gcnode_calls; /* which drop may have changed */
	}
	for (gcnode_request **at = &gcnode_requests; *at != NULL; at = &(*at)->next) {
		if (*at == req) {
			*at = req->next;
			break;
		}
	}
	for (struct gcnode_block *block = req->memory; block != NULL;) {
		struct gcnode_block *next = block->next;
		free(block);
		block = next;
	}
	free(req);
}

static void gcnode_respond(gcnode_request *req, int32_t status, gcnode_bytes bytes, int64_t ttl_ms) {
	gcnode_abi_respond(req->id, status, 0, ttl_ms < 0 ? GCNODE_TTL_DEFAULT : ttl_ms, bytes.ptr, (int32_t)bytes.len);
	gcnode_close(req);
}

void gcnode_ok(gcnode_request *req, gcnode_bytes value, int64_t ttl_ms) { gcnode_respond(req, 0, value, ttl_ms); }

void gcnode_not_found(gcnode_request *req, gcnode_bytes message, int64_t ttl_ms) { gcnode_respond(req, 1, message, ttl_ms); }

void gcnode_fail(gcnode_request *req, gcnode_kind kind, gcnode_bytes message) {
	gcnode_respond(req, (int32_t)kind, message, GCNODE_TTL_DEFAULT);
}

static gcnode_request *gcnode_find(int32_t id) {
	for (gcnode_request *req = gcnode_requests; req != NULL; req = req->next)
		if (req->id == id)
			return req;
	return NULL;
}

/* gcnode_rest gives fetches that could not begin their answer, and returns what
 * an export returns for a request. */
static int32_t gcnode_rest(int32_t id) {
	static const char message[] = "the request has used up its fetches";
	for (struct gcnode_call **at = &gcnode_calls; *at != NULL;) {
		struct gcnode_call *call = *at;
		if (call->id > 0) {
			at = &call->next;
			continue;
		}
		gcnode_response response = {call->id == -3 ? GCNODE_FETCH_TOO_MANY : GCNODE_FETCH_MALFORMED, 0,
		                            gcnode_text(call->id == -3 ? message : "malformed fetch request"), NULL, 0};
		*at = call->next;
		call->fetched(call->req, &response, call->state);
		gcnode_drop(call);
		at = &gcnode_calls; /* which may be another list now */
	}
	return gcnode_find(id) != NULL;
}

static void gcnode_begin(int32_t id, size_t key_len) {
	gcnode_request *req = (gcnode_request *)gcnode_must(calloc(1, sizeof(gcnode_request)));
	req->id = id;
	char *key = (char *)gcnode_alloc(req, key_len + 1);
	gcnode_abi_input_read(id, key, 0, (int32_t)key_len);
	key[key_len] = 0;
	req->key.ptr = key;
	req->key.len = key_len;
	req->next = gcnode_requests;
	gcnode_requests = req;
	gcnode_user_get(req);
}

int32_t gcnode_get_each(int32_t base, int32_t count) {
	int32_t pending = 0;
	for (int32_t i = 0; i < count; i++)
		gcnode_begin(base + i, (size_t)gcnode_abi_input_read(base + i, NULL, 0, 0));
	for (int32_t i = 0; i < count; i++)
		pending |= gcnode_rest(base + i);
	return pending;
}

static uint16_t gcnode_u16(const unsigned char *b) { return (uint16_t)(b[0] | b[1] << 8); }

static uint32_t gcnode_u32(const unsigned char *b) { return gcnode_u16(b) | (uint32_t)gcnode_u16(b + 2) << 16; }

static char *gcnode_put(char *at, const void *bytes, size_t len) {
	if (len > 0)
		memcpy(at, bytes, len);
	return at + len;
}

static char *gcnode_put_number(char *at, size_t number, int bytes) {
	while (bytes-- > 0) {
		*at++ = (char)(number & 255);
		number >>= 8;
	}
	return at;
}

static void gcnode_fetched_plainly(gcnode_request *req, const gcnode_response *response, void *state) {
	((gcnode_fetched)(uintptr_t)state)(req, response);
}

void gcnode_fetch(gcnode_request *req, const gcnode_fetch_request *fetch, gcnode_fetched fetched) {
	gcnode_fetch_with(req, fetch, gcnode_fetched_plainly, (void *)(uintptr_t)fetched, NULL);
}

void gcnode_fetch_with(gcnode_request *req, const gcnode_fetch_request *fetch, gcnode_fetched_with fetched, void *state,
                       void (*drop)(void *state)) {
	const char *method = fetch->method == NULL ? "GET" : fetch->method;
	size_t method_len = strlen(method), url_len = strlen(fetch->url);
	size_t size = 20 + method_len + url_len + fetch->body.len;
	for (size_t i = 0; i < fetch->field_count; i++)
		size += 6 + fetch->fields[i].name.len + fetch->fields[i].value.len;
	char *message = (char *)gcnode_must(malloc(size)), *at = message;
	at = gcnode_put_number(at, method_len, 2);
	at = gcnode_put_number(at, fetch->field_count, 2);
	at = gcnode_put_number(at, url_len, 4);
	at = gcnode_put_number(at, fetch->body.len, 4);
	at = gcnode_put_number(at, fetch->timeout_ms, 4);
	at = gcnode_put_number(at, fetch->max_body_bytes, 4);
	at = gcnode_put(at, method, method_len);
	at = gcnode_put(at, fetch->url, url_len);
	for (size_t i = 0; i < fetch->field_count; i++) {
		const gcnode_field *field = &fetch->fields[i];
		at = gcnode_put_number(at, field->name.len, 2);
		at = gcnode_put_number(at, field->value.len, 4);
		at = gcnode_put(at, field->name.ptr, field->name.len);
		at = gcnode_put(at, field->value.ptr, field->value.len);
	}
	gcnode_put(at, fetch->body.ptr, fetch->body.len);

	struct gcnode_call *call = (struct gcnode_call *)gcnode_must(malloc(sizeof *call));
	call->req = req;
	call->fetched = fetched;
	call->state = state;
	call->drop = drop;
	call->id = gcnode_abi_fetch_start(req->id, message, (int32_t)size);
	call->next = gcnode_calls;
	gcnode_calls = call;
	free(message);
}

/* gcnode_parse reads an answer, which the host has written. */
static gcnode_response gcnode_parse(const char *answer, size_t len) {
	const unsigned char *b = (const unsigned char *)answer;
	gcnode_response response = {(gcnode_failure)gcnode_u16(b + 2), gcnode_u16(b), {NULL, gcnode_u32(b + 8)}, answer + 12, gcnode_u16(b + 4)};
	response.body.ptr = answer + len - response.body.len;
	return response;
}

bool gcnode_header(const gcnode_response *response, const char *name, gcnode_bytes *value) {
	size_t name_len = strlen(name);
	const char *at = response->fields;
	for (size_t i = 0; i < response->field_count; i++) {
		size_t len = gcnode_u16((const unsigned char *)at), value_len = gcnode_u32((const unsigned char *)at + 2);
		size_t same = 0;
		at += 6;
		while (len == name_len && same < len && (at[same] | 32) == (name[same] | 32))
			same++;
		if (same == name_len && len == name_len) {
			value->ptr = at + len;
			value->len = value_len;
			return true;
		}
		at += len + value_len;
	}
	return false;
}

bool gcnode_failed(gcnode_request *req, const gcnode_response *response, int64_t ttl_ms) {
	int status = response->status;
	if (response->failure != GCNODE_FETCHED) {
		bool later = response->failure == GCNODE_FETCH_UNREACHABLE || response->failure == GCNODE_FETCH_TIMEOUT;
		gcnode_fail(req, later ? GCNODE_TRANSIENT : GCNODE_PERMANENT, response->body);
		return true;
	}
	if (status < 400)
		return false;
	gcnode_bytes message = gcnode_text(gcnode_format(req, "the origin answered with status %d", status));
	if (status == 404 || status == 410)
		gcnode_not_found(req, message, ttl_ms);
	else if (status == 401 || status == 403)
		gcnode_fail(req, GCNODE_DENIED, message);
	else if (status == 429 || status == 503)
		gcnode_fail(req, GCNODE_OVERLOADED, message);
	else
		gcnode_fail(req, status == 408 || status == 425 || status >= 500 ? GCNODE_TRANSIENT : GCNODE_PERMANENT, message);
	return true;
}

const char *gcnode_setting(const char *name, const char *missing) {
	int32_t name_len = (int32_t)strlen(name);
	int32_t len = gcnode_abi_config_get(name, name_len, NULL, 0);
	if (len < 0)
		return missing;
	char *value = (char *)gcnode_must(malloc((size_t)len + 1));
	gcnode_abi_config_get(name, name_len, value, len);
	value[len] = 0;
	return value;
}

bool gcnode_setting_ms(const char *name, int64_t missing, int64_t *ms) {
	const char *at = gcnode_setting(name, NULL);
	*ms = missing;
	if (at == NULL)
		return true;
	int64_t sum = 0;
	do {
		char *unit;
		if (*at < '0' || *at > '9')
			return false;
		unsigned long long number = strtoull(at, &unit, 10);
		int64_t factor = strncmp(unit, "ms", 2) == 0 ? 1 : *unit == 's' ? 1000 : *unit == 'm' ? 60000 : *unit == 'h' ? 3600000 : 0;
		if (factor == 0 || number > 1000000000)
			return false;
		sum += (int64_t)number * factor;
		at = unit + (factor == 1 ? 2 : 1);
	} while (*at != 0);
	*ms = sum;
	return true;
}

/* gcnode_listed tells whether a name is in a list such as "a, b". */
static bool gcnode_listed(const char *list, const char *name, size_t len) {
	for (size_t size; *list != 0; list += size + strspn(list + size, ", ")) {
		size = strcspn(list, ", ");
		if (size == len && memcmp(list, name, len) == 0)
			return true;
	}
	return false;
}

bool gcnode_settings_only(const char *known) {
	int32_t size = gcnode_abi_input_read(0, NULL, 0, 0);
	bool only = true;
	if (size <= 0)
		return true;
	char *settings = (char *)gcnode_must(malloc((size_t)size)), *at = settings;
	gcnode_abi_input_read(0, settings, 0, size);
	while (at < settings + size) {
		size_t len = gcnode_u32((const unsigned char *)at), value_len = gcnode_u32((const unsigned char *)at + 4);
		at += 8;
		if (!gcnode_listed(known, at, len)) {
			gcnode_log(GCNODE_ERROR, "unknown setting \"%.*s\": known are %s", (int)len, at, known);
			only = false;
		}
		at += len + value_len;
	}
	free(settings);
	return only;
}

bool gcnode_logs(gcnode_level level) { return (int32_t)level >= gcnode_abi_log_level(); }

void gcnode_log(gcnode_level level, const char *format, ...) {
	char line[4096];
	va_list args;
	if (!gcnode_logs(level))
		return;
	va_start(args, format);
	int len = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (len > 0)
		gcnode_abi_log((int32_t)level, line, len < (int)sizeof line ? len : (int)sizeof line - 1);
}

int64_t gcnode_now_ms(void) { return gcnode_abi_now_ms(); }

int64_t gcnode_monotonic_ns(void) { return gcnode_abi_monotonic_ns(); }

bool gcnode_store_get(gcnode_request *req, gcnode_bytes key, gcnode_bytes *value) {
	int32_t room = 0;
	char *bytes = NULL;
	for (;;) { /* another instance may change the value meanwhile */
		int32_t len = gcnode_abi_kv_get(key.ptr, (int32_t)key.len, bytes, room);
		if (len < 0)
			return false;
		if (len <= room) {
			value->ptr = bytes;
			value->len = (size_t)len;
			return true;
		}
		bytes = (char *)gcnode_alloc(req, (size_t)len);
		room = len;
	}
}

bool gcnode_store_set(gcnode_bytes key, gcnode_bytes value, int64_t ttl_ms) {
	return gcnode_abi_kv_set(key.ptr, (int32_t)key.len, value.ptr, (int32_t)value.len, ttl_ms < 0 ? -1 : ttl_ms) == 0;
}

/* ---- Exports ------------------------------------------------------------ */

#define GCNODE_EXPORT(name) __attribute__((export_name(#name)))

GCNODE_EXPORT(gcnode_abi_1) void gcnode_export_abi_1(void) {}

GCNODE_EXPORT(gcnode_configure) int32_t gcnode_export_configure(int32_t len) {
	(void)len; /* settings are asked for by name */
	return gcnode_user_open();
}

GCNODE_EXPORT(gcnode_get) int32_t gcnode_export_get(int32_t id, int32_t key_len) {
	gcnode_begin(id, (size_t)key_len);
	return gcnode_rest(id);
}

GCNODE_EXPORT(gcnode_resume) int32_t gcnode_export_resume(int32_t id, int32_t call_id, int32_t len) {
	for (struct gcnode_call **at = &gcnode_calls; *at != NULL; at = &(*at)->next) {
		struct gcnode_call *call = *at;
		if (call->id != call_id)
			continue;
		*at = call->next;
		char *answer = (char *)gcnode_must(malloc((size_t)len));
		gcnode_abi_input_read(call_id, answer, 0, len);
		gcnode_response response = gcnode_parse(answer, (size_t)len);
		call->fetched(call->req, &response, call->state);
		gcnode_drop(call);
		free(answer);
		break;
	}
	return gcnode_rest(id);
}

GCNODE_EXPORT(gcnode_cancel) void gcnode_export_cancel(int32_t id) {
	gcnode_request *req = gcnode_find(id);
	if (req != NULL)
		gcnode_close(req);
}

#ifdef __cplusplus
}
#endif

#endif /* GCNODE_IMPLEMENTATION */
#endif /* GCNODE_H */
