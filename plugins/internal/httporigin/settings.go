package httporigin

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

// headerPrefix is what the settings begin with that are fields of the header.
const headerPrefix = "header."

// settings are what an operator says about the origin.
type settings struct {
	url         template
	header      getter.Header
	ttl         time.Duration // in terms of getter.Item, if the origin does not say
	minTTL      time.Duration
	maxTTL      time.Duration // 0: no limit
	negativeTTL time.Duration // in terms of getter.Item, if the origin does not say
	timeout     time.Duration
	maxBytes    uint32
}

// defaultMaxBytes is the default of max_bytes if the getter has no other.
const defaultMaxBytes = 16 << 20

// readSettings returns all errors at once.
func readSettings(config getter.Config, options Options) (settings, error) {
	s := settings{}
	errs := []error{checkNames(config, options.Own)}
	note := func(err error) { errs = append(errs, err) }
	var err error

	s.url, err = parseTemplate(config.String("url", ""))
	note(err)
	s.header, err = header(config)
	note(err)
	s.ttl, err = ttl(config, "ttl", 0)
	note(err)
	s.negativeTTL, err = ttl(config, "negative_ttl", 30*time.Second)
	note(err)
	s.minTTL, err = notNegative(config, "min_ttl")
	note(err)
	s.maxTTL, err = notNegative(config, "max_ttl")
	note(err)
	if s.maxTTL > 0 && s.minTTL > s.maxTTL {
		note(fmt.Errorf("setting min_ttl: %v is longer than max_ttl, %v", s.minTTL, s.maxTTL))
	}
	s.timeout, err = notNegative(config, "timeout")
	note(err)
	bytes, err := config.Int("max_bytes", cmp.Or(options.MaxBytes, defaultMaxBytes))
	note(err)
	if bytes < 1 || bytes > math.MaxInt32 {
		note(fmt.Errorf("setting max_bytes: %d is not between 1 and %d", bytes, math.MaxInt32))
	}
	s.maxBytes = uint32(bytes)
	return s, errors.Join(errs...)
}

func checkNames(config getter.Config, own []string) error {
	others := maps.Clone(config)
	maps.DeleteFunc(others, func(name, _ string) bool { return strings.HasPrefix(name, headerPrefix) })
	known := []string{"url", "ttl", "min_ttl", "max_ttl", "negative_ttl", "timeout", "max_bytes"}
	return others.Only(append(known, own...)...)
}

// header are the fields that are sent with every request.
func header(config getter.Config) (getter.Header, error) {
	var fields getter.Header
	var errs []error
	for _, setting := range slices.Sorted(maps.Keys(config)) {
		name, found := strings.CutPrefix(setting, headerPrefix)
		if !found {
			continue
		}
		switch strings.ToLower(name) {
		case "":
			errs = append(errs, fmt.Errorf("setting %s: has no name", setting))
		case "if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "range", "if-range":
			errs = append(errs, fmt.Errorf("setting %s: is the getter's to set", setting))
		}
		fields = append(fields, getter.Field{Name: name, Value: config[setting]})
	}
	return fields, errors.Join(errs...)
}

func notNegative(config getter.Config, name string) (time.Duration, error) {
	d, err := config.Duration(name, 0)
	if err == nil && d < 0 {
		err = fmt.Errorf("setting %s: %v is negative", name, d)
	}
	return d, err
}

// ttl reads a lifetime in terms of getter.Item, where 0s is not to keep it.
func ttl(config getter.Config, name string, def time.Duration) (time.Duration, error) {
	if _, set := config[name]; !set {
		return def, nil
	}
	d, err := notNegative(config, name)
	if d == 0 {
		return getter.NoStore, err
	}
	return d, err
}
