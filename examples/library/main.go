// Library is the shortest use of the cache inside a program: one node, one
// group, a getter.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "library example:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	greet := gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue("Hello, " + key), Keep: gcnode.For(time.Minute)}, nil
	})
	node, err := gcnode.NewNode(gcnode.Config{}) // with a Transport and SetPeers: a cluster
	if err != nil {
		return err
	}
	group, err := node.Group("greetings", greet, gcnode.GroupOptions{MaxBytes: 64 << 20})
	if err != nil {
		return err
	}
	v, err := group.Get(ctx, "ann") // loaded once, however many ask at the same time
	fmt.Println(v, err)
	return group.Remove(ctx, "ann") // nil: no member serves it any more
}
