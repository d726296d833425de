package wasm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	gcnode "github.com/gcnode/gcnode/core"
)

// maxDescriptionBytes bounds a request without its body, as JSON, which takes more
// of our memory than of the guest's.
const maxDescriptionBytes = 1 << 20

// extismRequest is a request as PDKs write it.
type extismRequest struct {
	URL     string            `json:"url"`
	Method  string            `json:"method"`
	Headers map[string]string `json:"headers"`
}

// extismHTTPRequest performs an exchange while the guest waits. Extism has no
// way to tell a guest that there is no answer: the call ends.
func extismHTTPRequest(in *instance, _ guestMemory, stack []uint64) {
	var described extismRequest
	description := in.block(stack[0])
	if len(description) > maxDescriptionBytes {
		haltExtism("its HTTP request has %d bytes beside the body, the limit is %d", len(description), maxDescriptionBytes)
	}
	if err := json.Unmarshal(description, &described); err != nil {
		haltExtism("its HTTP request cannot be read: %w", err)
	}
	r := in.current
	if r == nil {
		haltExtism("it fetches before it is asked for a key")
	}
	answer := in.extismFetch(r, described.request(), in.block(stack[1]))
	in.extism.status, in.extism.header = int(answer.status), answer.header
	stack[0] = hand(in, answer.body)
}

// extismHTTPHeaders hands out the header of the last answer: names in lower
// case, several values of a name joined by commas.
func extismHTTPHeaders(in *instance, _ guestMemory, stack []uint64) {
	if in.extism.status == 0 {
		stack[0] = 0
		return
	}
	values := map[string][]string{}
	for _, f := range in.extism.header {
		name := strings.ToLower(f.name)
		values[name] = append(values[name], f.value)
	}
	fields := make(map[string]string, len(values))
	for name, all := range values {
		fields[name] = strings.Join(all, ",")
	}
	text, err := json.Marshal(fields)
	if err != nil {
		halt(&stop{discardTrap, gcnode.KindInternal, err})
	}
	stack[0] = hand(in, text)
}

// request is the exchange that is asked for, with a body to come.
func (e *extismRequest) request() *fetchRequest {
	req := &fetchRequest{method: strings.ToUpper(e.Method), url: e.URL}
	if req.method == "" {
		req.method = "GET"
	}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		req.header = append(req.header, headerField{name, e.Headers[name]})
	}
	return req
}

// extismFetch performs an exchange within the limits of a request. It does not
// return without an answer.
func (in *instance) extismFetch(r *request, req *fetchRequest, body []byte) *fetchAnswer {
	if r.budget == nil {
		r.budget = newFetchBudget(&in.plugin.opts)
	}
	if req.held = req.size() + int64(len(body)); r.budget.spendBytes(req.held) == nil {
		req.body = bytes.Clone(body) // the guest's memory may move
	} else {
		req = nil
	}
	ctx, cancel := in.deadline.context()
	defer cancel()
	answer := in.await(func() *fetchAnswer { return in.plugin.fetcher.do(ctx, req, r.budget) })
	if err := in.deadline.check(); err != nil {
		haltFor(err)
	}
	if answer.failure != 0 {
		halt(&stop{discardTrap, kindOfFailure(answer.failure), fmt.Errorf("the module's HTTP request failed: %s", answer.body)})
	}
	return answer
}

// kindOfFailure is the error of a request whose exchange had no answer.
func kindOfFailure(failure fetchFailure) gcnode.Kind {
	switch failure {
	case fetchDenied:
		return gcnode.KindDenied
	case fetchUnreachable, fetchTimeout:
		return gcnode.KindTransient
	case fetchMalformed, fetchTooLarge, fetchTooMany:
		return gcnode.KindPermanent
	}
	return gcnode.KindPermanent
}
