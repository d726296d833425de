// Package transporttest tests what carries requests between members, and what
// is carried.
//
// [Network] is a [gcnode.Transport] in memory with faults that can be set. It
// needs no sockets and no clock of its own, so it may be used under
// testing/synctest. [Run] is the conformance kit of transports, and
// with [Beginning] that of requests that are begun.
package transporttest
