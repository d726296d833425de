package gcnode

// CacheStats are the figures of a cache at one time. Counters count from its
// start.
type CacheStats struct {
	Name         string
	Gets         uint64 // look-ups
	Hits         uint64 // answered from memory, negative and stale ones included
	NegativeHits uint64 // those of the hits that said not found
	StaleHits    uint64 // those of the hits whose value was beyond its life
	Joined       uint64 // look-ups that waited for a load under way
	Loads        uint64 // keys that the getter was asked for
	NotFound     uint64 // those that it said not found to
	LoadErrors   uint64 // those that failed
	Refreshes    uint64 // those of the loads that were begun in the background
	Overloaded   uint64 // loads that were not tried because there were too many
	StaleOnError uint64 // look-ups that were answered with an older value since the load failed
	Loading      int    // calls of the getter that are running, if there is a limit on them
	Queued       int    // loads that wait for their turn

	Entries  int   // expired ones included, until they are taken out
	Cost     int64 // of the entries; their number with MaxEntries
	MaxCost  int64 // the limit; MaxEntries, if that is the limit
	Evicted  uint64
	Expired  uint64
	Removed  uint64
	Replaced uint64
	Rejected uint64 // values that cost more than the limit
}

// The counters of a cache.
const (
	countHits = iota
	countNegativeHits
	countStaleHits
	countMisses
	countJoined
	countLoads
	countNotFound
	countLoadErrors
	countRefreshes
	countOverloaded
	countStaleOnError
)

// Stats returns the figures of the cache.
func (c *Cache[V]) Stats() CacheStats {
	st := CacheStats{
		Name:         c.name,
		NegativeHits: c.counts.Load(countNegativeHits),
		StaleHits:    c.counts.Load(countStaleHits),
		Joined:       c.counts.Load(countJoined),
		Loads:        c.counts.Load(countLoads),
		NotFound:     c.counts.Load(countNotFound),
		LoadErrors:   c.counts.Load(countLoadErrors),
		Refreshes:    c.counts.Load(countRefreshes),
		Overloaded:   c.counts.Load(countOverloaded),
		StaleOnError: c.counts.Load(countStaleOnError),
	}
	st.Hits = c.counts.Load(countHits) + st.NegativeHits + st.StaleHits
	st.Gets = st.Hits + c.counts.Load(countMisses)
	st.Loading, st.Queued = c.limit.Load()
	e := c.entries.Stats()
	st.Entries, st.Cost, st.MaxCost = e.Entries, e.Cost, e.Max
	st.Evicted, st.Expired, st.Removed, st.Replaced, st.Rejected = e.Evicted, e.Expired, e.Removed, e.Replaced, e.Rejected
	return st
}
