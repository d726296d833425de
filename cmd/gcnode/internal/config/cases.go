package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	gcnode "github.com/gcnode/gcnode/core"
)

// CasesName is what the file is called, beside the manifest, that says what a
// getter has to answer.
const CasesName = "getter_test.yaml"

// Cases are what a getter has to answer.
type Cases struct {
	// Origin is what a server answers that the getter fetches from, by path and
	// query; everything else is 404. nil: there is no server.
	Origin map[string]Reply
	// Config is on top of the manifest's.
	Config map[string]string
	Cases  []Case
}

// Reply is an answer of the server.
type Reply struct {
	Status int
	Header map[string]string
	Body   string
}

// Case is one key and its answer.
type Case struct {
	Line     int // in the file
	Key      string
	Value    *string // nil: any
	Contains string  // in the value, or in the message of the error
	Error    string  // the kind of it; empty: there is none
	Keep     *gcnode.Lifetime
}

// LoadCases reads what a getter has to answer. An error is as those of [Load].
func LoadCases(path string) (*Cases, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("cases: %w", err)
	}
	found := &problems{}
	if line, message := checkText(data); line > 0 {
		found.add(path, line, "", "%s", message)
		return nil, found.err()
	}
	root, err := documentRoot(data)
	if err != nil {
		line, message := syntaxError(err)
		found.add(path, line, "", "%s", message)
		return nil, found.err()
	}
	c := &Cases{}
	file := newSection(path, "", root, found)
	c.readOrigin(file)
	c.Config = file.table("config")
	for _, in := range file.sections("cases", "cases, each with key and value or error") {
		c.readCase(in)
	}
	if len(c.Cases) == 0 {
		file.missing("cases", "what the getter has to answer (cases: [{key: ann, value: Ann}])")
	}
	file.close()
	if err := found.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Cases) readOrigin(file *section) {
	in := file.section("origin")
	if file.find("origin") == nil {
		return
	}
	c.Origin = map[string]Reply{}
	for _, e := range in.entries {
		if !strings.HasPrefix(e.key, "/") {
			in.wrongKey(e.key, "must be a path, such as /names/ann, with the query if there is one")
		}
		reply := Reply{Status: 200}
		if node := target(e.value); node.Kind == yaml.ScalarNode {
			in.anyText(e.key, &reply.Body)
		} else {
			answer := in.section(e.key)
			answer.count("status", &reply.Status, 200, 599)
			reply.Header = answer.table("header")
			answer.anyText("body", &reply.Body)
			answer.close()
		}
		c.Origin[e.key] = reply
	}
	in.close()
}

// readCase reads one case.
func (c *Cases) readCase(in *section) {
	k := Case{Line: in.line}
	if !in.anyText("key", &k.Key) && in.find("key") == nil {
		in.missing("key", "the key that is asked for, which may be empty (key: ann)")
	}
	var value string
	if in.anyText("value", &value) {
		k.Value = &value
	}
	in.anyText("contains", &k.Contains)
	if t, ok := in.text("error", "the kind of an error, such as not found", &k.Error); ok && !slices.Contains(errorKinds(), k.Error) {
		t.wrong("%q must be the kind of an error: %s", k.Error, strings.Join(errorKinds(), ", "))
	}
	var keep string
	if t, ok := in.text("keep", "a duration such as 10m, or default, or no-store", &keep); ok {
		life, err := parseKeep(keep)
		if err != nil {
			t.wrong("%q must be a duration such as 10m, or default, or no-store", keep)
		}
		k.Keep = &life
	}
	if k.Value != nil && k.Error != "" {
		in.wrongKey("error", "there is no value beside an error: leave value or error out")
	}
	in.close()
	c.Cases = append(c.Cases, k)
}

func parseKeep(text string) (gcnode.Lifetime, error) {
	switch text {
	case "default":
		return 0, nil
	case noStore:
		return gcnode.NoStore, nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = strconv.ErrRange
	}
	return gcnode.For(d), err
}

// errorKinds are the kinds of errors that a getter's answer can be.
func errorKinds() []string {
	return []string{"not found", "transient", "permanent", "denied", "overloaded", "too large", "timeout"}
}

// KindWord is a kind of error as docs/plugin-abi.md calls it.
func KindWord(kind gcnode.Kind) string {
	switch kind {
	case gcnode.KindTransient:
		return "transient"
	case gcnode.KindPermanent:
		return "permanent"
	case gcnode.KindOverloaded:
		return "overloaded"
	case gcnode.KindTimeout:
		return "timeout"
	default:
		return kind.String()
	}
}
