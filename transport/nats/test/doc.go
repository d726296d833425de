// Package test has the tests of transport/nats that need NATS servers, in a
// module of its own, so that nobody who uses the transport gets a server with
// it.
package test
