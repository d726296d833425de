package demo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/client"
)

const (
	bigPackage     = "net/http"
	crowdPackage   = "encoding/json"
	missingPackage = "no/such/package"
	setKey         = "set/by/hand"
	crowd          = 300
)

// sourceLoaded is how a node says that the getter ran for an answer.
const sourceLoaded = "loaded"

// step is one thing that the demo shows.
type step struct {
	title string
	run   func(ctx context.Context) error
}

// steps are what the demo shows, in order.
func (d *demo) steps() []step {
	return []step{
		{"A cold get", d.coldGet},
		{"The same key through the other nodes", d.sameKeyElsewhere},
		{fmt.Sprintf("%d concurrent gets of one cold key, through all nodes", crowd), d.stampede},
		{"A removal, seen by all nodes", d.removal},
		{"A value that is set, and a group that is cleared", d.setAndClear},
		{"A package that does not exist", d.notFound},
		{"kill -9 of the owner of a key", d.killOwner},
	}
}

// measured is an answer and how long it took.
type measured struct {
	client.Answer

	took time.Duration
}

// get asks a node for a key.
func (m *member) get(ctx context.Context, key string) (measured, error) {
	begun := time.Now()
	answer, err := m.client.Get(ctx, groupName, key)
	took := time.Since(begun)
	if err != nil {
		err = fmt.Errorf("through %s: %w", m.ID, err)
	}
	return measured{Answer: answer, took: took}, err
}

// since counts what the origin saw of a package after an earlier look.
func (d *demo) since(pkg string, before traffic) (traffic, error) {
	now, err := d.origin.trafficOf(pkg)
	return traffic{runs: now.runs - before.runs, requests: now.requests - before.requests}, err
}

// wantRuns looks that a package had exactly want getter runs since before.
func (d *demo) wantRuns(pkg string, before traffic, want int) (traffic, error) {
	seen, err := d.since(pkg, before)
	if err == nil && seen.runs != want {
		err = fmt.Errorf("the origin saw %s of %s, and it should have seen %d", runs(seen.runs), pkg, want)
	}
	return seen, err
}

// coldGet asks for what nobody has.
func (d *demo) coldGet(ctx context.Context) error {
	before, err := d.origin.trafficOf(bigPackage)
	if err != nil {
		return err
	}
	asked := d.cluster.members[0]
	got, err := asked.get(ctx, bigPackage)
	if err != nil {
		return err
	}
	seen, err := d.wantRuns(bigPackage, before, 1)
	if err != nil {
		return err
	}
	if got.Source != sourceLoaded {
		return fmt.Errorf("%s says that the answer's source is %q, and it should be %q", asked.ID, got.Source, sourceLoaded)
	}
	if !bytes.Contains(got.Value, []byte("ListenAndServe")) {
		return fmt.Errorf("the answer of %d bytes does not document ListenAndServe", len(got.Value))
	}
	d.print.detail("%s through %s: %s of HTML in %s", bigPackage, asked.ID, size(len(got.Value)), short(got.took))
	d.print.detail("owner %s ran the getter, which fetched %s from the origin", got.Owner, number(seen.requests-seen.runs, "file"))
	d.print.pass("the origin's log has %s", runs(seen.runs))
	return nil
}

// sameKeyElsewhere asks the other nodes for what one has loaded.
func (d *demo) sameKeyElsewhere(ctx context.Context) error {
	before, err := d.origin.trafficOf(bigPackage)
	if err != nil {
		return err
	}
	for _, m := range d.cluster.members[1:] {
		for _, attempt := range []string{"", "again "} {
			got, err := m.get(ctx, bigPackage)
			if err != nil {
				return err
			}
			if got.Source == sourceLoaded {
				return fmt.Errorf("the getter ran again for %s", m.ID)
			}
			d.print.detail("%sthrough %s: %s, %s", attempt, m.ID, short(got.took), sourceInWords(got.Answer))
		}
	}
	if _, err := d.wantRuns(bigPackage, before, 0); err != nil {
		return err
	}
	d.print.pass("no further getter run, and no request to the origin at all")
	return nil
}

// sourceInWords explains where an answer came from.
func sourceInWords(a client.Answer) string {
	switch a.Source {
	case "hit":
		return "a hit: it owns the key"
	case "hot":
		return "a hit: its own hot copy"
	case "owner":
		return "a hit at the owner, " + a.Owner
	default:
		return "source " + a.Source
	}
}

// stampede asks all nodes at once for what nobody has.
func (d *demo) stampede(ctx context.Context) error {
	before, err := d.origin.trafficOf(crowdPackage)
	if err != nil {
		return err
	}
	var (
		wg      sync.WaitGroup
		gate    = make(chan struct{})
		answers [crowd]measured
		errs    [crowd]error
	)
	for i := range crowd {
		m := d.cluster.members[i%len(d.cluster.members)]
		wg.Go(func() {
			<-gate
			answers[i], errs[i] = m.get(ctx, crowdPackage)
		})
	}
	close(gate)
	wg.Wait()
	if err := firstOf(errs[:]); err != nil {
		return err
	}
	seen, err := d.wantRuns(crowdPackage, before, 1)
	if err != nil {
		return err
	}
	times, waited := make([]time.Duration, 0, crowd), 0
	for _, a := range answers {
		if !bytes.Equal(a.Value, answers[0].Value) {
			return errors.New("the answers differ")
		}
		times = append(times, a.took)
		if a.Source == sourceLoaded {
			waited++
		}
	}
	slices.Sort(times)
	d.print.detail("%s: %d answers of %s, all the same; fastest %s, median %s, slowest %s", crowdPackage,
		crowd, size(len(answers[0].Value)), short(times[0]), short(times[crowd/2]), short(times[crowd-1]))
	d.print.detail("%d of them waited for that one run, %d came later and found its answer", waited, crowd-waited)
	d.print.pass("the origin's log has exactly %s for %d gets", runs(seen.runs), crowd)
	return nil
}

// firstOf is an error that stands for all, and how many there are.
func firstOf(errs []error) error {
	failed := slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d gets failed, for example: %w", len(failed), len(errs), failed[0])
}

// removal changes a package at the origin, removes its key through one node,
// and asks all of them.
func (d *demo) removal(ctx context.Context) error {
	before, err := d.origin.trafficOf(editedPackage)
	if err != nil {
		return err
	}
	if err := d.wantEdition(ctx, 1); err != nil {
		return fmt.Errorf("before the change: %w", err)
	}
	if _, err := d.wantRuns(editedPackage, before, 1); err != nil {
		return err
	}
	if err := d.origin.publish(d.opts.Src, 2); err != nil {
		return err
	}
	if err := d.wantEdition(ctx, 1); err != nil {
		return fmt.Errorf("after the change and before the removal: %w", err)
	}
	d.print.detail("%s was read through all nodes, then its source was edited at the origin:", editedPackage)
	d.print.detail("every node still answers with its copy, edition 1, as a cache does")
	if before, err = d.origin.trafficOf(editedPackage); err != nil {
		return err
	}
	remover := d.cluster.members[1]
	begun := time.Now()
	if err := remover.client.Remove(ctx, groupName, editedPackage); err != nil {
		return fmt.Errorf("removal through %s: %w", remover.ID, err)
	}
	d.print.detail("removed through %s: confirmed by all three in %s", remover.ID, short(time.Since(begun)))
	for _, m := range d.cluster.members {
		got, err := m.get(ctx, editedPackage)
		if err != nil {
			return err
		}
		if err := checkEdition(got, 2); err != nil {
			return fmt.Errorf("%s: %w", m.ID, err)
		}
		d.print.detail("through %s: edition 2, %s, source %s", m.ID, short(got.took), got.Source)
	}
	seen, err := d.wantRuns(editedPackage, before, 1)
	if err != nil {
		return err
	}
	d.print.pass("no node had the old copy left; the origin's log has exactly %s more", runs(seen.runs))
	return nil
}

// wantEdition looks that every node answers with an edition.
func (d *demo) wantEdition(ctx context.Context, n int) error {
	for _, m := range d.cluster.members {
		got, err := m.get(ctx, editedPackage)
		if err == nil {
			err = checkEdition(got, n)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.ID, err)
		}
	}
	return nil
}

// checkEdition looks for the mark of an edition.
func checkEdition(got measured, n int) error {
	if !bytes.Contains(got.Value, []byte(edition(n))) {
		return fmt.Errorf("the answer (%d bytes, source %s) is not edition %d", len(got.Value), got.Source, n)
	}
	return nil
}

// setAndClear sets a value that the origin does not have, and clears all.
func (d *demo) setAndClear(ctx context.Context) error {
	before, err := d.origin.trafficOf(setKey)
	if err != nil {
		return err
	}
	setter, clearer, value := d.cluster.members[2], d.cluster.members[0], []byte("no package, but a value")
	begun := time.Now()
	if err := setter.client.Set(ctx, groupName, setKey, value, 0); err != nil {
		return fmt.Errorf("set through %s: %w", setter.ID, err)
	}
	d.print.detail("%s set through %s: stored at its owner, older values void on all three, in %s", setKey, setter.ID, short(time.Since(begun)))
	for _, m := range d.cluster.members {
		got, err := m.get(ctx, setKey)
		if err != nil {
			return err
		}
		if !bytes.Equal(got.Value, value) {
			return fmt.Errorf("%s answered with something else than what was set", m.ID)
		}
	}
	if _, err := d.wantRuns(setKey, before, 0); err != nil {
		return err
	}
	d.print.detail("read through all nodes, without a getter run")
	if before, err = d.origin.trafficOf(bigPackage); err != nil {
		return err
	}
	begun = time.Now()
	if err := clearer.client.Clear(ctx, groupName); err != nil {
		return fmt.Errorf("clear through %s: %w", clearer.ID, err)
	}
	d.print.detail("the group was cleared through %s: confirmed by all three in %s", clearer.ID, short(time.Since(begun)))
	for _, m := range d.cluster.members {
		if _, err := m.get(ctx, setKey); !client.NotFound(err) {
			return fmt.Errorf("%s still has the value that was set (%w)", m.ID, cmp.Or(err, errors.New("it answered with one")))
		}
		if _, err := m.get(ctx, bigPackage); err != nil {
			return err
		}
	}
	seen, err := d.wantRuns(bigPackage, before, 1)
	if err != nil {
		return err
	}
	d.print.pass("the value that was set is gone, and %s was loaded anew, with %s", bigPackage, runs(seen.runs))
	return nil
}

// notFound asks for what the origin does not have.
func (d *demo) notFound(ctx context.Context) error {
	before, err := d.origin.trafficOf(missingPackage)
	if err != nil {
		return err
	}
	for _, m := range []*member{d.cluster.members[0], d.cluster.members[0], d.cluster.members[2]} {
		got, err := m.get(ctx, missingPackage)
		switch {
		case err == nil:
			return fmt.Errorf("%s answered with a value of %d bytes", m.ID, len(got.Value))
		case !client.NotFound(err):
			return err
		}
		d.print.detail("%s through %s: 404 not_found, %s, source %s, %s", missingPackage, m.ID, short(got.took), got.Source, got.CacheControl)
	}
	if _, err := d.wantRuns(missingPackage, before, 1); err != nil {
		return err
	}
	d.print.pass("asked three times; the origin's log has one getter run: \"not found\" is cached too")
	return nil
}

// killOwner kills the owner of a key without warning and asks another node.
func (d *demo) killOwner(ctx context.Context) error {
	victim := d.cluster.members[1]
	key, owned, err := d.keyOf(ctx, victim)
	if err != nil {
		return err
	}
	before, err := d.origin.trafficOf(key)
	if err != nil {
		return err
	}
	d.print.detail("%s owns %s, and nobody else has a copy", victim.ID, key)
	victim.process.kill()
	d.print.detail("%s was killed", victim.ID)
	for _, m := range []*member{d.cluster.members[0], d.cluster.members[2]} {
		got, err := m.get(ctx, key)
		if err != nil {
			return err
		}
		if !bytes.Equal(got.Value, owned.Value) {
			return fmt.Errorf("%s answered with something else than the owner had", m.ID)
		}
		d.print.detail("through %s: the same %s in %s, source %s", m.ID, size(len(got.Value)), short(got.took), got.Source)
	}
	seen, err := d.since(key, before)
	if err != nil {
		return err
	}
	if seen.runs < 1 {
		return errors.New("nobody ran the getter, so the answers came from copies")
	}
	d.print.pass("the next node in line took over with %s", runs(seen.runs))
	return nil
}

// keyOf finds a key that a node owns, and loads it through that node alone.
func (d *demo) keyOf(ctx context.Context, owner *member) (string, measured, error) {
	for _, pkg := range []string{
		"bufio", "bytes", "strings", "strconv", "sort", "time", "errors", "path", "context", "flag", "fmt", "io", "html", "mime", "sync", "log",
	} {
		got, err := owner.get(ctx, pkg)
		if err != nil {
			return "", measured{}, err
		}
		if got.Owner == owner.ID {
			return pkg, got, nil
		}
	}
	return "", measured{}, fmt.Errorf("%s owns none of the packages that were tried", owner.ID)
}
