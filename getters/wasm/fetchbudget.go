package wasm

import (
	"io"
	"sync"
)

// fetchBudget is what one request of a guest may fetch. It is safe for
// concurrent use.
type fetchBudget struct {
	mu      sync.Mutex
	fetches int // that are left; negative: the guest was told that there are none
	bytes   int64
	begun   int // exchanges
}

func newFetchBudget(opts *Options) *fetchBudget {
	return &fetchBudget{fetches: opts.MaxFetches, bytes: opts.MaxFetchBytes}
}

// exhausted reports whether the guest was told that it has no more exchanges.
func (b *fetchBudget) exhausted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fetches < 0
}

// spendFetch takes one exchange, which counts whatever comes of it.
func (b *fetchBudget) spendFetch() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun++
	b.fetches--
	if b.fetches < 0 {
		return errFetchTooMany
	}
	return nil
}

// begin takes one exchange, if there is one left.
func (b *fetchBudget) begin() bool { return !b.exhausted() && b.spendFetch() == nil }

// drop gives back what an exchange had that does not begin.
func (b *fetchBudget) drop(req *fetchRequest) {
	if req != nil {
		b.giveBack(req.held)
	}
}

// spendBytes takes n bytes, if there are as many left.
func (b *fetchBudget) spendBytes(n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes < n {
		return errFetchTooMany
	}
	b.bytes -= n
	return nil
}

// shared reports whether several exchanges share the budget.
func (b *fetchBudget) shared() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.begun > 1
}

// reader reads r as far as the budget reaches, and then returns
// errFetchTooMany if there is more.
func (b *fetchBudget) reader(r io.Reader) io.Reader { return &budgetReader{r, b} }

type budgetReader struct {
	r      io.Reader
	budget *fetchBudget
}

// Read implements [io.Reader]. It takes from the budget what it is about to
// read, so that exchanges at the same time do not read more than there is, and
// gives the rest back.
func (r *budgetReader) Read(p []byte) (int, error) {
	granted := r.budget.reserve(len(p))
	if granted == 0 && len(p) > 0 {
		var more [1]byte
		n, err := io.ReadFull(r.r, more[:])
		if n > 0 {
			return 0, errFetchTooMany
		}
		return 0, err
	}
	n, err := r.r.Read(p[:granted])
	r.budget.giveBack(int64(granted - n))
	return n, err
}

func (b *fetchBudget) reserve(n int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = int(min(int64(n), b.bytes))
	b.bytes -= int64(n)
	return n
}

func (b *fetchBudget) giveBack(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes += n
}
