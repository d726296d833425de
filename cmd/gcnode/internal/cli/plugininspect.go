package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	"github.com/gcnode/gcnode/getters/wasm"
	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// inspectCommand tells what a module is.
type inspectCommand struct {
	module

	JSON bool `name:"json" help:"Print it as JSON."`
}

// Help implements [kong.HelpProvider].
func (*inspectCommand) Help() string {
	return `Examples:
  gcnode plugin inspect users.wasm
  gcnode plugin inspect --json users.wasm | jq -r .sha256`
}

// inspection is what is printed as JSON.
type inspection struct {
	File         string        `json:"file"`
	Bytes        int           `json:"bytes"`
	SHA256       string        `json:"sha256"`
	Pinned       string        `json:"pinned,omitempty"`
	Capabilities []string      `json:"capabilities"`
	Waits        bool          `json:"serves_others_while_it_fetches"`
	Batches      bool          `json:"takes_batches"`
	MemoryBytes  uint64        `json:"memory_bytes"`
	Interruption string        `json:"interruption"` // fuel, engine (if a node allows that) or none
	Producers    []producer    `json:"producers"`
	Imports      []externShown `json:"imports"`
	Exports      []externShown `json:"exports"`
	Runs         bool          `json:"runs"`
	Problems     []string      `json:"problems"`
}

type producer struct {
	Field   string `json:"field"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

type externShown struct {
	Module string `json:"module,omitempty"`
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Type   string `json:"type,omitempty"`
}

// Run implements the command.
func (c *inspectCommand) Run(console *console) error {
	manifest, err := c.manifest()
	if err != nil {
		return err
	}
	path := manifest.Plugin.Module
	code, err := readModule(path)
	if err != nil {
		return err
	}
	d, err := wasm.Describe(code)
	if err != nil {
		return usageError("%s: %w", path, loadCause(err))
	}
	i := inspectionOf(path, manifest.Plugin.SHA256, &d)
	if c.JSON {
		err = writeJSON(console.out, i)
	} else {
		err = i.write(console.out)
	}
	if err == nil && !i.Runs {
		err = fmt.Errorf("%s: no node would run it: %s", path, strings.Join(i.Problems, "\n"+path+": "))
	}
	return err
}

func inspectionOf(path, pinned string, d *wasm.Description) *inspection {
	i := &inspection{
		File: path, Bytes: d.Bytes, SHA256: d.SHA256, Pinned: pinned,
		Capabilities: []string{}, Producers: []producer{}, Problems: []string{},
		Waits: d.Waits, Batches: d.Batches, MemoryBytes: d.MemoryBytes, Interruption: interruptionOf(d),
		Imports: externsShown(d.Imports), Exports: externsShown(d.Exports),
	}
	if d.Fetches {
		i.Capabilities = append(i.Capabilities, "fetch")
	}
	if d.Stores {
		i.Capabilities = append(i.Capabilities, "store")
	}
	for _, p := range d.Producers {
		i.Producers = append(i.Producers, producer(p))
	}
	if err := errors.Join(d.Contract, d.Fuel); err != nil {
		i.Problems = strings.Split(err.Error(), "\n")
	}
	if pinned != "" && !strings.EqualFold(pinned, d.SHA256) {
		i.Problems = append(i.Problems, "its manifest pins another module, with the SHA-256 "+pinned)
	}
	i.Runs = len(i.Problems) == 0
	return i
}

// noInterruption is that of a module which cannot be interrupted.
const noInterruption = "none"

// interruptionOf is how the module can be interrupted.
func interruptionOf(d *wasm.Description) string {
	switch {
	case d.Fuel == nil:
		return wasm.InterruptByFuel.String()
	case errors.Is(d.Fuel, fuel.ErrLimit):
		return wasm.InterruptByEngine.String()
	default:
		return noInterruption
	}
}

func externsShown(externs []wasm.Extern) []externShown {
	shown := make([]externShown, 0, len(externs))
	for _, e := range externs {
		shown = append(shown, externShown(e))
	}
	return shown
}

// write prints it for people. Names are what strangers wrote.
func (i *inspection) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { _, _ = fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	line("module", "%s", i.File)
	line("size", "%s", config.FormatSize(int64(i.Bytes)))
	line("sha256", "%s", i.SHA256)
	line("wants", "%s", listed(i.Capabilities, "nothing"))
	made := map[string][]string{}
	for _, p := range i.Producers {
		made[p.Field] = append(made[p.Field], strings.TrimSpace(plain(p.Name+" "+p.Version)))
	}
	line("languages", "%s", listed(made["language"], "it does not say"))
	line("made with", "%s", listed(append(made["processed-by"], made["sdk"]...), "it does not say"))
	line("memory", "%s at the start", config.FormatSize(int64(i.MemoryBytes)))
	if len(i.Capabilities) > 0 && i.Capabilities[0] == "fetch" {
		line("while it fetches", "%s", either(i.Waits, "it serves other keys", "it serves no other key"))
	}
	line("batches", "%s", either(i.Batches, "it takes several keys at once", "it takes one key at a time"))
	line("interrupted by", "%s", map[string]string{
		wasm.InterruptByFuel.String():   "fuel",
		wasm.InterruptByEngine.String(): "the engine, by nodes that allow it (interruption: engine)",
		noInterruption:                  "nothing",
	}[i.Interruption])
	line("runs", "%s", either(i.Runs, "yes: it keeps to the ABI, and can be given fuel", "no"))
	for _, imp := range i.Imports {
		line("import", "%s.%s %s", plain(imp.Module), plain(imp.Name), orKind(imp))
	}
	for _, exp := range i.Exports {
		line("export", "%s %s", plain(exp.Name), orKind(exp))
	}
	return t.Flush()
}

func orKind(e externShown) string {
	if e.Type != "" {
		return e.Type
	}
	return "(a " + e.Kind + ")"
}

func listed(words []string, none string) string {
	if len(words) == 0 {
		return none
	}
	return strings.Join(words, ", ")
}

func either(ok bool, yes, no string) string { //nolint:revive // that is what it is for
	if ok {
		return yes
	}
	return no
}

// plain is text of a stranger as it can be shown on a terminal: quoted unless
// it is harmless.
func plain(text string) string {
	quoted := fmt.Sprintf("%+q", text)
	if quoted[1:len(quoted)-1] == text {
		return text
	}
	return quoted
}

// writeJSON prints v, indented.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
