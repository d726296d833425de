package remote

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// netHTTP is the floor of everything that uses net/http in the ordinary way.
func netHTTP() Contestant {
	return Contestant{
		Name: "net-http",
		serve: func(content Content) (*server, error) {
			values := content.values()
			return serveHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				value, ok := values[strings.TrimPrefix(r.URL.Path, "/")]
				if !ok {
					http.NotFound(w, r)
					return
				}
				w.Header().Set("Content-Length", strconv.Itoa(len(value)))
				_, _ = w.Write(value)
			}))
		},
		dial: func(_ context.Context, addr string) (*Client, error) {
			client := &http.Client{Transport: newTransport()}
			url := "http://" + addr + "/"
			return &Client{
				Get: func(ctx context.Context, want Want) error {
					value, err := getHTTP(ctx, client, url+want.Key)
					if err != nil {
						return err
					}
					return check(want, value)
				},
				Close: func() error { client.CloseIdleConnections(); return nil },
			}, nil
		},
	}
}

// newTransport keeps a connection for each caller.
func newTransport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: mostCallers, DisableCompression: true}
}

func getHTTP(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK || resp.ContentLength < 0 {
		return nil, fmt.Errorf("%s: %s with a length of %d", url, resp.Status, resp.ContentLength)
	}
	value := make([]byte, resp.ContentLength)
	if _, err := io.ReadFull(resp.Body, value); err != nil {
		return nil, err
	}
	return value, nil
}

// listen listens on a port of its own.
func listen() (net.Listener, error) {
	return new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
}

// serveHTTP serves h on a port of its own.
func serveHTTP(h http.Handler) (*server, error) {
	listener, err := listen()
	if err != nil {
		return nil, err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(listener) }()
	return &server{addr: listener.Addr().String(), close: func() { _ = s.Close() }}, nil
}
