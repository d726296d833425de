package gcnode_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// resident is what the examples cache; it needs no codec.
type resident struct{ Name, City string }

func ExampleNewCache() {
	ctx := context.Background()
	database := map[string]*resident{"ann": {"Ann", "Oslo"}, "bob": {"Bob", "Rome"}}
	load := gcnode.GetterFunc[*resident](func(_ context.Context, key string) (gcnode.Item[*resident], error) {
		fmt.Println("loading", key)
		u, ok := database[key]
		if !ok {
			return gcnode.Item[*resident]{}, gcnode.ErrNotFound
		}
		return gcnode.Item[*resident]{Value: u}, nil
	})
	users, err := gcnode.NewCache(load, gcnode.CacheOptions[*resident]{
		MaxEntries:   10_000,
		TTL:          gcnode.For(time.Minute),
		RefreshAhead: 10 * time.Second,
		StaleOnError: time.Hour,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		u, err := users.Get(ctx, "ann") // loaded once, however many ask at the same time
		fmt.Println(u, err)
	}
	for range 2 {
		_, err := users.Get(ctx, "eve") // remembered as well
		fmt.Println(errors.Is(err, gcnode.ErrNotFound), err)
	}
	err = users.Set("ann", gcnode.Item[*resident]{Value: &resident{"Ann", "Bern"}})
	fmt.Println(err)
	for r, err := range users.Stream(ctx, []string{"bob", "ann"}) { // ann need not wait for bob
		fmt.Println(r.Key, r.Value, err)
	}
	// Unordered output:
	// loading ann
	// &{Ann Oslo} <nil>
	// &{Ann Oslo} <nil>
	// loading eve
	// true get "eve": not found
	// true get "eve": not found
	// <nil>
	// ann &{Ann Bern} <nil>
	// loading bob
	// bob &{Bob Rome} <nil>
}

func ExampleCache_GetMany() {
	length := gcnode.GetterFunc[int](func(_ context.Context, key string) (gcnode.Item[int], error) {
		return gcnode.Item[int]{Value: len(key)}, nil
	})
	lengths, err := gcnode.NewCache(length, gcnode.CacheOptions[int]{MaxEntries: 100})
	if err != nil {
		fmt.Println(err)
		return
	}
	many, err := lengths.GetMany(context.Background(), []string{"a", "bb", "ccc"})
	fmt.Println(many, err)
	// Output: map[a:1 bb:2 ccc:3] <nil>
}
