package remote

import (
	"errors"
	"os"
	"runtime/pprof"
)

// profileVariable is the directory for profiles; without it there are none.
const profileVariable = "GCNODE_BENCH_PROFILES"

// Profile begins a CPU profile of this process, if that is asked for, and
// returns what ends it. The name of the file begins with this one.
func Profile(name string) (end func() error, err error) {
	dir, ok := os.LookupEnv(profileVariable)
	if !ok {
		return func() error { return nil }, nil
	}
	file, err := os.CreateTemp(dir, name+"-*.pprof")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}
