// Package discovery tells a node who the members of its cluster are, and keeps
// telling it when that changes. A [Source] finds the members: a fixed list
// ([Static]), a file that is watched ([NewFile]), the DNS ([NewDNS]), or
// whatever else implements it. [Members] decides what becomes of what a source
// says, and hands it to the node.
//
// The rule behind all decisions is that a node is better off with an old list
// than with a wrong one: members that are gone are noticed and passed over, but
// every change of the list moves keys. So an answer that is an error, empty or
// without this node changes nothing and is reported, and a change that loses
// more than half of the members at once is reported and, if asked for, held
// back until it is confirmed.
package discovery
