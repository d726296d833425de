// Command httpprobe is a getter that fetches its key with an ordinary client.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
	"github.com/gcnode/gcnode/plugins/sdk/go/getterhttp"
)

func main() {}

func init() { getter.Register(open) }

func open(*getter.Env) (getter.Func, error) {
	client := &http.Client{Transport: getterhttp.Transport{}, Timeout: time.Minute}
	return func(ctx context.Context, key string) (getter.Item, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, key, http.NoBody)
		if err != nil {
			return getter.Item{}, fmt.Errorf("%w: %w", getter.ErrPermanent, err)
		}
		response, err := client.Do(request)
		if err != nil {
			return getter.Item{}, err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return getter.Item{Value: []byte(response.Status + " " + string(body))}, err
	}, nil
}
