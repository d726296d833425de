package httptransport

import (
	"fmt"

	gcnode "github.com/gcnode/gcnode/core"
)

// places bound how many requests are served at a time. Clients that are no members
// have half of them at most: a member that is refused takes that for the answer.
type places struct {
	all     chan struct{} // one element for each request
	clients chan struct{} // and one for each of a client
}

func newPlaces(most int) *places {
	return &places{make(chan struct{}, most), make(chan struct{}, half(most))}
}

// half leaves a part to others where there can be one.
func half(n int) int { return (n + 1) / 2 }

// take takes a place, or says that there is none.
func (p *places) take(of role) *gcnode.Error {
	if of == isClient && !enter(p.clients) {
		return tooManyServed(cap(p.clients), "requests of clients")
	}
	if enter(p.all) {
		return nil
	}
	if of == isClient {
		<-p.clients
	}
	return tooManyServed(cap(p.all), "requests")
}

// leave gives a place back.
func (p *places) leave(of role) {
	<-p.all
	if of == isClient {
		<-p.clients
	}
}

func enter(places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	default:
		return false
	}
}

func tooManyServed(most int, what string) *gcnode.Error {
	return &gcnode.Error{Kind: gcnode.KindOverloaded, Err: fmt.Errorf("%d %s are being served", most, what)}
}
