package corebench

import (
	"context"
	"time"

	"github.com/gcnode/gcnode/core/internal/flight"
)

// Flights are calls that everyone waits for who asks for the same key. They
// may be used by any number of goroutines.
type Flights struct {
	flights *flight.Flights[string]
}

// NewFlights makes an empty set of flights that make one call a key.
func NewFlights(call func(ctx context.Context, key string) (string, error)) *Flights {
	return &Flights{flight.New(flight.Rules[string]{
		Look: func(string) (string, bool) { return "", false },
		Run: func(ctx context.Context, c *flight.Call[string]) (string, error) {
			return call(ctx, c.Key())
		},
		Report: func(string, error) {},
	})}
}

// Do joins the call under way for the key, or else begins one.
func (f *Flights) Do(ctx context.Context, key string) (string, error) {
	v, _, err := f.flights.Board(ctx, flight.Plan[string]{Role: flight.Load, Key: key, Timeout: time.Minute}).Wait(ctx)
	return v, err
}
