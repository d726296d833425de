// Package sim runs whole clusters in one goroutine's time: a seed is a
// schedule, and the same seed gives the same history, byte for byte.
//
// Nodes run as they are, under testing/synctest, on a network, an origin and
// clients of this package. Whatever a node does to its surroundings is posted
// to the world, which lets one thing happen at a time: it waits until all
// goroutines are blocked, takes what was posted in an order that depends on
// nothing but its content, decides by the seed what becomes of it and when, and
// goes on to the next event. No two events happen at the same time, and no
// random number comes from anywhere but the seed.
//
// What was recorded is checked by package history.
package sim
