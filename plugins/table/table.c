/* A getter that answers a row of a table from an HTTP origin as a JSON object. A
 * key is the key of the table, "#", and what the row has in the column of keys:
 * "countries#DE". The first row of a table has the names of its columns.
 *
 * Its settings are those of document.h, and:
 *
 *	column      name of the column of keys, default: the first one
 *	separator   comma (default) or semicolon: fields may be in quotes, as in
 *	            RFC 4180; tab: they may not */
#define GCNODE_IMPLEMENTATION
#include "gcnode.h"

#include "document.h"

enum { max_columns = 1000 };

static document_settings settings;
static const char *key_column; /* NULL: the first one */
static char separator;

static int open_getter(void) {
	const char *name = gcnode_setting("separator", "comma");
	bool right = document_open(&settings, "url, column, separator, ttl, negative_ttl, max_bytes");
	separator = strcmp(name, "comma") == 0 ? ',' : strcmp(name, "semicolon") == 0 ? ';' : strcmp(name, "tab") == 0 ? '\t' : 0;
	if (separator == 0)
		right = document_wrong("separator", "comma, semicolon or tab");
	key_column = gcnode_setting("column", NULL);
	return right ? 0 : 1;
}

/* ---- Reading ---------------------------------------------------------------- */

typedef struct reader {
	const char *at, *end;
	size_t line, row;  /* from 1; and the line that a row begins with */
	const char *wrong; /* NULL until something is */
	char *text;        /* where fields are written: there is room for the rest of the table */
} reader;

typedef struct row {
	gcnode_bytes fields[max_columns];
	size_t count;
} row;

static bool fail(reader *r, const char *what) {
	r->wrong = what;
	return false;
}

/* ends tells whether a row ends here, and goes on behind that. */
static bool ends(reader *r) {
	if (r->at < r->end && *r->at == '\r' && r->end - r->at > 1 && r->at[1] == '\n')
		r->at++;
	if (r->at < r->end && *r->at != '\n')
		return false;
	r->at += r->at < r->end;
	r->line++;
	return true;
}

/* read_quoted reads a field behind its first quote. */
static bool read_quoted(reader *r) {
	while (r->at < r->end) {
		char c = *r->at++;
		if (c == '"' && (r->at == r->end || *r->at != '"'))
			return true;
		r->at += c == '"';
		r->line += c == '\n';
		*r->text++ = c;
	}
	return fail(r, "the field in quotes does not end");
}

static bool read_plain(reader *r) {
	for (; r->at < r->end && *r->at != separator && *r->at != '\n'; r->at++) {
		if (*r->at == '\r' && r->end - r->at > 1 && r->at[1] == '\n')
			break;
		if (*r->at == '\r')
			return fail(r, "there is half of an end of line");
		if (*r->at == '"' && separator != '\t')
			return fail(r, "there is a quote within a field that is not in quotes");
		*r->text++ = *r->at;
	}
	return true;
}

/* read_row returns false at the end, and if something is wrong. */
static bool read_row(reader *r, row *into) {
	into->count = 0;
	r->row = r->line;
	if (r->at == r->end)
		return false;
	for (;;) {
		if (into->count == max_columns)
			return fail(r, "there are more than 1000 columns");
		gcnode_bytes *field = &into->fields[into->count++];
		field->ptr = r->text;
		bool quoted = separator != '\t' && r->at < r->end && *r->at == '"';
		r->at += quoted;
		if (!(quoted ? read_quoted(r) : read_plain(r)))
			return false;
		field->len = (size_t)(r->text - field->ptr);
		if (ends(r))
			return true;
		if (*r->at != separator)
			return fail(r, "there is something behind a field in quotes");
		r->at++;
	}
}

static bool same(gcnode_bytes a, gcnode_bytes b) { return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0); }

/* read_names reads the names of columns, and which is that of keys. */
static bool read_names(reader *r, row *names, size_t *column) {
	if (!read_row(r, names))
		return r->wrong == NULL ? fail(r, "the names of the columns are missing") : false;
	*column = key_column == NULL ? 0 : names->count;
	for (size_t i = 0; i < names->count; i++) {
		for (size_t k = 0; k < i; k++)
			if (same(names->fields[i], names->fields[k]))
				return fail(r, "two columns have the same name");
		if (key_column != NULL && same(names->fields[i], gcnode_text(key_column)))
			*column = i;
	}
	return *column < names->count || fail(r, "there is no column with the name of the setting column");
}

/* find reads rows up to the one with a key. */
static bool find(reader *r, const row *names, size_t column, gcnode_bytes key, row *found) {
	while (read_row(r, found)) {
		if (found->count == 1 && found->fields[0].len == 0 && names->count > 1)
			continue; /* an empty line */
		if (found->count != names->count)
			return fail(r, "it has not as many fields as there are columns");
		if (same(found->fields[column], key))
			return true;
	}
	return false;
}

/* ---- Answers ------------------------------------------------------------------ */

/* write_object writes a row to at, unless that is NULL, and returns how long the
 * object is. */
static size_t write_object(char *at, const row *names, const row *values) {
	size_t len = 0;
	for (size_t i = 0; i < names->count; i++) {
		if (at != NULL)
			at[len] = i == 0 ? '{' : ',';
		len++;
		len += document_quote(at == NULL ? NULL : at + len, names->fields[i]);
		if (at != NULL)
			at[len] = ':';
		len++;
		len += document_quote(at == NULL ? NULL : at + len, values->fields[i]);
	}
	if (at != NULL)
		at[len] = '}';
	return len + 1;
}

static void answer(gcnode_request *req, const gcnode_response *table) {
	gcnode_bytes body = table->body, document, key;
	if (gcnode_failed(req, table, settings.negative_ttl))
		return;
	document_split(req->key, &document, &key);
	size_t text = document_utf8(body);
	if (text < body.len) {
		gcnode_fail(req, GCNODE_PERMANENT, gcnode_text(gcnode_format(req, "the table is refused: byte %zu is not UTF-8", text)));
		return;
	}
	if (body.len >= 3 && memcmp(body.ptr, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
		body.ptr += 3;
		body.len -= 3;
	}
	reader r = {.at = body.ptr, .end = body.ptr + body.len, .line = 1, .text = gcnode_alloc(req, body.len + 1)};
	row *names = gcnode_alloc(req, sizeof *names), *found = gcnode_alloc(req, sizeof *found);
	size_t column;
	if (read_names(&r, names, &column) && find(&r, names, column, key, found)) {
		size_t len = write_object(NULL, names, found);
		char *object = gcnode_alloc(req, len);
		write_object(object, names, found);
		gcnode_ok(req, (gcnode_bytes){object, len}, settings.ttl);
	} else if (r.wrong != NULL) {
		gcnode_fail(req, GCNODE_PERMANENT, gcnode_text(gcnode_format(req, "the table is refused: line %zu: %s", r.row, r.wrong)));
	} else {
		gcnode_not_found(req, gcnode_text("the table has no such row"), settings.negative_ttl);
	}
}

static void get(gcnode_request *req) {
	gcnode_bytes document, part;
	if (document_split(req->key, &document, &part))
		document_fetch(req, &settings, document, answer);
	else
		gcnode_not_found(req, gcnode_text("a key is that of a table, # and that of a row"), settings.negative_ttl);
}

GCNODE_GETTER(open_getter, get)
