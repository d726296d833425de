package main

import (
	"bytes"
	"flag"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the files that are wanted anew")

// tree copies what is to be changed to a directory of its own. A go.mod there
// would end the module here, so that it has another name.
func tree(t *testing.T, name string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	from := filepath.Join("testdata", name, "in")
	require.NoError(t, filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		rest, err := filepath.Rel(from, path)
		require.NoError(t, err)
		to := strings.TrimSuffix(filepath.Join(dir, rest), ".txt")
		if entry.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		return os.WriteFile(to, content, 0o600)
	}))
	return dir
}

// files are the Go files in a directory and their contents.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == ".go" {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			rest, err := filepath.Rel(dir, path)
			require.NoError(t, err)
			found[filepath.ToSlash(rest)] = string(content)
		}
		return err
	}))
	return found
}

// command runs the program in a directory.
func command(t *testing.T, dir string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	t.Chdir(dir)
	var out, errs bytes.Buffer
	status = run(args, &out, &errs)
	return status, filepath.ToSlash(out.String()), errs.String()
}

// TestTrees changes whole trees, and compares the files and what is said with
// those that are wanted.
func TestTrees(t *testing.T) {
	for _, name := range []string{"mailgun", "golang", "other"} {
		t.Run(name, func(t *testing.T) {
			want, err := filepath.Abs(filepath.Join("testdata", name, "want.txt"))
			require.NoError(t, err)
			dir := tree(t, name)
			before := files(t, dir)
			status, said, errs := command(t, dir, "./...")
			require.Equal(t, byHand, status)
			require.Empty(t, errs)
			after := files(t, dir)
			var result strings.Builder
			result.WriteString(said)
			for _, file := range slices.Sorted(maps.Keys(after)) {
				if after[file] != before[file] {
					result.WriteString("\n-- " + file + " --\n" + after[file])
				}
			}
			got := result.String()
			if *update {
				require.NoError(t, os.WriteFile(want, []byte(got), 0o600))
			}
			wanted, err := os.ReadFile(want)
			require.NoError(t, err)
			require.Equal(t, string(wanted), got)

			status, again, _ := command(t, dir, "./...")
			require.Equal(t, after, files(t, dir), "a second run changes something")
			require.NotContains(t, again, "becomes")
			require.Contains(t, []int{done, byHand}, status)
		})
	}
}

func TestADryRunWritesNothing(t *testing.T) {
	dir := tree(t, "mailgun")
	before := files(t, dir)
	status, said, _ := command(t, dir, "-n", "./...")
	require.Equal(t, byHand, status)
	require.Contains(t, said, `main.go:10: import "github.com/mailgun/groupcache/v2" becomes "`+target+`"`)
	require.Contains(t, said, "nothing was written")
	require.Equal(t, before, files(t, dir))
}

func TestOneFileOrDirectoryAlone(t *testing.T) {
	dir := tree(t, "mailgun")
	status, said, _ := command(t, dir, "unformatted.go")
	require.Equal(t, done, status)
	require.Equal(t, 1, strings.Count(said, "becomes"))
	status, said, _ = command(t, dir, "sub")
	require.Equal(t, byHand, status)
	require.Equal(t, 1, strings.Count(said, "becomes"))
	_, said, _ = command(t, dir, ".")
	require.NotContains(t, said, "sub/")
}

func TestWrongArguments(t *testing.T) {
	dir := tree(t, "other")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README.md"), nil, 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o700))
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "name what to change"},
		{[]string{""}, `"" names nothing`},
		{[]string{"nowhere"}, `"nowhere": there is no such directory or file`},
		{[]string{"example.com/service/..."}, "import paths are not understood"},
		{[]string{"a..."}, "the three dots come after a slash"},
		{[]string{"README.md"}, `"README.md" is no Go file`},
		{[]string{"-x", "."}, "flag provided but not defined: -x"},
		{[]string{".", "-n"}, `"-n": flags come before directories and files`},
		{[]string{"empty/..."}, `"empty/...": there is no Go file to look at`},
	} {
		status, _, errs := command(t, dir, test.args...)
		assert.Equal(t, failed, status)
		assert.Contains(t, errs, test.want)
	}
	status, _, errs := command(t, dir, "-h")
	require.Equal(t, done, status)
	require.Contains(t, errs, "usage: gcmigrate")
}

// What is wrong is found before anything is written: a flag at the end is not one.
func TestNothingIsChangedIfAnArgumentIsWrong(t *testing.T) {
	dir := tree(t, "mailgun")
	before := files(t, dir)
	for _, last := range []string{"-n", "nowhere", "a..."} {
		status, said, errs := command(t, dir, "./...", last)
		assert.Equal(t, failed, status)
		assert.Empty(t, said)
		assert.Contains(t, errs, last)
	}
	require.Equal(t, before, files(t, dir))
}

func TestLinksToDirectoriesAreFollowedAndThoseToFilesPointedOut(t *testing.T) {
	dir := tree(t, "mailgun")
	require.NoError(t, os.Symlink("sub", filepath.Join(dir, "link")))
	status, said, errs := command(t, dir, "link/...")
	require.Equal(t, byHand, status, errs)
	require.Contains(t, said, `sub/sub_test.go:6: import "github.com/mailgun/groupcache/v2" becomes`)

	require.NoError(t, os.Rename(filepath.Join(dir, "tagged_windows.go"), filepath.Join(dir, "elsewhere")))
	require.NoError(t, os.Symlink("elsewhere", filepath.Join(dir, "linked.go")))
	status, said, _ = command(t, dir, ".")
	require.Equal(t, byHand, status)
	require.Contains(t, said, "linked.go: TO DO: is a link, and was left alone: change the file that it leads to")
	content, err := os.ReadFile(filepath.Join(dir, "elsewhere"))
	require.NoError(t, err)
	require.Contains(t, string(content), `import "github.com/mailgun/groupcache/v2"`)
}

func TestAGoModThatCannotBeReadIsPointedOut(t *testing.T) {
	dir := tree(t, "other")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/service\n\nrequires nothing\n"), 0o600))
	status, said, errs := command(t, dir, ".")
	require.Equal(t, byHand, status, errs)
	require.Contains(t, said, "go.mod:3: TO DO: cannot be read, so that nothing can be said of it: unknown directive: requires")
}

// module makes a module of a directory that was changed, which takes this project
// from where it is.
func module(t *testing.T, dir string) {
	t.Helper()
	here, err := filepath.Abs("../..")
	require.NoError(t, err)
	mod, err := os.ReadFile(filepath.Join(here, "go.mod"))
	require.NoError(t, err)
	text := strings.Replace(string(mod), "module "+target, "module example.com/service\n\nrequire "+target+" v0.0.0\nreplace "+target+" => "+filepath.ToSlash(here), 1)
	text = strings.ReplaceAll(text, "=> ../../", "=> "+filepath.ToSlash(filepath.Dir(filepath.Dir(here)))+"/")
	text = regexp.MustCompile(`(?m)^tool .*$`).ReplaceAllString(text, "")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o600))
	sum, err := os.ReadFile(filepath.Join(here, "go.sum"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600))
}

// build compiles the package in a directory, and its tests, and is what the
// compiler says.
func build(t *testing.T, dir string) (said string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-e", "-o", os.DevNull, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOPROXY=off")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestWhatWasChangedCompiles has a program that needs nobody.
func TestWhatWasChangedCompiles(t *testing.T) {
	dir := tree(t, "mailgun")
	for _, needsSomebody := range []string{"broken.go", "nested", "vendor", "sub"} {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, needsSomebody)))
	}
	module(t, dir)
	status, said, _ := command(t, dir, ".")
	require.Equal(t, byHand, status, said)
	out, err := build(t, dir)
	require.NoError(t, err, out)
}

// TestWhatDoesNotCompileIsPointedOut wants each line on which the compiler finds
// something to be one that was named.
func TestWhatDoesNotCompileIsPointedOut(t *testing.T) {
	dir := tree(t, "golang")
	module(t, dir)
	_, said, _ := command(t, dir, "./...")
	out, err := build(t, dir)
	require.Error(t, err)
	lines := regexp.MustCompile(`(?m)^(?:\./)?(main\.go:\d+):`).FindAllStringSubmatch(out, -1)
	require.GreaterOrEqual(t, len(lines), 6, out)
	for _, line := range lines {
		assert.Contains(t, said, line[1]+": TO DO", "%s\n%s", out, said)
	}
}
