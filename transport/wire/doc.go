// Package wire is how members of a cluster speak to each other: the bytes of
// requests and replies, whatever carries them. docs/protocol.md is the
// specification, and peer.proto the schema.
//
// Messages are encoded and decoded here by hand, so that limits are checked
// before memory is spent and a value is copied once. The generated code in
// peerpb is for others, and for the tests, which compare the two.
package wire
