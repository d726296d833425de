package wasm

import "time"

// Hooks tell what happens to a plugin. Each field may be nil. A hook is called in
// the middle of the work, by the goroutine that does it, from several at the same
// time: it must return soon and must not panic.
type Hooks struct {
	// Started is called when an instance was started, with how long that took.
	Started func(took time.Duration)
	// Discarded is called when an instance was thrown away, or could not be
	// started. The reason is the name of a field of [DiscardStats] in small
	// letters.
	Discarded func(reason string)
	// Fetched is called when an exchange of the module has ended.
	Fetched func(FetchEvent)
}

// FetchEvent is an HTTP exchange that has ended.
type FetchEvent struct {
	// Method and URL are what the module asked for: any bytes.
	Method, URL string
	// Status is that of the answer, 0 if there is none; Failure then is the
	// reason: malformed, denied, unreachable, timeout, too large or too many.
	Status  int
	Failure string
	Took    time.Duration
}
