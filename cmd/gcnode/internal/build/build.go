// Package build says which build of the program is running.
package build

import (
	"runtime"
	"runtime/debug"
)

// Info identifies a build.
type Info struct {
	Version   string // of the module, or "devel"
	Revision  string // of the source, empty when it is not known
	GoVersion string
}

// Current is the running build.
func Current() Info {
	info := Info{Version: "devel", GoVersion: runtime.Version()}
	read, ok := debug.ReadBuildInfo()
	if !ok {
		return info
	}
	if v := read.Main.Version; v != "" && v != "(devel)" {
		info.Version = v
	}
	for _, s := range read.Settings {
		if s.Key == "vcs.revision" {
			info.Revision = s.Value
		}
	}
	return info
}

// String is the build on one line.
func (i Info) String() string {
	s := "gcnode " + i.Version
	if i.Revision != "" {
		s += " (" + i.Revision + ")"
	}
	return s + " " + i.GoVersion
}
