// Package httptransport carries requests between members over HTTP.
//
// A member is served by [NewHandler], which can be mounted anywhere and shares
// a server with whatever else is there, and reaches the others through a
// [Client]. The address of a peer is the URL under which its handler is
// mounted. docs/protocol.md says what travels.
package httptransport

// contentType is that of requests and of answers.
const contentType = "application/vnd.gcnode.peer.v1"
