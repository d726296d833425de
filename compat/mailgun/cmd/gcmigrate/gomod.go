package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/mod/modfile"
)

// module points out what a go.mod says of the libraries. What others require of
// them is no matter of this module.
func (m *migration) module(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	mod, err := modfile.Parse(path, content, nil)
	if err != nil {
		line := 0
		if list, ok := errors.AsType[modfile.ErrorList](err); ok && len(list) > 0 {
			line, err = list[0].Pos.Line, list[0].Err
		}
		m.note(fmt.Sprintf("%s:%d", path, line), "cannot be read, so that nothing can be said of it: "+err.Error())
		return nil
	}
	say := func(line *modfile.Line, what string) {
		m.note(fmt.Sprintf("%s:%d", path, line.Start.Line), what)
	}
	for _, r := range mod.Require {
		s, ok := moduleOf(r.Mod.Path)
		switch {
		case !ok || r.Indirect:
		case s.moves:
			say(r.Syntax, "requires "+s.module+": when nothing imports it any more, run: go get "+target+
				"@latest && go mod tidy (and go mod vendor, if there is a vendor directory)")
		default:
			say(r.Syntax, "requires "+s.module+", which stays: "+s.why)
		}
	}
	for _, r := range mod.Replace {
		if s, ok := moduleOf(r.Old.Path); ok && s.moves {
			say(r.Syntax, "replaces "+s.module+" by "+r.New.Path+": what was changed there is not here; take the line out with the requirement")
		}
	}
	return nil
}
