package getterbatch

import "github.com/gcnode/gcnode/plugins/sdk/go/internal/guest"

// The export is used by nodes, which tools that look for unused code do not
// know about.
var _ = getMany

//go:wasmexport gcnode_get_many
func getMany(base, count, _ int32) int32 { return guest.GetMany(base, count) }
