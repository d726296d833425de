// Embedded is a small program that uses the core alone, such as one on a
// device with little memory and slow storage. It reads names of files, one a
// line, and answers with the SHA-256 of what is in them. A digest is computed
// once, again after a minute, and served for an hour beyond that when the file
// cannot be read, as when its card was pulled out.
//
//	ls /etc/hosts /etc/hosts | go run ./embedded
//
// It builds for linux/arm, and for wasip1 too:
//
//	GOOS=wasip1 GOARCH=wasm go build -o embedded.wasm ./embedded
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

type digest [sha256.Size]byte

func main() {
	if err := run(context.Background(), os.Stdin, os.Stdout, os.ReadFile); err != nil {
		fmt.Fprintln(os.Stderr, "embedded example:", err)
		os.Exit(1)
	}
}

// run answers the lines of in until it ends.
func run(ctx context.Context, in io.Reader, out io.Writer, read func(string) ([]byte, error)) error {
	compute := func(_ context.Context, name string) (gcnode.Item[digest], error) {
		b, err := read(name)
		if errors.Is(err, fs.ErrNotExist) {
			return gcnode.Item[digest]{}, gcnode.ErrNotFound
		}
		return gcnode.Item[digest]{Value: sha256.Sum256(b)}, err
	}
	cache, err := gcnode.NewCache(gcnode.GetterFunc[digest](compute), gcnode.CacheOptions[digest]{
		MaxEntries:   1000,
		TTL:          gcnode.For(time.Minute),
		StaleOnError: time.Hour,
	})
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		name := lines.Text()
		d, err := cache.Get(ctx, name)
		if err != nil {
			fmt.Fprintf(out, "%s: %v\n", name, err)
			continue
		}
		fmt.Fprintf(out, "%x  %s\n", d, name)
	}
	st := cache.Stats()
	fmt.Fprintf(out, "%d asked, %d computed\n", st.Gets, st.Loads)
	return lines.Err()
}
