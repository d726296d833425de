// Package wasm runs getters that are supplied as WebAssembly modules.
//
// [Load] turns a module into a [Plugin], which is a
// gcnode.Getter[gcnode.Value]. The contract between the node and the module
// is docs/plugin-abi.md:
//
//	plugin, err := wasm.LoadFile(ctx, "users.wasm", wasm.Options{
//		Config:     map[string]string{"origin": "https://users.example.com"},
//		AllowFetch: []string{"https://users.example.com"},
//		Timeout:    2 * time.Second,
//	})
//	if err != nil {
//		return err
//	}
//	defer plugin.Close(ctx)
//	group, err := node.Group("users", plugin, gcnode.GroupOptions{MaxBytes: 64 << 20})
//
// A module that was written for Extism is run as well, as docs/extism.md says;
// [Options.Function] names the function that answers a key.
//
// A module is not trusted. It has no files and no sockets, it reaches over
// HTTP only the origins in [Options.AllowFetch], its memory is bounded by
// [Options.MaxMemoryBytes], and one deadline covers everything that a request
// does: waiting for an instance, computing, sleeping and fetching. Compiled
// WebAssembly cannot be preempted, which would hold up the garbage collector
// of the whole process; so a module is rewritten when it is loaded, to come
// back to the host about every millisecond of computing. One that is too large
// for that is refused, unless [Options.Interruption] says otherwise. An instance
// that was stopped, that trapped or that broke the contract is thrown away and
// never used again.
package wasm
