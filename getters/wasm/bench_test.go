package wasm

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkGet(b *testing.B) {
	b.Run("guest=go/key=hit", func(b *testing.B) { benchmarkGet(b, loadVerbs(b, Options{}), "hit") })
	b.Run("guest=go/key=echo", func(b *testing.B) { benchmarkGet(b, loadVerbs(b, Options{}), "echo:value") })
	b.Run("guest=minimal", func(b *testing.B) { benchmarkGet(b, loadModule(b, minimal().bytes(), Options{}), "key") })
	b.Run("guest=extism-go/key=echo", func(b *testing.B) { benchmarkGet(b, loadExtism(b, Options{}), "echo:value") })
	b.Run("guest=extism-minimal", func(b *testing.B) { benchmarkGet(b, loadModule(b, echoExtism().bytes(), Options{}), "key") })
}

func benchmarkGet(b *testing.B, p *Plugin, key string) {
	b.Helper()
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.GetItem(ctx, key); err != nil {
			b.Fatal(err)
		}
	}
}

func TestGetAllocatesNothingButTheValue(t *testing.T) {
	p := loadVerbs(t, Options{Instances: 1})
	ctx := t.Context()
	allocs := testing.AllocsPerRun(1000, func() {
		_, err := p.GetItem(ctx, "hit")
		require.NoError(t, err)
	})
	require.LessOrEqual(t, allocs, 1.0)
}
