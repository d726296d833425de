// Package gcnode is a distributed read-through cache.
//
// A [Node] is one member of a cluster of processes. Each [Group] of values on
// it has a [Getter] that knows where the values come from. Every key has one
// owner among the members, chosen by hashing; a miss is loaded once, by the
// owner, while everyone else who asks for the key waits for that answer.
// Values expire, and [Group.Remove] takes them out of every member.
//
// The values of a group are bytes. [Of] and [As] give them a Go type, with a
// [Codec] that encodes what is loaded and decodes what is asked for.
//
// A [Cache] is the same for Go values of any type in one process: it loads,
// expires and reloads, but has no peers and needs no codec.
//
// Members talk through a [Transport]; without one a node is a cache of its
// own. The package needs nothing but the standard library.
package gcnode
