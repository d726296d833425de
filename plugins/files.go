// Package plugins has the files that a new getter begins with: the SDKs that
// are copied into projects, and the examples of all of them. Only gcnode plugin
// new needs it.
package plugins

import "embed"

// Files are the SDKs for C, C++, Rust, AssemblyScript and JavaScript, and the examples.
//
//go:embed hello/main.go
//go:embed sdk/c/gcnode.h sdk/c/example/greet.c sdk/c/example/greet.cc
//go:embed sdk/rust/Cargo.toml sdk/rust/src/*.rs sdk/rust/example/Cargo.toml sdk/rust/example/src/lib.rs
//go:embed sdk/assemblyscript/package.json sdk/assemblyscript/assembly/*.ts sdk/assemblyscript/example/greet.ts
//go:embed sdk/javascript/getter.c sdk/javascript/gcnode.js sdk/javascript/example/greet.js
var Files embed.FS
