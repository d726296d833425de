package api

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Text is any bytes in JSON: a string if they are UTF-8, and otherwise an object
// with the one member base64, in the standard alphabet with padding.
type Text string

// base64Of is the strict encoding of bytes that are not UTF-8.
func base64Of() *base64.Encoding { return base64.StdEncoding.Strict() }

// MarshalJSON implements [json.Marshaler].
func (t Text) MarshalJSON() ([]byte, error) {
	var encoded bytes.Buffer
	w := bufio.NewWriter(&encoded)
	writeText(w, string(t))
	err := w.Flush()
	return encoded.Bytes(), err
}

// writeText writes a [Text] without a second copy of it. The writer keeps its
// errors.
func writeText(w *bufio.Writer, s string) {
	if utf8.ValidString(s) {
		writeString(w, s)
		return
	}
	_, _ = w.WriteString(`{"base64":"`)
	encoder := base64.NewEncoder(base64Of(), w)
	_, _ = strings.NewReader(s).WriteTo(encoder)
	_ = encoder.Close()
	_, _ = w.WriteString(`"}`)
}

// writeString writes a string of UTF-8. Only what JSON demands is escaped.
func writeString(w *bufio.Writer, s string) {
	_ = w.WriteByte('"')
	begin := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		_, _ = w.WriteString(s[begin:i])
		begin = i + 1
		if c < ' ' {
			_, _ = fmt.Fprintf(w, `\u%04x`, c)
		} else {
			_ = w.WriteByte('\\')
			_ = w.WriteByte(c)
		}
	}
	_, _ = w.WriteString(s[begin:])
	_ = w.WriteByte('"')
}

// errText says how bytes are written.
var errText = errors.New(`it must be a string, or {"base64":"…"} for bytes that are not UTF-8`)

// UnmarshalJSON implements [json.Unmarshaler]. Unlike package json it refuses
// what it would have to change.
func (t *Text) UnmarshalJSON(data []byte) error {
	s, err := readText(data)
	*t = Text(s)
	return err
}

// readText reads a [Text].
func readText(data []byte) (string, error) {
	switch {
	case len(data) > 0 && data[0] == '"':
		return unquote(data)
	case len(data) > 0 && data[0] == '{':
		return unwrap(data)
	default:
		return "", errText
	}
}

// unwrap reads the object that holds base64, and nothing else.
func unwrap(data []byte) (string, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	tokens := make([]json.Token, 0, 5)
	for decoder.More() || len(tokens) == 3 {
		token, err := decoder.Token()
		if err != nil {
			return "", err
		}
		if tokens = append(tokens, token); len(tokens) > 4 {
			return "", errText
		}
	}
	if len(tokens) != 4 || tokens[1] != "base64" {
		return "", errText
	}
	encoded, ok := tokens[2].(string)
	if !ok || strings.ContainsAny(encoded, "\r\n") {
		return "", errText
	}
	decoded, err := base64Of().DecodeString(encoded)
	if err != nil {
		return "", fmt.Errorf("the base64 is wrong: %w", err)
	}
	return string(decoded), nil
}

// unquote reads a JSON string. Halves of surrogate pairs stand for no character,
// and bytes that are not UTF-8 for none either.
func unquote(data []byte) (string, error) {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return "", err
	}
	const replacement = "\ufffd" // what package json makes of them
	meant := bytes.Count(data, []byte(replacement))
	for rest := data; ; {
		_, after, found := bytes.Cut(rest, []byte(`\`))
		if !found || len(after) == 0 {
			break
		}
		if rest = after[1:]; after[0] == 'u' && len(rest) >= 4 && strings.EqualFold(string(rest[:4]), "fffd") {
			meant++
		}
	}
	if strings.Count(s, replacement) != meant {
		return "", errors.New(`it has bytes that are not UTF-8, which are written {"base64":"…"}, or half of a surrogate pair, which is no character`)
	}
	return s, nil
}
