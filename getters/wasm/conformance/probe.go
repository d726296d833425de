package conformance

import "fmt"

// ProbeOptions say what an SDK does not have.
type ProbeOptions struct {
	// Blocking is set for an SDK whose fetches occupy the instance.
	Blocking bool
	// NoStore is set for an SDK without the store.
	NoStore bool
	// NoEscape is set for an SDK in whose language that is no part of it.
	NoEscape bool
}

// Probe is the suite for a probe of an SDK. Whoever calls it has to Close it.
func Probe(module []byte, opts ProbeOptions) (*Suite, error) {
	host, err := newHost(module)
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	s := &probe{host: host, opts: opts}
	suite := &Suite{host: host}
	for _, c := range []struct {
		name   string
		run    func(t T)
		absent bool
	}{
		{"Keys", s.keys, false},
		{"ValuesOfAllSizes", s.sizes, false},
		{"Errors", s.errors, false},
		{"Lifetimes", s.lifetimes, false},
		{"Settings", s.settings, false},
		{"RefusedSettings", s.refusedSettings, false},
		{"UnknownSettings", s.unknownSettings, false},
		{"Log", s.log, false},
		{"Time", s.time, false},
		{"Store", s.store, opts.NoStore},
		{"Escape", s.escape, opts.NoEscape},
		{"Fetch", s.fetch, false},
		{"FetchStatuses", s.fetchStatuses, false},
		{"FetchFailures", s.fetchFailures, false},
		{"ManyFetches", s.manyFetches, false},
		{"ManyRequestsInOneInstance", s.manyRequests, opts.Blocking},
		{"RequestsBesideAPendingOne", s.beside, opts.Blocking},
		{"CanceledRequests", s.canceledRequests, opts.Blocking},
		{"Batch", s.batch, false},
		{"Trap", s.trap, false},
		{"Deadline", s.deadline, false},
		{"MemoryStaysFlat", s.memory, false},
	} {
		if !c.absent {
			suite.checks = append(suite.checks, Check{c.name, c.run})
		}
	}
	return suite, nil
}
