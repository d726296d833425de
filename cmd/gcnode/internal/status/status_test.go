package status

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// TestEveryFigureOfAGroupIsReported gives each a value that no other has.
func TestEveryFigureOfAGroupIsReported(t *testing.T) {
	var st gcnode.GroupStats
	want := map[string]float64{}
	word := regexp.MustCompile("[A-Z][a-z]+")
	for v, i := reflect.ValueOf(&st).Elem(), 0; i < v.NumField(); i++ {
		name := strings.ToLower(strings.Join(word.FindAllString(v.Type().Field(i).Name, -1), "_"))
		if name == "not_found" {
			name = "loads_not_found"
		}
		switch v.Field(i).Kind() {
		case reflect.Uint64:
			v.Field(i).SetUint(uint64(100 + i))
		case reflect.Int:
			v.Field(i).SetInt(int64(100 + i))
		default:
			continue
		}
		want[name] = float64(100 + i)
	}
	text, err := json.Marshal((&Source{}).group(st))
	require.NoError(t, err)
	var all map[string]any
	require.NoError(t, json.Unmarshal(text, &all))
	got := map[string]float64{}
	for name, value := range all {
		if number, ok := value.(float64); ok {
			got[name] = number
		}
	}
	assert.Equal(t, want, got)
}

// TestEveryRefusalIsReported gives each reason a count that no other has.
func TestEveryRefusalIsReported(t *testing.T) {
	var st httptransport.SignatureStats
	var want []Count
	for v, i := reflect.ValueOf(&st).Elem(), 0; i < v.NumField(); i++ {
		v.Field(i).SetUint(uint64(100 + i))
		words := regexp.MustCompile("[A-Z][a-z]+").FindAllString(v.Type().Field(i).Name, -1)
		want = append(want, Count{strings.ToLower(strings.Join(words, "_")), uint64(100 + i)})
	}
	got := peerListenerOf(httptransport.HandlerStats{Signatures: st, Denied: 1, Unsigned: 2})
	assert.Equal(t, want, got.SignaturesRefused.ByReason())
	text, err := json.Marshal(got)
	require.NoError(t, err)
	for _, c := range append(want, Count{"denied", 1}, Count{"unsigned", 2}) {
		assert.Contains(t, string(text), fmt.Sprintf("%q:%d", c.Name, c.Count))
	}
}
