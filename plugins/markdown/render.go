package main

import (
	"bytes"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
)

// A renderer makes HTML of Markdown.
type renderer struct{ markdown goldmark.Markdown }

func newRenderer(s settings) renderer {
	options := []goldmark.Option{
		goldmark.WithExtensions(extension.GFM),
		goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	}
	if s.keepHTML {
		options = append(options, goldmark.WithRendererOptions(html.WithUnsafe()))
	}
	return renderer{goldmark.New(options...)}
}

// render returns the HTML, and the text of the first heading.
func (r renderer) render(source []byte) (rendered []byte, title string, err error) {
	document := r.markdown.Parser().Parse(text.NewReader(source))
	var b bytes.Buffer
	if err := r.markdown.Renderer().Render(&b, source, document); err != nil {
		return nil, "", err
	}
	for node := document.FirstChild(); node != nil; node = node.NextSibling() {
		if heading, ok := node.(*ast.Heading); ok {
			return b.Bytes(), plain(heading, source), nil
		}
	}
	return b.Bytes(), "", nil
}

// plain is the text in a node, without what is made of it.
func plain(node ast.Node, source []byte) string {
	var b bytes.Buffer
	_ = ast.Walk(node, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // has no errors of its own
		switch n := n.(type) {
		case *ast.Text:
			if entering {
				b.Write(n.Segment.Value(source))
			}
		case *ast.String:
			if entering {
				b.Write(n.Value)
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}
