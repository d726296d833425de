package legacy

import (
	"slices"
	"sync/atomic"

	"github.com/gcnode/gcnode/compat/mailgun/consistenthash"
)

// DefaultReplicas is how many points a peer has on the ring.
const DefaultReplicas = 50

// Picker knows who owns which key. Its methods are called from many goroutines
// at once.
type Picker interface {
	// Pick is the owner of the key. It is not ok if that is this process.
	Pick(key string) (p Peer, ok bool)
	// Remote reports whether Pick is ok. Every hit asks for it.
	Remote(key string) bool
	// All are the peers, of which this process may be one.
	All() []Peer
}

// Peers are the processes on a list, by the ring of old ones. It is a [Picker].
type Peers struct {
	self     string
	replicas int
	hash     consistenthash.Hash
	client   *Client
	list     atomic.Pointer[list]
}

// list is one state of the list. It is immutable.
type list struct {
	ring   *consistenthash.Map
	peers  map[string]Peer
	all    []Peer // without this process
	listed []Peer // with it, ordered by URL
}

// NewPeers is an empty list, on which every key is this process's own. Self is
// its URL. With 0 replicas there are [DefaultReplicas], and without a hash it is
// that of the old library.
func NewPeers(self string, replicas int, hash consistenthash.Hash, client *Client) *Peers {
	if replicas == 0 {
		replicas = DefaultReplicas
	}
	p := &Peers{self: self, replicas: replicas, hash: hash, client: client}
	p.Set()
	return p
}

// Set replaces the list by the processes at these URLs. What is known of one that
// was on it before is kept.
func (p *Peers) Set(urls ...string) {
	old := p.list.Load()
	l := &list{ring: consistenthash.New(p.replicas, p.hash), peers: map[string]Peer{}}
	l.ring.Add(urls...)
	for _, url := range slices.Compact(slices.Sorted(slices.Values(urls))) {
		var peer Peer
		if old != nil {
			peer = old.peers[url]
		}
		if peer == nil {
			peer = p.client.Peer(url)
		}
		l.peers[url], l.listed = peer, append(l.listed, peer)
		if url != p.self {
			l.all = append(l.all, peer)
		}
	}
	p.list.Store(l)
}

// Pick implements [Picker].
func (p *Peers) Pick(key string) (Peer, bool) {
	l := p.list.Load()
	if l.ring.IsEmpty() {
		return nil, false
	}
	owner := l.ring.Get(key)
	return l.peers[owner], owner != p.self
}

// Remote implements [Picker].
func (p *Peers) Remote(key string) bool {
	l := p.list.Load()
	return !l.ring.IsEmpty() && l.ring.Get(key) != p.self
}

// Listed are all processes on the list, of which this one may be one.
func (p *Peers) Listed() []Peer { return p.list.Load().listed }

// All implements [Picker].
func (p *Peers) All() []Peer { return p.list.Load().all }
