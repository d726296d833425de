// Command stranger uses core the way its documentation says.
package main

import (
	"context"
	"fmt"
	"log"

	gcnode "github.com/gcnode/gcnode/core"
)

func main() {
	node, err := gcnode.NewNode(gcnode.Config{})
	if err != nil {
		log.Fatal(err)
	}
	load := func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue("hello, " + key)}, nil
	}
	group, err := node.Group("greetings", gcnode.GetterFunc[gcnode.Value](load), gcnode.GroupOptions{MaxBytes: 1 << 20})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	value, err := group.Get(ctx, "world")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(value)
	if err := node.Close(ctx); err != nil {
		log.Fatal(err)
	}
}
