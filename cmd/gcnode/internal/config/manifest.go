package config

import (
	"fmt"
	"path/filepath"
)

// ManifestName is what a manifest is called.
const ManifestName = "getter.yaml"

// Manifest is what the author of a getter says about its module: how it is
// meant to be run. Whoever lets a node read it grants what it asks for.
type Manifest struct {
	Name        string // empty: not said
	Version     string
	Description string
	Plugin      Plugin
}

// NoManifest is what holds for a module without a manifest.
func NoManifest(module string) *Manifest {
	m := &Manifest{Name: filepath.Base(module), Plugin: defaultPlugin()}
	m.Plugin.Module = module
	return m
}

// LoadManifest reads a manifest. The module need not be there yet. An error is
// as those of [Load].
func LoadManifest(path string) (*Manifest, error) {
	found := &problems{}
	r := reader{problems: found, modulesMayLack: true}
	m, err := r.manifest(path, defaultPlugin())
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if err := found.err(); err != nil {
		return nil, err
	}
	return m, nil
}

// manifest reads the manifest at path. The error says that it cannot be read;
// what is wrong in it is recorded with the other problems.
func (r *reader) manifest(path string, p Plugin) (*Manifest, error) {
	data, err := readFile(path)
	if err != nil {
		return &Manifest{Plugin: p}, err
	}
	return r.manifestOf(data, path, p), nil
}

// manifestOf reads the text of the manifest that was at path.
func (r *reader) manifestOf(data []byte, path string, p Plugin) *Manifest {
	m := &Manifest{Plugin: p}
	if line, message := checkText(data); line > 0 {
		r.problems.add(path, line, "", "%s", message)
		return m
	}
	root, err := documentRoot(data)
	if err != nil {
		line, message := syntaxError(err)
		r.problems.add(path, line, "", "%s", message)
		return m
	}
	in := newSection(path, "", root, r.problems)
	in.text("name", "what the getter is called", &m.Name)
	in.text("version", "the version of the getter", &m.Version)
	in.text("description", "what the getter does", &m.Description)
	own := reader{dir: filepath.Dir(path), problems: r.problems, modulesMayLack: r.modulesMayLack}
	m.Plugin = own.pluginSettings(in, p)
	if in.find("module") == nil {
		in.missing("module", "the path of a WebAssembly module, relative to this file")
	}
	in.close()
	return m
}
