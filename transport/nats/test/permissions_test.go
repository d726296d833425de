package test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

// rights are what a user may do.
type rights struct {
	publish, subscribe []string
	response           *natsserver.ResponsePermission
}

// documented is the part of the chapter on permissions in docs/operations.md that
// begins so: the configuration of a NATS server, for the node n1 of the cluster
// "shop".
func documented(t *testing.T, begin string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "operations.md"))
	require.NoError(t, err)
	_, chapter, _ := strings.Cut(string(text), "\n### Permissions\n")
	chapter, _, _ = strings.Cut(chapter, "\n### ")
	for i, block := range strings.Split(chapter, "\n```\n") {
		if i%2 == 1 && strings.HasPrefix(strings.TrimSpace(block), begin) {
			return block
		}
	}
	require.Fail(t, "there is no such part", begin)
	return ""
}

// configured are the permissions of a user in a configuration with these parts,
// for all and for him.
func configured(t *testing.T, all, user string) *natsserver.Permissions {
	t.Helper()
	var opts natsserver.Options
	require.NoError(t, opts.ProcessConfigString("authorization: {\n"+all+"\nusers: [{user: u, password: p\n"+user+"\n}]}"))
	return opts.Users[0].Permissions
}

// rightsOf are those of a user with this configuration.
func rightsOf(t *testing.T, config string) rights {
	t.Helper()
	p := configured(t, "", config)
	return rights{p.Publish.Allow, p.Subscribe.Allow, p.Response}
}

// nodeRights are those that the documents give to a node of the cluster "shop".
func nodeRights(t *testing.T, id string) rights {
	t.Helper()
	return rightsOf(t, strings.ReplaceAll(documented(t, "permissions:"), ".n1\"", "."+id+"\""))
}

// archiveRights are those that the archive needs beside them.
func archiveRights(t *testing.T, id string) rights {
	t.Helper()
	r, more := nodeRights(t, id), rightsOf(t, "permissions: {"+documented(t, "publish:")+"}")
	r.publish, r.subscribe = append(r.publish, more.publish...), append(r.subscribe, more.subscribe...)
	return r
}

// user is one with a password that is the name.
func (r rights) user(name string) *natsserver.User {
	return &natsserver.User{Username: name, Password: name, Permissions: &natsserver.Permissions{
		Publish:   &natsserver.SubjectPermission{Allow: r.publish},
		Subscribe: &natsserver.SubjectPermission{Allow: r.subscribe},
		Response:  r.response,
	}}
}

// startNode starts all of a member of the cluster "shop" on a connection, and
// ends it with the test.
func startNode(t *testing.T, nc *nats.Conn, id string) (*gcnode.Node, error) {
	t.Helper()
	client, err := natstransport.NewClient(nc, natstransport.ClientOptions{Cluster: "shop"})
	if err != nil {
		return nil, err
	}
	t.Cleanup(client.Close)
	node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: id}, Transport: client})
	require.NoError(t, err)
	server, err := natstransport.Serve(nc, node, natstransport.ServerOptions{Cluster: "shop", ID: id})
	if err != nil {
		return nil, err
	}
	t.Cleanup(server.Close)
	self := gcnode.Peer{ID: id, Addr: server.Addr()}
	membership, err := natstransport.Announce(nc, self, natstransport.MembershipOptions{Cluster: "shop", Heartbeat: heartbeat})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		membership.Watch(ctx, func(peers []gcnode.Peer, err error) {
			if err == nil && len(peers) > 0 {
				if err := node.SetPeers(peers); err != nil {
					t.Error(err)
				}
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := node.Close(context.Background()); err != nil {
			t.Error(err)
		}
		membership.Close()
	})
	return node, nil
}

// asUser is a connection of the user.
func asUser(t *testing.T, s *natsserver.Server, name string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	return connect(t, s.ClientURL(), append(opts, nats.UserInfo(name, name))...)
}

// TestPermissionsSuffice has two nodes with the permissions of the documents and
// no others, which find each other, share values and remove them; the tools get
// their answers.
func TestPermissionsSuffice(t *testing.T) {
	refused := make(chan error, 10)
	s := startServer(t, func(o *natsserver.Options) {
		o.Users = []*natsserver.User{
			nodeRights(t, "n1").user("n1"), nodeRights(t, "n2").user("n2"),
			{Username: "tool", Password: "tool"},
		}
	})
	note := nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err })
	var nodes []*gcnode.Node
	var groups []*gcnode.Group
	loads := make(chan string, 10)
	for _, id := range []string{"n1", "n2"} {
		node, err := startNode(t, asUser(t, s, id, note), id)
		require.NoError(t, err)
		g, err := node.Group("g", gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
			loads <- key
			return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue("of " + key)}, nil
		}), gcnode.GroupOptions{MaxBytes: 1 << 20})
		require.NoError(t, err)
		nodes, groups = append(nodes, node), append(groups, g)
	}
	get := func() {
		for _, g := range groups {
			v, err := g.Get(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, "of k", v.String())
		}
	}
	eventually(t, func() bool { return len(nodes[0].Stats().Peers) == 1 && len(nodes[1].Stats().Peers) == 1 }, "they know each other")
	for _, node := range nodes {
		require.NoError(t, node.Joined(t.Context()))
	}
	get()
	require.Len(t, loads, 1)
	require.NoError(t, groups[0].Remove(t.Context(), "k"))
	get()
	require.Len(t, loads, 2)
	answer, err := asUser(t, s, "tool").Request("gcnode.shop.stats.n1", nil, patience)
	require.NoError(t, err)
	require.Contains(t, string(answer.Data), "requests")
	require.Empty(t, refused)
}

// TestEachPermissionIsNeeded takes them away one by one: the node does not
// start, and says which subject it is.
func TestEachPermissionIsNeeded(t *testing.T) {
	all := nodeRights(t, "n1")
	for i, subject := range slices.Concat(all.publish, all.subscribe) {
		less, what := all, "Publish"
		if i < len(all.publish) {
			less.publish = slices.Delete(slices.Clone(all.publish), i, i+1)
		} else {
			i -= len(all.publish)
			less.subscribe, what = slices.Delete(slices.Clone(all.subscribe), i, i+1), "Subscription"
		}
		t.Run(what+" "+subject, func(t *testing.T) {
			s := startServer(t, func(o *natsserver.Options) { o.Users = []*natsserver.User{less.user("n1")} })
			_, err := startNode(t, asUser(t, s, "n1"), "n1")
			require.ErrorIs(t, err, nats.ErrPermissionViolation)
			fixed, _, _ := strings.Cut(strings.TrimSuffix(subject, ">"), "*")
			require.ErrorContains(t, err, what+` to "`+fixed)
		})
	}
}

// TestPermissionsOfTheArchive keeps and replays removals with the permissions of
// the documents, and makes no archive without one of them.
func TestPermissionsOfTheArchive(t *testing.T) {
	all := archiveRights(t, "n1")
	open := func(t *testing.T, r rights, opts ...nats.Option) (*natstransport.Archive, error) {
		t.Helper()
		keep := withJetStream(t)
		s := startServer(t, func(o *natsserver.Options) {
			keep(o)
			o.Users = []*natsserver.User{r.user("n1")}
		})
		client := newClient(t, asUser(t, s, "n1", opts...), natstransport.ClientOptions{Cluster: "shop"})
		return natstransport.NewArchive(client, natstransport.ArchiveOptions{})
	}
	archive, err := open(t, all)
	require.NoError(t, err)
	req := &gcnode.Request{Op: gcnode.OpRemove, Removals: []gcnode.Removal{{Group: "g", Keys: []string{"k"}}}}
	require.NoError(t, archive.Broadcast(t.Context(), nil, req, nil))
	eventually(t, func() bool {
		kept := 0
		err := archive.Replay(t.Context(), func(gcnode.Removal) { kept++ })
		return err == nil && kept == 1
	}, "it is kept")

	for i := range all.publish {
		if subject := all.publish[i]; strings.HasPrefix(subject, "$JS") {
			t.Run(subject, func(t *testing.T) {
				less := all
				less.publish = slices.Delete(slices.Clone(all.publish), i, i+1)
				_, err := open(t, less)
				require.ErrorIs(t, err, nats.ErrPermissionViolation)
				require.ErrorContains(t, err, strings.TrimSuffix(subject, ">"))
			})
		}
	}
	t.Run("_INBOX.>", func(t *testing.T) {
		t.Parallel()
		less := all
		less.subscribe = all.subscribe[:len(all.subscribe)-1]
		_, err := open(t, less)
		require.ErrorIs(t, err, nats.ErrPermissionViolation)
		require.ErrorContains(t, err, "_INBOX.")
	})
	t.Run("another inbox", func(t *testing.T) {
		t.Parallel()
		_, err := open(t, all, nats.CustomInboxPrefix("mine"))
		require.ErrorIs(t, err, nats.ErrPermissionViolation)
		require.ErrorContains(t, err, "mine.")
	})
}

// TestWhoListensToEverythingHidesAbsence has one who subscribes to what nodes
// listen to, so that NATS cannot say that nobody is there; and one who may not.
func TestWhoListensToEverythingHidesAbsence(t *testing.T) {
	s := startServer(t, func(o *natsserver.Options) {
		o.Users = []*natsserver.User{
			nodeRights(t, "n1").user("n1"),
			{Username: "all", Password: "all"},
			{Username: "other", Password: "other", Permissions: configured(t, documented(t, "default_permissions:"), "")},
		}
	})
	client := newClient(t, asUser(t, s, "n1"), natstransport.ClientOptions{Cluster: "shop"})
	ask := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := fetch(ctx, client, "k")
		return err
	}
	listen := func(name string) {
		nc := asUser(t, s, name)
		_, err := nc.Subscribe("gcnode.>", func(*nats.Msg) {})
		require.NoError(t, err)
		require.NoError(t, nc.Flush())
	}
	listen("other")
	require.ErrorContains(t, ask(), "no responders")
	listen("all")
	require.ErrorIs(t, ask(), context.DeadlineExceeded, "it takes the time that a silent member has")
}
