package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// section is one mapping of the file. Its methods read single settings; what
// is wrong is recorded and the destination left as it was, so that reading
// goes on and finds the next problem. close reports the keys nobody read.
type section struct {
	file     string
	path     string // of the mapping; empty for the whole file
	line     int    // where it begins, 0 when it is not in the file
	entries  []entry
	known    []string
	broken   bool // it is not a mapping, and that was reported
	problems *problems
}

// entry is one key of a mapping with its value.
type entry struct {
	key   string
	line  int
	value *yaml.Node
}

// setting is one value and its place.
type setting struct {
	in   *section
	path string
	line int
	node *yaml.Node
}

// text is a scalar and its place.
type text struct {
	setting

	value string
}

// plainKey are the characters of a key that needs no quotes in a path.
const plainKey = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

// newSection opens a mapping; node may be nil for one that is not there.
func newSection(file, path string, node *yaml.Node, found *problems) *section {
	s := &section{file: file, path: path, problems: found}
	if node == nil {
		return s
	}
	s.line = node.Line
	node = target(node)
	if isNull(node) {
		return s
	}
	if node.Kind != yaml.MappingNode {
		s.problems.add(s.file, s.line, path, "must hold settings (key: value), not %s", describe(node))
		s.broken = true
		return s
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := target(node.Content[i]), node.Content[i+1]
		line := node.Content[i].Line
		if key.Kind != yaml.ScalarNode {
			s.problems.add(s.file, line, path, "a key must be plain text, not %s", describe(key))
			continue
		}
		if first := s.find(key.Value); first != nil {
			s.problems.add(s.file, line, s.join(key.Value), "is set twice, first on line %d", first.line)
			continue
		}
		s.entries = append(s.entries, entry{key: key.Value, line: line, value: value})
	}
	return s
}

// target follows an alias to the node it stands for.
func target(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode && node.Alias != nil {
		return node.Alias
	}
	return node
}

// isNull reports whether the node is an empty value.
func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// describe says what a node is, for messages about what it should be.
func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a group of settings"
	case yaml.SequenceNode:
		return "a list"
	default:
		if isNull(node) {
			return "nothing"
		}
		return strconv.Quote(node.Value)
	}
}

// join is the path of a key of the section.
func (s *section) join(key string) string {
	if s.path == "" {
		return quotedKey(key)
	}
	return s.path + "." + quotedKey(key)
}

// quotedKey is a key as paths show it.
func quotedKey(key string) string {
	if key == "" || strings.Trim(key, plainKey) != "" {
		return strconv.Quote(key)
	}
	return key
}

// find is the entry of a key, nil when there is none.
func (s *section) find(key string) *entry {
	i := slices.IndexFunc(s.entries, func(e entry) bool { return e.key == key })
	if i < 0 {
		return nil
	}
	return &s.entries[i]
}

// take is the setting of a key, which counts as known from now on.
func (s *section) take(key string) (setting, bool) {
	s.known = append(s.known, key)
	e := s.find(key)
	if e == nil {
		return setting{}, false
	}
	return setting{in: s, path: s.join(key), line: e.line, node: target(e.value)}, true
}

// missing reports that a setting that is needed is not there.
func (s *section) missing(key, message string) {
	if !s.broken {
		s.problems.add(s.file, s.line, s.join(key), "is missing: %s", message)
	}
}

// wrongKey reports a problem with a key itself.
func (s *section) wrongKey(key, message string) {
	line := s.line
	if e := s.find(key); e != nil {
		line = e.line
	}
	s.problems.add(s.file, line, s.join(key), "%s", message)
}

// close reports the keys that nobody asked for.
func (s *section) close() {
	for _, e := range s.entries {
		if !slices.Contains(s.known, e.key) {
			s.problems.add(s.file, e.line, s.join(e.key),
				"there is no such setting; those here are %s", strings.Join(s.known, ", "))
		}
	}
}

// wrong reports a problem with the setting.
func (t setting) wrong(format string, args ...any) {
	t.in.problems.add(t.in.file, t.line, t.path, format, args...)
}

// scalar is the text of a single value; what says which one is expected.
func (t setting) scalar(what string) (string, bool) {
	if t.node.Kind != yaml.ScalarNode || isNull(t.node) {
		t.wrong("must be %s, not %s", what, describe(t.node))
		return "", false
	}
	return t.node.Value, true
}

// text reads any single value as it is written, unless it is empty.
func (s *section) text(key, what string, dst *string) (setting, bool) {
	t, ok := s.take(key)
	if !ok {
		return t, false
	}
	value, ok := t.scalar(what)
	if ok && value == "" {
		t.wrong("must be %s, not empty", what)
		return t, false
	}
	if ok {
		*dst = value
	}
	return t, ok
}

// anyText reads any single value as it is written, an empty one too.
func (s *section) anyText(key string, dst *string) bool {
	t, ok := s.take(key)
	if !ok {
		return false
	}
	value, ok := t.scalar("text")
	if ok {
		*dst = value
	}
	return ok
}

// boolean reads true or false.
func (s *section) boolean(key string, dst *bool) {
	t, ok := s.take(key)
	if !ok {
		return
	}
	switch value, ok := t.scalar("true or false"); {
	case !ok:
	case value == "true":
		*dst = true
	case value == "false":
		*dst = false
	default:
		t.wrong("%q must be true or false", value)
	}
}

// count reads a whole number from lowest to highest.
func (s *section) count(key string, dst *int, lowest, highest int) {
	t, ok := s.take(key)
	if !ok {
		return
	}
	value, ok := t.scalar("a number")
	if !ok {
		return
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < lowest || n > highest {
		t.wrong("%q must be a whole number from %d to %d", value, lowest, highest)
		return
	}
	*dst = n
}

// part reads a part of something that is less than the whole.
func (s *section) part(key string, dst *float64) {
	t, ok := s.take(key)
	if !ok {
		return
	}
	const what = "a number of at least 0 and below 1, such as 0.1, or its percentage, such as 10%"
	value, ok := t.scalar(what)
	if !ok {
		return
	}
	part, err := parsePart(value)
	if err != nil || part >= 1 {
		t.wrong("%q must be %s", value, what)
		return
	}
	*dst = part
}

// size reads a number of bytes from lowest to highest.
func (s *section) size(key string, dst *int64, lowest, highest int64) {
	t, ok := s.take(key)
	if !ok {
		return
	}
	value, ok := t.scalar("a size such as 64MiB")
	if !ok {
		return
	}
	n, err := ParseSize(value)
	if err != nil || n < lowest || n > highest {
		t.wrong("%q must be a size from %s to %s, such as 64MiB, 1.5GB or a number of bytes",
			value, FormatSize(lowest), FormatSize(highest))
		return
	}
	*dst = n
}

// duration reads a length of time from lowest to highest; a highest of 0 is no
// bound. Words that stand for a special one are in words.
func (s *section) duration(key string, dst *time.Duration, lowest, highest time.Duration, words map[string]time.Duration) {
	t, ok := s.take(key)
	if !ok {
		return
	}
	bounds := "of at least " + formatDuration(lowest)
	if highest > 0 {
		bounds = "from " + formatDuration(lowest) + " to " + formatDuration(highest)
	}
	allowed := append([]string{"a duration " + bounds + ", such as " + examples(highest)}, sortedKeys(words)...)
	what := strings.Join(allowed, ", or ")
	value, ok := t.scalar(what)
	if !ok {
		return
	}
	if d, ok := words[value]; ok {
		*dst = d
		return
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < lowest || highest > 0 && d > highest {
		t.wrong("%q must be %s", value, what)
		return
	}
	*dst = d
}

// examples are durations up to highest, if that is given.
func examples(highest time.Duration) string {
	if highest > 0 && highest <= time.Second {
		return "5ms or 0.5s"
	}
	return "500ms, 30s or 1h30m"
}

// texts reads a list of single values.
func (s *section) texts(key, what string) []text {
	t, ok := s.take(key)
	if !ok {
		return nil
	}
	var list []text
	for _, item := range t.items("a list of " + what) {
		if value, ok := item.scalar(what); ok {
			list = append(list, text{setting: item, value: value})
		}
	}
	return list
}

// items is the elements of a list.
func (t setting) items(what string) []setting {
	if isNull(t.node) {
		return nil
	}
	if t.node.Kind != yaml.SequenceNode {
		t.wrong("must be %s, not %s", what, describe(t.node))
		return nil
	}
	list := make([]setting, 0, len(t.node.Content))
	for i, node := range t.node.Content {
		path := t.path + "[" + strconv.Itoa(i) + "]"
		list = append(list, setting{in: t.in, path: path, line: node.Line, node: target(node)})
	}
	return list
}

// table reads a mapping from text to text.
func (s *section) table(key string) map[string]string {
	in := s.section(key)
	if len(in.entries) == 0 {
		return nil
	}
	table := make(map[string]string, len(in.entries))
	for _, e := range in.entries {
		t, _ := in.take(e.key)
		if value, ok := t.scalar("text"); ok {
			table[e.key] = value
		}
	}
	return table
}

// section opens the mapping under a key; an empty one when it is not there.
func (s *section) section(key string) *section {
	t, ok := s.take(key)
	if !ok {
		in := newSection(s.file, s.join(key), nil, s.problems)
		in.line = s.line
		return in
	}
	in := newSection(s.file, t.path, t.node, s.problems)
	in.line = t.line
	return in
}

// sections opens a list of mappings.
func (s *section) sections(key, what string) []*section {
	t, ok := s.take(key)
	if !ok {
		return nil
	}
	items := t.items("a list of " + what)
	list := make([]*section, 0, len(items))
	for _, item := range items {
		list = append(list, newSection(s.file, item.path, item.node, s.problems))
	}
	return list
}
