package history

import (
	"fmt"
	"strconv"
	"strings"
)

// Value is what values are made of in a history: they say themselves where they
// come from, so that whoever gets one knows how old it is.
type Value struct {
	Key string
	// Load is the ID of the load that brought it, Version that of the origin,
	// and Begin when the load began. They are zero for the value of a Set.
	Load    string
	Version int
	Begin   int64
	// Set is the ID of the Set that wrote it.
	Set int
}

// String is the text of the value. Anything may be appended to it after a
// space, to make it longer.
func (v Value) String() string {
	if v.Load != "" {
		return fmt.Sprintf("load %s %d %d %s", strconv.Quote(v.Key), v.Version, v.Begin, strconv.Quote(v.Load))
	}
	return fmt.Sprintf("set %s %d", strconv.Quote(v.Key), v.Set)
}

// ParseValue reads what [Value.String] has written.
func ParseValue(text string) (Value, error) {
	kind, rest, _ := strings.Cut(text, " ")
	fail := func() (Value, error) { return Value{}, fmt.Errorf("%.80q is no value of a history", text) }
	v := Value{}
	var ok bool
	if v.Key, rest, ok = cutQuoted(rest); !ok {
		return fail()
	}
	switch kind {
	case "load":
		var version, begin int64
		version, rest, ok = cutNumber(rest)
		if ok {
			begin, rest, ok = cutNumber(rest)
		}
		if ok {
			v.Load, _, ok = cutQuoted(rest)
		}
		if !ok || v.Load == "" {
			return fail()
		}
		v.Version, v.Begin = int(version), begin
	case "set":
		set, _, ok := cutNumber(rest)
		if !ok {
			return fail()
		}
		v.Set = int(set)
	default:
		return fail()
	}
	return v, nil
}

func cutQuoted(s string) (text, rest string, ok bool) {
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", false
	}
	text, err = strconv.Unquote(quoted)
	return text, strings.TrimPrefix(s[len(quoted):], " "), err == nil
}

func cutNumber(s string) (n int64, rest string, ok bool) {
	field, rest, _ := strings.Cut(s, " ")
	n, err := strconv.ParseInt(field, 10, 64)
	return n, rest, err == nil
}
