package wire

import gcnode "github.com/gcnode/gcnode/core"

// Answers keeps account of which parts of a request are answered: each of its
// keys, or the request itself if it has none. It is for one goroutine at a
// time.
type Answers struct {
	answered []bool
	few      [4]bool // what answered is in, for a small request
	left     int     // parts without an answer
	several  bool    // any number of replies to the request itself
}

// NewAnswers is the account of a request without any answer.
func NewAnswers(req *gcnode.Request) *Answers {
	a := &Answers{}
	a.Reset(req)
	return a
}

// Reset begins the account of a request without any answer.
func (a *Answers) Reset(req *gcnode.Request) {
	several := req.Op == gcnode.OpKeys || req.Op == gcnode.OpHello || req.Op == gcnode.OpSync
	*a = Answers{several: several, left: max(1, len(req.Keys))}
	if a.left <= len(a.few) {
		a.answered = a.few[:a.left]
	} else {
		a.answered = make([]bool, a.left)
	}
}

// Add notes a reply. It fails with [ErrMalformed] when the reply is to a key
// that was not asked for, or is already answered, so that a peer cannot go on
// for ever. To [gcnode.OpKeys], [gcnode.OpHello] and [gcnode.OpSync] there may
// be any number of replies: whoever takes them decides when it is enough.
func (a *Answers) Add(r gcnode.Reply) error {
	switch {
	case r.Key < 0 || r.Key >= len(a.answered):
		return malformed("a reply to key %d, which was not asked for", r.Key)
	case r.Pending:
		return nil
	case a.answered[r.Key] && !a.several:
		return malformed("a second reply to key %d", r.Key)
	case !a.answered[r.Key]:
		a.answered[r.Key] = true
		a.left--
	}
	return nil
}

// Complete reports whether nothing can come but the end.
func (a *Answers) Complete() bool { return a.left == 0 && !a.several }

// Missing are the indexes of the keys that have no answer.
func (a *Answers) Missing() []int {
	var keys []int
	for key, done := range a.answered {
		if !done {
			keys = append(keys, key)
		}
	}
	return keys
}
