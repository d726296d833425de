package discovery_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/discovery"
)

const (
	// patience only catches hangs.
	patience  = 2 * time.Minute
	pollEvery = 5 * time.Millisecond
	// farAway is a refresh that no test waits for: what they see comes from
	// watching.
	farAway = time.Hour
)

// linesOf is a file with members, one a line.
func linesOf(ids string) string {
	var b strings.Builder
	for _, p := range peers(ids) {
		b.WriteString(p.ID + " " + p.Addr + "\n")
	}
	return b.String()
}

// write writes a file in place.
func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// replace renames a new file to the path, as editors do.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+"~", text)
	require.NoError(t, os.Rename(path+"~", path))
}

// relink makes a symbolic link lead elsewhere, in one step.
func relink(t *testing.T, link, target string) {
	t.Helper()
	require.NoError(t, os.Symlink(target, link+"_tmp"))
	require.NoError(t, os.Rename(link+"_tmp", link))
}

// watched is a node that follows a file.
type watched struct {
	*node

	members *discovery.Members
	end     func() // ends it; the end of the test does, too
}

// watchFile makes a node follow a file. Only what the watch sees is read.
func watchFile(t *testing.T, opts discovery.FileOptions) *watched {
	t.Helper()
	if opts.Refresh == 0 {
		opts.Refresh = farAway
	}
	if opts.Settle == 0 {
		opts.Settle = 20 * time.Millisecond
	}
	source, err := discovery.NewFile(opts)
	require.NoError(t, err)
	return run(t, source, "a")
}

// run makes a node follow a source.
func run(t *testing.T, source discovery.Source, self string) *watched {
	t.Helper()
	n := &node{}
	m, err := discovery.New(n, source, discovery.Options{Self: self})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	w := &watched{node: n, members: m, end: func() { cancel(); <-done }}
	t.Cleanup(w.end)
	return w
}

// until waits until something holds.
func (w *watched) until(t *testing.T, holds func(*assert.CollectT, discovery.Status)) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) { holds(c, w.members.Status()) }, patience, pollEvery)
}

// has waits until the node has the list.
func (w *watched) has(t *testing.T, list string) {
	t.Helper()
	w.until(t, func(c *assert.CollectT, st discovery.Status) {
		assert.Equal(c, list, ids(w.Peers()), "%+v", st)
	})
}

// fails waits until the source has an error.
func (w *watched) fails(t *testing.T, says string) {
	t.Helper()
	w.until(t, func(c *assert.CollectT, st discovery.Status) { assert.ErrorContains(c, st.Err, says) })
}

// recovers waits until the source has none.
func (w *watched) recovers(t *testing.T) {
	t.Helper()
	w.until(t, func(c *assert.CollectT, st discovery.Status) { assert.NoError(c, st.Err) })
}

func TestAFileThatIsWrittenInPlace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "peers")
	write(t, path, linesOf("a b"))
	w := watchFile(t, discovery.FileOptions{Path: path})
	w.has(t, "a b")
	write(t, path, linesOf("a b c"))
	w.has(t, "a b c")
	write(t, path, linesOf("a c"))
	w.has(t, "a c")
}

func TestAFileThatIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "peers")
	write(t, path, linesOf("a b"))
	w := watchFile(t, discovery.FileOptions{Path: path})
	w.has(t, "a b")
	for _, list := range []string{"a b c", "a c", "a b"} {
		replace(t, path, linesOf(list))
		w.has(t, list)
	}
	// As vim does it with a backup.
	require.NoError(t, os.Rename(path, path+".bak"))
	write(t, path, linesOf("a d"))
	w.has(t, "a d")
}

func TestAFileThatIsWrittenInStepsIsReadWhole(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "peers")
	write(t, path, linesOf("a b c d"))
	w := watchFile(t, discovery.FileOptions{Path: path, Settle: time.Second})
	w.has(t, "a b c d")
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	require.NoError(t, err)
	for id := range strings.FieldsSeq("a b c d e") {
		_, err := file.WriteString(linesOf(id))
		require.NoError(t, err)
		time.Sleep(20 * time.Millisecond) // a reader that does not wait for the rest comes now
	}
	require.NoError(t, file.Close())
	w.has(t, "a b c d e")
	assert.Equal(t, []string{"a b c d", "a b c d e"}, w.lists())
}

func TestABrokenFileKeepsTheOldList(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "peers.yaml")
	good := "- {id: a, url: http://a/}\n- {id: b, url: http://b/}\n"
	write(t, path, good)
	w := watchFile(t, discovery.FileOptions{Path: path})
	w.has(t, "a b")
	for text, says := range map[string]string{
		"- {id: a": "peers.yaml:",
		"":         "the list of members is empty",
		"- {id: a, url: http://a/}\n- {id: a, url: http://b/}\n": `peers.yaml:2: the id "a" is already that of line 1`,
		"- {id: b, url: http://b/}\n":                            "this node is not on the list of members",
	} {
		replace(t, path, text)
		w.fails(t, says)
		replace(t, path, good)
		w.recovers(t)
	}
	require.NoError(t, os.Remove(path))
	w.fails(t, "no such file")
	assert.Equal(t, []string{"a b"}, w.lists())
	write(t, path, "- {id: a, url: http://a/}\n- {id: c, url: http://c/}\n")
	w.has(t, "a c")
}

func TestAFileThatComesLater(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "yet")
	w := watchFile(t, discovery.FileOptions{Path: filepath.Join(dir, "peers")})
	w.fails(t, "no such file")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	write(t, filepath.Join(dir, "peers"), linesOf("a b"))
	w.has(t, "a b")
}

// TestAConfigMapThatIsUpdated does what the kubelet does: the file is a link
// through ..data, which is made to lead to a new directory, and the old one is
// removed.
func TestAConfigMapThatIsUpdated(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	version := func(name, list string) {
		require.NoError(t, os.Mkdir(filepath.Join(mount, name), 0o700))
		write(t, filepath.Join(mount, name, "peers"), linesOf(list))
		relink(t, filepath.Join(mount, "..data"), name)
	}
	version("..1", "a b")
	require.NoError(t, os.Symlink(filepath.Join("..data", "peers"), filepath.Join(mount, "peers")))
	w := watchFile(t, discovery.FileOptions{Path: filepath.Join(mount, "peers")})
	w.has(t, "a b")
	version("..2", "a b c")
	require.NoError(t, os.RemoveAll(filepath.Join(mount, "..1")))
	w.has(t, "a b c")
	version("..3", "a c")
	require.NoError(t, os.RemoveAll(filepath.Join(mount, "..2")))
	w.has(t, "a c")
}

func TestLinksAnywhereOnTheWayAreFollowed(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for dir, list := range map[string]string{"one": "a b", "two": "a c"} {
		require.NoError(t, os.Mkdir(filepath.Join(root, dir), 0o700))
		write(t, filepath.Join(root, dir, "peers"), linesOf(list))
	}
	require.NoError(t, os.Mkdir(filepath.Join(root, "etc"), 0o700))
	relink(t, filepath.Join(root, "current"), filepath.Join(root, "one")) // absolute
	relink(t, filepath.Join(root, "etc", "peers"), filepath.Join("..", "current", "peers"))
	w := watchFile(t, discovery.FileOptions{Path: filepath.Join(root, "etc", "peers")})
	w.has(t, "a b")
	relink(t, filepath.Join(root, "current"), "two")
	w.has(t, "a c")
	// What .. leads to depends on where the link before it leads to.
	require.NoError(t, os.MkdirAll(filepath.Join(root, "deep", "er"), 0o700))
	write(t, filepath.Join(root, "deep", "peers"), linesOf("a f"))
	relink(t, filepath.Join(root, "etc", "er"), filepath.Join("..", "deep", "er"))
	relink(t, filepath.Join(root, "etc", "peers"), "er/../peers")
	w.has(t, "a f")
	replace(t, filepath.Join(root, "deep", "peers"), linesOf("a g"))
	w.has(t, "a g")
	relink(t, filepath.Join(root, "etc", "peers"), filepath.Join("..", "current", "peers"))
	w.has(t, "a c")
	replace(t, filepath.Join(root, "two", "peers"), linesOf("a d"))
	w.has(t, "a d")
	replace(t, filepath.Join(root, "etc", "peers"), linesOf("a e")) // no link any more
	w.has(t, "a e")
	require.NoError(t, os.Remove(filepath.Join(root, "etc", "peers")))
	require.NoError(t, os.Symlink("peers", filepath.Join(root, "etc", "peers"))) // a loop
	w.fails(t, "too many")
	relink(t, filepath.Join(root, "etc", "peers"), filepath.Join(root, "one", "peers"))
	w.has(t, "a b")
}

func TestADirectoryThatIsReplaced(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "conf")
	require.NoError(t, os.Mkdir(dir, 0o700))
	write(t, filepath.Join(dir, "peers"), linesOf("a b"))
	w := watchFile(t, discovery.FileOptions{Path: filepath.Join(dir, "peers")})
	w.has(t, "a b")
	require.NoError(t, os.Mkdir(dir+".new", 0o700))
	write(t, filepath.Join(dir+".new", "peers"), linesOf("a c"))
	require.NoError(t, os.Rename(dir, dir+".old"))
	require.NoError(t, os.Rename(dir+".new", dir))
	w.has(t, "a c")
	replace(t, filepath.Join(dir, "peers"), linesOf("a d"))
	w.has(t, "a d")
}

func TestAFileIsReadAgainAtIntervals(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "peers")
	write(t, path, linesOf("a b"))
	w := watchFile(t, discovery.FileOptions{Path: path, Refresh: 10 * time.Millisecond, Settle: farAway})
	w.has(t, "a b")
	write(t, path, linesOf("a c"))
	w.has(t, "a c")
}

func TestOtherFilesInTheDirectoryDoNotMatter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "peers")
	write(t, path, linesOf("a b"))
	var looks atomic.Int64
	w := watchFile(t, discovery.FileOptions{Path: path, Settle: time.Nanosecond, Check: func(*gcnode.Peer) error {
		looks.Add(1)
		return nil
	}})
	w.has(t, "a b")
	before := looks.Load()
	for range 100 {
		replace(t, filepath.Join(dir, "other"), "x")
	}
	replace(t, path, linesOf("a c"))
	w.has(t, "a c")
	assert.LessOrEqual(t, looks.Load(), before+10, "it was read for every change of another file")
}

func TestWhatIsNoFileIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	require.NoError(t, os.WriteFile(large, nil, 0o600))
	require.NoError(t, os.Truncate(large, 5<<20))
	for path, says := range map[string]string{
		dir:                           "must be a regular file",
		large:                         "is larger than 4 MiB",
		filepath.Join(dir, "nowhere"): "no such file",
	} {
		f, err := discovery.NewFile(discovery.FileOptions{Path: path})
		require.NoError(t, err)
		_, err = f.Read()
		require.ErrorContains(t, err, path+": "+says)
	}
	_, err := discovery.NewFile(discovery.FileOptions{Refresh: -1})
	require.ErrorContains(t, err, "the file has no path")
	require.ErrorContains(t, err, "Refresh, -1ns")
}
