package httptransport_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// discard is a gcnode.ReplyWriter that keeps nothing.
type discard struct{}

func (discard) WriteReply(gcnode.Reply) error { return nil }

// BenchmarkSigning fetches values of 128 bytes and of 1 MiB from a server in the
// same process: what signatures cost on both sides together.
func BenchmarkSigning(b *testing.B) {
	for _, way := range []string{"stream", "plain"} {
		for _, size := range []int{128, 1 << 20} {
			for _, callers := range []int{1, 16} {
				for _, signed := range []bool{false, true} {
					if size > 128 && callers > 1 {
						continue
					}
					var shared *httptransport.Secrets
					if signed {
						var err error
						if shared, err = httptransport.NewSecrets(secretList("k")...); err != nil {
							b.Fatal(err)
						}
					}
					b.Run(fmt.Sprintf("way=%s/size=%d/callers=%d/signed=%v", way, size, callers, signed), func(b *testing.B) {
						benchmarkSigning(b, httptransport.ClientOptions{Secrets: shared, Plain: way == "plain"}, size, callers)
					})
				}
			}
		}
	}
}

func benchmarkSigning(b *testing.B, opts httptransport.ClientOptions, size, callers int) {
	b.Helper()
	value := gcnode.StringValue(strings.Repeat("v", size))
	handler, err := httptransport.NewHandler(handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		return w.WriteReply(gcnode.Reply{Value: value})
	}), httptransport.HandlerOptions{Self: "a", Secrets: opts.Secrets})
	if err != nil {
		b.Fatal(err)
	}
	defer handler.Close()
	server := httptest.NewServer(handler)
	defer server.Close()
	client, err := httptransport.NewClient(opts)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	to := gcnode.Peer{ID: "a", Addr: server.URL}
	req := &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"a key of some length"}}
	fetch := func() {
		if err := client.RoundTrip(context.Background(), to, req, discard{}); err != nil {
			b.Error(err)
		}
	}
	fetch()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	if callers == 1 {
		for b.Loop() {
			fetch()
		}
		return
	}
	b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			fetch()
		}
	})
}
