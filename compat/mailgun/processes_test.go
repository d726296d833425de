package groupcache_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	groupcache "github.com/gcnode/gcnode/compat/mailgun"
)

// peersVariable has the URLs of all peers, first that of the process that is
// started as one of them.
const peersVariable = "GROUPCACHE_EXAMPLE_PEERS"

func TestMain(m *testing.M) {
	if list := os.Getenv(peersVariable); list != "" {
		bePeer(strings.Split(list, ","))
		return
	}
	goleak.VerifyTestMain(tests{m})
}

// tests are all tests, and the end of what they share.
type tests struct{ *testing.M }

// Run implements [goleak.TestingM].
func (t tests) Run() int {
	code := t.M.Run()
	groupcache.CloseShared()
	http.DefaultClient.CloseIdleConnections()
	return code
}

// processes are the other ones of an example.
type processes struct {
	urls  []string
	cmds  []*exec.Cmd
	pipes []io.Closer
}

// startOthers starts two more processes, and returns what this one needs to be a
// peer of theirs.
func startOthers() (self string, others *processes, l net.Listener) {
	var listeners [3]net.Listener
	var urls [3]string
	for i := range listeners {
		var err error
		if listeners[i], err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0"); err != nil {
			log.Fatal(err)
		}
		urls[i] = "http://" + listeners[i].Addr().String()
	}
	others = &processes{urls: urls[1:]}
	for i := 1; i < len(listeners); i++ {
		if err := others.start(listeners[i], urls[i], urls[(i+1)%3], urls[(i+2)%3]); err != nil {
			log.Fatal(err)
		}
	}
	return urls[0], others, listeners[0]
}

// start starts a process with a listener, and waits until it serves.
func (p *processes) start(l net.Listener, urls ...string) error {
	socket, ok := l.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("%T is no TCP listener", l)
	}
	file, err := socket.File()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(context.Background(), os.Args[0])
	cmd.Env = append(os.Environ(), peersVariable+"="+strings.Join(urls, ","))
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = os.Stderr
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut, cmd.Start(), file.Close(), l.Close()); err != nil {
		return err
	}
	p.cmds, p.pipes = append(p.cmds, cmd), append(p.pipes, in)
	_, err = bufio.NewReader(out).ReadString('\n')
	return err
}

// stop ends the processes, and lets this one begin anew.
func (p *processes) stop() {
	if err := groupcache.Restart(); err != nil {
		log.Print(err)
	}
	for i, cmd := range p.cmds {
		_ = p.pipes[i].Close()
		if err := cmd.Wait(); err != nil {
			log.Print(err)
		}
	}
}

// bePeer serves what the example has until its standard input ends.
func bePeer(urls []string) {
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		log.Fatal(err)
	}
	pool := groupcache.NewHTTPPool(urls[0])
	pool.Set(urls...)
	groupcache.NewGroup("users", 3_000_000, groupcache.GetterFunc(func(ctx context.Context, id string, dest groupcache.Sink) error {
		user, err := fetchUser(ctx, id)
		if err != nil {
			return err
		}
		return dest.SetProto(user, time.Now().Add(5*time.Minute))
	}))
	server := &http.Server{ReadHeaderTimeout: time.Minute} // its handler is the one of the process
	go func() { _ = server.Serve(l) }()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = server.Close()
}
