package policy

import "testing"

func TestGhostsRememberWhen(t *testing.T) {
	const entries = 1000
	var g ghosts
	g.resize(entries, 0)
	now := uint32(1<<32 - 5000) // time comes round
	for range uint32(10_000) {
		now++
		g.add(hash(uint64(now)), now)
	}
	known := 0
	for age := range uint32(4 * entries) {
		got, ok := g.take(hash(uint64(now-age)), now)
		if !ok {
			continue
		}
		known++
		if unit := uint32(1) << g.shift; got+unit < age || got > age+unit {
			t.Errorf("a key that left %d ago left %d ago", age, got)
		}
	}
	if known < entries*ghostFactor*9/10 || known > entries*ghostFactor {
		t.Errorf("%d ghosts are known, want about %d", known, entries*ghostFactor)
	}
}

func TestUnknownKeysAreHardlyTakenForGhosts(t *testing.T) {
	const entries = 100_000
	var g ghosts
	g.resize(entries, 0)
	for i := range uint64(4 * entries) {
		g.add(hash(i), 0)
	}
	wrong := 0
	for i := range uint64(entries) {
		if _, ok := g.take(hash(1<<40+i), 0); ok {
			wrong++
		}
	}
	if wrong > entries/2000 {
		t.Errorf("%d of %d keys are taken for others", wrong, entries)
	}
}

// Within a shard hashes agree in some bits, the highest or the lowest.
func TestGhostsOfAShardSpread(t *testing.T) {
	const entries = 10_000
	for name, of := range map[string]func(h uint64) uint64{
		"high bits agree": func(h uint64) uint64 { return h >> 8 },
		"low bits agree":  func(h uint64) uint64 { return h << 8 },
	} {
		t.Run(name, func(t *testing.T) {
			var g ghosts
			g.resize(entries, 0)
			for i := range uint64(entries) {
				g.add(of(hash(i)), 0)
			}
			known := 0
			for i := range uint64(entries) {
				if _, ok := g.take(of(hash(i)), 0); ok {
					known++
				}
			}
			if known < entries*95/100 {
				t.Errorf("%d of %d ghosts are known", known, entries)
			}
		})
	}
}

func TestGhostsSurviveGrowth(t *testing.T) {
	var g ghosts
	g.resize(1000, 0)
	for i := range uint32(1000) {
		g.add(hash(uint64(i)), i)
	}
	g.resize(2000, 1000)
	known := 0
	for i := range uint32(1000) {
		if age, ok := g.take(hash(uint64(i)), 1000); ok {
			known++
			if age+64 < 1000-i || age > 1000-i+64 {
				t.Errorf("a key that left %d ago left %d ago", 1000-i, age)
			}
		}
	}
	if known < 950 {
		t.Errorf("%d of 1,000 ghosts are known", known)
	}
	g.resize(1, 1000)
	if got := g.bytes(); got != bucketBytes {
		t.Errorf("%d bytes for one entry", got)
	}
}
