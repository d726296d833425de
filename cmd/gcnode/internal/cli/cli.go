// Package cli is the command line of gcnode.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/build"
)

// Exit statuses.
const (
	statusOK       = 0
	statusFailed   = 1 // something went wrong at run time
	statusUsage    = 2 // the command line or the configuration is wrong
	statusNotFound = 3 // a key has no value
)

// commands is the grammar of the command line.
type commands struct {
	Version kong.VersionFlag `help:"Print the version and exit."`

	Serve  serveCommand   `cmd:"" help:"Run a node until SIGTERM or SIGINT; a second signal ends it at once."`
	Check  checkCommand   `cmd:"" help:"Check a configuration and its plugins without serving."`
	Get    getCommand     `cmd:"" help:"Write the values of keys to standard output. Exit status 3: a key has no value."`
	Set    setCommand     `cmd:"" help:"Store the value of a key at its owner, and remove older ones from every node."`
	Rm     rmCommand      `cmd:"" help:"Remove keys from every node."`
	Clear  clearCommand   `cmd:"" help:"Remove all keys of a group from every node."`
	Stats  statsCommand   `cmd:"" help:"Print the figures of a node as JSON."`
	Plugin pluginCommands `cmd:"" help:"Make getters as WebAssembly modules, look at them and try them."`
	Demo   demoCommand    `cmd:"" help:"Start three nodes on this machine and show what they do."`
}

// console is what a command reads from and writes to.
type console struct {
	in       io.Reader
	out, err io.Writer
}

// statusError is an error with an exit status of its own.
type statusError struct {
	status int
	err    error
}

// Error implements the error interface.
func (e *statusError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *statusError) Unwrap() error { return e.err }

// usageError is a wrong argument.
func usageError(format string, args ...any) error {
	return &statusError{status: statusUsage, err: fmt.Errorf(format, args...)}
}

// Run executes the command line and returns the exit status. --help and
// --version end the process.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var grammar commands
	parser, err := kong.New(&grammar,
		kong.Name("gcnode"),
		kong.Description("A distributed read-through cache whose values come from WebAssembly plugins."),
		kong.Vars{"version": build.Current().String(), "addr": addrFromEnvironment(), "default_addr": defaultAddr},
		kong.Writers(stdout, stderr),
		kong.KindMapper(reflect.String, kong.MapperFunc(anyBytes)),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(&console{in: os.Stdin, out: stdout, err: stderr}),
	)
	if err != nil {
		return report(stderr, err)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return report(stderr, usageError("%w (see gcnode --help)", err))
	}
	return report(stderr, parsed.Run())
}

// anyBytes takes a word of the command line as it is: a key or the name of a
// file need not be UTF-8, which kong's own way with text makes of it.
func anyBytes(ctx *kong.DecodeContext, target reflect.Value) error {
	word, err := ctx.Scan.PopValue("text")
	if err != nil {
		return err
	}
	text, ok := word.Value.(string)
	if !ok {
		return fmt.Errorf("%v is not text", word.Value)
	}
	target.SetString(text)
	return nil
}

// report writes an error and returns the exit status that it deserves.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return statusOK
	}
	_, _ = fmt.Fprintln(stderr, "gcnode: "+strings.ReplaceAll(err.Error(), "\n", "\ngcnode: "))
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.status
	}
	return statusFailed
}
