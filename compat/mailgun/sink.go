package groupcache

import (
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	gcnode "github.com/gcnode/gcnode/core"
)

// Sink receives a value: that of a getter, which must call one of its methods
// before it returns nil (the last call counts), or that of a [Group.Get].
//
// e is when the value expires, the zero time for never. It is an absolute time,
// and only this process looks at it: what travels to other members, and what the
// cache counts, is the time that is left. [gcnode.Item] has a duration to begin
// with.
type Sink interface {
	// SetString sets the value to s.
	SetString(s string, e time.Time) error
	// SetBytes sets the value to a copy of v.
	SetBytes(v []byte, e time.Time) error
	// SetProto sets the value to the encoded message.
	SetProto(m proto.Message, e time.Time) error
}

// deliver hands a view to a sink.
func deliver(dest Sink, v ByteView) error {
	if s, ok := dest.(sinkOf[viewTarget]); ok {
		return s.to.set(v)
	}
	if s, ok := dest.(interface{ set(v ByteView) error }); ok {
		return s.set(v)
	}
	return dest.SetBytes(v.ByteSlice(), v.Expire())
}

// StringSink returns a Sink that sets *sp.
func StringSink(sp *string) Sink { return sinkOf[stringTarget]{stringTarget{sp}} }

// ByteViewSink returns a Sink that sets *dst. What is in memory it takes without
// a copy.
func ByteViewSink(dst *ByteView) Sink { return sinkOf[viewTarget]{viewTarget{dst}} }

// ProtoSink returns a Sink that decodes the value into m.
func ProtoSink(m proto.Message) Sink { return sinkOf[protoTarget]{protoTarget{m}} }

// AllocatingByteSliceSink returns a Sink that sets *dst to a slice of its own.
func AllocatingByteSliceSink(dst *[]byte) Sink { return sinkOf[bytesTarget]{bytesTarget{dst}} }

// TruncatingByteSliceSink returns a Sink that fills *dst as far as there are
// bytes, and shortens it if they are fewer. Those that do not fit are left out.
func TruncatingByteSliceSink(dst *[]byte) Sink { return sinkOf[roomTarget]{roomTarget{dst}} }

// target is where the value of a sink goes.
type target interface {
	set(v ByteView) error
}

// sinkOf is a sink that makes a view of whatever it is given. One whose target is
// a pointer takes no memory of its own.
type sinkOf[T target] struct{ to T }

// SetString implements [Sink].
func (s sinkOf[T]) SetString(v string, e time.Time) error {
	return s.to.set(viewOf(gcnode.StringValue(v), e))
}

// SetBytes implements [Sink].
func (s sinkOf[T]) SetBytes(v []byte, e time.Time) error {
	return s.to.set(viewOf(gcnode.BytesValue(v), e))
}

// SetProto implements [Sink].
func (s sinkOf[T]) SetProto(m proto.Message, e time.Time) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	return s.to.set(viewOf(gcnode.BytesValue(b), e))
}

func (s sinkOf[T]) set(v ByteView) error { return s.to.set(v) }

var errNoDestination = errors.New("groupcache: the sink has nowhere to put the value: it was made with nil")

type viewTarget struct{ dst *ByteView }

func (t viewTarget) set(v ByteView) error {
	if t.dst == nil {
		return errNoDestination
	}
	*t.dst = v
	return nil
}

type stringTarget struct{ dst *string }

func (t stringTarget) set(v ByteView) error {
	if t.dst == nil {
		return errNoDestination
	}
	*t.dst = v.String()
	return nil
}

type bytesTarget struct{ dst *[]byte }

func (t bytesTarget) set(v ByteView) error {
	if t.dst == nil {
		return errNoDestination
	}
	*t.dst = v.ByteSlice()
	return nil
}

type roomTarget struct{ dst *[]byte }

func (t roomTarget) set(v ByteView) error {
	if t.dst == nil {
		return errNoDestination
	}
	*t.dst = (*t.dst)[:v.Copy(*t.dst)]
	return nil
}

type protoTarget struct{ dst proto.Message }

func (t protoTarget) set(v ByteView) error {
	if t.dst == nil {
		return errNoDestination
	}
	return proto.Unmarshal(v.v.Bytes(), t.dst)
}

// loaded is the target of what a getter gives.
type loaded struct {
	view ByteView
	some bool
}

func (l *loaded) set(v ByteView) error { //nolint:unparam // it is a target
	l.view, l.some = v, true
	return nil
}
