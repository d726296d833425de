//go:build !linux

package e2e_test

import "testing"

func insideNamespace() bool { return false }

func tryNamespaces() string { return "they are for Linux" }

func newNamespaces(*testing.T) fabric { return nil }

func newNATSNamespaces(*testing.T) fabric { return nil }

func runInNamespace(*testing.T) {}
