/* xml.h - reads XML as far as feeds need it: elements, attributes and text, in
 * UTF-8. There are no document types, so that an entity stands for one
 * character. */
#ifndef XML_H
#define XML_H

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace xml {

constexpr size_t max_depth = 64, max_attributes = 100;

enum class token { start, end, text, over, wrong };

/* A scanner reads one token after the other. What it points to is in the
 * document. */
class scanner {
  public:
	explicit scanner(std::string_view document) : document_(document) {}

	token next();

	/* Of a start or an end. */
	std::string_view name() const { return name_; }
	/* How many elements are open, with that which starts or ends here. */
	size_t depth() const { return depth_; }
	/* The name of the element around that which starts here. */
	std::string_view parent() const { return depth_ < 2 ? std::string_view() : open_[depth_ - 2]; }
	/* Of a start; nullptr if there is none with that name. */
	const std::string *attribute(std::string_view name) const;
	const std::string &text() const { return text_; }

	/* What is wrong, and in which byte. */
	const char *what() const { return what_; }
	size_t at() const { return at_; }

  private:
	token fail(const char *what) {
		what_ = what;
		return token::wrong;
	}
	bool take(std::string_view mark) {
		bool there = document_.substr(at_, mark.size()) == mark;
		at_ += there ? mark.size() : 0;
		return there;
	}
	bool past(std::string_view mark);
	void space();
	std::string_view read_name();
	token read_start();
	bool read_attribute();
	token read_end();
	token read_data();
	bool decode(std::string_view raw, std::string *into);
	bool decode_entity(std::string_view name, std::string *into);

	std::string_view document_, name_;
	size_t at_ = 0, depth_ = 0;
	std::vector<std::string_view> open_;
	std::vector<std::pair<std::string_view, std::string>> attributes_;
	std::string text_;
	const char *what_ = nullptr;
	bool closing_ = false; /* an end follows that is in its start: <a/> */
	bool rooted_ = false;
};

inline bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

inline token scanner::next() {
	depth_ = open_.size();
	if (closing_) {
		closing_ = false;
		name_ = open_.back();
		open_.pop_back();
		return token::end;
	}
	for (;;) {
		if (at_ == document_.size())
			return open_.empty() && rooted_ ? token::over : fail("the document ends too early");
		if (document_[at_] != '<')
			return read_data();
		if (take("<![CDATA[")) {
			size_t begin = at_;
			if (!past("]]>"))
				return fail("a CDATA section does not end");
			text_.assign(document_.substr(begin, at_ - begin - 3));
			return open_.empty() ? fail("there is text outside of the root element") : token::text;
		}
		if (take("<!--")) {
			if (!past("-->"))
				return fail("a comment does not end");
		} else if (take("<?")) {
			if (!past("?>"))
				return fail("an instruction does not end");
		} else if (take("<!")) {
			return fail("there is a document type");
		} else if (take("</")) {
			return read_end();
		} else {
			at_++;
			return read_start();
		}
	}
}

inline const std::string *scanner::attribute(std::string_view name) const {
	for (const auto &[its, value] : attributes_)
		if (its == name)
			return &value;
	return nullptr;
}

/* past goes on behind the next mark. */
inline bool scanner::past(std::string_view mark) {
	size_t found = document_.find(mark, at_);
	if (found == std::string_view::npos)
		return false;
	at_ = found + mark.size();
	return true;
}

inline void scanner::space() {
	while (at_ < document_.size() && is_space(document_[at_]))
		at_++;
}

inline std::string_view scanner::read_name() {
	size_t begin = at_;
	while (at_ < document_.size() && !is_space(document_[at_]) && std::string_view("<>/=\"'&").find(document_[at_]) == std::string_view::npos)
		at_++;
	return document_.substr(begin, at_ - begin);
}

inline token scanner::read_start() {
	if (open_.empty() && rooted_)
		return fail("there is an element behind the root element");
	if (open_.size() == max_depth)
		return fail("it is nested too deep");
	name_ = read_name();
	if (name_.empty())
		return fail("the name of an element is missing");
	attributes_.clear();
	for (space(); !take(">"); space()) {
		if (take("/>")) {
			closing_ = true;
			break;
		}
		if (!read_attribute())
			return token::wrong;
	}
	open_.push_back(name_);
	rooted_ = true;
	depth_ = open_.size();
	return token::start;
}

inline bool scanner::read_attribute() {
	std::string_view name = read_name();
	space();
	if (name.empty() || !take("="))
		return fail("a start of an element is neither ended nor followed by an attribute"), false;
	space();
	char quote = at_ < document_.size() ? document_[at_] : '\0';
	if (quote != '"' && quote != '\'')
		return fail("the value of an attribute is not in quotes"), false;
	size_t begin = ++at_;
	if (!past(std::string_view(&quote, 1)))
		return fail("the value of an attribute does not end"), false;
	if (attributes_.size() == max_attributes)
		return fail("an element has more than 100 attributes"), false;
	attributes_.emplace_back(name, std::string());
	return decode(document_.substr(begin, at_ - begin - 1), &attributes_.back().second);
}

inline token scanner::read_end() {
	name_ = read_name();
	space();
	if (!take(">"))
		return fail("the end of an element does not end");
	if (open_.empty() || open_.back() != name_)
		return fail("an element ends that is not the last one to start");
	open_.pop_back();
	return token::end;
}

inline token scanner::read_data() {
	size_t begin = at_, end = document_.find('<', at_);
	end = end == std::string_view::npos ? document_.size() : end;
	std::string_view raw = document_.substr(begin, end - begin);
	if (open_.empty()) {
		for (char c : raw)
			if (!is_space(c))
				return fail("there is text outside of the root element");
	}
	text_.clear();
	if (!decode(raw, &text_))
		return token::wrong;
	at_ = end;
	return token::text;
}

/* decode appends text in which entities may be. */
inline bool scanner::decode(std::string_view raw, std::string *into) {
	while (!raw.empty()) {
		size_t mark = raw.find('&');
		into->append(raw.substr(0, mark));
		if (mark == std::string_view::npos)
			break;
		raw.remove_prefix(mark + 1);
		size_t end = raw.substr(0, 16).find(';');
		if (end == std::string_view::npos || !decode_entity(raw.substr(0, end), into))
			return fail("an entity is none of XML's"), false;
		raw.remove_prefix(end + 1);
	}
	return true;
}

inline bool scanner::decode_entity(std::string_view name, std::string *into) {
	static constexpr std::pair<std::string_view, char> known[] = {{"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'}, {"apos", '\''}};
	for (const auto &[its, c] : known) {
		if (its == name) {
			into->push_back(c);
			return true;
		}
	}
	unsigned base = name.substr(0, 2) == "#x" ? 16 : 10, c = 0;
	if (name.substr(0, 1) != "#" || name.size() == (base == 16 ? 2 : 1))
		return false;
	for (char digit : name.substr(base == 16 ? 2 : 1)) {
		char small = digit >= 'A' && digit <= 'F' ? static_cast<char>(digit | 32) : digit;
		unsigned value = small >= '0' && small <= '9' ? unsigned(small - '0') : small >= 'a' && small <= 'f' ? unsigned(small - 'a') + 10 : 16;
		if (value >= base)
			return false;
		c = c * base + value;
		if (c > 0x10ffff)
			return false;
	}
	if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || (c >= 0xd800 && c <= 0xdfff) || c == 0xfffe || c == 0xffff)
		return false;
	if (c < 0x80) {
		into->push_back(static_cast<char>(c));
		return true;
	}
	int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	static constexpr unsigned char first[] = {0, 0xc0, 0xe0, 0xf0};
	into->push_back(static_cast<char>(first[more] | c >> 6 * more));
	while (more-- > 0)
		into->push_back(static_cast<char>(0x80 | (c >> 6 * more & 0x3f)));
	return true;
}

} /* namespace xml */

#endif /* XML_H */
