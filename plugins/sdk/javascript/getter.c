/* A getter whose functions are in JavaScript: QuickJS, with the SDK for C as
 * its way to the node. gcnode.js is what scripts see of it, and the macro SCRIPT
 * names the script. With GCNODE_FETCH and GCNODE_STORE it may fetch and store,
 * which a node has to allow; without them the module does not ask for that. */
#define GCNODE_IMPLEMENTATION
#include "gcnode.h"

#include "quickjs.h"

/* What the script consists of, ends of text included. */
static const char library[] = {
#embed "gcnode.js" suffix(, )
	0};
static const char script[] = {
#embed SCRIPT suffix(, )
	0};

static JSContext *js;
static JSValue get_function; /* of gcnode.js: called for each key */

/* ---- Memory: QuickJS collects garbage by the bytes that are in use --------- */

typedef union block {
	size_t size;
	max_align_t align;
} block;

static void *allocate(JSMallocState *state, size_t size) {
	block *b = malloc(sizeof *b + size);
	if (b == NULL)
		return NULL;
	b->size = size;
	state->malloc_count++;
	state->malloc_size += size;
	return b + 1;
}

static void release(JSMallocState *state, void *memory) {
	if (memory == NULL)
		return;
	block *b = (block *)memory - 1;
	state->malloc_count--;
	state->malloc_size -= b->size;
	free(b);
}

static void *resize(JSMallocState *state, void *memory, size_t size) {
	if (memory == NULL)
		return size == 0 ? NULL : allocate(state, size);
	if (size == 0) {
		release(state, memory);
		return NULL;
	}
	block *b = (block *)memory - 1;
	size_t before = b->size;
	b = realloc(b, sizeof *b + size);
	if (b == NULL)
		return NULL;
	b->size = size;
	state->malloc_size += size - before;
	return b + 1;
}

static size_t usable(const void *memory) { return memory == NULL ? 0 : ((const block *)memory - 1)->size; }

/* ---- Values ------------------------------------------------------------- */

/* Bytes of a string, which has to be freed, or of an ArrayBuffer. */
typedef struct argument {
	gcnode_bytes bytes;
	const char *text;
} argument;

/* take returns false after an exception. */
static bool take(JSValueConst value, argument *a) {
	if (JS_IsString(value)) {
		a->text = JS_ToCStringLen(js, &a->bytes.len, value);
		a->bytes.ptr = a->text;
		return a->text != NULL;
	}
	a->text = NULL;
	a->bytes.ptr = (const char *)JS_GetArrayBuffer(js, &a->bytes.len, value);
	return a->bytes.ptr != NULL || a->bytes.len == 0;
}

static void give_back(argument *a) {
	if (a->text != NULL)
		JS_FreeCString(js, a->text);
}

static JSValue buffer(gcnode_bytes bytes) { return JS_NewArrayBufferCopy(js, (const uint8_t *)bytes.ptr, bytes.len); }

static int32_t number(JSValueConst value) {
	int32_t n = 0;
	JS_ToInt32(js, &n, value);
	return n;
}

static int64_t wide(JSValueConst value) {
	int64_t n = 0;
	JS_ToInt64(js, &n, value);
	return n;
}

/* complain logs the exception that is under way. */
static void complain(void) {
	JSValue exception = JS_GetException(js), stack = JS_GetPropertyStr(js, exception, "stack");
	const char *what = JS_ToCString(js, exception), *where = JS_IsString(stack) ? JS_ToCString(js, stack) : NULL;
	gcnode_log(GCNODE_ERROR, "%s", what == NULL ? "an exception" : what);
	if (where != NULL)
		gcnode_log(GCNODE_DEBUG, "%s", where);
	JS_FreeCString(js, where);
	JS_FreeCString(js, what);
	JS_FreeValue(js, stack);
	JS_FreeValue(js, exception);
}

/* call calls a function, and everything that waits for what it does. */
static void call(JSValueConst function, int count, JSValue *arguments) {
	JSValue result = JS_Call(js, function, JS_UNDEFINED, count, arguments);
	if (JS_IsException(result))
		complain();
	JS_FreeValue(js, result);
	for (int i = 0; i < count; i++)
		JS_FreeValue(js, arguments[i]);
	JSContext *context;
	for (int left = 1; left != 0; left = JS_ExecutePendingJob(JS_GetRuntime(js), &context))
		if (left < 0)
			complain();
}

/* settle fails a request that neither has an answer nor waits for a fetch: it
 * would never have one. */
static void settle(int32_t id) {
	gcnode_request *req = gcnode_find(id);
	if (req == NULL)
		return;
	for (struct gcnode_call *c = gcnode_calls; c != NULL; c = c->next)
		if (c->req == req)
			return;
	gcnode_fail(req, GCNODE_PERMANENT, gcnode_text("the getter waits for something else than a fetch"));
}

/* ---- What gcnode.js calls -------------------------------------------------- */

#define NATIVE(name) static JSValue native_##name(JSContext *context, JSValueConst self, int argc, JSValueConst *argv)
#define UNUSED ((void)context, (void)self, (void)argc)

/* answer(id, status, bytes, ttl) */
NATIVE(answer) {
	UNUSED;
	gcnode_request *req = gcnode_find(number(argv[0]));
	argument bytes;
	if (req == NULL)
		return JS_FALSE; /* nobody waits any more */
	if (!take(argv[2], &bytes))
		return JS_EXCEPTION;
	gcnode_respond(req, number(argv[1]), bytes.bytes, wide(argv[3]));
	give_back(&bytes);
	return JS_TRUE;
}

#ifdef GCNODE_FETCH
static void drop(void *state) {
	JSValue *done = state;
	JS_FreeValue(js, *done);
	free(done);
}

/* fetched calls done(failure, status, body, names and values in turn). */
static void fetched(gcnode_request *req, const gcnode_response *response, void *state) {
	JSValue *done = state, fields = JS_NewArray(js);
	const char *at = response->fields;
	int32_t id = req->id;
	for (size_t i = 0; i < response->field_count; i++) {
		size_t name = gcnode_u16((const unsigned char *)at), value = gcnode_u32((const unsigned char *)at + 2);
		at += 6;
		JS_SetPropertyUint32(js, fields, (uint32_t)(2 * i), JS_NewStringLen(js, at, name));
		JS_SetPropertyUint32(js, fields, (uint32_t)(2 * i + 1), JS_NewStringLen(js, at + name, value));
		at += name + value;
	}
	JSValue arguments[] = {JS_NewInt32(js, (int32_t)response->failure), JS_NewInt32(js, response->status), buffer(response->body), fields};
	call(*done, 4, arguments);
	settle(id);
}

/* fetch(id, url, method, names and values in turn, body, timeout, largest body, done) */
NATIVE(fetch) {
	UNUSED;
	gcnode_request *req = gcnode_find(number(argv[0]));
	if (req == NULL)
		return JS_FALSE;
	argument url, method, body, *fields;
	int32_t words = 0, taken = 0;
	JSValue length = JS_GetPropertyStr(js, argv[3], "length");
	words = number(length) & ~1;
	fields = gcnode_must(calloc((size_t)words + 1, sizeof *fields));
	gcnode_field *list = gcnode_must(calloc((size_t)words / 2 + 1, sizeof *list));
	bool right = take(argv[1], &url);
	if (!right)
		goto no_url;
	if (!(right = take(argv[2], &method)))
		goto no_method;
	if (!(right = take(argv[4], &body)))
		goto no_body;
	for (; right && taken < words; taken += right) {
		JSValue word = JS_GetPropertyUint32(js, argv[3], (uint32_t)taken);
		right = take(word, &fields[taken]);
		JS_FreeValue(js, word);
		if (right && taken % 2 == 0)
			list[taken / 2].name = fields[taken].bytes;
		else if (right)
			list[taken / 2].value = fields[taken].bytes;
	}
	if (right) {
		JSValue *done = gcnode_must(malloc(sizeof *done));
		*done = JS_DupValue(js, argv[7]);
		gcnode_fetch_with(req,
		                  &(gcnode_fetch_request){
		                          .url = url.text == NULL ? "" : url.text,
		                          .method = method.text == NULL ? "" : method.text,
		                          .fields = list,
		                          .field_count = (size_t)words / 2,
		                          .body = body.bytes,
		                          .timeout_ms = (uint32_t)wide(argv[5]),
		                          .max_body_bytes = (uint32_t)wide(argv[6]),
		                  },
		                  fetched, done, drop);
	}
	while (taken > 0)
		give_back(&fields[--taken]);
	give_back(&body);
no_body:
	give_back(&method);
no_method:
	give_back(&url);
no_url:
	free(list);
	free(fields);
	return right ? JS_TRUE : JS_EXCEPTION;
}
#endif

/* setting(name): a string, or undefined */
NATIVE(setting) {
	UNUSED;
	const char *name = JS_ToCString(js, argv[0]), *value;
	if (name == NULL)
		return JS_EXCEPTION;
	value = gcnode_setting(name, NULL);
	JS_FreeCString(js, name);
	return value == NULL ? JS_UNDEFINED : JS_NewString(js, value);
}

/* duration(name, missing): milliseconds, or undefined if it is none */
NATIVE(duration) {
	UNUSED;
	const char *name = JS_ToCString(js, argv[0]);
	if (name == NULL)
		return JS_EXCEPTION;
	int64_t ms;
	bool valid = gcnode_setting_ms(name, wide(argv[1]), &ms);
	JS_FreeCString(js, name);
	return valid ? JS_NewInt64(js, ms) : JS_UNDEFINED;
}

/* settings(): all of them, as the guest ABI has them */
NATIVE(settings) {
	UNUSED;
	(void)argv;
	int32_t size = gcnode_abi_input_read(0, NULL, 0, 0);
	gcnode_bytes all = {NULL, size > 0 ? (size_t)size : 0};
	char *room = malloc(all.len + 1);
	if (room == NULL)
		return JS_ThrowOutOfMemory(js);
	gcnode_abi_input_read(0, room, 0, (int32_t)all.len);
	all.ptr = room;
	JSValue result = buffer(all);
	free(room);
	return result;
}

/* log(level, text) */
NATIVE(log) {
	UNUSED;
	argument text;
	if (!take(argv[1], &text))
		return JS_EXCEPTION;
	gcnode_log((gcnode_level)number(argv[0]), "%.*s", (int)text.bytes.len, text.bytes.ptr);
	give_back(&text);
	return JS_UNDEFINED;
}

NATIVE(logs) {
	UNUSED;
	return JS_NewBool(js, gcnode_logs((gcnode_level)number(argv[0])));
}

NATIVE(monotonic) {
	UNUSED;
	(void)argv;
	return JS_NewInt64(js, gcnode_monotonic_ns());
}

#ifdef GCNODE_STORE
/* stored(key): an ArrayBuffer, or undefined */
NATIVE(stored) {
	UNUSED;
	argument key;
	gcnode_request here = {0}; /* the memory is needed until the value is copied */
	gcnode_bytes value;
	if (!take(argv[0], &key))
		return JS_EXCEPTION;
	JSValue result = gcnode_store_get(&here, key.bytes, &value) ? buffer(value) : JS_UNDEFINED;
	while (here.memory != NULL) {
		struct gcnode_block *next = here.memory->next;
		free(here.memory);
		here.memory = next;
	}
	give_back(&key);
	return result;
}

/* store(key, value, ttl) */
NATIVE(store) {
	UNUSED;
	argument key, value;
	if (!take(argv[0], &key))
		return JS_EXCEPTION;
	if (!take(argv[1], &value)) {
		give_back(&key);
		return JS_EXCEPTION;
	}
	bool stored = gcnode_store_set(key.bytes, value.bytes, wide(argv[2]));
	give_back(&value);
	give_back(&key);
	return JS_NewBool(js, stored);
}
#endif

/* encode(text): an ArrayBuffer of UTF-8 */
NATIVE(encode) {
	UNUSED;
	argument text;
	if (!take(argv[0], &text))
		return JS_EXCEPTION;
	JSValue result = buffer(text.bytes);
	give_back(&text);
	return result;
}

/* decode(bytes): a string; what is not UTF-8 becomes U+FFFD */
NATIVE(decode) {
	UNUSED;
	argument bytes;
	if (!take(argv[0], &bytes))
		return JS_EXCEPTION;
	JSValue result = JS_NewStringLen(js, bytes.bytes.ptr, bytes.bytes.len);
	give_back(&bytes);
	return result;
}

static const JSCFunctionListEntry natives[] = {
	JS_CFUNC_DEF("answer", 4, native_answer),
	JS_CFUNC_DEF("setting", 1, native_setting),
	JS_CFUNC_DEF("settings", 0, native_settings),
	JS_CFUNC_DEF("duration", 2, native_duration),
	JS_CFUNC_DEF("log", 2, native_log),
	JS_CFUNC_DEF("logs", 1, native_logs),
	JS_CFUNC_DEF("monotonic", 0, native_monotonic),
	JS_CFUNC_DEF("encode", 1, native_encode),
	JS_CFUNC_DEF("decode", 1, native_decode),
#ifdef GCNODE_FETCH
	JS_CFUNC_DEF("fetch", 8, native_fetch),
#endif
#ifdef GCNODE_STORE
	JS_CFUNC_DEF("stored", 1, native_stored),
	JS_CFUNC_DEF("store", 3, native_store),
#endif
};

/* ---- The getter ------------------------------------------------------------ */

/* evaluate returns false after it has logged why a script failed. */
static bool evaluate(const char *text, size_t len, const char *name) {
	JSValue result = JS_Eval(js, text, len, name, JS_EVAL_TYPE_GLOBAL);
	bool failed = JS_IsException(result);
	if (failed)
		complain();
	JS_FreeValue(js, result);
	return !failed;
}

static int open_getter(void) {
	static const JSMallocFunctions memory = {allocate, release, resize, usable};
	JSRuntime *runtime = JS_NewRuntime2(&memory, NULL);
	js = runtime == NULL ? NULL : JS_NewContext(runtime);
	if (js == NULL) {
		gcnode_log(GCNODE_ERROR, "there is not enough memory for the engine");
		return 1;
	}
	JS_SetMaxStackSize(runtime, 0); /* the node bounds the depth of calls */
	JSValue global = JS_GetGlobalObject(js), host = JS_NewObject(js);
	JS_SetPropertyFunctionList(js, host, natives, sizeof natives / sizeof natives[0]);
	JS_SetPropertyStr(js, global, "host", host);
	bool right = evaluate(library, sizeof library - 1, "gcnode.js") && evaluate(script, sizeof script - 1, "getter.js");
	if (right) {
		JSValue gcnode = JS_GetPropertyStr(js, global, "gcnode"), open = JS_GetPropertyStr(js, gcnode, "open");
		get_function = JS_Call(js, open, JS_UNDEFINED, 0, NULL);
		right = JS_IsFunction(js, get_function);
		if (!right)
			complain();
		JS_FreeValue(js, open);
		JS_FreeValue(js, gcnode);
	}
	JS_FreeValue(js, global);
	return right ? 0 : 1;
}

static void get(gcnode_request *req) {
	int32_t id = req->id;
	JSValue arguments[] = {JS_NewInt32(js, id), buffer(req->key)};
	call(get_function, 2, arguments);
	settle(id);
}

GCNODE_GETTER(open_getter, get)
GCNODE_BATCHES
