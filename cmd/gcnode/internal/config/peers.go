package config

import (
	"fmt"
	"slices"
	"strings"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// peerSecrets reads the secrets by which members know each other.
func (r *reader) peerSecrets(in *section, cfg *Config) {
	owners := map[string]string{}
	for _, e := range in.entries {
		r.peerIDs = append(r.peerIDs, e.key)
		at, content, ok := r.secretText(in.section(e.key), "a secret of members")
		if !ok {
			continue
		}
		lines := secretLines(content)
		if len(lines) != 1 {
			at.wrong("there must be one secret in it, not %d: each has an id of its own", len(lines))
			continue
		}
		secret := httptransport.Secret{ID: e.key, Secret: lines[0]}
		checkSecret(at, secret.Secret, httptransport.MinSecretBytes)
		if err := secret.CheckID(); err != nil {
			in.wrongKey(e.key, err.Error())
		}
		if other, there := owners[secret.Secret]; there {
			in.wrongKey(e.key, fmt.Sprintf("has the same secret as %q", other))
		}
		owners[secret.Secret] = e.key
		cfg.PeerSecrets = append(cfg.PeerSecrets, secret)
	}
}

// checkUnsigned checks that what is not signed could come, and could be let in.
func (r *reader) checkUnsigned(file *section, cfg *Config) {
	const key = "peer_accept_unsigned"
	switch {
	case !cfg.PeerAcceptUnsigned:
	case len(r.peerIDs) == 0:
		file.wrongKey(key, "nothing is signed without peer_secrets: set those, or take this out")
	case cfg.PeerAccess != nil && !cfg.PeerTLS.On():
		file.wrongKey(key, "peer_access knows a node that does not sign by its certificate, and there is no peer_tls: set peer_access when all nodes sign")
	}
}

// peerLimits reads how much other nodes may ask for at the same time.
func (r *reader) peerLimits(in *section, cfg *Config) {
	limits := &cfg.PeerLimits
	in.count("max_requests", &limits.MaxRequests, 1, maxRequests)
	in.count("max_per_stream", &limits.MaxPerStream, 1, maxRequests)
	in.size("max_request_bytes", &limits.MaxRequestBytes, minPeerBytes, maxGroupBytes)
	in.close()
	if limits.MaxPerStream > limits.MaxRequests {
		in.wrongKey("max_per_stream", fmt.Sprintf("%d are more than max_requests, which is %d", limits.MaxPerStream, limits.MaxRequests))
	}
}

// peerAccess reads what members and their clients may do.
func (r *reader) peerAccess(file *section, cfg *Config) {
	in := file.section("peer_access")
	for _, e := range in.entries {
		one := in.section(e.key)
		var grant httptransport.Grant
		one.boolean("member", &grant.Member)
		grant.Read, grant.Write, grant.Remove = groupNames(one, "read", cfg), groupNames(one, "write", cfg), groupNames(one, "remove", cfg)
		one.close()
		if cfg.PeerAccess == nil {
			cfg.PeerAccess = map[string]httptransport.Grant{}
		}
		cfg.PeerAccess[e.key] = grant
		r.checkPeer(in, e.key, cfg)
	}
	if len(in.entries) == 0 || in.broken {
		return
	}
	for i, secret := range cfg.PeerSecrets {
		switch grant, there := cfg.PeerAccess[secret.ID]; {
		case !there:
			in.missing(secret.ID, "a secret that may do nothing is of no use ({member: true} is for members)")
		case i == 0 && !grant.Member:
			in.wrongKey(secret.ID, "this node signs with the first of peer_secrets, so that needs member: true")
		}
	}
}

// checkPeer reports an identity that nobody can have, or that means nothing.
func (r *reader) checkPeer(in *section, name string, cfg *Config) {
	isSecret := slices.Contains(r.peerIDs, name)
	grant := cfg.PeerAccess[name]
	switch {
	case isSecret && grant.Member && len(grant.Read)+len(grant.Write)+len(grant.Remove) > 0:
		in.wrongKey(name, "a member may do everything: take out read, write and remove, or member")
	case !isSecret && len(r.peerIDs) > 0 && (!cfg.PeerAcceptUnsigned || !cfg.PeerTLS.On()):
		in.wrongKey(name, "nobody can be this: peer_secrets has no such id")
	case !isSecret && !cfg.PeerTLS.On():
		in.wrongKey(name, "nobody can be this: there are no peer_secrets and no peer_tls")
	}
	nodes := append([]gcnode.Peer{{ID: cfg.ID}}, cfg.Peers...)
	if i := slices.IndexFunc(nodes, func(p gcnode.Peer) bool { return strings.HasPrefix(p.ID, name+"/") }); i >= 0 && !grant.Member {
		in.wrongKey(name, fmt.Sprintf("the ids of this client begin with %q, as that of the node %q does: give one of them another name",
			name+"/", nodes[i].ID))
	}
}
