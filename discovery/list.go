package discovery

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	gcnode "github.com/gcnode/gcnode/core"
)

var (
	// ErrEmpty is in the chain of the error for a list without members.
	ErrEmpty = errors.New("the list of members is empty")
	// ErrNotListed is in the chain of the error for a list that this node is
	// missing from.
	ErrNotListed = errors.New("this node is not on the list of members")
)

// namedIDs is how many members an error or a line of the log names.
const namedIDs = 10

// tidy is a list in the one form in which lists are compared: by ID, and with
// every weight written out.
func tidy(peers []gcnode.Peer) []gcnode.Peer {
	list := slices.Clone(peers)
	for i := range list {
		list[i].Weight = max(list[i].Weight, 1)
	}
	slices.SortFunc(list, func(a, b gcnode.Peer) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// check refuses a tidy list that a node must not be given. Of what a node
// refuses itself it says what can be said better here.
func check(list []gcnode.Peer, self string) error {
	if len(list) == 0 {
		return ErrEmpty
	}
	for i, p := range list[1:] {
		if p.ID == list[i].ID {
			return fmt.Errorf("the member %q is there twice; IDs are unique in a cluster", p.ID)
		}
	}
	if self != "" && !contains(list, self) {
		return fmt.Errorf("%w: its ID is %q, those on the list are %s", ErrNotListed, self, names(list, strconv.Quote))
	}
	return nil
}

// contains reports whether a tidy list has a member with the ID.
func contains(list []gcnode.Peer, id string) bool {
	_, found := slices.BinarySearchFunc(list, id, func(p gcnode.Peer, id string) int { return cmp.Compare(p.ID, id) })
	return found
}

// missing are the members of one tidy list that are not on another.
func missing(from, in []gcnode.Peer) []gcnode.Peer {
	var list []gcnode.Peer
	for _, p := range from {
		if !contains(in, p.ID) {
			list = append(list, p)
		}
	}
	return list
}

// names are the IDs of some members, for people; show is how each is written.
func names(list []gcnode.Peer, show func(id string) string) string {
	var b strings.Builder
	for i, p := range list {
		if i == namedIDs {
			fmt.Fprintf(&b, " and %d more", len(list)-namedIDs)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(show(p.ID))
	}
	return b.String()
}

// plain shows an ID in the log, which puts quotes around what needs them.
func plain(id string) string { return id }
