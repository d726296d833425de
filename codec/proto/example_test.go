package protocodec_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	protocodec "github.com/gcnode/gcnode/codec/proto"
	gcnode "github.com/gcnode/gcnode/core"
)

func ExampleNew() {
	birthday := gcnode.GetterFunc[*timestamppb.Timestamp](func(_ context.Context, key string) (gcnode.Item[*timestamppb.Timestamp], error) {
		return gcnode.Item[*timestamppb.Timestamp]{Value: timestamppb.New(time.Date(1985, time.March, 9, 0, 0, 0, 0, time.UTC))}, nil
	})
	node, err := gcnode.NewNode(gcnode.Config{})
	if err != nil {
		log.Fatal(err)
	}
	birthdays, err := gcnode.Of(node, "birthdays", protocodec.New[timestamppb.Timestamp](), birthday, gcnode.GroupOptions{MaxBytes: 1 << 20})
	if err != nil {
		log.Fatal(err)
	}
	ann, err := birthdays.Get(context.Background(), "ann")
	fmt.Println(ann.AsTime().Year(), err)
	// Output: 1985 <nil>
}
