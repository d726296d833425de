// Command mutants takes out, one at a time, what the guarantees of the cluster
// rest on, and expects the tests of core or the simulation to notice. It fails
// if they do not, if a test does not notice what it is named for, or if the
// code to be taken out is not there any more.
//
//	go run ./e2e/mutants                 # all
//	go run ./e2e/mutants -run '^causal'  # those whose names match
//	go run ./e2e/mutants -discover       # and which tests of core notice at all
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run() error {
	which := flag.String("run", "", "run the mutants whose names match this regular expression")
	discover := flag.Bool("discover", false, "run all tests of core, not only those that are named for a mutant")
	jobs := flag.Int("jobs", runtime.GOMAXPROCS(0), "how many mutants are looked at at a time")
	sim := simulation{}
	flag.IntVar(&sim.seeds, "seeds", 300, "how many seeds the simulation runs of each mutant at most; 0: none")
	flag.DurationVar(&sim.time, "time", time.Minute, "for how long the simulation runs a mutant at most")
	flag.Parse()
	pattern, err := regexp.Compile(*which)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	lab, err := newLab(ctx, dir, sim, *discover)
	if err != nil {
		return err
	}
	chosen := slices.DeleteFunc(mutants(), func(m mutant) bool { return !pattern.MatchString(m.name) })
	if err := errors.Join(checkAll(lab.core, chosen)...); err != nil {
		return err
	}
	// What is not changed must pass, or nothing that follows says anything.
	if err := lab.control(ctx, chosen); err != nil {
		return err
	}
	return lab.all(ctx, chosen, max(*jobs, 1))
}

// checkAll is what keeps mutants from being made.
func checkAll(core string, list []mutant) (errs []error) {
	seen := map[string]bool{}
	for _, m := range list {
		if seen[m.name] {
			errs = append(errs, fmt.Errorf("%s: there are two mutants of this name", m.name))
		}
		seen[m.name] = true
		if _, err := m.files(core); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// all looks at the mutants and prints what became of them.
func (l *lab) all(ctx context.Context, list []mutant, jobs int) error {
	verdicts := make([]verdict, len(list))
	next := make(chan int)
	var workers sync.WaitGroup
	for range jobs {
		workers.Go(func() {
			for i := range next {
				verdicts[i] = l.look(ctx, list[i])
			}
		})
	}
	begun := time.Now()
	go func() {
		defer close(next)
		for i := range list {
			next <- i
		}
	}()
	workers.Wait()
	var bad []error
	for i := range verdicts {
		bad = append(bad, verdicts[i].complaints(list[i], l.sim.seeds > 0)...)
	}
	printTable(os.Stdout, list, verdicts)
	fmt.Fprintf(os.Stdout, "%d mutants in %v\n", len(list), time.Since(begun).Round(time.Second))
	return errors.Join(bad...)
}

// files are the changed files of the mutant, by their paths.
func (m mutant) files(core string) (map[string]string, error) {
	files := map[string]string{}
	for _, e := range m.edits {
		path := filepath.Join(core, filepath.FromSlash(e.file))
		text, ok := files[path]
		if !ok {
			b, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.name, err)
			}
			text = string(b)
		}
		text, err := e.apply(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		files[path] = text
	}
	return files, nil
}
