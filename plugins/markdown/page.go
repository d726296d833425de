package main

import (
	_ "embed" // for the stylesheet
	"html"
	"strings"
)

//go:embed style.css
var style string

// page makes a document of a fragment. Without a title it is called after its
// key.
func (s settings) page(fragment []byte, title, key string) []byte {
	if title == "" {
		title = key
	}
	look := "<style>\n" + style + "</style>"
	if s.style != "" {
		look = `<link rel="stylesheet" href="` + html.EscapeString(s.style) + `">`
	}
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang=\"" + html.EscapeString(s.lang) + "\">\n<head>\n<meta charset=\"utf-8\">\n")
	b.WriteString("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
	b.WriteString("<title>" + html.EscapeString(title) + "</title>\n" + look + "\n</head>\n<body>\n<main>\n")
	b.Write(fragment)
	b.WriteString("</main>\n</body>\n</html>\n")
	return []byte(b.String())
}
