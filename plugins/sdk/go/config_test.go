package getter_test

import (
	"encoding/binary"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

func TestSettingsHaveDefaultsAndClearErrors(t *testing.T) {
	config := getter.Config{
		"text": "", "life": "90s", "on": "true", "count": "12",
		"bad life": "soon", "bad on": "yes", "bad count": "1.5",
	}
	if got := config.String("text", "default"); got != "" {
		t.Errorf("an empty setting reads %q", got)
	}
	if got := config.String("absent", "default"); got != "default" {
		t.Errorf("an absent setting reads %q", got)
	}
	if got, err := config.Duration("life", 0); err != nil || got != 90*time.Second {
		t.Errorf("life: %v, %v", got, err)
	}
	if got, err := config.Duration("absent", time.Hour); err != nil || got != time.Hour {
		t.Errorf("absent duration: %v, %v", got, err)
	}
	if got, err := config.Bool("on", false); err != nil || !got {
		t.Errorf("on: %v, %v", got, err)
	}
	if got, err := config.Bool("absent", true); err != nil || !got {
		t.Errorf("absent bool: %v, %v", got, err)
	}
	if got, err := config.Int("count", 0); err != nil || got != 12 {
		t.Errorf("count: %v, %v", got, err)
	}
	if got, err := config.Int("absent", 7); err != nil || got != 7 {
		t.Errorf("absent int: %v, %v", got, err)
	}
	_, err := config.Duration("bad life", 0)
	wantText(t, err, "bad life", `"soon"`)
	_, err = config.Bool("bad on", false)
	wantText(t, err, "bad on", `"yes"`)
	_, err = config.Int("bad count", 0)
	wantText(t, err, "bad count", `"1.5"`)
}

func TestUnknownSettingsAreAllNamed(t *testing.T) {
	config := getter.Config{"origin": "x", "orign": "y", "tll": "1h"}
	wantText(t, config.Only("origin", "ttl"), "orign", "tll", "origin, ttl")
	if err := config.Only("origin", "orign", "tll"); err != nil {
		t.Error(err)
	}
}

func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not mention %q", err, part)
		}
	}
}

func encodeConfig(config getter.Config) []byte {
	var b []byte
	for key, value := range config {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(key)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
		b = append(b, key...)
		b = append(b, value...)
	}
	return b
}

func FuzzDecodeConfig(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeConfig(getter.Config{"a": "b", "": "\x00", "key": ""}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, message []byte) {
		config, err := getter.DecodeConfig(message)
		if err != nil {
			return
		}
		back, err := getter.DecodeConfig(encodeConfig(config))
		if err != nil || !maps.Equal(back, config) {
			t.Errorf("%v became %v, %v", config, back, err)
		}
	})
}

func TestTTLInTermsOfTheABI(t *testing.T) {
	for ttl, want := range map[time.Duration]int64{
		0:                       -1,
		getter.NoStore:          0,
		-time.Second:            0,
		time.Microsecond:        0,
		time.Millisecond:        1,
		1999 * time.Microsecond: 1,
		time.Hour:               3_600_000,
		math.MaxInt64:           math.MaxInt64 / 1_000_000,
	} {
		if got := getter.TTLMillis(ttl); got != want {
			t.Errorf("%v: %d, want %d", ttl, got, want)
		}
	}
}
