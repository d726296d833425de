// Package origintest is an origin of documents, for the tests of getters that load
// them over HTTP.
package origintest
