// Package groupcache is the API of mailgun/groupcache v2 on top of gcnode: a
// program that uses it needs another import path, and no other change.
//
//	import groupcache "github.com/gcnode/gcnode/compat/mailgun"
//
//	pool := groupcache.NewHTTPPoolOpts(self, &groupcache.HTTPPoolOptions{})
//	pool.Set(self, "http://10.0.0.2:8080", "http://10.0.0.3:8080")
//	http.Handle("/_groupcache/", pool)
//
//	users := groupcache.NewGroup("users", 64<<20, groupcache.GetterFunc(
//		func(ctx context.Context, id string, dest groupcache.Sink) error {
//			user, err := load(ctx, id)
//			if err != nil {
//				return err
//			}
//			return dest.SetProto(user, time.Now().Add(5*time.Minute))
//		}))
//
//	var user User
//	err := users.Get(ctx, "ann", groupcache.ProtoSink(&user))
//
// What is different is what nobody will miss: a removal holds against loads that
// are under way and names who did not confirm it; writes are not merged; a load
// belongs to none of its callers; a panic hangs no key; copies are vouched for by
// the owner of the key every few seconds; and members need no common clock.
// docs/guarantees.md says what holds.
//
// Where the signatures of this API mean a weakness, the comment says so and names
// the native way: absolute expiry times ([Sink]), one pool and one set of groups
// in a process ([NewHTTPPoolOpts], [NewGroup]), peers that one brings along
// ([PeerPicker]). A group of package gcnode and one of this package can be on the
// same node ([HTTPPool.Node]), so that a program can move group by group.
//
// The module compares its exported API with a list of that of the old library.
// SetLogger, which takes an entry of logrus, is the one exception:
// [SetLoggerFromLogger] shows what to use.
package groupcache
