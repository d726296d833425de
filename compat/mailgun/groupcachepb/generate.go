// Package groupcachepb has the messages that [groupcache.ProtoGetter] is given.
// They have the fields of those of mailgun/groupcache v2.
//
// [groupcache.ProtoGetter]: https://pkg.go.dev/github.com/gcnode/gcnode/compat/mailgun#ProtoGetter
package groupcachepb

//go:generate sh -c "GOWORK=off go tool -modfile=../../../tools/buf/go.mod buf lint"
//go:generate sh -c "GOWORK=off go tool -modfile=../../../tools/buf/go.mod buf generate"
