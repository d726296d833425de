package legacy

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/gcnode/gcnode/compat/mailgun/groupcachepb"
	gcnode "github.com/gcnode/gcnode/core"
)

// DefaultBasePath is where peers serve one another if nothing else was agreed.
const DefaultBasePath = "/_groupcache/"

const (
	contentType = "application/x-protobuf"
	// maxMessageBytes is a message with the largest key and value, and room for
	// the rest of it.
	maxMessageBytes = gcnode.MaxValueBytes + gcnode.MaxKeyBytes + 4<<10
	// maxTextBytes bounds the text beside an error.
	maxTextBytes = 4 << 10
)

// statusElsewhere is the answer of a process that can say nothing about the key:
// it is shutting down, does not have the group, or has its peers at another path.
// Old peers load the value themselves then, as they do after any status but 404
// and 503.
const statusElsewhere = 421

// aroundValue is what an answer, a GetResponse, has before and after the bytes of
// the item's value, which may be too many to be copied for each peer that asks.
func aroundValue(it gcnode.Item[gcnode.Value], now time.Time) (before, after []byte) {
	before = protowire.AppendTag(nil, 1, protowire.BytesType)
	before = protowire.AppendVarint(before, uint64(it.Value.Len()))
	after = protowire.AppendTag(nil, 3, protowire.VarintType)
	after = protowire.AppendVarint(after, uint64(expireOf(it.Keep, now)))
	return before, after
}

// itemOf reads an answer.
func itemOf(body []byte, now time.Time) (gcnode.Item[gcnode.Value], error) {
	var m pb.GetResponse
	if err := proto.Unmarshal(body, &m); err != nil {
		return gcnode.Item[gcnode.Value]{}, fmt.Errorf("the answer is no value: %w", err)
	}
	return itemWith(m.GetValue(), m.GetExpire(), now)
}

// setOf is the body of a request to store the item.
func setOf(group, key string, it gcnode.Item[gcnode.Value], now time.Time) ([]byte, error) {
	return proto.Marshal(&pb.SetRequest{
		Group: &group, Key: &key, Value: it.Value.Bytes(), Expire: new(expireOf(it.Keep, now)),
	})
}

// storedOf reads such a body, which was sent to the path of a group and a key.
func storedOf(body []byte, group, key string, now time.Time) (gcnode.Item[gcnode.Value], error) {
	var m pb.SetRequest
	if err := proto.Unmarshal(body, &m); err != nil {
		return gcnode.Item[gcnode.Value]{}, fmt.Errorf("the body is no value to store: %w", err)
	}
	if m.GetGroup() != group || m.GetKey() != key {
		return gcnode.Item[gcnode.Value]{}, fmt.Errorf("the path names %q in group %q, and the body %q in group %q",
			clip(key), clip(group), clip(m.GetKey()), clip(m.GetGroup()))
	}
	return itemWith(m.GetValue(), m.GetExpire(), now)
}

func itemWith(value []byte, expire int64, now time.Time) (gcnode.Item[gcnode.Value], error) {
	if len(value) > gcnode.MaxValueBytes {
		return gcnode.Item[gcnode.Value]{}, fmt.Errorf("the value has %d bytes; at most %d are allowed", len(value), gcnode.MaxValueBytes)
	}
	return gcnode.Item[gcnode.Value]{Value: gcnode.BytesValue(value), Keep: keepOf(expire, now)}, nil
}

// keepOf is what remains of a life that ends at a time, in nanoseconds of Unix
// time; 0: it does not end.
func keepOf(expire int64, now time.Time) gcnode.Lifetime {
	at := now.UnixNano()
	switch {
	case expire == 0:
		return gcnode.Forever
	case expire <= at:
		return gcnode.NoStore
	default:
		return gcnode.For(time.Duration(expire - at))
	}
}

// expireOf is the end of a life in that form. One that must not be stored has
// ended, so that an old peer loads for itself.
func expireOf(keep gcnode.Lifetime, now time.Time) int64 {
	at := now.UnixNano()
	d, ends := keep.Duration()
	switch {
	case keep == gcnode.NoStore:
		return at
	case !ends || int64(d) > math.MaxInt64-at:
		return 0
	default:
		return at + int64(d)
	}
}

// pathOf is the end of the URL of a key, after the base path.
func pathOf(group, key string) string {
	return url.PathEscape(group) + "/" + url.PathEscape(key)
}

// splitPath is the group and the key of a path as it came, still escaped.
func splitPath(escaped string) (group, key string, err error) {
	first, second, ok := strings.Cut(escaped, "/")
	if !ok {
		return "", "", errors.New("the path has no key: it ends with <group>/<key>")
	}
	if group, err = url.PathUnescape(first); err != nil {
		return "", "", err
	}
	if key, err = url.PathUnescape(second); err != nil {
		return "", "", err
	}
	return group, key, nil
}

// clip is as much of a text as a message shows.
func clip(s string) string { return s[:min(len(s), 128)] }
