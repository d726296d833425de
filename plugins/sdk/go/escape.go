package getter

import "strings"

// Escape makes a key one segment of the path of a URL: everything is escaped
// but letters, digits and -._~ and so are the segments "." and "..", which
// would lead elsewhere.
func Escape(key string) string {
	var b strings.Builder
	dots := key == "." || key == ".."
	for i := range len(key) {
		c := key[i]
		if isUnreserved(c) && !dots {
			b.WriteByte(c)
			continue
		}
		const digits = "0123456789ABCDEF"
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String()
}

func isUnreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	default:
		return strings.IndexByte("-._~", c) >= 0
	}
}
