// Package legacy is what processes on mailgun/groupcache v2 say to one another,
// so that a process on this module can be a peer of theirs while a deployment
// goes on.
//
// [Handler] answers them, [Client] asks them, and [Peers] knows which of them
// owns a key by their ring. A [Group] sends its keys to peers that somebody else
// chooses, those or a user's own. [Awaken] lets the member that is there for
// native peers sleep until the first of them comes.
//
// What this protocol cannot carry is said in docs/migrating.md.
package legacy
