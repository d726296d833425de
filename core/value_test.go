package gcnode_test

import (
	"bytes"
	"io"
	"testing"

	gcnode "github.com/gcnode/gcnode/core"
)

func TestValuesAreImmutable(t *testing.T) {
	b := []byte("abc")
	v := gcnode.BytesValue(b)
	b[0] = 'x'
	out := v.Bytes()
	out[1] = 'x'
	if v.String() != "abc" || v != gcnode.StringValue("abc") || v.Clone() != v {
		t.Errorf("value %q", v)
	}
}

func TestValuesCanBeReadInEveryWay(t *testing.T) {
	for _, s := range []string{"", "a", "\x00\xff"} {
		v := gcnode.StringValue(s)
		var buf bytes.Buffer
		n, err := v.WriteTo(&buf)
		if err != nil || n != int64(len(s)) || buf.String() != s {
			t.Errorf("WriteTo %q: %d, %v, %q", s, n, err, buf.String())
		}
		read, err := io.ReadAll(v.Reader())
		if err != nil || string(read) != s || v.Len() != len(s) || string(v.AppendTo([]byte("+"))) != "+"+s {
			t.Errorf("%q is read as %q, %v", s, read, err)
		}
	}
}
