package main

import (
	"go/ast"
	"strconv"
)

// found is a use that needs somebody.
type found struct {
	node ast.Node
	text string
}

// looker looks for uses in a file. It knows no types: what it says of methods may
// be said of those of something else that has the same name and arguments.
type looker struct {
	used  map[string]source // by the name of an import
	pkgs  map[string]string // by the name of an import: the package below the module
	old   bool              // golang/groupcache is among them
	lru   bool              // of golang/groupcache
	pools map[string]bool   // variables with a pool
	found []found
}

// look are the uses of the packages that somebody has to look at.
func look(tree *ast.File, used map[string]source, pkgs map[string]string) []found {
	l := &looker{used: used, pkgs: pkgs, pools: map[string]bool{}}
	for name, s := range used {
		l.old = l.old || s.old && pkgs[name] != "lru"
		l.lru = l.lru || s.old && pkgs[name] == "lru"
	}
	ast.Inspect(tree, l.visit)
	return l.found
}

func (l *looker) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		l.call(n)
	case *ast.SelectorExpr:
		l.selector(n)
	case *ast.AssignStmt:
		l.assignment(n)
	case *ast.ValueSpec:
		for i, v := range n.Values {
			if i < len(n.Names) && l.isPool(v) {
				l.pools[n.Names[i].Name] = true
			}
		}
	case *ast.CompositeLit:
		l.literal(n)
	}
	return true
}

func (l *looker) say(n ast.Node, text string) { l.found = append(l.found, found{n, text}) }

// of is the name in one of the packages that an expression stands for, with where
// it comes from.
func (l *looker) of(e ast.Expr) (s source, pkg, name string, ok bool) {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return source{}, "", "", false
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return source{}, "", "", false
	}
	s, ok = l.used[id.Name]
	return s, l.pkgs[id.Name], sel.Sel.Name, ok
}

func (l *looker) isPool(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	_, pkg, name, ok := l.of(call.Fun)
	return ok && pkg == "" && (name == "NewHTTPPool" || name == "NewHTTPPoolOpts")
}

func (l *looker) call(n *ast.CallExpr) {
	s, pkg, name, ok := l.of(n.Fun)
	switch {
	case ok && s.old && pkg == "consistenthash" && name == "New" && len(n.Args) == 2:
		if id, isName := n.Args[1].(*ast.Ident); !isName || id.Name != "nil" {
			l.say(n, "a hash of consistenthash returns 64 bits here, and the default is FNV-1 in place of CRC-32")
		}
		return
	case ok && l.isPool(n):
		l.say(n, meanwhile(s))
		return
	case ok:
		return
	}
	sel, isSelector := n.Fun.(*ast.SelectorExpr)
	if !isSelector {
		return
	}
	switch name := sel.Sel.Name; {
	case l.old && len(n.Args) == 1 && (name == "SetString" || name == "SetBytes" || name == "SetProto"):
		l.say(sel.Sel, name+" of a Sink also takes when the value expires: time.Time{} is never")
	case l.lru && len(n.Args) == 2 && name == "Add":
		l.say(sel.Sel, "Add of a Cache in lru also takes when the value expires: time.Time{} is never")
	}
}

// meanwhile is what is said of a pool: what else there is to know shows when it is
// compiled, and this when it is deployed.
func meanwhile(s source) string {
	if s.old {
		return "processes of golang/groupcache are no peers of this one: give it another BasePath or port while they are there (\"From golang/groupcache\" in docs/migrating.md)"
	}
	return "while processes of the old library are its peers it needs HTTPPoolOptions{OldPeers: true} (\"A deployment without a gap\" in docs/migrating.md)"
}

// onName is what is said of a name in one of the packages. Empty: nothing.
func onName(pkg, name string, old bool) string {
	switch {
	case pkg == "consistenthash" && name == "Hash" && old:
		return "a Hash of consistenthash returns 64 bits here"
	case pkg != "":
		return ""
	case name == "SetLogger":
		return "SetLogger takes a logrus entry, which is no requirement here: use SetLoggerFromLogger (\"Logging\" in docs/migrating.md has an adapter)"
	case name == "LogrusLogger":
		return "LogrusLogger is not here, since logrus is no requirement (\"Logging\" in docs/migrating.md has an adapter)"
	case name == "Context" && old:
		return "the type Context is that of package context"
	case name == "ProtoGetter" && old:
		return "a ProtoGetter also has Remove, Set and GetURL"
	case name == "PeerPicker" && old:
		return "a PeerPicker also has GetAll"
	default:
		return ""
	}
}

func (l *looker) selector(n *ast.SelectorExpr) {
	s, pkg, name, ok := l.of(n)
	if !ok {
		return
	}
	if text := onName(pkg, name, s.old); text != "" {
		l.say(n, text)
	}
}

// assignment notes variables with pools, and fields of pools that are options
// here.
func (l *looker) assignment(n *ast.AssignStmt) {
	for i, left := range n.Lhs {
		if i < len(n.Rhs) && l.isPool(n.Rhs[i]) {
			switch left := left.(type) {
			case *ast.Ident:
				l.pools[left.Name] = true
			case *ast.SelectorExpr:
				l.pools[left.Sel.Name] = true
			}
		}
		sel, ok := left.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != "Context" && sel.Sel.Name != "Transport" {
			continue
		}
		name := ""
		switch x := sel.X.(type) {
		case *ast.Ident:
			name = x.Name
		case *ast.SelectorExpr:
			name = x.Sel.Name
		}
		if l.pools[name] {
			l.say(sel.Sel, sel.Sel.Name+" is a field of HTTPPoolOptions, for NewHTTPPoolOpts")
		}
	}
}

// literal looks at options that mean something else here.
func (l *looker) literal(n *ast.CompositeLit) {
	s, pkg, name, ok := l.of(n.Type)
	if !ok || pkg != "" || name != "HTTPPoolOptions" {
		return
	}
	for _, e := range n.Elts {
		field, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		switch key, _ := field.Key.(*ast.Ident); {
		case key == nil:
		case key.Name == "HashFn" && s.old:
			l.say(field, "HashFn returns 64 bits here, and is of use among old peers of mailgun/groupcache v2 only (OldPeers)")
		case key.Name == "HashFn", key.Name == "Replicas":
			l.say(field, strconv.Quote(key.Name)+" is of use among old peers only (OldPeers): the ring of this project needs no setting")
		}
	}
}
