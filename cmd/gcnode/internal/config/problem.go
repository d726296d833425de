package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Problem is one wrong setting.
type Problem struct {
	// File and Line are the place; File is empty for a flag, and Line is 0
	// for something that is not in the file.
	File string
	Line int
	// Setting is the path of the setting, such as groups.godoc.max_bytes, or
	// the name of the flag, such as --peer.
	Setting string
	// Message says what is wrong and what is allowed.
	Message string
}

// String is the problem on one line.
func (p Problem) String() string {
	place := p.File
	if p.Line > 0 {
		place += ":" + strconv.Itoa(p.Line)
	}
	parts := make([]string, 0, 3)
	for _, s := range []string{place, p.Setting, p.Message} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// Error lists every wrong setting.
type Error struct {
	Problems []Problem // by line, then what is not in the file, then flags
}

// Error implements the error interface, one line for each problem.
func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d settings are wrong", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// problems collects what is wrong.
type problems struct {
	list []Problem
}

// add records a problem with a setting of a file.
func (p *problems) add(file string, line int, setting, format string, args ...any) {
	p.list = append(p.list, Problem{File: file, Line: line, Setting: setting, Message: fmt.Sprintf(format, args...)})
}

// addFlag records a problem with a flag.
func (p *problems) addFlag(name, format string, args ...any) {
	p.list = append(p.list, Problem{Setting: name, Message: fmt.Sprintf(format, args...)})
}

// err is everything that was recorded as an error, nil when there is nothing.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Line, b.Line))
	})
	return &Error{Problems: p.list}
}

// rank orders the kinds of places.
func (p Problem) rank() int {
	switch {
	case p.File == "":
		return 2
	case p.Line == 0:
		return 1
	default:
		return 0
	}
}
