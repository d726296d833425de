package wasm

import (
	"crypto/rand"
	"encoding/binary"
	"math"
	"runtime"
	"slices"
	"time"
)

const wasiModule = "wasi_snapshot_preview1"

// The error numbers of WASI that guests can see.
const (
	wasiSuccess = 0
	wasiBadFile = 8
	wasiInvalid = 28
	wasiNoSys   = 52
	wasiNotSeek = 70
)

// The file descriptors that every guest has.
const (
	fdStdin  = 0
	fdStdout = 1
	fdStderr = 2
)

// maxVectors bounds the parts of one write, and lineWork is how much dearer
// than copying bytes it is to cut them into lines.
const (
	maxVectors = 1024
	lineWork   = 8
)

// charDevice is the file type of the standard streams, and the rights that
// go with them.
const (
	charDevice = 2
	rightRead  = 1 << 1
	rightWrite = 1 << 6
)

// wasiFunctions is WASI as far as guests get it: clocks, randomness, the
// environment, sleeping, and standard streams that lead to the log. There are
// no files and no sockets, so everything that wants one is answered as with
// a file descriptor that is not open.
func wasiFunctions() []hostFunction {
	functions := []hostFunction{
		wasi("args_get", wasiArgsGet, i32, i32),
		wasi("args_sizes_get", wasiArgsSizesGet, i32, i32),
		wasi("environ_get", wasiEnvironGet, i32, i32),
		wasi("environ_sizes_get", wasiEnvironSizesGet, i32, i32),
		wasi("clock_res_get", wasiClockResGet, i32, i32),
		wasi("clock_time_get", wasiClockTimeGet, i32, i64, i32),
		wasi("fd_close", wasiStandardOnly, i32),
		wasi("fd_fdstat_get", wasiFdstatGet, i32, i32),
		wasi("fd_fdstat_set_flags", wasiStandardOnly, i32, i32),
		wasi("fd_filestat_get", wasiFilestatGet, i32, i32),
		wasi("fd_read", wasiFdRead, i32, i32, i32, i32),
		wasi("fd_seek", wasiNotSeekable, i32, i64, i32, i32),
		wasi("fd_tell", wasiNotSeekable, i32, i32),
		wasi("fd_write", wasiFdWrite, i32, i32, i32, i32),
		wasi("poll_oneoff", wasiPoll, i32, i32, i32, i32),
		wasi("proc_raise", wasiUnsupported, i32),
		wasi("random_get", wasiRandomGet, i32, i32),
		wasi("sched_yield", wasiYield),
		{name: "proc_exit", sig: signature{params: []valueType{i32}}, call: wasiExit},
	}
	for name, params := range wasiFileFunctions() {
		functions = append(functions, wasi(name, wasiNoFile, params...))
	}
	return functions
}

// wasiFileFunctions are the functions that work on files and sockets that no
// guest has.
func wasiFileFunctions() map[string][]valueType {
	return map[string][]valueType{
		"fd_advise":               {i32, i64, i64, i32},
		"fd_allocate":             {i32, i64, i64},
		"fd_datasync":             {i32},
		"fd_fdstat_set_rights":    {i32, i64, i64},
		"fd_filestat_set_size":    {i32, i64},
		"fd_filestat_set_times":   {i32, i64, i64, i32},
		"fd_pread":                {i32, i32, i32, i64, i32},
		"fd_prestat_get":          {i32, i32},
		"fd_prestat_dir_name":     {i32, i32, i32},
		"fd_pwrite":               {i32, i32, i32, i64, i32},
		"fd_readdir":              {i32, i32, i32, i64, i32},
		"fd_renumber":             {i32, i32},
		"fd_sync":                 {i32},
		"path_create_directory":   {i32, i32, i32},
		"path_filestat_get":       {i32, i32, i32, i32, i32},
		"path_filestat_set_times": {i32, i32, i32, i32, i64, i64, i32},
		"path_link":               {i32, i32, i32, i32, i32, i32, i32},
		"path_open":               {i32, i32, i32, i32, i32, i64, i64, i32, i32},
		"path_readlink":           {i32, i32, i32, i32, i32, i32},
		"path_remove_directory":   {i32, i32, i32},
		"path_rename":             {i32, i32, i32, i32, i32, i32},
		"path_symlink":            {i32, i32, i32, i32, i32},
		"path_unlink_file":        {i32, i32, i32},
		"sock_accept":             {i32, i32, i32},
		"sock_recv":               {i32, i32, i32, i32, i32, i32},
		"sock_send":               {i32, i32, i32, i32, i32},
		"sock_shutdown":           {i32, i32},
	}
}

// wasiCall is a function of WASI that returns an error number.
type wasiCall func(in *instance, mem guestMemory, args []uint64) uint64

func wasi(name string, call wasiCall, params ...valueType) hostFunction {
	return hostFunction{name: name, sig: signature{params, []valueType{i32}}, call: func(in *instance, mem guestMemory, stack []uint64) {
		stack[0] = call(in, mem, stack)
	}}
}

func wasiNoFile(*instance, guestMemory, []uint64) uint64 { return wasiBadFile }

func wasiUnsupported(*instance, guestMemory, []uint64) uint64 { return wasiNoSys }

// wasiStandardOnly does nothing to the standard streams.
func wasiStandardOnly(_ *instance, _ guestMemory, args []uint64) uint64 {
	if uint32(args[0]) > fdStderr {
		return wasiBadFile
	}
	return wasiSuccess
}

func wasiNotSeekable(_ *instance, _ guestMemory, args []uint64) uint64 {
	if uint32(args[0]) > fdStderr {
		return wasiBadFile
	}
	return wasiNotSeek
}

func wasiExit(_ *instance, _ guestMemory, stack []uint64) {
	haltExit(uint32(stack[0]))
}

func wasiYield(in *instance, _ guestMemory, _ []uint64) uint64 {
	runtime.Gosched()
	in.pace.interrupted()
	return wasiSuccess
}

func wasiRandomGet(in *instance, mem guestMemory, args []uint64) uint64 {
	buf := mem.view(args[0], args[1])
	for part := range slices.Chunk(buf, pageBytes) {
		_, _ = rand.Read(part) // it is documented not to fail
		in.spend(checkEvery * bytesPerUnit)
	}
	return wasiSuccess
}

func wasiArgsSizesGet(in *instance, mem guestMemory, args []uint64) uint64 {
	return putSizes(mem, args, []string{in.plugin.opts.Name})
}

func wasiArgsGet(in *instance, mem guestMemory, args []uint64) uint64 {
	return putStrings(mem, args, []string{in.plugin.opts.Name})
}

func wasiEnvironSizesGet(in *instance, mem guestMemory, args []uint64) uint64 {
	return putSizes(mem, args, in.plugin.environ)
}

func wasiEnvironGet(in *instance, mem guestMemory, args []uint64) uint64 {
	return putStrings(mem, args, in.plugin.environ)
}

// putSizes writes how many strings there are and how many bytes they take
// with a NUL after each.
func putSizes(mem guestMemory, args []uint64, list []string) uint64 {
	total := 0
	for _, s := range list {
		total += len(s) + 1
	}
	binary.LittleEndian.PutUint32(mem.view(args[0], 4), uint32(len(list)))
	binary.LittleEndian.PutUint32(mem.view(args[1], 4), uint32(total))
	return wasiSuccess
}

// putStrings writes the strings and a list of where they are.
func putStrings(mem guestMemory, args []uint64, list []string) uint64 {
	at := args[1]
	for i, s := range list {
		binary.LittleEndian.PutUint32(mem.view(args[0]+4*uint64(i), 4), uint32(at))
		dst := mem.view(at, uint64(len(s))+1)
		copy(dst, s)
		dst[len(s)] = 0
		at += uint64(len(s)) + 1
	}
	return wasiSuccess
}

func wasiFdstatGet(_ *instance, mem guestMemory, args []uint64) uint64 {
	if uint32(args[0]) > fdStderr {
		return wasiBadFile
	}
	buf := mem.view(args[1], 24)
	clear(buf)
	buf[0] = charDevice
	rights := uint64(rightWrite)
	if uint32(args[0]) == fdStdin {
		rights = rightRead
	}
	binary.LittleEndian.PutUint64(buf[8:], rights)
	return wasiSuccess
}

func wasiFilestatGet(_ *instance, mem guestMemory, args []uint64) uint64 {
	if uint32(args[0]) > fdStderr {
		return wasiBadFile
	}
	buf := mem.view(args[1], 64)
	clear(buf)
	buf[16] = charDevice
	return wasiSuccess
}

// wasiFdRead finds standard input at its end.
func wasiFdRead(_ *instance, mem guestMemory, args []uint64) uint64 {
	if uint32(args[0]) != fdStdin {
		return wasiBadFile
	}
	clear(mem.view(args[3], 4))
	return wasiSuccess
}

func wasiFdWrite(in *instance, mem guestMemory, args []uint64) uint64 {
	var out *lineBuffer
	switch uint32(args[0]) {
	case fdStdout:
		out = &in.stdout
	case fdStderr:
		out = &in.stderr
	default:
		return wasiBadFile
	}
	count := uint64(uint32(args[2]))
	if count > maxVectors {
		return wasiInvalid
	}
	vectors := mem.view(args[1], 8*count)
	written := uint64(0)
	for ; len(vectors) > 0; vectors = vectors[8:] {
		part := mem.view(uint64(binary.LittleEndian.Uint32(vectors)), uint64(binary.LittleEndian.Uint32(vectors[4:])))
		for chunk := range slices.Chunk(part, bytesPerUnit) {
			out.write(chunk)
			in.spend(lineWork * len(chunk))
		}
		written += uint64(len(part))
	}
	if written > math.MaxInt32 {
		return wasiInvalid
	}
	binary.LittleEndian.PutUint32(mem.view(args[3], 4), uint32(written))
	return wasiSuccess
}

// The clocks that guests have.
const (
	clockRealtime  = 0
	clockMonotonic = 1
)

// clockNow is the time of a clock in nanoseconds.
func (in *instance) clockNow(id uint32) (nanos int64, ok bool) {
	switch id {
	case clockRealtime:
		return time.Now().UnixNano(), true
	case clockMonotonic:
		return int64(time.Since(in.plugin.epoch)), true
	default:
		return 0, false
	}
}

func wasiClockResGet(_ *instance, mem guestMemory, args []uint64) uint64 {
	if uint32(args[0]) > clockMonotonic {
		return wasiInvalid
	}
	binary.LittleEndian.PutUint64(mem.view(args[1], 8), 1)
	return wasiSuccess
}

func wasiClockTimeGet(in *instance, mem guestMemory, args []uint64) uint64 {
	now, ok := in.clockNow(uint32(args[0]))
	if !ok {
		return wasiInvalid
	}
	binary.LittleEndian.PutUint64(mem.view(args[2], 8), uint64(now))
	return wasiSuccess
}
