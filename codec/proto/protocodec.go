// Package protocodec is the codec of protobuf messages for groups whose values
// have a type.
package protocodec

import (
	"errors"

	"google.golang.org/protobuf/proto"

	gcnode "github.com/gcnode/gcnode/core"
)

// New is the codec of a generated message type: New[userpb.User]() is a
// [gcnode.Codec] of *userpb.User. Everyone who asks gets a message of his own.
// Fields that the reader's type does not have are kept as unknown fields, so
// the bytes of another message may decode without an error. A nil message
// cannot be encoded: a key without a value is [gcnode.ErrNotFound].
func New[T any, M interface {
	*T
	proto.Message
}]() gcnode.Codec[M] {
	return codec[T, M]{}
}

type codec[T any, M interface {
	*T
	proto.Message
}] struct{}

// AppendEncode implements [gcnode.Codec].
func (codec[T, M]) AppendEncode(dst []byte, m M) ([]byte, error) {
	if m == nil {
		return nil, errors.New("the message is nil")
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, m)
}

// Decode implements [gcnode.Codec].
func (codec[T, M]) Decode(v gcnode.Value) (M, error) {
	m := M(new(T))
	if err := proto.Unmarshal(v.Bytes(), m); err != nil {
		return nil, err
	}
	return m, nil
}
