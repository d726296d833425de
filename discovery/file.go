package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	gcnode "github.com/gcnode/gcnode/core"
)

const (
	// DefaultFileRefresh is the default of [FileOptions.Refresh].
	DefaultFileRefresh = 30 * time.Second
	// DefaultSettle is the default of [FileOptions.Settle].
	DefaultSettle = 100 * time.Millisecond
	// maxSettles is how many times that long a file that does not come to rest
	// is waited for.
	maxSettles = 20
	// maxFileBytes has room for as many members as a node takes.
	maxFileBytes = 4 << 20
)

// FileOptions describe a file with a list of members.
type FileOptions struct {
	// Path is the file, of at most 4 MiB; see [ParseList] for what is in it.
	// It may be reached through symbolic links, and be replaced by renaming
	// another file, or a link on the way, to its name.
	Path string
	// Refresh is how often the file is read even if nothing seems to have
	// happened to it: some file systems tell nobody of changes. Each time
	// counts as an answer. 0 is [DefaultFileRefresh].
	Refresh time.Duration
	// Settle is how long nothing must have happened to the file before it is
	// read, so that what is written in several steps is read once it is whole.
	// Twenty times as long is waited at most. 0 is [DefaultSettle].
	Settle time.Duration
	// Check looks at each member, and may change its address to the form in
	// which all have it. nil: any address is taken.
	Check func(*gcnode.Peer) error
	// Logger is told when the file cannot be watched, and only Refresh is
	// left. nil: nothing is logged.
	Logger *slog.Logger
}

// File is a [Source]: a file that is read again whenever it changes.
type File struct {
	opts FileOptions
	path string // absolute
	log  *slog.Logger
}

// NewFile makes a source of a file, which need not be there yet.
func NewFile(opts FileOptions) (*File, error) {
	var errs []error
	if opts.Path == "" {
		errs = append(errs, errors.New("the file has no path"))
	}
	if opts.Refresh < 0 || opts.Settle < 0 {
		errs = append(errs, fmt.Errorf("the options Refresh, %v, and Settle, %v, cannot be negative", opts.Refresh, opts.Settle))
	}
	path, err := filepath.Abs(opts.Path)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if opts.Refresh == 0 {
		opts.Refresh = DefaultFileRefresh
	}
	if opts.Settle == 0 {
		opts.Settle = DefaultSettle
	}
	f := &File{opts: opts, path: path, log: opts.Logger}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f, nil
}

// String implements [Source].
func (f *File) String() string { return "file " + f.opts.Path }

// Read reads the list once. Errors name the file, and all lines that are wrong.
func (f *File) Read() ([]gcnode.Peer, error) {
	data, err := readFile(f.path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.opts.Path, err)
	}
	return ParseList(f.opts.Path, data, f.opts.Check)
}

// readFile reads a file of bounded size. Other things than files are refused
// before they are opened, which might wait for ever.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, cause(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("must be a regular file, not a directory, pipe or device")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, cause(err)
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("is larger than %d MiB", maxFileBytes>>20)
	}
	return data, nil
}

// cause leaves the path out of an error.
func cause(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// Watch implements [Source].
func (f *File) Watch(ctx context.Context, report func([]gcnode.Peer, error)) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		f.unwatched(err)
		watcher = &fsnotify.Watcher{} // without events
	} else {
		defer func() { _ = watcher.Close() }()
	}
	w := &follower{watcher: watcher, path: f.path, working: err == nil}
	for refresh := time.NewTicker(f.opts.Refresh); ; {
		// The watches are set before the file is read, so that no change falls
		// between the two.
		if err := w.follow(); err != nil {
			f.unwatched(err)
		}
		report(f.Read())
		if !f.await(ctx, w, refresh.C) {
			refresh.Stop()
			return
		}
	}
}

// unwatched says that only reading again finds changes.
func (f *File) unwatched(err error) {
	f.log.LogAttrs(context.Background(), slog.LevelWarn, "the file with the members cannot be watched; it is read at intervals",
		slog.String("source", f.String()), slog.Duration("interval", f.opts.Refresh), slog.Any("err", err))
}

// await waits until the file should be read again; false: ctx has ended.
func (f *File) await(ctx context.Context, w *follower, refresh <-chan time.Time) bool {
	var settled, limit <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case <-refresh:
			return true
		case <-settled:
			return true
		case <-limit:
			return true
		case event := <-w.watcher.Events:
			if !w.concerns(event) {
				continue
			}
			settled = time.After(f.opts.Settle)
			if limit == nil {
				limit = time.After(maxSettles * f.opts.Settle)
			}
		case err := <-w.watcher.Errors:
			// Events were lost, or a directory is gone. What matters is what
			// the file is now.
			f.log.LogAttrs(ctx, slog.LevelDebug, "watching the file with the members", slog.Any("err", err))
			settled = time.After(f.opts.Settle)
		}
	}
}
