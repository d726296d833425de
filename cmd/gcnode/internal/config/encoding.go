package config

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// checkText looks for bytes that cannot be in a text, and says on which line
// the first of them is. Line is 0 when there is none.
func checkText(data []byte) (line int, message string) {
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		switch {
		case r == utf8.RuneError && size == 1:
			message = fmt.Sprintf("the file must be UTF-8 text, and the byte 0x%02x here is not", data[at])
		case r < ' ' && r != '\t' && r != '\n' && r != '\r':
			message = fmt.Sprintf("the file must be text, and the byte 0x%02x here is a control character", data[at])
		}
		if message != "" {
			return 1 + bytes.Count(data[:at], []byte("\n")), message
		}
		at += size
	}
	return 0, ""
}
