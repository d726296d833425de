package gcnode

import "encoding/json"

// Codec turns values into bytes and back. [String], [Bytes], [JSON] and [Raw]
// make some. Its methods are called from any number of goroutines at once, and
// members that share a group must be able to read what the others write.
type Codec[V any] interface {
	// AppendEncode appends the bytes of v to dst, as append does, and keeps
	// neither of them.
	AppendEncode(dst []byte, v V) ([]byte, error)
	// Decode is the value that the bytes stand for. Everyone who asks gets
	// one of his own, so it may share memory with v only if nobody can change
	// it.
	Decode(v Value) (V, error)
}

// valueCodec is a codec whose values are immutable already, so that a loaded
// one need not be copied to be encoded.
type valueCodec[V any] interface {
	encode(v V) Value
}

// encode is the value as bytes.
func encode[V any](c Codec[V], v V) (Value, error) {
	if direct, ok := c.(valueCodec[V]); ok {
		return direct.encode(v), nil
	}
	b, err := c.AppendEncode(nil, v)
	if err != nil {
		return Value{}, err
	}
	return BytesValue(b), nil
}

// String is the codec of strings, which it does not copy: as with
// [Value.Clone], clone a short one that is kept for long.
func String() Codec[string] { return stringCodec{} }

type stringCodec struct{}

// AppendEncode implements [Codec].
func (stringCodec) AppendEncode(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }

// Decode implements [Codec].
func (stringCodec) Decode(v Value) (string, error) { return v.String(), nil }

func (stringCodec) encode(v string) Value { return StringValue(v) }

// Bytes is the codec of byte slices. Everyone who asks gets a copy, which is
// never nil.
func Bytes() Codec[[]byte] { return bytesCodec{} }

type bytesCodec struct{}

// AppendEncode implements [Codec].
func (bytesCodec) AppendEncode(dst, v []byte) ([]byte, error) { return append(dst, v...), nil }

// Decode implements [Codec].
func (bytesCodec) Decode(v Value) ([]byte, error) { return v.Bytes(), nil }

func (bytesCodec) encode(v []byte) Value { return BytesValue(v) }

// Raw is the codec of values as a [Group] has them.
func Raw() Codec[Value] { return rawCodec{} }

type rawCodec struct{}

// AppendEncode implements [Codec].
func (rawCodec) AppendEncode(dst []byte, v Value) ([]byte, error) { return v.AppendTo(dst), nil }

// Decode implements [Codec].
func (rawCodec) Decode(v Value) (Value, error) { return v, nil }

func (rawCodec) encode(v Value) Value { return v }

// JSON is the codec of everything that package encoding/json can write and
// read. A field that only the writer knows is ignored, one that only the reader
// knows is zero.
func JSON[V any]() Codec[V] { return jsonCodec[V]{} }

type jsonCodec[V any] struct{}

// AppendEncode implements [Codec].
func (jsonCodec[V]) AppendEncode(dst []byte, v V) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(dst, b...), err
}

// Decode implements [Codec].
func (jsonCodec[V]) Decode(v Value) (V, error) {
	var out V
	err := json.Unmarshal(v.Bytes(), &out)
	return out, err
}
