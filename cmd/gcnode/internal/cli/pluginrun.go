package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
)

// fuelPerSlice makes the fuel that is told at most that much too high.
const fuelPerSlice = 100

// runCommand asks for one key.
type runCommand struct {
	module
	grants

	Key   string `arg:"" help:"The key, any bytes; put -- before one that begins with a dash."`
	JSON  bool   `name:"json" help:"Print answer and figures as JSON to standard output."`
	Quiet bool   `short:"q" help:"Do not tell the figures."`
}

// Help implements [kong.HelpProvider].
func (*runCommand) Help() string {
	return `The value goes to standard output, and what it cost to standard error.

Examples:
  gcnode plugin run . ann
  gcnode plugin run users.wasm ann --allow-fetch https://users.example.com --set ttl=10m
  gcnode plugin run --timeout 100ms --memory 8MiB users.wasm ann`
}

// outcome is one answer and what it cost.
type outcome struct {
	Status  string `json:"status"` // ok, or the kind of the error
	Message string `json:"message,omitempty"`
	Keep    string `json:"keep"`
	Value   string `json:"value,omitempty"`
	Base64  string `json:"base64,omitempty"` // in place of value, if that is not text
	Bytes   int    `json:"bytes"`

	StartSeconds  float64 `json:"start_seconds"`
	Seconds       float64 `json:"seconds"`
	Interruption  string  `json:"interruption"` // fuel or engine
	Fuel          uint64  `json:"fuel"`
	MemoryBytes   int64   `json:"memory_bytes"`
	Fetches       uint64  `json:"fetches"`
	FetchesDenied uint64  `json:"fetches_denied"`
	FetchesFailed uint64  `json:"fetches_failed"`
}

// Run implements the command.
func (c *runCommand) Run(ctx context.Context, console *console) error {
	begun := time.Now()
	return c.load(ctx, &c.grants, console, fuelPerSlice, func(ctx context.Context, p *wasm.Plugin) error {
		started := time.Since(begun)
		before := p.Stats()
		begun := time.Now()
		item, err := p.GetItem(ctx, c.Key)
		took := time.Since(begun)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		o := outcomeOf(item, err, before, p.Stats())
		o.StartSeconds, o.Seconds = started.Seconds(), took.Seconds()
		if c.JSON {
			if werr := writeJSON(console.out, o); werr != nil {
				return werr
			}
		} else if _, werr := io.WriteString(console.out, item.Value.String()); werr != nil {
			return werr
		}
		if !c.JSON && !c.Quiet {
			_, _ = io.WriteString(console.err, o.String()+"\n")
		}
		if err != nil && gcnode.KindOf(err) == gcnode.KindNotFound {
			return &statusError{status: statusNotFound, err: err}
		}
		return err
	})
}

func outcomeOf(item gcnode.Item[gcnode.Value], err error, before, after wasm.Stats) *outcome {
	o := &outcome{
		Status: "ok", Keep: item.Keep.String(), Bytes: item.Value.Len(),
		Interruption:  after.Interruption.String(),
		Fuel:          after.Fuel - before.Fuel,
		MemoryBytes:   max(after.Instances.MemoryBytes, before.Instances.MemoryBytes),
		Fetches:       after.Fetches.Started - before.Fetches.Started,
		FetchesDenied: after.Fetches.Denied - before.Fetches.Denied,
		FetchesFailed: after.Fetches.Failed - before.Fetches.Failed,
	}
	if err != nil {
		o.Status, o.Message = config.KindWord(gcnode.KindOf(err)), err.Error()
		return o
	}
	if value := item.Value.String(); utf8.ValidString(value) {
		o.Value = value
	} else {
		o.Base64 = base64.StdEncoding.EncodeToString([]byte(value))
	}
	return o
}

// String is what it cost, on one line.
func (o *outcome) String() string {
	return fmt.Sprintf("%s: %d bytes, to be kept: %s; took %v after a start of %v; %s; memory %s; fetches %d (denied %d, failed %d)",
		o.Status, o.Bytes, o.Keep, rounded(o.Seconds), rounded(o.StartSeconds), fuelShown(o.Interruption, "fuel %d", o.Fuel),
		config.FormatSize(o.MemoryBytes), o.Fetches, o.FetchesDenied, o.FetchesFailed)
}

// fuelShown is an amount of fuel, or why there is none.
func fuelShown(interruption, format string, amount any) string {
	if interruption == wasm.InterruptByEngine.String() {
		return "no fuel, interrupted by the engine"
	}
	return fmt.Sprintf(format, amount)
}

// rounded is a time in three digits or so.
func rounded(seconds float64) time.Duration {
	d := time.Duration(seconds * float64(time.Second))
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return d.Round(unit / 100)
		}
	}
	return d
}
