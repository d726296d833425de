package wasm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
)

func ExampleLoadFile() {
	if err := run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// world
	// not found
}

// run builds a getter and asks it for two keys.
func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	module := filepath.Join(dir, "getter.wasm")
	build := exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-o", module, "./testdata/guests/verbs")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}

	plugin, err := wasm.LoadFile(ctx, module, wasm.Options{
		Config:     map[string]string{"hello": "world"},
		AllowFetch: []string{"https://example.com"},
		Timeout:    30 * time.Second,
		CacheDir:   os.Getenv("GETTER_CACHE"), // none if it is not set
	})
	if err != nil {
		return err
	}
	defer plugin.Close(ctx)
	item, err := plugin.GetItem(ctx, "config:hello")
	if err != nil {
		return err
	}
	fmt.Println(item.Value)
	_, err = plugin.GetItem(ctx, "answer:1:-1:")
	if e, ok := errors.AsType[*gcnode.Error](err); ok {
		fmt.Println(e.Reason())
	}
	return nil
}
