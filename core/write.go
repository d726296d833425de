package gcnode

import "context"

// Set stores a value at the owner of the key and takes older values out of the
// cache on all members. It writes nothing to the origin: write there first.
//
// nil means that every Get that starts afterwards on a member that was reached
// returns this value or a later one: one of a later Set, or of a load that began
// after Set was called. The value is not there for ever: it can be evicted, and
// ends with it.Keep, as a loaded one would; [NoStore] only takes older values
// out. Errors are as those of [Group.Remove]: those who did not confirm are told
// in the background that older values are void; the value may be stored or not.
// One of [KindTooLarge] is for what is over a limit; a value that a store of
// this size could not keep is no error.
//
// Of two concurrent Sets of one key the one with the later stamp stays
// everywhere; both return nil.
func (g *Group) Set(ctx context.Context, key string, it Item[Value]) error {
	return &Error{Kind: KindUnsupported, Op: OpSet, Group: g.name, Key: key}
}

// Clear takes all keys of the group out of the cache on all members, with the
// guarantee and the errors of [Group.Remove].
func (g *Group) Clear(ctx context.Context) error {
	return &Error{Kind: KindUnsupported, Op: OpRemove, Group: g.name}
}
