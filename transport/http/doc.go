// Package httptransport carries requests between members over HTTP.
//
// A member is served by a [Handler], which can be mounted anywhere and shares
// a server with whatever else is there, and reaches the others through a
// [Client]. The address of a peer is the URL under which its handler is
// mounted. Requests to a peer share one connection where they can: a stream,
// which begins with an Upgrade; where there is none, fetches share POSTs.
// docs/protocol.md says what travels.
//
// Whoever reaches a handler is a member, unless requests have to be signed
// ([HandlerOptions].Secrets), or its server wants certificates of clients (package
// certs). A handler that others than members can reach needs one of the two.
package httptransport

const (
	// contentType is that of requests and of answers.
	contentType = "application/vnd.gcnode.peer.v1"
	// bundleType is that of bundles and of what is returned for them.
	bundleType = "application/vnd.gcnode.bundle.v1"
)
