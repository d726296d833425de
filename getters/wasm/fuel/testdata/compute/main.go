// Command compute is a guest whose exports keep a processor busy in the ways
// real guests do: parsing, sorting, hashing, copying, recursion and closures.
package main

import (
	"crypto/sha256"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
)

func main() {}

// hash returns the checksum of a hash chain of n rounds.
//
//go:wasmexport hash
func hash(n int32) int64 {
	sum := sha256.Sum256([]byte("seed"))
	for range n {
		sum = sha256.Sum256(sum[:])
	}
	return int64(crc32.ChecksumIEEE(sum[:]))
}

// expression is a node of what parse reads.
type expression interface {
	value(variables map[string]int64) int64
}

type variable string

func (v variable) value(variables map[string]int64) int64 { return variables[string(v)] }

type operation struct {
	left, right expression
	apply       func(a, b int64) int64
}

func (o *operation) value(variables map[string]int64) int64 {
	return o.apply(o.left.value(variables), o.right.value(variables))
}

// read parses a parenthesized operation or a variable and returns what follows.
func read(text string) (expression, string) {
	if rest, ok := strings.CutPrefix(text, "("); ok {
		left, rest := read(rest)
		operator := rest[0]
		right, rest := read(rest[1:])
		weight := int64(operator % 7)
		return &operation{left, right, func(a, b int64) int64 { return a + weight*b }}, rest[1:]
	}
	end := strings.IndexAny(text, "+*)")
	return variable(text[:end]), text[end:]
}

// parse evaluates an expression of n levels n times.
//
//go:wasmexport parse
func parse(n int32) int64 {
	variables := map[string]int64{}
	text := "x"
	for i := range n {
		name := "v" + strconv.Itoa(int(i))
		variables[name] = int64(i)
		text = "(" + text + string("+*"[i%2]) + name + ")"
	}
	total := int64(0)
	for i := range n {
		variables["x"] = int64(i)
		tree, _ := read(text)
		total += tree.value(variables)
	}
	return total
}

// order returns a value that depends on the order of n sorted numbers.
//
//go:wasmexport order
func order(n int32) int64 {
	numbers := make([]uint32, n)
	x := uint32(1)
	for i := range numbers {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		numbers[i] = x
	}
	slices.SortFunc(numbers, func(a, b uint32) int { return int(int64(a) - int64(b)) })
	sum := int64(0)
	for i, v := range numbers {
		sum += int64(i) * int64(v)
	}
	return sum
}

// fibonacci calls itself about 1.6^n times.
//
//go:wasmexport fibonacci
func fibonacci(n int32) int64 {
	if n < 2 {
		return int64(n)
	}
	return fibonacci(n-1) + fibonacci(n-2)
}

// matrix multiplies two matrices of n by n numbers.
//
//go:wasmexport matrix
func matrix(n int32) int64 {
	size := int(n)
	a, b, c := make([]float64, size*size), make([]float64, size*size), make([]float64, size*size)
	for i := range a {
		a[i], b[i] = float64(i%7), float64(i%5)
	}
	for i := range size {
		for j := range size {
			sum := 0.0
			for k := range size {
				sum += a[i*size+k] * b[k*size+j]
			}
			c[i*size+j] = sum
		}
	}
	total := 0.0
	for _, v := range c {
		total += v
	}
	return int64(total)
}

// descend calls itself n times and returns n.
//
//go:wasmexport descend
func descend(n int32) int64 {
	if n == 0 {
		return 0
	}
	return 1 + descend(n-1)
}
