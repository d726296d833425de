package admin

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/status"
)

// TestEveryFigureOfAGroupIsAMetric gives each a value that no other has.
func TestEveryFigureOfAGroupIsAMetric(t *testing.T) {
	var g status.Group
	want := map[float64]string{}
	for v, i := reflect.ValueOf(&g).Elem(), 0; i < v.NumField(); i++ {
		name := "gcnode_group_" + v.Type().Field(i).Tag.Get("json")
		switch v.Field(i).Kind() {
		case reflect.Uint64:
			v.Field(i).SetUint(uint64(100 + i))
			name += "_total"
		case reflect.Int:
			v.Field(i).SetInt(int64(100 + i))
		default:
			continue
		}
		want[float64(100+i)] = name
	}
	got := map[float64]string{}
	for _, f := range newCollector(&status.Source{}).groups {
		_, name, _ := strings.Cut(f.desc.String(), `fqName: "`)
		name, _, _ = strings.Cut(name, `"`)
		got[f.read(&g)] = name
	}
	assert.Equal(t, want, got)
}
