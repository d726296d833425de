package getter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Config holds the settings of a getter, as the node's operator wrote them. A
// setting that is present but empty is set.
type Config map[string]string

// String returns a setting, or def if it is not set.
func (c Config) String(key, def string) string {
	if v, ok := c[key]; ok {
		return v
	}
	return def
}

// Duration returns a setting in the syntax of time.ParseDuration ("1h30m"), or
// def if it is not set. The error names the setting.
func (c Config) Duration(key string, def time.Duration) (time.Duration, error) {
	v, ok := c[key]
	if !ok {
		return def, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, fmt.Errorf("setting %s: %q is not a duration such as 90s or 1h30m", key, v)
	}
	return d, nil
}

// Bool returns a setting that is "true" or "false", or def if it is not set.
// The error names the setting.
func (c Config) Bool(key string, def bool) (bool, error) {
	v, ok := c[key]
	if !ok {
		return def, nil
	}
	switch v {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, fmt.Errorf("setting %s: %q is neither true nor false", key, v)
	}
}

// Int returns a setting that is a decimal number, or def if it is not set. The
// error names the setting.
func (c Config) Int(key string, def int) (int, error) {
	v, ok := c[key]
	if !ok {
		return def, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return 0, fmt.Errorf("setting %s: %q is not a whole number, or too large", key, v)
	}
	return n, nil
}

// Only returns an error that names every setting that is not one of known, so
// that a mistyped name does not go unnoticed.
func (c Config) Only(known ...string) error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(c)) {
		if !slices.Contains(known, key) {
			errs = append(errs, fmt.Errorf("unknown setting %q: known are %s", key, strings.Join(known, ", ")))
		}
	}
	return errors.Join(errs...)
}

var errConfigTruncated = errors.New("configuration is cut off")

// decodeConfig reads the form in which a node hands over the configuration.
func decodeConfig(b []byte) (Config, error) {
	config := Config{}
	for len(b) > 0 {
		if len(b) < 8 {
			return nil, errConfigTruncated
		}
		keyLen := uint64(binary.LittleEndian.Uint32(b))
		valueLen := uint64(binary.LittleEndian.Uint32(b[4:]))
		b = b[8:]
		if keyLen+valueLen > uint64(len(b)) {
			return nil, errConfigTruncated
		}
		config[string(b[:keyLen])] = string(b[keyLen : keyLen+valueLen])
		b = b[keyLen+valueLen:]
	}
	return config, nil
}
