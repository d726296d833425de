/* A getter that answers an RSS or Atom feed from an HTTP origin as JSON: its title
 * and link, and the first of its entries with title, link, id, date and summary. A
 * key is the key of a feed.
 *
 * Its settings are those of document.h, and:
 *
 *	entries   how many entries there are at most, default 20, at most 1000 */
#define GCNODE_IMPLEMENTATION
#include "gcnode.h"

#include "document.h"
#include "xml.h"

static document_settings settings;
static uint32_t most_entries;

static int open_getter() {
	bool right = document_open(&settings, "url, entries, ttl, negative_ttl, max_bytes");
	right &= document_number("entries", 20, 1000, &most_entries);
	return right ? 0 : 1;
}

/* ---- Reading ---------------------------------------------------------------- */

struct entry {
	std::string title, link, id, date, summary;
};

struct feed {
	std::string title, link;
	std::vector<entry> entries;
};

/* field is where the text of an element of an entry goes, or nullptr. */
static std::string *field(entry *e, std::string_view name) {
	if (name == "title")
		return &e->title;
	if (name == "link")
		return &e->link;
	if (name == "id" || name == "guid")
		return &e->id;
	if (name == "updated" || name == "published" || name == "pubDate" || name == "dc:date")
		return &e->date;
	if (name == "summary" || name == "description" || name == "content")
		return &e->summary;
	return nullptr;
}

static std::string_view trimmed(std::string_view text) {
	while (!text.empty() && xml::is_space(text.front()))
		text.remove_prefix(1);
	while (!text.empty() && xml::is_space(text.back()))
		text.remove_suffix(1);
	return text;
}

/* A reader makes a feed of the tokens of a document. */
class reader {
  public:
	explicit reader(feed *into) : feed_(into) {}

	/* start returns false if the root element is not that of a feed. */
	bool start(const xml::scanner &s) {
		std::string_view name = s.name();
		if (s.depth() == 1)
			return name == "rss" || name == "feed" || name == "rdf:RDF";
		if (field_ != nullptr)
			return true; /* markup within a field */
		if (entry_depth_ == 0 && (name == "item" || name == "entry")) {
			entry_depth_ = s.depth();
			entry_ = {};
		} else if (entry_depth_ != 0 && s.depth() == entry_depth_ + 1) {
			take(s, field(&entry_, name));
		} else if (entry_depth_ == 0 && (s.parent() == "channel" || s.parent() == "feed")) {
			take(s, name == "title" ? &feed_->title : name == "link" ? &feed_->link : nullptr);
		}
		return true;
	}

	void text(const xml::scanner &s) {
		if (field_ != nullptr)
			text_ += s.text();
	}

	void end(const xml::scanner &s) {
		if (field_ != nullptr && s.depth() == field_depth_) {
			field_->assign(trimmed(text_));
			field_ = nullptr;
			text_.clear();
		}
		if (s.depth() == entry_depth_) {
			entry_depth_ = 0;
			if (feed_->entries.size() < most_entries)
				feed_->entries.push_back(std::move(entry_));
		}
	}

  private:
	/* take fills a field that is still empty: the first of several counts. The
	 * links of Atom are in an attribute, and of several kinds. */
	void take(const xml::scanner &s, std::string *field) {
		if (field == nullptr || !field->empty())
			return;
		const std::string *href = s.name() == "link" ? s.attribute("href") : nullptr, *rel = s.attribute("rel");
		if (href == nullptr) {
			field_ = field;
			field_depth_ = s.depth();
		} else if (rel == nullptr || *rel == "alternate") {
			field->assign(trimmed(*href));
		}
	}

	feed *feed_;
	entry entry_;
	std::string *field_ = nullptr; /* that is read */
	std::string text_;
	size_t entry_depth_ = 0, field_depth_ = 0;
};

/* read returns what is wrong with a document, or nullptr. */
static const char *read(xml::scanner *s, feed *into) {
	reader r(into);
	for (;;) {
		switch (s->next()) {
		case xml::token::start:
			if (!r.start(*s))
				return "it is neither RSS nor Atom";
			break;
		case xml::token::text:
			r.text(*s);
			break;
		case xml::token::end:
			r.end(*s);
			break;
		case xml::token::over:
			return nullptr;
		case xml::token::wrong:
			return s->what();
		}
	}
}

/* ---- Answers ------------------------------------------------------------------ */

/* member appends a member of an object, unless its value is empty. */
static void member(std::string *object, const char *name, std::string_view value) {
	if (value.empty())
		return;
	*object += object->back() == '{' ? "\"" : ",\"";
	*object += name;
	*object += "\":";
	size_t before = object->size();
	object->resize(before + document_quote(nullptr, gcnode::bytes(value)));
	document_quote(object->data() + before, gcnode::bytes(value));
}

static std::string json(const feed &f) {
	std::string text = "{";
	member(&text, "title", f.title);
	member(&text, "link", f.link);
	text += text.back() == '{' ? "\"entries\":[" : ",\"entries\":[";
	for (const entry &e : f.entries) {
		text += text.back() == '[' ? "{" : ",{";
		member(&text, "title", e.title);
		member(&text, "link", e.link);
		member(&text, "id", e.id);
		member(&text, "date", e.date);
		member(&text, "summary", e.summary);
		text += "}";
	}
	text += "]}";
	return text;
}

/* first_wrong is the first byte that is no text of XML in UTF-8. */
static size_t first_wrong(gcnode_bytes text) {
	size_t right = document_utf8(text);
	for (size_t i = 0; i < right; i++) {
		char c = text.ptr[i];
		if (c >= 0 && c < ' ' && !xml::is_space(c))
			return i;
	}
	return right;
}

static void answer(gcnode_request *req, const gcnode_response *document) {
	if (gcnode_failed(req, document, settings.negative_ttl))
		return;
	std::string_view body = gcnode::view(document->body);
	size_t mark = body.substr(0, 3) == "\xef\xbb\xbf" ? 3 : 0; /* of the byte order */
	xml::scanner s(body.substr(mark));
	feed f;
	size_t at = first_wrong(document->body);
	const char *wrong = at < body.size() ? "this is no text in UTF-8" : nullptr;
	if (wrong == nullptr) {
		wrong = read(&s, &f);
		at = mark + s.at();
	}
	if (wrong != nullptr)
		return gcnode_fail(req, GCNODE_PERMANENT, gcnode_text(gcnode_format(req, "the feed is refused: byte %zu: %s", at, wrong)));
	gcnode_ok(req, gcnode::bytes(json(f)), settings.ttl);
}

static void get(gcnode_request *req) { document_fetch(req, &settings, req->key, answer); }

GCNODE_GETTER(open_getter, get)
