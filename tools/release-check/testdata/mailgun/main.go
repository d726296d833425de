// Command mailgun uses mailgun/groupcache v2, and is moved to compat/mailgun.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/mailgun/groupcache/v2"
)

func main() {
	greetings := groupcache.NewGroup("greetings", 1<<20, groupcache.GetterFunc(
		func(_ context.Context, name string, dest groupcache.Sink) error {
			return dest.SetString("hello, "+name, time.Now().Add(time.Minute))
		}))
	var greeting string
	if err := greetings.Get(context.Background(), "world", groupcache.StringSink(&greeting)); err != nil {
		log.Fatal(err)
	}
	fmt.Println(greeting)
}
