package remote

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/rueidis"
)

// memcachedProgram is memcached. A connection carries one request at a time.
func memcachedProgram() Contestant {
	const program = "memcached"
	return Contestant{
		Name:    "memcached",
		program: program,
		serve: func(content Content) (*server, error) {
			s, err := startProgram(program, func(port string) []string {
				args := []string{"-l", "127.0.0.1", "-p", port, "-U", "0", "-I", "4m", "-m", strconv.FormatInt(capacity(content)>>20, 10)}
				if os.Getuid() == 0 {
					args = append(args, "-u", "root") // which it wants to be told
				}
				return args
			})
			if err != nil {
				return nil, err
			}
			client := newMemcacheClient(s.addr)
			defer func() { _ = client.Close() }()
			for key, value := range content.values() {
				if err := client.Set(&memcache.Item{Key: key, Value: value}); err != nil {
					s.close()
					return nil, err
				}
			}
			return s, nil
		},
		dial: func(_ context.Context, addr string) (*Client, error) {
			client := newMemcacheClient(addr)
			return &Client{
				Get: func(_ context.Context, want Want) error {
					item, err := client.Get(want.Key)
					if err != nil {
						return err
					}
					return check(want, item.Value)
				},
				Close: client.Close,
			}, nil
		},
	}
}

func newMemcacheClient(addr string) *memcache.Client {
	client := memcache.New(addr)
	client.MaxIdleConns, client.Timeout = mostCallers, startTime
	return client
}

// redisProgram is Redis, with a client that sends together what is asked for
// at the same time.
func redisProgram() Contestant {
	const program = "redis-server"
	return Contestant{
		Name:    "redis",
		program: program,
		serve: func(content Content) (*server, error) {
			s, err := startProgram(program, func(port string) []string {
				return []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no"}
			})
			if err != nil {
				return nil, err
			}
			client, err := newRedisClient(s.addr)
			if err != nil {
				s.close()
				return nil, err
			}
			defer client.Close()
			for key, value := range content.values() {
				set := client.B().Set().Key(key).Value(rueidis.BinaryString(value)).Build()
				if err := client.Do(context.Background(), set).Error(); err != nil {
					s.close()
					return nil, err
				}
			}
			return s, nil
		},
		dial: func(_ context.Context, addr string) (*Client, error) {
			client, err := newRedisClient(addr)
			if err != nil {
				return nil, err
			}
			return &Client{
				Get: func(ctx context.Context, want Want) error {
					value, err := client.Do(ctx, client.B().Get().Key(want.Key).Build()).ToString()
					if err != nil {
						return err
					}
					return check(want, value)
				},
				Close: func() error { client.Close(); return nil },
			}, nil
		},
	}
}

// newRedisClient returns a client that keeps no values itself.
func newRedisClient(addr string) (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true})
}

// startProgram starts a program that listens on the port that it is given, and
// waits until it does.
func startProgram(program string, args func(port string) []string) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args(port)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		stop()
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // whose error is in the state
	}()
	s := &server{addr: addr, pid: cmd.Process.Pid, close: func() {
		stop()
		<-ended
	}}
	deadline := time.After(startTime)
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return s, conn.Close()
		}
		select {
		case <-ended:
			stop()
			return nil, fmt.Errorf("%s has ended: %s", program, cmd.ProcessState)
		case <-deadline:
			s.close()
			return nil, fmt.Errorf("%s does not listen: %w", program, err)
		case <-time.After(time.Millisecond):
		}
	}
}

// freeAddr is an address on which nobody listens.
func freeAddr() (string, error) {
	listener, err := listen()
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
