package status

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
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
