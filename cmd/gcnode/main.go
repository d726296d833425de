// Command gcnode runs a node of a distributed read-through cache, and talks
// to running ones.
package main

import (
	"context"
	"os"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
