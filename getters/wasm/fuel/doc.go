// Package fuel rewrites WebAssembly modules so that their host can stop them.
//
// A compiled guest cannot be preempted: while it computes, the thread that runs
// it is lost to the Go scheduler, and the next garbage collection of the whole
// process waits for it. Inject therefore puts a counter into the guest. Every
// function entry, every turn of a loop and every bulk instruction takes from
// it, and when it is used up the guest calls a function of the host, the tick,
// which looks at the clock and decides: it grants more by returning, or stops
// the guest by panicking or closing the module. A stopped instance is to be
// thrown away.
//
// Inject works on core modules of the second version of the specification
// (with vectors, bulk memory, reference types and multiple values), with tail
// calls and extended constants. Threads, exceptions, garbage-collected types,
// typed function references, relaxed vectors, memories of 64 bits and multiple
// memories are refused, each by name. It checks the structure of a module and
// the range of its indices, and leaves the types of operands to the engine: the
// result is to be validated like any module.
//
// # What is injected
//
// Behind the module's own:
//
//   - the types () -> i64, () -> () and (i32) -> i32, and one for each list of
//     several results that a block needs and no type has;
//   - the import of the tick, () -> i64. Imports come before other functions,
//     so the index of every function that the module defines grows by one, in
//     calls, references, exports, element segments, constants, the start
//     section and the names;
//   - two mutable globals of type i64, the fuel, which starts at 0, and the
//     depth, which starts at Options.MaxCallDepth;
//   - helper functions, whose names start with the tick's module, so that stack
//     traces show them.
//
// None of them is exported. An index that was out of range before would reach
// them now, and with it a guest could refill its own fuel; hence an index that
// is out of range in the original is an error, and so is a module that imports
// from the tick's module.
//
// Into the code, where F is the fuel, D the depth, and "check" stands for
// "if F < 0, call the helper that calls the tick until F >= 0":
//
//	function entry   F -= cost; check
//	loop header      F -= cost; check
//	memory.fill, memory.copy, memory.init, table.fill, table.copy,
//	table.init, table.grow
//	                 F -= 1 + amount/unit; check     before the instruction
//	memory.grow      F -= 1; check; memory.grow; if it succeeded,
//	                 F -= pages * 256; check
//
// A call of a small function, of at most 16 instructions without a loop, is replaced
// by what that consists of, as its entry would cost more than the rest of it: its
// parameters and locals become locals of the caller, and a return branches to the end
// of a block around it. Nothing is injected there, and stack traces do not show it.
// Not replaced are calls of functions with a bulk or a vector instruction, an indirect
// call, a trap, or references; and calls from a small function, which the engine
// validates as it was, or from one that has very many locals or branches. The code
// becomes longer by at most a quarter and a kibibyte for this.
//
// Every instruction is written anew with its numbers in their shortest form,
// and an opcode that is not in its shortest form is refused where engines
// differ in reading it: what was counted here is what the engine runs. Limits on
// locals (of a function, and of all), parameters and results, on how many things a
// module has in all (Options.MaxEntries), and counts that are checked against the
// bytes that are there, keep modules from making the engine allocate many times
// their size.
//
// # Cost
//
// The cost at a function entry is 1, and 1 more for each 64 instructions of the
// function outside of loops; at a loop header it is the same for the
// instructions of the loop outside of inner loops, whether a turn executes them
// or not. So between two checks a guest executes at most 64 instructions for
// each unit that it pays, however it is written. A bulk instruction pays one
// unit for 256 bytes or 32 table entries.
//
// What is spent beyond the fuel is owed, and the tick is called again until it
// is paid: the sum of what ticks grant is the fuel that the guest has used, up
// to the last grant. A unit is between one nanosecond (a turn of a short loop)
// and, at worst, a few microseconds (64 instructions that all miss the
// processor's caches). A grant of 10,000 units lasts most code for ten to a
// hundred microseconds, and none for more than some tens of milliseconds. One
// bulk instruction is not interrupted: how long it takes is bounded by the size
// of the memory. BenchmarkFuel measures what all of this costs.
//
// # Call depth
//
// Every function that calls functions of the module or calls indirectly also
// takes from D on entry, and gives back on every way out: its body becomes a
// block, returns become branches to its end, and tail calls give back before
// they jump. A negative D traps in the function CallDepthTrap. Tail calls of
// functions with more than six parameters or results, for which engines keep
// the caller's frame, become calls that count.
//
// A call takes 1, and 1 more for each 32 values that the frame may hold:
// parameters, results, locals, and one for each 16 instructions. At the default
// depth an endless recursion of ordinary functions ends with a stack of one to
// three mebibytes. This is an estimate, not a bound: a guest that is made for it
// (hundreds of locals that are set in hundreds of nested blocks) can have frames
// of hundreds of kilobytes from little code, and no static rule that stops it
// would let large interpreters recurse. What bounds the stack then is the
// engine: wazero stops at about 84 MB, which it keeps until the instance is
// thrown away.
//
// After a trap D is not restored, as nothing is.
//
// # Tables
//
// A table entry takes 8 bytes of the host's memory that no page limit counts.
// The sum of the starting sizes of all tables must be within
// Options.MaxTableEntries, and each table gets a maximum of its starting size
// and an equal share of what is left, unless its own is lower. An imported
// table must have such a maximum, too.
//
// # Compiling
//
// An engine like wazero takes a time for a function that grows with the square of
// how much it branches, so that a few kilobytes of empty loops keep it busy for
// long. Where a function branches has been weighed: 12 for a loop with what is
// injected into it, 4 for an if and a br_if, 1 for a block, an indirect call, and
// each label of a br_table. The sum of the squares of these weights is bounded by
// Options.MaxCompileCost.
//
// # Custom sections
//
// They are kept, except for those that refer to places in the code: ".debug_*",
// "reloc.*", "linking", "metadata.code.*", "sourceMappingURL" and
// "external_debug_info". In the section "name" the indices of functions are
// changed and the injected functions added; names are cut after 256 bytes, because
// stack traces are made of them, and names of labels are dropped.
package fuel
