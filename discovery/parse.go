package discovery

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	gcnode "github.com/gcnode/gcnode/core"
)

// maxWeight is the greatest weight of a member.
const maxWeight = 65535

// ParseList reads a list of members. If the name of the file ends in .yaml,
// .yml or .json it is YAML: a list of mappings with id, url and weight (1 to
// 65535, default 1), alone or under the key peers. Otherwise every line is one
// member: its ID, its URL and its weight, which may be left out, with spaces or
// tabs between. Empty lines and what follows a # at the beginning of a line or
// after a space are ignored.
//
// The error lists everything that is wrong, each with name and line. check
// looks at each member and may change it; nil: all are fine.
func ParseList(name string, data []byte, check func(*gcnode.Peer) error) ([]gcnode.Peer, error) {
	p := parser{name: name, check: check, ids: map[string]int{}, addrs: map[string]int{}}
	switch {
	case !utf8.Valid(data):
		p.wrong(0, "must be UTF-8 text")
	case slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(name))):
		p.yaml(data)
	default:
		p.lines(string(data))
	}
	if err := errors.Join(p.errs...); err != nil {
		return nil, err
	}
	if len(p.peers) == 0 {
		return nil, fmt.Errorf("%s: %w", name, ErrEmpty)
	}
	return p.peers, nil
}

// parser collects members and what is wrong with them.
type parser struct {
	name  string
	check func(*gcnode.Peer) error
	peers []gcnode.Peer
	ids   map[string]int // the line of each
	addrs map[string]int
	errs  []error
}

// wrong reports a problem; line 0 is the whole file.
func (p *parser) wrong(line int, format string, args ...any) {
	place := p.name
	if line > 0 {
		place += ":" + strconv.Itoa(line)
	}
	p.errs = append(p.errs, fmt.Errorf("%s: %w", place, fmt.Errorf(format, args...)))
}

// add takes a member.
func (p *parser) add(line int, peer gcnode.Peer) {
	if len(peer.ID) > gcnode.MaxIDBytes {
		p.wrong(line, "the id %.32q… has %d bytes; at most %d are allowed", peer.ID, len(peer.ID), gcnode.MaxIDBytes)
		return
	}
	if p.check != nil {
		if err := p.check(&peer); err != nil {
			p.wrong(line, "%w", err)
			return
		}
	}
	if first := p.ids[peer.ID]; first > 0 {
		p.wrong(line, "the id %q is already that of line %d", peer.ID, first)
		return
	}
	if first := p.addrs[peer.Addr]; first > 0 {
		p.wrong(line, "the url %q is already that of line %d", peer.Addr, first)
		return
	}
	if len(p.peers) == gcnode.MaxPeers {
		p.wrong(line, "there are more than %d members", gcnode.MaxPeers)
	}
	p.peers = append(p.peers, peer)
	p.ids[peer.ID], p.addrs[peer.Addr] = line, line
}

// weight reads a weight.
func (p *parser) weight(line int, text string) (weight uint16, ok bool) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxWeight {
		p.wrong(line, "the weight %q must be a whole number from 1 to %d", text, maxWeight)
		return 0, false
	}
	return uint16(n), true
}

// lines reads one member a line.
func (p *parser) lines(text string) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.FieldsFunc(line, unicode.IsSpace)
		if i := slices.IndexFunc(fields, func(f string) bool { return strings.HasPrefix(f, "#") }); i >= 0 {
			fields = fields[:i]
		}
		switch len(fields) {
		case 0:
		case 2, 3:
			peer := gcnode.Peer{ID: fields[0], Addr: fields[1], Weight: 1}
			ok := true
			if len(fields) == 3 {
				peer.Weight, ok = p.weight(number, fields[2])
			}
			if ok {
				p.add(number, peer)
			}
		default:
			p.wrong(number, "a line must be an id, a url and, if it is not 1, a weight, such as: cache-1 http://10.0.0.5:7001/ 2; this one has %d words", len(fields))
		}
	}
}

// yaml reads a YAML document.
func (p *parser) yaml(data []byte) {
	loader, err := yaml.NewLoader(strings.NewReader(string(data)))
	if err != nil {
		p.wrong(0, "%w", err)
		return
	}
	var document, more yaml.Node
	switch err := loader.Load(&document); {
	case errors.Is(err, io.EOF):
		return // empty
	case err != nil:
		p.notYAML(err)
		return
	}
	switch err := loader.Load(&more); {
	case err == nil:
		p.wrong(more.Line, "a second document begins here; the file must hold one")
		return
	case !errors.Is(err, io.EOF):
		p.notYAML(err)
		return
	}
	root := &document
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		root = target(root.Content[0])
	}
	if root.Kind == yaml.MappingNode {
		values := p.mapping(root, "peers")
		if root = values["peers"]; root == nil {
			return
		}
	}
	switch {
	case root.Kind == yaml.SequenceNode:
		for _, item := range root.Content {
			p.item(item.Line, target(item))
		}
	case isNull(root):
	default:
		p.wrong(root.Line, "must be a list of members, each with id and url")
	}
}

// notYAML reports what the YAML library refused.
func (p *parser) notYAML(err error) {
	if refused, ok := errors.AsType[*yaml.LoadError](err); ok {
		p.wrong(refused.Mark.Line, "is not as YAML should be: %s", refused.Message)
		return
	}
	p.wrong(0, "is not YAML: %w", err)
}

// item reads one member of a YAML list.
func (p *parser) item(line int, node *yaml.Node) {
	if node.Kind != yaml.MappingNode {
		p.wrong(line, "a member must have id and url, such as {id: cache-1, url: \"http://10.0.0.5:7001/\"}")
		return
	}
	before := len(p.errs)
	values := p.mapping(node, "id", "url", "weight")
	peer := gcnode.Peer{ID: p.text(line, values, "id"), Addr: p.text(line, values, "url"), Weight: 1}
	if w := values["weight"]; w != nil {
		peer.Weight, _ = p.weight(w.Line, w.Value)
	}
	if len(p.errs) == before {
		p.add(line, peer)
	}
}

// text is a text that must be there.
func (p *parser) text(line int, values map[string]*yaml.Node, key string) string {
	node := values[key]
	if node == nil || isNull(node) {
		p.wrong(line, "the member has no %s", key)
		return ""
	}
	if node.Kind != yaml.ScalarNode || node.Value == "" || strings.ContainsFunc(node.Value, unicode.IsSpace) {
		p.wrong(node.Line, "%s must be one word", key)
	}
	return node.Value
}

// mapping is the values of a mapping with some keys at most.
func (p *parser) mapping(node *yaml.Node, keys ...string) map[string]*yaml.Node {
	values := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		switch {
		case !slices.Contains(keys, key.Value):
			p.wrong(key.Line, "there is no setting %q here; there are %s", key.Value, strings.Join(keys, ", "))
		case values[key.Value] != nil:
			p.wrong(key.Line, "%s is set twice", key.Value)
		default:
			values[key.Value] = target(node.Content[i+1])
		}
	}
	return values
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
