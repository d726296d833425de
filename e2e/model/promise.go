package model

// maxSets is how many sets of writes there are.
const maxSets = 1 << maxWrites

// promise judges what a Get returns at a node that began after the writes had
// returned nil.
func (r *run) promise(n int, ended set, v value) {
	if v == 0 {
		return
	}
	for w := range ended.all() {
		by, isSet := v.write()
		switch {
		case r.s.writes[w].missed.has(n), r.Writes[w].Kind == RemoveOther:
		case isSet && by != w && r.s.writes[w].before.has(by):
			r.breaks("a Get at %d after the end of write %d returns %v, which had ended before", n, w, v)
		case !isSet && !v.called().has(w):
			r.breaks("a Get at %d after the end of write %d returns %v", n, w, v)
		case !isSet && r.Strict && r.Writes[w].Kind == Set:
			r.breaks("a Get at %d after the end of write %d returns %v, and not what was set", n, w, v)
		}
	}
}

// judge looks at a state as a whole.
func (r *run) judge() {
	ended := r.s.confirmed()
	for n := range r.Nodes {
		if nd := &r.s.nodes[n]; nd.kind != nothing && (nd.phase == joined || nd.phase == client) {
			r.promise(n, ended, nd.value)
		}
	}
	if r.s.count() == 0 {
		r.judgeQuiet()
	}
}

// judgeQuiet looks at a state in which no message is under way: nobody waits
// for ever, and all have the same write.
func (r *run) judgeQuiet() {
	var latest value
	for n := range r.Nodes {
		nd := &r.s.nodes[n]
		for i := range nd.flights {
			if st := nd.flights[i].stage; (st == asking || st == peeking) && r.Lossless {
				r.breaks("a flight of %d waits, and nothing is under way", n)
			}
			if st := nd.flights[i].stage; st != none {
				return
			}
		}
		if _, ok := nd.value.write(); ok && nd.phase == joined && r.list(n) == r.list(0) {
			if latest != 0 && latest != nd.value {
				r.breaks("one member has %v, %d has %v, and nothing is under way", latest, n, nd.value)
			}
			latest = nd.value
		}
	}
}

// vouches judges a node that has compared with another: it has nothing that is
// older than a write which the other knows.
func (r *run) vouches(n int, known set) {
	nd := &r.s.nodes[n]
	if _, ok := nd.value.write(); nd.kind == nothing || ok {
		return
	}
	for w := range (known &^ nd.value.called()).all() {
		if r.Writes[w].Kind != RemoveOther {
			r.breaks("%d has compared, and still has %v, although the other knows of write %d", n, nd.value, w)
		}
	}
}
