package wasm

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
	"github.com/gcnode/gcnode/getters/wasm/internal/kernel"
)

var errModuleTooLarge = fmt.Errorf("the module is larger than %d MiB, the most that is accepted", maxModuleBytes>>20)

// LoadFile loads the module in a file, as [Load] does.
func LoadFile(ctx context.Context, path string, opts Options) (*Plugin, error) {
	opts.Name = cmp.Or(opts.Name, filepath.Base(path))
	module, err := ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load plugin %q: %w", opts.Name, err)
	}
	return Load(ctx, module, opts)
}

// ReadFile reads a module, if it is not too large for one.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return readModule(f)
}

// readModule reads a file that is not larger than a module may be.
func readModule(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkSize(info.Size()); err != nil {
		return nil, err
	}
	module, err := io.ReadAll(io.LimitReader(f, maxModuleBytes+1))
	if err != nil {
		return nil, err
	}
	if len(module) > maxModuleBytes { // a pipe, or a file that grows: its size is not known
		return nil, errModuleTooLarge
	}
	return module, nil
}

func checkSize(moduleBytes int64) error {
	if moduleBytes > maxModuleBytes {
		return fmt.Errorf("%w: it has %d bytes", errModuleTooLarge, moduleBytes)
	}
	return nil
}

// Load prepares a module for use: it checks that the module keeps to the ABI
// and imports nothing that it was not granted, instruments and compiles it,
// and starts and configures one instance, so that what is wrong comes to light
// now. The error says what to change. module is not kept. Compiling takes up
// to seconds for a large module, at most some tens of them for one that is made
// for it (but see [InterruptByEngine]), and does not end early when ctx does;
// starting the instance is bounded by ctx and by [Options.Timeout].
//
// The caller has to Close the plugin.
func Load(ctx context.Context, module []byte, opts Options) (*Plugin, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("load plugin %q: %w", opts.Name, err)
	}
	p, err := load(ctx, module, opts)
	if err != nil {
		return nil, fmt.Errorf("load plugin %q: %w", opts.Name, err)
	}
	return p, nil
}

func load(ctx context.Context, module []byte, opts Options) (*Plugin, error) {
	begun := time.Now()
	p, err := newPlugin(&opts)
	if err != nil {
		return nil, err
	}
	code, shape, by, err := prepare(module, &opts)
	if err != nil {
		p.kill()
		return nil, err
	}
	p.interruption = by
	p.extism = shape.isExtism()
	_, p.batches = shape.exports[exportGetMany]
	p.batches = p.batches && !p.extism
	if shape.waits() {
		p.pool.share = opts.Pending
	}
	if err := errors.Join(ctx.Err(), p.compile(ctx, code)); err != nil {
		p.free()
		return nil, err
	}
	p.compileTime = time.Since(begun)
	if err := p.probe(ctx); err != nil {
		p.free()
		return nil, fmt.Errorf("start the first instance: %w", err)
	}
	return p, nil
}

// prepare checks a module without running anything of it and returns it as it is
// compiled, its shape, and how it is interrupted.
func prepare(module []byte, opts *Options) ([]byte, *moduleShape, Interruption, error) {
	if err := checkSize(int64(len(module))); err != nil {
		return nil, nil, 0, err
	}
	if err := checkHash(module, opts.SHA256); err != nil {
		return nil, nil, 0, err
	}
	shape, err := inspect(module)
	if err != nil {
		return nil, nil, 0, err
	}
	if err := checkContract(shape, opts); err != nil {
		return nil, nil, 0, err
	}
	code, by, err := interruptible(module, opts)
	return code, shape, by, err
}

func newPlugin(opts *Options) (*Plugin, error) {
	stats := &counters{}
	fetcher, err := newFetcher(opts, stats)
	if err != nil {
		return nil, err
	}
	p := &Plugin{
		opts:        *opts,
		configInput: encodeConfig(opts.Config),
		epoch:       time.Now().Add(-time.Millisecond),
		pool:        newPool[*instance](opts.Instances, 1, opts.Queue),
		fetcher:     fetcher,
		store:       newStore(opts.StoreBytes),
		log:         newGuestLog(opts.Logger, opts.Name, &stats.linesDropped),
		stats:       stats,
		breaker:     breaker{after: opts.BreakAfter},
	}
	for _, name := range slices.Sorted(maps.Keys(opts.Env)) {
		p.environ = append(p.environ, name+"="+opts.Env[name])
	}
	p.life, p.kill = context.WithCancel(context.Background())
	p.free = sync.OnceFunc(p.freeNow)
	return p, nil
}

// compile makes machine code of a module that went through prepare, and the
// host functions that it may use. A compilation cache that is damaged is no
// reason to fail.
func (p *Plugin) compile(ctx context.Context, code []byte) error {
	if p.opts.CacheDir == "" {
		return p.compileWith(ctx, code, wazero.NewRuntimeConfig())
	}
	var err error
	if p.cache, err = openCache(p.opts.CacheDir); err != nil {
		return err
	}
	cached := p.compileWith(ctx, code, wazero.NewRuntimeConfig().WithCompilationCache(p.cache))
	if cached == nil {
		return nil
	}
	if err := p.compileWith(ctx, code, wazero.NewRuntimeConfig()); err != nil {
		return err
	}
	p.log.logger.LogAttrs(ctx, slog.LevelWarn, "the compilation cache is not usable, compiled without it",
		slog.String("directory", p.opts.CacheDir), slog.Any("error", cached))
	return nil
}

func (p *Plugin) compileWith(ctx context.Context, code []byte, config wazero.RuntimeConfig) (err error) {
	config = config.
		WithMemoryLimitPages(uint32(p.opts.MaxMemoryBytes / pageBytes)).
		WithDebugInfoEnabled(false).
		WithCloseOnContextDone(p.interruption == InterruptByEngine)
	p.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	defer func() {
		if r := recover(); r != nil { // the compiler is given what strangers wrote
			err = fmt.Errorf("compile the module: the compiler failed: %v", r)
		}
		if err != nil {
			_ = p.runtime.Close(ctx) // the reason to give up is known
		}
	}()
	if err := p.exportHost(ctx); err != nil {
		return fmt.Errorf("prepare host functions: %w", err)
	}
	if p.compiled, err = p.runtime.CompileModule(p.watchCalls(ctx), code); err != nil {
		return fmt.Errorf("compile the module: %w", err)
	}
	return nil
}

// exportHost makes the host functions available. Without its grant there is no
// such function to import, whatever was checked before.
func (p *Plugin) exportHost(ctx context.Context) error {
	granted := slices.DeleteFunc(abiFunctions(), func(f hostFunction) bool {
		return f.grant != nil && !f.grant(&p.opts)
	})
	tick := []hostFunction{{
		name: fuel.TickName,
		sig:  signature{results: []valueType{i64}},
		call: func(in *instance, _ guestMemory, stack []uint64) { stack[0] = api.EncodeI64(in.tick()) },
	}}
	errs := []error{exportTo(ctx, p.runtime, wasiModule, wasiFunctions())}
	if p.interruption == InterruptByFuel {
		errs = append(errs, exportTo(ctx, p.runtime, fuel.TickModule, tick))
	}
	if p.extism {
		return errors.Join(append(errs, p.exportExtism(ctx))...)
	}
	return errors.Join(append(errs, exportTo(ctx, p.runtime, abiModule, granted))...)
}

// exportExtism makes available what Extism modules import, and compiles the
// kernel.
func (p *Plugin) exportExtism(ctx context.Context) error {
	functions := extismFunctions()
	err := errors.Join(
		exportTo(ctx, p.runtime, kernel.Name, append(functions, kernelHostFunctions()...)),
		exportTo(ctx, p.runtime, extismUser, extismUserFunctions()),
	)
	if err != nil {
		return err
	}
	module := kernel.Module(kernelFunctions(functions, p.opts.Config), uint32(p.opts.MaxMemoryBytes/pageBytes))
	p.kernel, err = p.runtime.CompileModule(ctx, module)
	return err
}

// probe starts the first instance, which stays in the pool.
func (p *Plugin) probe(ctx context.Context) error {
	d := p.newDeadline(ctx)
	s, err := p.checkOut(&d)
	if err != nil {
		return err
	}
	p.checkIn(s, keep, 1)
	return nil
}

// freeNow frees everything but instances. Nothing can be done about errors.
func (p *Plugin) freeNow() {
	p.kill()
	p.fetches.Wait()
	p.fetcher.idle()
	p.log.tellDropped()
	ctx := context.Background()
	if p.runtime != nil {
		_ = p.runtime.Close(ctx)
	}
	if p.cache != nil {
		_ = p.cache.Close(ctx)
	}
}

// openCache opens the directory of compiled modules.
func openCache(dir string) (wazero.CompilationCache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the compilation cache: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("open the compilation cache: %w", err)
	}
	// On Windows the mode does not say who has access.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("the compilation cache %s has the mode %04o: others could plant code in it, set 0700", dir, mode)
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open the compilation cache: %w", err)
	}
	return cache, nil
}

// encodeConfig is the configuration in the form of the guest ABI.
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
