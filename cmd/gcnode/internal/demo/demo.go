// Package demo shows what a cluster does: it starts three nodes and a file
// server as the origin of their values, and measures.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Options say how the demo is run.
type Options struct {
	// Program is the path of gcnode itself.
	Program string
	// Plugin is the path of the godoc plugin; empty: where make puts it.
	Plugin string
	// Src is the Go source tree that the origin serves; empty: that of the
	// installed Go distribution.
	Src string
	// NATS is set for nodes that talk over NATS, with a server in each of them,
	// and not over HTTP.
	NATS bool
	// Keep leaves the cluster up until the context ends.
	Keep bool
	Out  io.Writer
}

// StepError says which step did not do what it claims.
type StepError struct {
	Step string
	Err  error
}

// Error implements the error interface.
func (e *StepError) Error() string { return fmt.Sprintf("step %q: %s", e.Step, e.Err) }

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }

// logLines is how much of each node's log is shown when a step fails.
const logLines = 15

// demo is one run.
type demo struct {
	opts    Options
	print   *printer
	origin  *origin
	cluster *cluster
	begun   time.Time
}

// Run shows everything. It returns a [*StepError] when a step failed, and
// leaves nothing behind, whatever happens: no process, no file.
func Run(ctx context.Context, opts Options) (err error) {
	d := &demo{opts: opts, print: newPrinter(opts.Out), begun: time.Now()}
	if d.opts.Plugin, err = findPlugin(opts.Plugin, opts.Program); err != nil {
		return err
	}
	if d.opts.Src, err = findSource(ctx, opts.Src); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gcnode-demo-")
	if err != nil {
		return fmt.Errorf("temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if d.origin, err = startOrigin(ctx, d.opts.Src, dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.origin.close()) }()

	starter := newStarter()
	defer starter.close()
	d.cluster = &cluster{
		program: opts.Program, dir: dir, module: d.opts.Plugin, origin: d.origin.url, starter: starter, nats: opts.NATS,
	}
	defer d.cluster.stop(context.WithoutCancel(ctx))
	return d.perform(ctx)
}

// perform goes through the steps.
func (d *demo) perform(ctx context.Context) error {
	err := d.introduce(ctx)
	if err != nil {
		return d.failed(ctx, "start", err)
	}
	steps := d.steps()
	for i, s := range steps {
		d.print.heading(i+1, s.title)
		if err := s.run(ctx); err != nil {
			return d.failed(ctx, s.title, err)
		}
	}
	d.print.line("")
	d.print.line("%s", d.print.strong.Sprintf("All %d steps did what they claim, in %s.", len(steps), short(time.Since(d.begun))))
	if d.opts.NATS {
		d.print.line("The same over HTTP: make demo (or gcnode demo).")
	} else {
		d.print.line("The same over NATS, with nothing to install: make demo TRANSPORT=nats (or gcnode demo --transport nats).")
	}
	if d.opts.Keep {
		return d.keep(ctx)
	}
	d.print.line("To keep the cluster up and look around: make demo KEEP=1 (or gcnode demo --keep).")
	return nil
}

// failed reports a step that did not do what it claims.
func (d *demo) failed(ctx context.Context, step string, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	d.print.fail(err)
	for _, m := range d.cluster.members {
		if m.process != nil {
			d.print.line("")
			d.print.line("   the end of the log of %s:", m.ID)
			d.print.aside(m.process.logTail(logLines))
		}
	}
	return &StepError{Step: step, Err: err}
}

// introduce starts the cluster and says what there is.
func (d *demo) introduce(ctx context.Context) error {
	files, err := countFiles(d.opts.Src)
	if err != nil {
		return fmt.Errorf("read the source tree: %w", err)
	}
	module, err := os.Stat(d.opts.Plugin)
	if err != nil {
		return fmt.Errorf("plugin: %w", err)
	}
	p := d.print
	p.line("%s", p.strong.Sprint("gcnode demo: three nodes that share one cache, and one origin"))
	p.line("")
	p.line("   origin  %s  a plain file server: %s of %s", d.origin.url, number(files, "file"), d.opts.Src)
	p.line("   getter  %s (%s)  runs in a WebAssembly sandbox: fetches a package's", filepath.Base(d.opts.Plugin), size(int(module.Size())))
	p.line("           source files from the origin, parses them, and answers with the documentation")
	begun := time.Now()
	if err := d.cluster.start(ctx); err != nil {
		return err
	}
	for _, m := range d.cluster.members {
		p.line("   %s  http://%s  process %d", m.ID, m.API, m.process.cmd.Process.Pid)
	}
	if d.opts.NATS {
		p.line("   they talk over NATS: each has a NATS server in its process, and these are one cluster")
	} else {
		p.line("   they talk over HTTP")
	}
	p.line("   ready after %s; the first node compiled the getter, the others found it compiled", short(time.Since(begun)))
	p.line("")
	p.line("Getter runs are counted in the origin's own access log: each begins with one")
	p.line("\"GET /<package>/\", the listing of the package's directory.")
	return nil
}

// keep brings the killed node back and leaves the cluster up until ctx ends.
func (d *demo) keep(ctx context.Context) error {
	for _, m := range d.cluster.members {
		if m.process.running() {
			continue
		}
		err := d.cluster.launch(m)
		if err == nil {
			err = m.await(ctx, stateReady)
		}
		if err != nil && ctx.Err() == nil {
			return d.failed(ctx, "start "+m.ID+" again", err)
		}
	}
	first := d.cluster.members[0]
	p := d.print
	p.line("")
	p.line("The cluster is up. Try:")
	p.line("   %s", first.client.ValueURL(groupName, "net/http"))
	p.line("   %s", first.client.ValueURL(groupName, "encoding/json.Marshal"))
	for _, m := range d.cluster.members {
		p.line("   %s: http://%s/v1/stats   http://%s/metrics   http://%s/readyz", m.ID, m.API, m.Admin, m.Admin)
	}
	p.line("   %s get --headers --addr http://%s %s io.Reader", d.opts.Program, first.API, groupName)
	p.line("   %s set --ttl 1m --addr http://%s %s net/http 'a page of your own'", d.opts.Program, first.API, groupName)
	p.line("   %s rm --addr http://%s %s net/http", d.opts.Program, first.API, groupName)
	p.line("   %s clear --addr http://%s %s", d.opts.Program, first.API, groupName)
	p.line("   the origin's access log, the nodes' configurations and logs: %s", d.cluster.dir)
	p.line("")
	p.line("Ctrl-C ends everything.")
	<-ctx.Done()
	return nil
}

// findPlugin is the path of the godoc plugin.
func findPlugin(named, program string) (string, error) {
	if named != "" {
		path, err := filepath.Abs(named)
		if err != nil {
			return "", fmt.Errorf("plugin: %w", err)
		}
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("plugin: %w", err)
		}
		return path, nil
	}
	places := []string{
		filepath.Join(filepath.Dir(program), "plugins", "godoc.wasm"),
		filepath.Join("bin", "plugins", "godoc.wasm"),
	}
	for _, place := range places {
		if info, err := os.Stat(place); err == nil && info.Mode().IsRegular() {
			return filepath.Abs(place)
		}
	}
	return "", fmt.Errorf("the godoc plugin is not at %s: run \"make plugins\" in a checkout of github.com/gcnode/gcnode, or name the module with --plugin",
		strings.Join(places, " or "))
}

// findSource is the Go source tree.
func findSource(ctx context.Context, named string) (string, error) {
	src := named
	if src == "" {
		root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err != nil {
			return "", fmt.Errorf("cannot ask \"go env GOROOT\" where the Go sources are (%w): name the directory with --src", err)
		}
		src = filepath.Join(strings.TrimSpace(string(root)), "src")
	}
	src, err := filepath.Abs(src)
	if err != nil {
		return "", fmt.Errorf("source tree: %w", err)
	}
	if info, err := os.Stat(filepath.Join(src, "net", "http")); err != nil || !info.IsDir() {
		return "", fmt.Errorf("%s is not the source tree of a Go distribution (there is no net/http in it): name one with --src", src)
	}
	return src, nil
}
