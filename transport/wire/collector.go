package wire

import (
	"io"

	gcnode "github.com/gcnode/gcnode/core"
)

// Collector puts the replies of one exchange together from its frames. The
// zero value is ready for use. It is for one goroutine at a time.
type Collector struct{ open *collected }

// collected is the reply whose value is not complete. Few have one, and then it
// is kept for those that follow.
type collected struct {
	reply gcnode.Reply
	value growing
}

// missing is how many bytes of it are still to come.
func (c *Collector) missing() int {
	if c.open == nil {
		return 0
	}
	return c.open.value.missing()
}

// Add takes the next frame, of which it keeps nothing. complete says that a
// reply has come. The end of the exchange is [io.EOF], or an [*EndError] if the
// peer says that something went wrong. It fails with [ErrMalformed] or
// [gcnode.KindTooLarge]; nothing can be added after an error.
func (c *Collector) Add(b []byte) (_ gcnode.Reply, complete bool, _ error) {
	if string(b) == plainEnd && c.missing() == 0 {
		return gcnode.Reply{}, false, io.EOF
	}
	var f frame
	if err := f.decode(b); err != nil {
		return gcnode.Reply{}, false, err
	}
	if c.missing() > 0 {
		if f.failure != nil {
			return gcnode.Reply{}, false, &EndError{Cause: f.failure}
		}
		if err := c.open.value.add(f.piece); err != nil || c.missing() > 0 {
			return gcnode.Reply{}, false, err
		}
		return c.whole(), true, nil
	}
	switch {
	case f.piece != nil:
		return gcnode.Reply{}, false, malformed("a piece of a value without its beginning")
	case f.refusal != nil:
		return gcnode.Reply{}, false, &EndError{Refused: true, Cause: f.refusal}
	case f.failure != nil:
		return gcnode.Reply{}, false, &EndError{Cause: f.failure}
	case f.end:
		return gcnode.Reply{}, false, io.EOF
	case !f.isReply: // from a newer version
		return gcnode.Reply{}, false, nil
	case f.total != 0:
		if c.open == nil {
			c.open = new(collected)
		}
		c.open.reply = f.reply
		return gcnode.Reply{}, false, c.open.value.start(int(f.total), f.value)
	default:
		f.reply.Value = gcnode.BytesValue(f.value)
		return f.reply, true, nil
	}
}

// End takes the end of the exchange without an error, as Add does.
func (c *Collector) End() error {
	_, _, err := c.Add([]byte(plainEnd))
	return err
}

// Room is where the next n bytes of the value that is being put together can be
// read into, which [Collector.Filled] is to be told of; nil if they have to be
// added in a frame.
func (c *Collector) Room(n int) []byte {
	if n == 0 || n > c.missing() {
		return nil
	}
	g := &c.open.value
	if n > cap(g.text)-g.size {
		return nil
	}
	return g.text[g.size : g.size+n]
}

// Filled takes the piece that was read into [Collector.Room]. complete says that
// a reply has come.
func (c *Collector) Filled(n int) (_ gcnode.Reply, complete bool) {
	g := &c.open.value
	g.size += n
	g.text = g.text[:g.size]
	if g.missing() > 0 {
		return gcnode.Reply{}, false
	}
	return c.whole(), true
}

// whole is the reply whose value is complete.
func (c *Collector) whole() gcnode.Reply {
	r := c.open.reply
	r.Value = c.open.value.take()
	c.open.reply = gcnode.Reply{}
	return r
}

// growing is a value that comes in pieces. It takes at most GrowthFactor times
// the memory of what has come.
type growing struct {
	discard     bool // nothing of it is wanted
	size, total int
	text        []byte // what has come, with room for more
}

// start begins a value of total bytes with its first piece.
func (g *growing) start(total int, first []byte) error {
	g.size, g.total, g.text = 0, total, nil
	if len(first) == 0 {
		return nil
	}
	return g.add(first)
}

// missing is how many bytes are still to come.
func (g *growing) missing() int { return g.total - g.size }

// add takes a further piece, of which it makes a copy.
func (g *growing) add(piece []byte) error {
	switch {
	case len(piece) == 0:
		return malformed("%d of the %d bytes of a value are missing", g.missing(), g.total)
	case len(piece) > g.missing():
		return malformed("a value of %d bytes has more than that", g.total)
	}
	g.size += len(piece)
	if g.discard {
		return nil
	}
	if g.size > cap(g.text) {
		g.text = append(unset(min(g.total, GrowthFactor*g.size)), g.text...)
	}
	g.text = append(g.text, piece...)
	return nil
}

// take is the complete value.
func (g *growing) take() gcnode.Value {
	v := gcnode.StringValue(stringOf(g.text))
	g.text = nil
	return v
}
