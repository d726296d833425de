package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// startTime only catches hangs.
const startTime = time.Minute

// TestMain starts the server that the example needs.
func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	server, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	server.Start()
	defer server.WaitForShutdown()
	defer server.Shutdown()
	if !server.ReadyForConnections(startTime) {
		fmt.Fprintln(os.Stderr, "the NATS server does not start")
		return 1
	}
	if err := os.Setenv("NATS_URL", server.ClientURL()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func Example() {
	main()
	// Output:
	// loading ann
	// got ann@example.com
	// got ann@example.com
	// got ann@example.com
	// loading ann
	// got ann@example.com again
	// loading nobody
	// nobody is not found: true
}
