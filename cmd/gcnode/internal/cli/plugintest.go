package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
)

// testCommand asks a project's module for what it has to answer.
type testCommand struct {
	projectDir

	LogLevel string `default:"warn" enum:"debug,info,warn,error" placeholder:"LEVEL" help:"What of its log is shown: debug, info, warn or error (default: ${default})."`
}

// Help implements [kong.HelpProvider].
func (*testCommand) Help() string {
	return `What a getter has to answer is in getter_test.yaml, beside the manifest: cases, each
with a key and a value, or the kind of an error, and how long it is to be kept. Under
origin are the answers of a server whose address becomes the setting of that name.

Examples:
  gcnode plugin test
  gcnode plugin test --log-level debug users`
}

// Run implements the command.
func (c *testCommand) Run(ctx context.Context, console *console) error {
	cases, err := config.LoadCases(filepath.Join(c.Dir, config.CasesName))
	if err != nil {
		return &statusError{status: statusUsage, err: err}
	}
	g := grants{LogLevel: c.LogLevel}
	for name, value := range cases.Config {
		g.Set = append(g.Set, name+"="+value)
	}
	if cases.Origin != nil {
		url, stop, err := serve(ctx, cases.Origin)
		if err != nil {
			return err
		}
		defer stop()
		g.Set = append(g.Set, "origin="+url)
		g.AllowFetch = []string{url}
	}
	m := module{File: c.Dir}
	return m.load(ctx, &g, console, 0, func(ctx context.Context, p *wasm.Plugin) error {
		failed := 0
		for _, k := range cases.Cases {
			item, err := p.GetItem(ctx, k.Key)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if wrong := judge(&k, item, err); len(wrong) > 0 {
				failed++
				_, _ = fmt.Fprintf(console.out, "FAIL  %q (line %d)\n        %s\n", k.Key, k.Line, strings.Join(wrong, "\n        "))
			} else {
				_, _ = fmt.Fprintf(console.out, "ok    %q\n", k.Key)
			}
		}
		if failed > 0 {
			return fmt.Errorf("%s failed", some(failed, "case"))
		}
		return nil
	})
}

// judge lists what is wrong with an answer.
func judge(want *config.Case, item gcnode.Item[gcnode.Value], err error) (wrong []string) {
	got, text := "a value", item.Value.String()
	if err != nil {
		got, text = config.KindWord(gcnode.KindOf(err)), err.Error()
	}
	expected := "a value"
	if want.Error != "" {
		expected = want.Error
	}
	if got != expected {
		wrong = append(wrong, fmt.Sprintf("want %s, got %s: %q", expected, got, text))
	} else if want.Value != nil && text != *want.Value {
		wrong = append(wrong, fmt.Sprintf("want the value %q", *want.Value), fmt.Sprintf(" got the value %q", text))
	}
	if !strings.Contains(text, want.Contains) {
		wrong = append(wrong, fmt.Sprintf("want %q to be in %q", want.Contains, text))
	}
	if want.Keep != nil && item.Keep != *want.Keep {
		wrong = append(wrong, fmt.Sprintf("want it to be kept: %s, got: %s", want.Keep, item.Keep))
	}
	return wrong
}

// serve answers what it is told to, until stop is called.
func serve(ctx context.Context, replies map[string]config.Reply) (url string, stop func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("listen for the getter's fetches: %w", err)
	}
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reply, ok := replies[r.URL.RequestURI()]
			if !ok {
				http.NotFound(w, r)
				return
			}
			for name, value := range reply.Header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(reply.Status)
			_, _ = io.WriteString(w, reply.Body)
		}),
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	return "http://" + l.Addr().String(), func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			_ = l.Close()
		}
	}, nil
}
