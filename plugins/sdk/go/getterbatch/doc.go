// Package getterbatch lets nodes hand several keys to a getter in one call:
//
//	import _ "github.com/gcnode/gcnode/plugins/sdk/go/getterbatch"
//
// Each key is a request as ever, in a goroutine of its own. All of a batch are
// answered by one instance, at the same time as far as they fetch and one after
// the other as far as they compute; without this package a node spreads them
// over its instances. It is for getters that have much to share between keys,
// or do little for each.
package getterbatch
