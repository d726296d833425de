package store

// policy decides which queue an entry goes to, and which go on at its end.
type policy struct {
	ghosts []uint32
}

func (p *policy) init()       { p.ghosts = make([]uint32, 64) }
func (p *policy) cost() int64 { return 4 * int64(len(p.ghosts)) }
func (p *policy) toMain(hash uint64) bool {
	g := &p.ghosts[hash>>40%uint64(len(p.ghosts))]
	if *g == uint32(hash) {
		*g = 0
		return true
	}
	return false
}
func (p *policy) fromSmall(small, main int64) bool { return small*10 > small+main }
func (p *policy) smallEnd(hash uint64, uses uint8) bool {
	if uses == 0 {
		p.ghosts[hash>>40%uint64(len(p.ghosts))] = uint32(hash)
		return false
	}
	return true
}

func (p *policy) mainEnd(hash uint64, uses uint8) (uint8, bool) {
	if uses == 0 {
		return 0, false
	}
	return uses - 1, true
}
