// Package store is the memory of a cache: entries of bytes with a time to
// live, within a limit in bytes, in memory that the garbage collector need not
// look at.
//
// Entries lie one behind the other in slabs: blocks without pointers that are
// filled once, never written again, and given up as a whole. An index of
// 64-bit words says where each entry lies. A look-up reads one word and then
// the slab, and takes no lock; what it returns is a part of the slab, which
// stays as it is for as long as somebody holds it.
//
// Which entries make room for others is decided with queues that are first in,
// first out, as in S3-FIFO (Yang et al., "FIFO Queues are All You Need for
// Cache Eviction", SOSP 2023): such a queue of entries is a list of slabs, and
// evicting means to take the oldest slab apart. Package policy has the
// decisions.
package store
