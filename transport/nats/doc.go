// Package natstransport carries requests between members over NATS, on a
// connection that belongs to the program.
//
// A member is served by a [Server] and reaches the others through a [Client].
// The two speak in streams, as over HTTP, which are cut into numbered NATS
// messages below the maximum payload of the server: many requests share a
// message, large values take several, and one that was lost is noticed. No key
// and no group is part of a subject. docs/protocol.md says what travels.
//
// The connection is closed last: first the node, then the server, then the
// client.
package natstransport
