package groupcache

import "context"

// Restart is the end of a process, and the start of another that has done nothing
// yet.
func Restart() error {
	old := process
	process = newRegistry()
	if old.pool == nil {
		return nil
	}
	return old.pool.Close(context.Background())
}

// CloseShared ends what tests share.
func CloseShared() { closeShared() }
