package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Sizes in bytes.
const (
	kibibyte = int64(1) << 10
	mebibyte = int64(1) << 20
	gibibyte = int64(1) << 30
	tebibyte = int64(1) << 40
)

// unit is the name of a number of bytes.
type unit struct {
	name  string
	bytes int64
}

// units lists the names of sizes, those that are written out first.
func units() []unit {
	return []unit{
		{"TiB", tebibyte},
		{"GiB", gibibyte},
		{"MiB", mebibyte},
		{"KiB", kibibyte},
		{"TB", 1e12},
		{"GB", 1e9},
		{"MB", 1e6},
		{"KB", 1e3},
		{"B", 1},
	}
}

// ParseSize reads a number of bytes such as "64MiB", "1.5 GB" or "65536".
// Units may be written in any case; those with an i are powers of 1024.
func ParseSize(text string) (int64, error) {
	number, bytes := strings.TrimSpace(text), int64(1)
	for _, u := range units() {
		cut := len(number) - len(u.name)
		if cut >= 0 && strings.EqualFold(number[cut:], u.name) {
			number, bytes = strings.TrimSpace(number[:cut]), u.bytes
			break
		}
	}
	if strings.Trim(number, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is not a size", text)
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size", text)
	}
	size := n * float64(bytes)
	if size >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is too large a size", text)
	}
	if size != math.Trunc(size) {
		return 0, fmt.Errorf("%q is not a whole number of bytes", text)
	}
	return int64(size), nil
}

// parsePart reads a number such as "0.1", or a percentage such as "10%".
func parsePart(text string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	number = strings.TrimSpace(number)
	if strings.Trim(number, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	part, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	if percent {
		part /= 100
	}
	return part, nil
}

// FormatSize writes a number of bytes with the largest unit that fits, such
// as "64MiB" or "1.5KiB".
func FormatSize(bytes int64) string {
	for _, u := range units()[:4] {
		if bytes >= u.bytes {
			n := strconv.FormatFloat(float64(bytes)/float64(u.bytes), 'f', 1, 64)
			return strings.TrimSuffix(n, ".0") + u.name
		}
	}
	return strconv.FormatInt(bytes, 10) + "B"
}

// formatDuration writes d without the zero parts that time.Duration adds.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
