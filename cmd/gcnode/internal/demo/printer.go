package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/fatih/color"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
)

// printer writes what the demo has to say, in colour where a person reads it.
type printer struct {
	out                   io.Writer
	strong, good, bad, by *color.Color
}

// newPrinter makes a printer. Colour is used when out is a terminal, unless
// the environment has NO_COLOR.
func newPrinter(out io.Writer) *printer {
	p := &printer{
		out:    out,
		strong: color.New(color.Bold),
		good:   color.New(color.FgGreen),
		bad:    color.New(color.FgRed, color.Bold),
		by:     color.New(color.Faint),
	}
	// color.NoColor knows about NO_COLOR and whether standard output is a
	// terminal.
	if out != io.Writer(os.Stdout) || color.NoColor {
		for _, c := range []*color.Color{p.strong, p.good, p.bad, p.by} {
			c.DisableColor()
		}
	}
	return p
}

// line writes a line.
func (p *printer) line(format string, args ...any) {
	_, _ = fmt.Fprintf(p.out, format+"\n", args...)
}

// heading writes the title of a step.
func (p *printer) heading(number int, title string) {
	p.line("")
	p.line("%s", p.strong.Sprintf("%d. %s", number, title))
}

// detail writes an indented line.
func (p *printer) detail(format string, args ...any) { p.line("   "+format, args...) }

// pass writes what a step has shown.
func (p *printer) pass(format string, args ...any) {
	p.line("   %s", p.good.Sprintf("ok: "+format, args...))
}

// fail writes why a step failed.
func (p *printer) fail(err error) {
	p.line("   %s", p.bad.Sprintf("failed: %s", strings.ReplaceAll(err.Error(), "\n", "\n   ")))
}

// aside writes lines that matter less.
func (p *printer) aside(text string) {
	for line := range strings.Lines(text) {
		p.line("   %s", p.by.Sprint(strings.TrimRight(line, "\n")))
	}
}

// short is a duration with three digits at most.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 100*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	default:
		return d.Round(10 * time.Microsecond).String()
	}
}

// size is a number of bytes for people.
func size(bytes int) string { return config.FormatSize(int64(bytes)) }

// number is a count with its noun.
func number(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// runs is a number of getter runs in words.
func runs(n int) string { return number(n, "getter run") }
