// Package guesttest runs guest modules under a minimal host, for the tests of
// the SDK and of the getters in this module. It does what docs/plugin-abi.md
// says and nothing to protect itself: that is the business of getters/wasm.
package guesttest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// Build compiles the package in a directory as docs/writing-getters.md says,
// and returns the module.
func Build(ctx context.Context, dir string) (module []byte, err error) {
	scratch, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if err := touchSources(ctx, dir); err != nil {
		return nil, err
	}
	out := filepath.Join(scratch, "guest.wasm")
	if _, err := goCommand(ctx, dir, "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", out, "."); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// touchSources looks at the source files of a guest, so that "go test" takes no
// result from its cache after one of them has changed.
func touchSources(ctx context.Context, dir string) error {
	const files = `{{if not .Standard}}{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{end}}`
	list, err := goCommand(ctx, dir, "list", "-deps", "-f", files, ".")
	if err != nil {
		return err
	}
	for name := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == '\n' }) {
		if _, err := os.Stat(name); err != nil {
			return err
		}
	}
	return nil
}

// goCommand returns the standard output of a go command for guests.
func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s in %s: %w: %s", args[0], dir, err, stderr.String())
	}
	return stdout.String(), nil
}

// Options configure an instance.
type Options struct {
	Config map[string]string
	// Transport performs the fetches. If it is nil, the import is not there.
	Transport http.RoundTripper
	// MemoryPages is the limit on the guest's memory, in pages of 64 KiB.
	MemoryPages uint32
	// LogLevel is the lowest level that is recorded, 0 to 3.
	LogLevel uint32
	// Cache, if it is not nil, saves compiling the same module again.
	Cache wazero.CompilationCache
}

// A Module is a compiled guest. Instances are made and used one at a time.
type Module struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	host     *host
}

// Compile compiles a module and links it with a host.
func Compile(ctx context.Context, wasm []byte, options Options) (*Module, error) {
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(options.MemoryPages)
	if options.Cache != nil {
		config = config.WithCompilationCache(options.Cache)
	}
	m := &Module{runtime: wazero.NewRuntimeWithConfig(ctx, config), host: &host{options: options, stored: map[string][]byte{}}}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, m.runtime); err != nil {
		return nil, errors.Join(err, m.Close(ctx))
	}
	if err := m.host.link(ctx, m.runtime); err != nil {
		return nil, errors.Join(err, m.Close(ctx))
	}
	compiled, err := m.runtime.CompileModule(ctx, wasm)
	if err != nil {
		return nil, errors.Join(err, m.Close(ctx))
	}
	m.compiled = compiled
	return m, nil
}

// Close frees the module and its instances.
func (m *Module) Close(ctx context.Context) error { return m.runtime.Close(ctx) }

// Imports returns the names that the guest imports from the host.
func (m *Module) Imports() []string {
	var names []string
	for _, f := range m.compiled.ImportedFunctions() {
		if module, name, _ := f.Import(); module == "gcnode1" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// An Answer is what the guest responded.
type Answer struct {
	Status    int32
	TTLMillis int64
	Bytes     string
}

// An Instance is an instance of a module.
type Instance struct {
	guest api.Module
	host  *host
}

// ErrRefused is the error of a guest that refuses its configuration.
var ErrRefused = errors.New("the guest refuses its configuration")

// Instantiate makes an instance and hands it the configuration.
func (m *Module) Instantiate(ctx context.Context) (*Instance, error) {
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize").
		WithSysWalltime().WithSysNanotime().WithStderr(os.Stderr)
	guest, err := m.runtime.InstantiateModule(ctx, m.compiled, config)
	if err != nil {
		return nil, err
	}
	if guest.ExportedFunction("gcnode_abi_1") == nil {
		return nil, errors.New("no export gcnode_abi_1")
	}
	encoded := encodeConfig(m.host.options.Config)
	m.host.inputs = map[uint32][]byte{0: encoded}
	results, err := guest.ExportedFunction("gcnode_configure").Call(ctx, uint64(len(encoded)))
	if err != nil {
		return nil, fmt.Errorf("configure: %w", err)
	}
	if results[0] != 0 {
		return nil, fmt.Errorf("%w: %s", ErrRefused, strings.Join(m.host.log, "\n"))
	}
	return &Instance{guest: guest, host: m.host}, nil
}

// Close frees the instance.
func (i *Instance) Close(ctx context.Context) error { return i.guest.Close(ctx) }

// MemoryBytes returns the size of the guest's memory.
func (i *Instance) MemoryBytes() uint32 { return i.guest.Memory().Size() }

// Log returns the lines that the guests of this module logged so far, each with
// its level as the first character.
func (i *Instance) Log() []string { return i.host.log }

// Get asks for one key. Each fetch is performed when the guest begins it, and
// its answer handed over when the guest waits.
func (i *Instance) Get(ctx context.Context, key string) (Answer, error) {
	h := i.host
	request := h.begin(key)
	results, err := i.guest.ExportedFunction("gcnode_get").Call(ctx, uint64(request), uint64(len(key)))
	for err == nil && results[0] == 1 && len(h.arrived) > 0 {
		call := h.arrived[0]
		h.arrived = h.arrived[1:]
		results, err = i.guest.ExportedFunction("gcnode_resume").Call(ctx, uint64(request), uint64(call), uint64(len(h.inputs[call])))
		delete(h.inputs, call)
	}
	if err != nil {
		return Answer{}, err
	}
	answer := h.answers[request]
	if code := int32(results[0]); code != 0 || answer == nil {
		return Answer{}, fmt.Errorf("the guest returned %d, responded %v", code, answer != nil)
	}
	return *answer, nil
}

// GetMany asks for several keys in one call, for which nothing can be fetched.
func (i *Instance) GetMany(ctx context.Context, keys ...string) ([]Answer, error) {
	base := i.host.begin(keys...)
	results, err := i.guest.ExportedFunction("gcnode_get_many").Call(ctx, uint64(base), uint64(len(keys)), 0)
	if err != nil {
		return nil, err
	}
	answers := make([]Answer, len(keys))
	for n := range answers {
		answer := i.host.answers[base+uint32(n)]
		if answer == nil {
			return nil, fmt.Errorf("the guest returned %d without an answer to %q", int32(results[0]), keys[n])
		}
		answers[n] = *answer
	}
	return answers, nil
}

func encodeConfig(config map[string]string) []byte {
	var b []byte
	for _, key := range slices.Sorted(maps.Keys(config)) {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(key)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(config[key])))
		b = append(b, key...)
		b = append(b, config[key]...)
	}
	return b
}

// A host has the state of the one call that is running.
type host struct {
	options Options
	inputs  map[uint32][]byte
	last    uint32             // number given to a request or a fetch
	answers map[uint32]*Answer // by request; nil: it is open
	arrived []uint32           // fetches whose answers the guest has not seen
	stored  map[string][]byte
	log     []string
}

// begin forgets the last requests and begins one for each key, with consecutive
// numbers.
func (h *host) begin(keys ...string) (base uint32) {
	h.inputs, h.answers, h.arrived = map[uint32][]byte{}, map[uint32]*Answer{}, nil
	base = h.last + 1
	for _, key := range keys {
		h.last++
		h.inputs[h.last], h.answers[h.last] = []byte(key), nil
	}
	return base
}

func (h *host) open(request uint32) bool {
	answer, known := h.answers[request]
	return known && answer == nil
}

func (h *host) link(ctx context.Context, runtime wazero.Runtime) error {
	b := runtime.NewHostModuleBuilder("gcnode1")
	b.NewFunctionBuilder().WithFunc(h.inputRead).Export("input_read")
	b.NewFunctionBuilder().WithFunc(h.respond).Export("respond")
	b.NewFunctionBuilder().WithFunc(h.writeLog).Export("log")
	b.NewFunctionBuilder().WithFunc(func() uint32 { return h.options.LogLevel }).Export("log_level")
	b.NewFunctionBuilder().WithFunc(h.kvGet).Export("kv_get")
	b.NewFunctionBuilder().WithFunc(h.kvSet).Export("kv_set")
	if h.options.Transport != nil {
		b.NewFunctionBuilder().WithFunc(h.fetchStart).Export("fetch_start")
	}
	_, err := b.Instantiate(ctx)
	return err
}

// read returns a range of the guest's memory. Out of range is a trap, as a
// panic in a host function is for wazero.
func read(guest api.Module, ptr, size uint32) []byte {
	b, ok := guest.Memory().Read(ptr, size)
	if !ok {
		panic(fmt.Errorf("range of %d bytes at %d is outside of the memory", size, ptr)) //nolint:forbidigo // the trap
	}
	return slices.Clone(b)
}

func (h *host) inputRead(_ context.Context, guest api.Module, id, dst, off, size uint32) int32 {
	input, ok := h.inputs[id]
	if !ok || uint64(off) > uint64(len(input)) {
		return -1
	}
	rest := input[off:]
	if n := min(len(rest), int(size)); !guest.Memory().Write(dst, rest[:n]) {
		read(guest, dst, uint32(n))
	}
	return int32(len(rest))
}

func (h *host) respond(_ context.Context, guest api.Module, req, status, flags uint32, ttlMillis int64, ptr, size uint32) int32 {
	switch {
	case !h.open(req):
		return -1
	case status > 5 || flags != 0 || ttlMillis < -1:
		return -3
	}
	h.answers[req] = &Answer{Status: int32(status), TTLMillis: ttlMillis, Bytes: string(read(guest, ptr, size))}
	return 0
}

func (h *host) writeLog(_ context.Context, guest api.Module, level, ptr, size uint32) {
	h.log = append(h.log, fmt.Sprintf("%d%s", level, read(guest, ptr, size)))
}

func (h *host) fetchStart(ctx context.Context, guest api.Module, req, ptr, size uint32) int32 {
	if !h.open(req) {
		return -1
	}
	request, timeout, err := decodeRequest(ctx, read(guest, ptr, size))
	if err != nil {
		return -2
	}
	h.last++
	h.inputs[h.last] = h.exchange(request, timeout)
	h.arrived = append(h.arrived, h.last)
	return int32(h.last)
}

func (h *host) kvGet(_ context.Context, guest api.Module, key, keySize, dst, size uint32) int32 {
	value, found := h.stored[string(read(guest, key, keySize))]
	if !found {
		return -1
	}
	if !guest.Memory().Write(dst, value[:min(len(value), int(size))]) {
		read(guest, dst, size)
	}
	return int32(len(value))
}

// kvSet knows no lifetimes but those that remove a key.
func (h *host) kvSet(_ context.Context, guest api.Module, key, keySize, ptr, size uint32, ttlMillis int64) int32 {
	name := string(read(guest, key, keySize))
	delete(h.stored, name)
	if ttlMillis != 0 {
		h.stored[name] = read(guest, ptr, size)
	}
	return 0
}

// decodeRequest is written from the contract and shares no code with the SDK.
func decodeRequest(ctx context.Context, b []byte) (*http.Request, time.Duration, error) {
	if len(b) < 20 {
		return nil, 0, errors.New("short request")
	}
	u16, u32 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32
	methodSize, fields, urlSize, bodySize := int(u16(b)), int(u16(b[2:])), int(u32(b[4:])), int(u32(b[8:]))
	timeout := time.Duration(u32(b[12:])) * time.Millisecond
	rest := string(b[20:])
	take := func(n int) string {
		s := rest[:min(n, len(rest))]
		rest = rest[len(s):]
		return s
	}
	method, url := take(methodSize), take(urlSize)
	header := http.Header{}
	for range fields {
		if len(rest) < 6 {
			return nil, 0, errors.New("short header")
		}
		head := []byte(take(6))
		name := take(int(u16(head)))
		header.Add(name, take(int(u32(head[2:]))))
	}
	body := take(bodySize)
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	request.Header = header
	return request, timeout, nil
}

func (h *host) exchange(request *http.Request, timeout time.Duration) []byte {
	client := &http.Client{Transport: h.options.Transport, Timeout: timeout}
	response, err := client.Do(request)
	if err != nil {
		return encodeAnswer(0, 3, nil, err.Error())
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return encodeAnswer(0, 3, nil, err.Error())
	}
	return encodeAnswer(uint16(response.StatusCode), 0, response.Header, string(body))
}

func encodeAnswer(status, failure uint16, header http.Header, body string) []byte {
	var fields []byte
	count := uint16(0)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			fields = binary.LittleEndian.AppendUint16(fields, uint16(len(name)))
			fields = binary.LittleEndian.AppendUint32(fields, uint32(len(value)))
			fields = append(fields, name...)
			fields = append(fields, value...)
			count++
		}
	}
	b := binary.LittleEndian.AppendUint16(nil, status)
	b = binary.LittleEndian.AppendUint16(b, failure)
	b = binary.LittleEndian.AppendUint16(b, count)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = append(b, fields...)
	return append(b, body...)
}
