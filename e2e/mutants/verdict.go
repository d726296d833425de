package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// verdict is what became of a mutant.
type verdict struct {
	noticed   []string // tests of core that failed
	unnoticed []string // tests that are named for it and passed
	scenarios []string // of the simulation that failed
	simulated bool     // its seeds have noticed
	seed      int      // the first that failed; -1 if the simulation did not name it
	what      string   // it violated
	took      time.Duration
	simTook   time.Duration
	err       error
}

// look runs the tests and the simulation on a mutant.
func (l *lab) look(ctx context.Context, m mutant) (v verdict) {
	begun := time.Now()
	defer func() {
		v.took = time.Since(begun)
		fmt.Fprintf(os.Stdout, "%-28s %s\n", m.name, v.summary())
	}()
	b, err := l.prepare(m)
	if err != nil {
		return verdict{err: err}
	}
	defer b.remove()
	if v.err = v.runTests(ctx, b, m); v.err == nil && l.sim.seeds > 0 {
		v.err = v.simulate(ctx, b)
	}
	return v
}

func (v *verdict) runTests(ctx context.Context, b *binaries, m mutant) error {
	for _, name := range m.tests {
		failed, err := b.test(ctx, name)
		switch {
		case err != nil:
			return err
		case failed:
			v.noticed = append(v.noticed, name)
		default:
			v.unnoticed = append(v.unnoticed, name)
		}
	}
	if !b.lab.discover {
		return nil
	}
	failures, err := b.failures(ctx)
	for _, name := range failures {
		if !slices.Contains(v.noticed, name) {
			v.noticed = append(v.noticed, name)
		}
	}
	return err
}

func (v *verdict) simulate(ctx context.Context, b *binaries) error {
	begun := time.Now()
	defer func() { v.simTook = time.Since(begun) }()
	failed, output, err := b.run(ctx, b.lab.simDir(), testTimeout, b.lab.sim.scenarios()...)
	if err != nil {
		return err
	}
	if v.scenarios = failedScenarios(output); failed && len(v.scenarios) == 0 {
		v.simulated, v.seed, v.what = true, -1, lastLine(output) // and so it would be with any seed
		return nil
	}
	failed, output, err = b.run(ctx, b.lab.simDir(), b.lab.sim.time+suiteTimeout, b.lab.sim.command()...)
	if err != nil || !failed {
		return err
	}
	v.simulated = true
	if v.seed, v.what = seedOf(output); v.seed < 0 {
		v.what = lastLine(output)
	}
	return nil
}

// lastLine is the line of a test's output that says why it has ended.
func lastLine(output string) string {
	for line := range strings.Lines(output) {
		if line == endless || strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return strings.TrimSpace(line)
		}
	}
	return "it fails"
}

// complaints are what is wrong: with the mutant, or with the tests that did not
// notice it.
func (v *verdict) complaints(m mutant, simulates bool) (list []error) {
	if v.err != nil {
		return []error{fmt.Errorf("%s: %w", m.name, v.err)}
	}
	switch bySimulation := v.simulated || len(v.scenarios) > 0; {
	case bySimulation:
	case len(v.noticed) == 0:
		list = append(list, fmt.Errorf("%s: nobody notices that %s", m.name, m.broken))
	case simulates && slices.Contains(mechanisms(), m.name):
		list = append(list, fmt.Errorf("%s: the simulation does not notice that %s", m.name, m.broken))
	}
	for _, name := range v.unnoticed {
		list = append(list, fmt.Errorf("%s: %s does not notice that %s", m.name, name, m.broken))
	}
	return list
}

func (v *verdict) summary() string {
	switch {
	case v.err != nil:
		return "could not be looked at"
	case !v.simulated && len(v.scenarios) == 0 && len(v.noticed) == 0:
		return "SURVIVES"
	default:
		return strings.Join(append([]string{v.simulation() + ";"}, v.noticed...), " ")
	}
}

// simulation is what the simulation says.
func (v *verdict) simulation() string {
	if v.simTook == 0 {
		return "-"
	}
	seeds := "no seed"
	switch {
	case v.simulated && v.seed >= 0:
		seeds = fmt.Sprintf("seed %d (%s)", v.seed, v.what)
	case v.simulated:
		seeds = v.what
	}
	return strings.Join(append(slices.Clone(v.scenarios), fmt.Sprintf("%s, %.1f s", seeds, v.simTook.Seconds())), "; ")
}

// control runs what the mutants are looked at with on core as it is.
func (l *lab) control(ctx context.Context, list []mutant) error {
	unchanged := mutant{name: "unchanged"}
	seen := map[string]bool{}
	for _, m := range list {
		for _, name := range m.tests {
			if !seen[name] {
				seen[name] = true
				unchanged.tests = append(unchanged.tests, name)
			}
		}
	}
	b, err := l.prepare(unchanged)
	if err != nil {
		return err
	}
	defer b.remove()
	var v verdict
	if err := v.runTests(ctx, b, unchanged); err != nil {
		return err
	}
	if l.sim.seeds > 0 {
		if err := v.simulate(ctx, b); err != nil {
			return err
		}
	}
	if v.simulated || len(v.scenarios) > 0 || len(v.noticed) > 0 {
		return errors.New("core as it is does not pass: " + v.summary())
	}
	return nil
}

// printTable prints what became of the mutants.
func printTable(w io.Writer, list []mutant, verdicts []verdict) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nMUTANT\tBROKEN SO THAT\tSIMULATION\tTESTS OF CORE\tSECONDS")
	for i, m := range list {
		v := &verdicts[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.1f\n", m.name, m.broken, v.simulation(), strings.Join(v.noticed, " "), v.took.Seconds())
	}
	t.Flush()
}
