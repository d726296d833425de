package discovery_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/discovery"
)

func TestListsInBothForms(t *testing.T) {
	want := []gcnode.Peer{{ID: "a", Addr: "http://a:1/", Weight: 1}, {ID: "b", Addr: "http://b:1/", Weight: 65535}}
	for name, text := range map[string]string{
		"peers":      "# ours\n\na http://a:1/\n\tb   http://b:1/ 65535 # heavy\r\n",
		"peers.txt":  "a http://a:1/ 1\nb http://b:1/ 65535",
		"peers.yaml": "# ours\n- id: a\n  url: http://a:1/\n- {id: b, url: \"http://b:1/\", weight: 65535}\n",
		"peers.YML":  "peers:\n  - {id: a, url: http://a:1/}\n  - {id: b, url: http://b:1/, weight: 65535}\n",
		"peers.json": `{"peers": [{"id": "a", "url": "http://a:1/"}, {"id": "b", "url": "http://b:1/", "weight": 65535}]}`,
		"alias.yaml": "- {id: a, url: &u http://a:1/, weight: 1}\n- {id: b, url: http://b:1/, weight: 65535}\n",
	} {
		got, err := discovery.ParseList(name, []byte(text), nil)
		require.NoError(t, err, name)
		assert.Equal(t, want, got, name)
	}
	got, err := discovery.ParseList("x", []byte("a http://a:1/#fragment\n"), nil)
	require.NoError(t, err)
	assert.Equal(t, "http://a:1/#fragment", got[0].Addr, "only a # after a space begins a comment")
}

func TestEverythingThatIsWrongWithAListIsSaid(t *testing.T) {
	for _, c := range []struct {
		name, text string
		says       []string
	}{
		{"peers", "a\nb http://b/ 0\nc http://c/ 1 1\nd http://d/ x\n", []string{
			"peers:1: a line must be an id, a url and, if it is not 1, a weight, such as: cache-1 http://10.0.0.5:7001/ 2; this one has 1 words",
			`peers:2: the weight "0" must be a whole number from 1 to 65535`,
			"peers:3: a line must be",
			`peers:4: the weight "x"`,
		}},
		{"peers", "a http://a/\nb http://a/\na http://c/\n" + strings.Repeat("x", 257) + " http://x/\n", []string{
			`peers:2: the url "http://a/" is already that of line 1`,
			`peers:3: the id "a" is already that of line 1`,
			"peers:4: the id \"xxx",
		}},
		{"peers", "\xff", []string{"peers: must be UTF-8 text"}},
		{"peers", " \n# none\n", []string{"peers: the list of members is empty"}},
		{"p%d.yaml", "- {id: a}\n- {url: http://b/}\n- {id: c d, url: [x]}\n- {id: e, url: http://e/, weight: 65536, extra: 1}\n- {id: f, id: g, url: http://f/}\n- h\n", []string{
			"p%d.yaml:1: the member has no url",
			"p%d.yaml:2: the member has no id",
			"p%d.yaml:3: id must be one word",
			"p%d.yaml:3: url must be one word",
			`p%d.yaml:4: there is no setting "extra" here; there are id, url, weight`,
			`p%d.yaml:4: the weight "65536"`,
			"p%d.yaml:5: id is set twice",
			"p%d.yaml:6: a member must have id and url",
		}},
		{"p.yaml", "members: []\n", []string{`p.yaml:1: there is no setting "members" here; there are peers`}},
		{"p.yaml", "peers: a\n", []string{"p.yaml:1: must be a list of members"}},
		{"p.yaml", "peers:\n", []string{"p.yaml: the list of members is empty"}},
		{"p.yaml", "- {id: a, url: u}\n---\n- {id: b, url: v}\n", []string{"a second document begins here"}},
		{"p.yaml", "- {id: a\n", []string{"p.yaml:", "is not as YAML should be"}},
	} {
		_, err := discovery.ParseList(c.name, []byte(c.text), nil)
		require.Error(t, err, c.text)
		for _, says := range c.says {
			require.ErrorContains(t, err, says, "%s: %s", c.name, c.text)
		}
	}
}

func TestAListThatIsTooLongIsRefused(t *testing.T) {
	var b strings.Builder
	for i := range gcnode.MaxPeers {
		fmt.Fprintf(&b, "n%d http://n%d/\n", i, i)
	}
	_, err := discovery.ParseList("peers", []byte(b.String()), nil)
	require.NoError(t, err)
	b.WriteString("one http://more/\n")
	_, err = discovery.ParseList("peers", []byte(b.String()), nil)
	require.ErrorContains(t, err, "peers:4097: there are more than 4096 members")
}

func TestMembersAreCheckedAndCompleted(t *testing.T) {
	refused := errors.New("must be http")
	check := func(p *gcnode.Peer) error {
		if !strings.HasPrefix(p.Addr, "http:") {
			return refused
		}
		p.Addr = strings.ToLower(p.Addr)
		return nil
	}
	got, err := discovery.ParseList("peers", []byte("a http://A/\n"), check)
	require.NoError(t, err)
	assert.Equal(t, peers("a"), got)
	_, err = discovery.ParseList("peers", []byte("a http://A/\nb nats://b\nc http://a/\n"), check)
	require.ErrorIs(t, err, refused)
	require.ErrorContains(t, err, "peers:2: must be http")
	require.ErrorContains(t, err, `peers:3: the url "http://a/" is already that of line 1`)
}

func FuzzParseList(f *testing.F) {
	f.Add("peers", []byte("a http://a/ 2\n"))
	f.Add("p.yaml", []byte("peers: [{id: a, url: http://a/, weight: 2}, &x {id: b, url: b}]"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		list, err := discovery.ParseList(name, data, nil)
		if err != nil {
			assert.Empty(t, list)
			return
		}
		require.NotEmpty(t, list)
		seen := map[string]bool{}
		for _, p := range list {
			assert.False(t, seen[p.ID], "%q twice", p.ID)
			seen[p.ID] = true
			assert.NotEmpty(t, p.ID)
			assert.NotEmpty(t, p.Addr)
			assert.NotZero(t, p.Weight)
		}
	})
}
