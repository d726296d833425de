package gcnode_test

import (
	"context"
	"fmt"
	"log"
	"strconv"

	gcnode "github.com/gcnode/gcnode/core"
)

// A group whose values are Go structs. They are encoded once, when they are
// loaded, and kept and sent to other members as bytes.
func ExampleOf() {
	type User struct {
		Name string
		Age  int
	}
	load := gcnode.GetterFunc[User](func(_ context.Context, key string) (gcnode.Item[User], error) {
		if key != "ann" {
			return gcnode.Item[User]{}, gcnode.ErrNotFound
		}
		return gcnode.Item[User]{Value: User{Name: "Ann", Age: 41}}, nil
	})
	node, err := gcnode.NewNode(gcnode.Config{})
	if err != nil {
		log.Fatal(err)
	}
	users, err := gcnode.Of(node, "users", gcnode.JSON[User](), load, gcnode.GroupOptions{MaxBytes: 64 << 20})
	if err != nil {
		log.Fatal(err)
	}
	u, err := users.Get(context.Background(), "ann")
	fmt.Println(u.Name, u.Age, err)
	_, err = users.Get(context.Background(), "bob")
	fmt.Println(err)
	// Output:
	// Ann 41 <nil>
	// get "bob" in group "users": not found
}

// Strings out of a group of bytes, without a copy.
func ExampleAs() {
	square := gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
		n, err := strconv.Atoi(key)
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(strconv.Itoa(n * n))}, err
	})
	node, err := gcnode.NewNode(gcnode.Config{})
	if err != nil {
		log.Fatal(err)
	}
	group, err := node.Group("squares", square, gcnode.GroupOptions{MaxBytes: 64 << 20})
	if err != nil {
		log.Fatal(err)
	}
	text, err := gcnode.As(group, gcnode.String())
	if err != nil {
		log.Fatal(err)
	}
	numbers, err := gcnode.As(group, gcnode.JSON[int]())
	if err != nil {
		log.Fatal(err)
	}
	s, err := text.Get(context.Background(), "12")
	fmt.Printf("%q %v\n", s, err)
	n, err := numbers.Get(context.Background(), "12") // loaded once for both
	fmt.Println(n+1, err)
	// Output:
	// "144" <nil>
	// 145 <nil>
}
