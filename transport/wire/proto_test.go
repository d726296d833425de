package wire_test

import (
	"errors"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire/peerpb"
)

// The conversions between core's types and the generated ones, with which the
// hand-written code is compared.

func requestToProto(r *gcnode.Request) *peerpb.Request {
	out := &peerpb.Request{
		Op: peerpb.Op(r.Op), ListHash: r.ListHash, Group: []byte(r.Group), Keys: toBytes(r.Keys),
		TimeoutNanos: int64(r.Timeout), HeartbeatNanos: int64(r.Heartbeat), To: []byte(r.To),
		KeepNanos: int64(r.Keep), Stamp: stampToProto(r.Stamp), Known: knownToProto(r.Known), Value: r.Value.Bytes(),
		Removals:    removalsToProto(r.Removals),
		TraceParent: []byte(r.Trace.Parent), TraceState: []byte(r.Trace.State),
	}
	for _, d := range r.Digests {
		if d == (gcnode.Digest{}) {
			out.Digests = append(out.Digests, nil)
		} else {
			out.Digests = append(out.Digests, d[:])
		}
	}
	if r.From != (gcnode.Sender{}) {
		out.From = &peerpb.Sender{Id: []byte(r.From.ID), Incarnation: r.From.Incarnation}
	}
	for _, id := range r.Finished {
		out.Finished = append(out.Finished, idToProto(id))
	}
	return out
}

func removalsToProto(list []gcnode.Removal) []*peerpb.Removal {
	var out []*peerpb.Removal
	for _, removal := range list {
		m := &peerpb.Removal{
			Stamp: stampToProto(removal.Stamp), Group: []byte(removal.Group), Keys: toBytes(removal.Keys), All: removal.All,
		}
		if removal.ID != (gcnode.RemovalID{}) {
			m.Id = idToProto(removal.ID)
		}
		out = append(out, m)
	}
	return out
}

func stampToProto(s gcnode.Stamp) *peerpb.Stamp {
	if s == (gcnode.Stamp{}) {
		return nil
	}
	return &peerpb.Stamp{Time: uint64(s.Time), Incarnation: s.Incarnation}
}

func stampFromProto(s *peerpb.Stamp) gcnode.Stamp {
	return gcnode.Stamp{Time: int64(s.GetTime()), Incarnation: s.GetIncarnation()}
}

func senderToProto(s gcnode.Sender) *peerpb.Sender {
	return &peerpb.Sender{Id: []byte(s.ID), Incarnation: s.Incarnation}
}

func senderFromProto(s *peerpb.Sender) gcnode.Sender {
	return gcnode.Sender{ID: string(s.GetId()), Incarnation: s.GetIncarnation()}
}

func knownToProto(list []gcnode.Known) []*peerpb.Known {
	var out []*peerpb.Known
	for _, k := range list {
		m := &peerpb.Known{Seq: k.Seq}
		if k.Sender != (gcnode.Sender{}) {
			m.Sender = senderToProto(k.Sender)
		}
		out = append(out, m)
	}
	return out
}

func knownFromProto(list []*peerpb.Known) []gcnode.Known {
	var out []gcnode.Known
	for _, m := range list {
		out = append(out, gcnode.Known{Sender: senderFromProto(m.GetSender()), Seq: m.GetSeq()})
	}
	return out
}

func removalsFromProto(list []*peerpb.Removal) []gcnode.Removal {
	var out []gcnode.Removal
	for _, removal := range list {
		out = append(out, gcnode.Removal{
			ID: idFromProto(removal.GetId()), Stamp: stampFromProto(removal.GetStamp()),
			Group: string(removal.GetGroup()), Keys: toStrings(removal.GetKeys()), All: removal.GetAll(),
		})
	}
	return out
}

func idToProto(id gcnode.RemovalID) *peerpb.RemovalID {
	return &peerpb.RemovalID{Sender: []byte(id.Sender), Incarnation: id.Incarnation, Seq: id.Seq}
}

func toBytes(keys []string) [][]byte {
	var out [][]byte
	for _, key := range keys {
		out = append(out, []byte(key))
	}
	return out
}

func requestFromProto(m *peerpb.Request) *gcnode.Request {
	out := &gcnode.Request{
		Op:       gcnode.Op(m.GetOp()),
		From:     gcnode.Sender{ID: string(m.GetFrom().GetId()), Incarnation: m.GetFrom().GetIncarnation()},
		ListHash: m.GetListHash(), Group: string(m.GetGroup()), Keys: toStrings(m.GetKeys()),
		Timeout: time.Duration(m.GetTimeoutNanos()), Heartbeat: time.Duration(m.GetHeartbeatNanos()),
		To: string(m.GetTo()), Keep: gcnode.Lifetime(m.GetKeepNanos()), Stamp: stampFromProto(m.GetStamp()),
		Known: knownFromProto(m.GetKnown()), Value: gcnode.BytesValue(m.GetValue()), Removals: removalsFromProto(m.GetRemovals()),
		Trace: gcnode.Trace{Parent: string(m.GetTraceParent()), State: string(m.GetTraceState())},
	}
	for _, d := range m.GetDigests() {
		out.Digests = append(out.Digests, gcnode.Digest{})
		copy(out.Digests[len(out.Digests)-1][:], d)
	}
	for _, id := range m.GetFinished() {
		out.Finished = append(out.Finished, idFromProto(id))
	}
	return out
}

func idFromProto(m *peerpb.RemovalID) gcnode.RemovalID {
	return gcnode.RemovalID{Sender: string(m.GetSender()), Incarnation: m.GetIncarnation(), Seq: m.GetSeq()}
}

func toStrings(keys [][]byte) []string {
	var out []string
	for _, key := range keys {
		out = append(out, string(key))
	}
	return out
}

// replyToProto is the frame of a reply whose value travels in one piece.
func replyToProto(r gcnode.Reply) *peerpb.Frame {
	out := &peerpb.Reply{
		Key: uint32(r.Key), Pending: r.Pending, KeepNanos: int64(r.Keep), Source: peerpb.Source(r.Source),
		ListHash: r.ListHash, Value: r.Value.Bytes(), NotModified: r.NotModified, Keys: toBytes(r.Keys),
	}
	if r.Err != nil {
		out.Error = errorToProto(r.Err)
	}
	if r.Ack != nil {
		out.Ack = &peerpb.Ack{
			Incarnation: r.Ack.Incarnation, Time: uint64(r.Ack.Time),
			Known: knownToProto(r.Ack.Known), Removals: removalsToProto(r.Ack.Removals),
		}
		for _, s := range r.Ack.Left {
			out.Ack.Left = append(out.Ack.Left, senderToProto(s))
		}
		for _, s := range r.Ack.Lives {
			out.Ack.Lives = append(out.Ack.Lives, senderToProto(s))
		}
		for _, p := range r.Ack.Members {
			out.Ack.Members = append(out.Ack.Members, &peerpb.Peer{Id: []byte(p.ID), Addr: []byte(p.Addr), Weight: uint32(p.Weight)})
		}
	}
	return &peerpb.Frame{Kind: &peerpb.Frame_Reply{Reply: out}}
}

func errorToProto(e *gcnode.Error) *peerpb.Error {
	out := &peerpb.Error{Kind: peerpb.Kind(e.Kind), RetryAfterNanos: int64(e.RetryAfter)}
	if e.Err != nil {
		out.Message = e.Err.Error()
	}
	return out
}

func replyFromProto(m *peerpb.Reply) gcnode.Reply {
	out := gcnode.Reply{
		Key: int(m.GetKey()), Pending: m.GetPending(), Keep: gcnode.Lifetime(m.GetKeepNanos()),
		ListHash: m.GetListHash(), Value: gcnode.BytesValue(m.GetValue()), NotModified: m.GetNotModified(), Keys: toStrings(m.GetKeys()),
	}
	if _, known := peerpb.Source_name[int32(m.GetSource())]; known {
		out.Source = gcnode.Source(m.GetSource())
	}
	if e := m.GetError(); e != nil {
		out.Err = &gcnode.Error{RetryAfter: time.Duration(e.GetRetryAfterNanos())}
		if _, known := peerpb.Kind_name[int32(e.GetKind())]; known {
			out.Err.Kind = gcnode.Kind(e.GetKind())
		}
		if e.GetMessage() != "" {
			out.Err.Err = errors.New(e.GetMessage())
		}
	}
	if a := m.GetAck(); a != nil {
		out.Ack = &gcnode.Ack{
			Incarnation: a.GetIncarnation(), Time: int64(a.GetTime()),
			Known: knownFromProto(a.GetKnown()), Removals: removalsFromProto(a.GetRemovals()),
		}
		for _, s := range a.GetLeft() {
			out.Ack.Left = append(out.Ack.Left, senderFromProto(s))
		}
		for _, s := range a.GetLives() {
			out.Ack.Lives = append(out.Ack.Lives, senderFromProto(s))
		}
		for _, p := range a.GetMembers() {
			out.Ack.Members = append(out.Ack.Members, gcnode.Peer{ID: string(p.GetId()), Addr: string(p.GetAddr()), Weight: uint16(p.GetWeight())})
		}
	}
	return out
}
