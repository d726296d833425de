/*
 * document.h - what the ready-made getters in C and C++ share: their settings, the
 * document that a key is about, and text for JSON. It goes behind gcnode.h, in the
 * one file of a getter.
 *
 * The settings are:
 *
 *	url            template of the URL of a document, required: {key} is its key as
 *	               one segment, {+key} as a path
 *	ttl            life of an answer, default that of the group
 *	negative_ttl   life of a not found, default 30s
 *	max_bytes      largest document, default 1048576
 */
#ifndef DOCUMENT_H
#define DOCUMENT_H

#include <string.h>

enum {
	document_max_key = 4096,
	document_most_bytes = 1 << 28, /* six times as many can still be counted */
};

typedef struct document_settings {
	const char *url;
	int64_t ttl, negative_ttl;
	uint32_t max_bytes;
} document_settings;

/* ---- Settings ------------------------------------------------------------ */

static bool document_wrong(const char *name, const char *want) {
	gcnode_log(GCNODE_ERROR, "the setting %s is \"%.200s\", want %s", name, gcnode_setting(name, ""), want);
	return false;
}

/* document_number reads a setting that is a number from 1 to most. It returns
 * false after it has logged that it is none. */
static bool document_number(const char *name, uint32_t missing, uint32_t most, uint32_t *number) {
	char want[40];
	uint64_t sum = 0;
	const char *text = gcnode_setting(name, NULL), *at = text;
	*number = missing;
	if (text == NULL)
		return true;
	for (; *at >= '0' && *at <= '9' && sum <= most; at++)
		sum = 10 * sum + (uint64_t)(*at - '0');
	*number = (uint32_t)sum;
	if (*at == 0 && sum >= 1 && sum <= most)
		return true;
	snprintf(want, sizeof want, "a number from 1 to %u", (unsigned)most);
	return document_wrong(name, want);
}

static bool document_ttl(const char *name, int64_t missing, int64_t *ttl) {
	return gcnode_setting_ms(name, missing, ttl) || document_wrong(name, "a duration such as 90s or 1h30m");
}

/* document_place is how long the place for a key is that text begins with, or 0. */
static size_t document_place(const char *text) {
	return strncmp(text, "{key}", 5) == 0 ? 5 : strncmp(text, "{+key}", 6) == 0 ? 6 : 0;
}

static bool document_url(const char **url) {
	const char *text = gcnode_setting("url", ""), *host = text;
	size_t places = 0, skip;
	*url = text;
	if (*text == 0) {
		gcnode_log(GCNODE_ERROR, "the setting url is required, for example http://127.0.0.1:9000/{key}");
		return false;
	}
	if (strncmp(text, "http://", 7) == 0)
		host += 7;
	else if (strncmp(text, "https://", 8) == 0)
		host += 8;
	else
		return document_wrong("url", "http:// or https:// at its beginning");
	size_t host_len = strcspn(host, "/?");
	if (memchr(host, '{', host_len) != NULL)
		return document_wrong("url", "a slash between the host and the key");
	if (host_len == 0 || memchr(host, '@', host_len) != NULL)
		return document_wrong("url", "a host, and no user, after the scheme");
	for (const char *at = host; *at != 0; at += skip) {
		skip = document_place(at);
		places += skip > 0;
		if (skip == 0 && (*at <= ' ' || *at > '~' || strchr("{}#", *at) != NULL))
			return document_wrong("url", "a URL without a fragment, and no other places than {key} and {+key}");
		skip = skip > 0 ? skip : 1;
	}
	return places > 0 || document_wrong("url", "{key} in it, or {+key} for keys that are paths");
}

/* document_open reads the settings, where known are the names of all that the
 * getter has. It returns false after it has logged all that is wrong with them. */
static bool document_open(document_settings *s, const char *known) {
	bool right = gcnode_settings_only(known);
	right &= document_url(&s->url);
	right &= document_ttl("ttl", GCNODE_TTL_DEFAULT, &s->ttl);
	right &= document_ttl("negative_ttl", 30000, &s->negative_ttl);
	right &= document_number("max_bytes", 1 << 20, document_most_bytes, &s->max_bytes);
	return right;
}

/* ---- Documents ----------------------------------------------------------- */

/* document_split splits a key into that of a document, and what is asked for of it
 * behind "#". It returns false if there is no "#". */
static inline bool document_split(gcnode_bytes key, gcnode_bytes *document, gcnode_bytes *part) {
	const char *mark = key.len == 0 ? NULL : (const char *)memchr(key.ptr, '#', key.len);
	if (mark == NULL)
		return false;
	document->ptr = key.ptr;
	document->len = (size_t)(mark - key.ptr);
	part->ptr = mark + 1;
	part->len = key.len - document->len - 1;
	return true;
}

/* document_path is a key as a path: its slashes stay, and none of its segments is
 * a step. */
static char *document_path(gcnode_request *req, gcnode_bytes key) {
	const char *from = gcnode_escape(req, key);
	char *path = (char *)gcnode_alloc(req, 3 * key.len + 1), *at = path;
	for (;;) {
		const char *slash = strstr(from, "%2F");
		size_t len = slash == NULL ? strlen(from) : (size_t)(slash - from);
		if ((len == 1 && *from == '.') || (len == 2 && memcmp(from, "..", 2) == 0)) {
			memcpy(at, "%2E%2E", 3 * len);
			at += 3 * len;
		} else {
			memcpy(at, from, len);
			at += len;
		}
		*at = 0;
		if (slash == NULL)
			return path;
		*at++ = '/';
		from = slash + 3;
	}
}

/* document_fetch fetches the document with a key. */
static void document_fetch(gcnode_request *req, const document_settings *s, gcnode_bytes key, gcnode_fetched fetched) {
	if (key.len > document_max_key) {
		gcnode_not_found(req, gcnode_text("the key of the document is too long"), s->negative_ttl);
		return;
	}
	const char *whole = gcnode_escape(req, key), *path = document_path(req, key);
	size_t size = strlen(s->url) + 1, skip;
	for (const char *at = s->url; *at != 0; at++)
		size += document_place(at) > 0 ? 3 * key.len : 0;
	char *url = (char *)gcnode_alloc(req, size), *end = url;
	for (const char *at = s->url; *at != 0; at += skip) {
		skip = document_place(at);
		const char *with = skip == 0 ? at : skip == 5 ? whole : path;
		size_t len = skip == 0 ? 1 : strlen(with);
		memcpy(end, with, len);
		end += len;
		skip = skip > 0 ? skip : 1;
	}
	*end = 0;
	gcnode_fetch_request what;
	memset(&what, 0, sizeof what);
	what.url = url;
	what.max_body_bytes = s->max_bytes;
	gcnode_fetch(req, &what, fetched);
}

/* ---- Text ----------------------------------------------------------------- */

/* document_utf8 is how many bytes of a text are UTF-8, from its beginning. */
static size_t document_utf8(gcnode_bytes text) {
	const unsigned char *b = (const unsigned char *)text.ptr;
	for (size_t i = 0, more; i < text.len; i += 1 + more) {
		unsigned char c = b[i], low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
		more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
		if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || text.len - i <= more)
			return i;
		for (size_t k = 1; k <= more; k++) {
			if (b[i + k] < low || b[i + k] > high)
				return i;
			low = 0x80;
			high = 0xbf;
		}
	}
	return text.len;
}

/* document_quote writes a text in UTF-8 as a string of JSON to at, unless that is
 * NULL, and returns how long it is. */
static size_t document_quote(char *at, gcnode_bytes text) {
	static const char hex[] = "0123456789abcdef";
	size_t len = 0;
	if (at != NULL)
		at[len] = '"';
	len++;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		char letter = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : c == '"' || c == '\\' ? (char)c : 0;
		char escape[6] = {'\\', letter == 0 ? 'u' : letter, '0', '0', hex[c >> 4], hex[c & 15]};
		size_t size = letter != 0 ? 2 : c < ' ' ? 6 : 1;
		if (at != NULL)
			memcpy(at + len, size == 1 ? &text.ptr[i] : escape, size);
		len += size;
	}
	if (at != NULL)
		at[len] = '"';
	return len + 1;
}

#endif /* DOCUMENT_H */
