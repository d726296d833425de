package sub_test

import (
	"testing"

	. "github.com/mailgun/groupcache/v2"
	_ "github.com/mailgun/groupcache/v2/testpb"
)

func TestGroup(t *testing.T) {
	if GetGroup("none") != nil {
		t.Error("there is one")
	}
}
