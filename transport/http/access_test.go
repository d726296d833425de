package httptransport_test

import (
	"context"
	"math"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// removalBy takes a key out of a group in the name of a sender.
func removalBy(sender, group string) gcnode.Removal {
	return gcnode.Removal{ID: gcnode.RemovalID{Sender: sender, Incarnation: 1, Seq: 1}, Group: group, Keys: []string{"k"}}
}

// stamped is a removal with a time so far ahead.
func stamped(sender string, ahead time.Duration) gcnode.Request {
	r := removalBy(sender, "catalog")
	r.Stamp.Time = time.Now().Add(ahead).UnixNano()
	return gcnode.Request{Op: gcnode.OpRemove, Removals: []gcnode.Removal{r}}
}

// TestWhoMayDoWhat asks for everything in all names, over both ways.
func TestWhoMayDoWhat(t *testing.T) {
	ids := []string{"node", "shop", "job", "nobody"}
	access := httptransport.NewAccess(map[string]httptransport.Grant{
		"node": {Member: true},
		"shop": {Read: []string{"catalog", "prices"}, Write: []string{"catalog"}},
		"job":  {Remove: []string{httptransport.EveryGroup}},
	})
	m, served := guarded(t, httptransport.HandlerOptions{Secrets: secrets(t, ids...), Access: access})
	in := func(req gcnode.Request, group string) gcnode.Request {
		req.Group, req.Keys = group, []string{"k"}
		return req
	}
	tests := []struct {
		what string
		req  gcnode.Request // as it is from "shop/1", or the name in its place
		may  map[string]string
	}{
		{"fetch", in(gcnode.Request{Op: gcnode.OpFetch}, "catalog"), map[string]string{"shop": "", "job": `"job" may not read values of the group "catalog"`}},
		{"peek", in(gcnode.Request{Op: gcnode.OpPeek}, "prices"), map[string]string{"shop": "", "job": `"job" may not read values of the group "prices"`}},
		{"fetch elsewhere", in(gcnode.Request{Op: gcnode.OpFetch}, "secret"), map[string]string{"shop": `"shop" may not read values of the group "secret"`}},
		{"fetch in no group", in(gcnode.Request{Op: gcnode.OpFetch}, ""), map[string]string{"shop": `"shop" may not read values of the group ""`}},
		{"keys", gcnode.Request{Op: gcnode.OpKeys, Group: "secret"}, map[string]string{"shop": `"shop" may not read values of the group "secret"`}},
		{
			"fetch with a removal", func() gcnode.Request {
				req := in(gcnode.Request{Op: gcnode.OpFetch}, "catalog")
				req.Removals = []gcnode.Removal{removalBy("shop/1", "catalog")}
				return req
			}(), map[string]string{"shop": `"shop" may not remove values of the group "catalog"`},
		},
		{
			"remove",
			gcnode.Request{Op: gcnode.OpRemove, Removals: []gcnode.Removal{removalBy("job/1", "catalog")}},
			map[string]string{"job": "", "shop": `"shop" may not remove in the name of "job/1"`},
		},
		{
			"remove in the name of a member",
			gcnode.Request{Op: gcnode.OpRemove, Removals: []gcnode.Removal{removalBy("node", "catalog")}},
			map[string]string{"job": `"job" may not remove in the name of "node"`},
		},
		{
			"set", func() gcnode.Request {
				req := in(gcnode.Request{Op: gcnode.OpSet}, "catalog")
				req.Removals = []gcnode.Removal{removalBy("shop/1", "catalog")}
				return req
			}(), map[string]string{"shop": "", "job": `"job" may not write values of the group "catalog"`},
		},
		{"set elsewhere", in(gcnode.Request{Op: gcnode.OpSet}, "prices"), map[string]string{"shop": `"shop" may not write values of the group "prices"`}},
		{
			"set with a removal elsewhere", func() gcnode.Request {
				req := in(gcnode.Request{Op: gcnode.OpSet}, "catalog")
				req.Removals = []gcnode.Removal{removalBy("shop/1", "prices")}
				return req
			}(), map[string]string{"shop": `"shop" may not remove values of the group "prices"`},
		},
		{
			"set with a removal of all", func() gcnode.Request {
				req := in(gcnode.Request{Op: gcnode.OpSet}, "catalog")
				req.Removals = []gcnode.Removal{removalBy("shop/1", "catalog")}
				req.Removals[0].Keys, req.Removals[0].All = nil, true
				return req
			}(), map[string]string{"shop": `"shop" may not remove values of the group "catalog"`},
		},
		{
			"set with two removals", func() gcnode.Request {
				req := in(gcnode.Request{Op: gcnode.OpSet}, "catalog")
				req.Removals = []gcnode.Removal{removalBy("shop/1", "catalog"), removalBy("shop/1", "catalog")}
				return req
			}(), map[string]string{"shop": `"shop" may not remove values of the group "catalog"`},
		},
		{
			"remove with a stamp", stamped("job/1", time.Hour),
			map[string]string{"job": ""},
		},
		{
			"remove with a stamp that leaves no time for others", stamped("job/1", 10_000*time.Hour),
			map[string]string{"job": `"job" is no member, and has a stamp that is more than 8760h0m0s ahead of the clock here`},
		},
		{
			"set with such a stamp", func() gcnode.Request {
				req := in(stamped("shop/1", 0), "catalog")
				req.Op, req.Stamp = gcnode.OpSet, gcnode.Stamp{Time: math.MaxInt64}
				return req
			}(), map[string]string{"shop": `"shop" is no member, and has a stamp that is more than`},
		},
		{
			"finish",
			gcnode.Request{Op: gcnode.OpFinish, Finished: []gcnode.RemovalID{{Sender: "job/1"}}},
			map[string]string{"job": "", "shop": `"shop" may not finish: it may not remove values of any group`},
		},
		{
			"finish for a member",
			gcnode.Request{Op: gcnode.OpFinish, Finished: []gcnode.RemovalID{{Sender: "node"}}},
			map[string]string{"job": `"job" may not remove in the name of "node"`},
		},
		{"sync", gcnode.Request{Op: gcnode.OpSync}, map[string]string{"job": "", "shop": `"shop" may not sync: it may not remove values of any group`}},
		{"hello", gcnode.Request{Op: gcnode.OpHello}, map[string]string{"job": `"job" may not say hello: it is no member`}},
		{"goodbye", gcnode.Request{Op: gcnode.OpGoodbye}, map[string]string{"shop": `"shop" may not say goodbye: it is no member`}},
		{"gone", gcnode.Request{Op: gcnode.OpGone}, map[string]string{"shop": `"shop" may not say gone: it is no member`}},
		{"report", gcnode.Request{Op: gcnode.OpReport}, map[string]string{"job": `"job" may not say report: it is no member`}},
	}
	for way, opts := range ways() {
		clients := map[string]*httptransport.Client{}
		for _, id := range ids {
			opts.Secrets = secrets(t, id)
			clients[id] = newClient(t, opts)
		}
		for _, test := range tests {
			test.may["node"], test.may["nobody"] = "", `"nobody" may do nothing here: it is not in the access list`
			for id, says := range test.may {
				req, before := test.req, served.Load()
				req.From.ID = id
				if id != "node" {
					req.From.ID += "/1"
				}
				var got collect
				err := clients[id].RoundTrip(t.Context(), gcnode.Peer{ID: "a", Addr: m.URL}, &req, &got)
				require.NoError(t, err, "%s: %s by %s", way, test.what, id)
				if says == "" {
					require.Equal(t, before+1, served.Load(), "%s: %s by %s: %+v", way, test.what, id, got.replies)
					continue
				}
				require.Equal(t, before, served.Load(), "%s: %s by %s is served", way, test.what, id)
				require.NotEmpty(t, got.replies)
				for _, r := range got.replies {
					require.ErrorIs(t, r.Err, gcnode.ErrDenied)
					require.ErrorContains(t, r.Err, says, "%s: %s by %s", way, test.what, id)
				}
			}
		}
		// Who is no member does not speak in the name of one.
		_, err := fetchFrom(t, clients["shop"], "a", m.URL, "k")
		require.NoError(t, err)
		var got collect
		require.NoError(t, clients["shop"].RoundTrip(t.Context(), gcnode.Peer{ID: "a", Addr: m.URL},
			&gcnode.Request{Op: gcnode.OpFetch, From: gcnode.Sender{ID: "node"}, Group: "catalog", Keys: []string{"k"}}, &got))
		require.ErrorContains(t, got.replies[0].Err, `the ID in its requests begins with "shop/"; it is "node"`)
	}

	// Another list holds for streams that are there.
	opts := httptransport.ClientOptions{Secrets: secrets(t, "shop")}
	client := newClient(t, opts)
	ask := func() *gcnode.Error {
		var got collect
		require.NoError(t, client.RoundTrip(t.Context(), gcnode.Peer{ID: "a", Addr: m.URL},
			&gcnode.Request{Op: gcnode.OpFetch, From: gcnode.Sender{ID: "shop/1"}, Group: "catalog", Keys: []string{"k"}}, &got))
		return got.replies[0].Err
	}
	require.Nil(t, ask())
	access.Set(map[string]httptransport.Grant{"shop": {Read: []string{"prices"}}})
	require.ErrorIs(t, ask(), gcnode.ErrDenied)
	require.EqualValues(t, 1, statsOf(t, client).Streams)
}

// TestClientsLeavePlacesToMembers has a client with many connections and requests
// that take long.
func TestClientsLeavePlacesToMembers(t *testing.T) {
	access := httptransport.NewAccess(map[string]httptransport.Grant{"node": {Member: true}, "shop": {Read: []string{"g"}}})
	for way, opts := range ways() {
		t.Run(way, func(t *testing.T) {
			serving, release := make(chan struct{}), make(chan struct{})
			finish := sync.OnceFunc(func() { close(release) })
			m := serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
				select {
				case serving <- struct{}{}:
				case <-release:
				}
				<-release
				return echo(ctx, req, w)
			}), httptransport.HandlerOptions{Self: "a", Secrets: secrets(t, "node", "shop"), Access: access, MaxConcurrent: 4, MaxPerStream: 1})
			defer finish()
			ask := func(id string) chan *gcnode.Error {
				opts.Secrets = secrets(t, id)
				client, answered := newClient(t, opts), make(chan *gcnode.Error, 1) // with a stream of its own
				go func() {
					got, err := fetchAs(t, client, id, m.URL)
					assert.NoError(t, err)
					answered <- got
				}()
				return answered
			}
			refused := func(id, says string) {
				select {
				case err := <-ask(id):
					require.ErrorIs(t, err, gcnode.ErrOverloaded)
					require.ErrorContains(t, err, says)
				case <-serving:
					require.FailNow(t, "it is served")
				}
			}
			var served []chan *gcnode.Error
			for range 2 {
				served = append(served, ask("shop"))
				<-serving
			}
			for range 3 {
				refused("shop", "2 requests of clients are being served")
			}
			for range 2 {
				served = append(served, ask("node"))
				<-serving
			}
			refused("node", "4 requests are being served")
			finish()
			for _, answered := range served {
				require.Nil(t, <-answered)
			}
			require.Eventually(t, func() bool { // the places are free a moment after the answer
				return <-ask("shop") == nil
			}, patience, time.Millisecond)
		})
	}
}

// fetchAs asks the member "a" for a key of the group "g" as an identity, and
// returns the error of the reply.
func fetchAs(t *testing.T, c *httptransport.Client, id, addr string) (*gcnode.Error, error) {
	t.Helper()
	var got collect
	err := c.RoundTrip(t.Context(), gcnode.Peer{ID: "a", Addr: addr},
		&gcnode.Request{Op: gcnode.OpFetch, From: gcnode.Sender{ID: id + "/1"}, Group: "g", Keys: []string{"k"}}, &got)
	if err != nil || len(got.replies) != 1 {
		return nil, err
	}
	return got.replies[0].Err, nil
}

// TestClientsAreNotToldWhatMembersAre asks for the time as a client does.
func TestClientsAreNotToldWhatMembersAre(t *testing.T) {
	access := httptransport.NewAccess(map[string]httptransport.Grant{"node": {Member: true}, "job": {Remove: []string{"g"}}})
	whole := gcnode.Ack{
		Incarnation: 1, Members: []gcnode.Peer{{ID: "a", Addr: "http://a/"}}, Left: []gcnode.Sender{{ID: "b"}}, Lives: []gcnode.Sender{{ID: "c"}},
		Time: 5, Known: []gcnode.Known{{Sender: gcnode.Sender{ID: "d"}, Seq: 1}}, Removals: []gcnode.Removal{removalBy("d", "secret")},
	}
	m := serve(t, handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		return w.WriteReply(gcnode.Reply{Ack: &whole})
	}), httptransport.HandlerOptions{Self: "a", Secrets: secrets(t, "node", "job"), Access: access})
	for way, opts := range ways() {
		for id, want := range map[string]gcnode.Ack{
			"node": whole,
			"job":  {Incarnation: 1, Members: whole.Members, Time: 5},
		} {
			opts.Secrets = secrets(t, id)
			var got collect
			require.NoError(t, newClient(t, opts).RoundTrip(t.Context(), gcnode.Peer{ID: "a", Addr: m.URL},
				&gcnode.Request{Op: gcnode.OpSync, From: gcnode.Sender{ID: id + "/1"}}, &got))
			want.Members = []gcnode.Peer{{ID: "a", Addr: "http://a/", Weight: got.replies[0].Ack.Members[0].Weight}}
			require.Equal(t, want, *got.replies[0].Ack, way)
		}
	}
}

// TestNamesOfCertificatesAreIdentities has members that sign nothing.
func TestNamesOfCertificatesAreIdentities(t *testing.T) {
	list := members(t, "a", "b", "c")
	access := httptransport.NewAccess(map[string]httptransport.Grant{"a": {Member: true}, "b": {Read: []string{"catalog"}}})
	for way, opts := range ways() {
		server := httptest.NewUnstartedServer(newHandler(t, handlerFunc(echo), httptransport.HandlerOptions{Access: access}))
		server.TLS = list["a"].Members("")
		server.StartTLS()
		t.Cleanup(server.Close)
		for id, says := range map[string]string{
			"a": "", "b": `"b" may not read values of the group "g"`, "c": `"c" may do nothing here: it is not in the access list`,
		} {
			opts.TLS = list[id].Client
			var got collect
			require.NoError(t, newClient(t, opts).RoundTrip(t.Context(), gcnode.Peer{Addr: server.URL},
				&gcnode.Request{Op: gcnode.OpFetch, From: gcnode.Sender{ID: id + "/1"}, Group: "g", Keys: []string{"k"}}, &got), way)
			if says == "" {
				assert.Nil(t, got.replies[0].Err)
				continue
			}
			assert.ErrorIs(t, got.replies[0].Err, gcnode.ErrDenied)
			assert.ErrorContains(t, got.replies[0].Err, says)
		}
	}
	plain := serve(t, handlerFunc(echo), httptransport.HandlerOptions{Access: access})
	got, err := fetch(t.Context(), newClient(t, httptransport.ClientOptions{}), plain.URL, "k")
	require.NoError(t, err)
	require.ErrorContains(t, got[0].Err, "nobody knows who asks")
}
