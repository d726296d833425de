package wasm

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	gcnode "github.com/gcnode/gcnode/core"
)

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
	if err := json.Unmarshal(in.block(stack[0]), &described); err != nil {
		haltExtism("its HTTP request cannot be read: %w", err)
	}
	r := in.current
	if r == nil {
		haltExtism("it fetches before it is asked for a key")
	}
	answer := in.extismFetch(r, described.request(in.block(stack[1])))
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
	fields := map[string]string{}
	for _, f := range in.extism.header {
		name := strings.ToLower(f.name)
		if before, ok := fields[name]; ok {
			f.value = before + "," + f.value
		}
		fields[name] = f.value
	}
	text, err := json.Marshal(fields)
	if err != nil {
		halt(&stop{discardTrap, gcnode.KindInternal, err})
	}
	stack[0] = hand(in, text)
}

// request is the exchange that is asked for. It keeps nothing of body.
func (e *extismRequest) request(body []byte) *fetchRequest {
	req := &fetchRequest{method: strings.ToUpper(e.Method), url: e.URL, body: append([]byte(nil), body...)}
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
func (in *instance) extismFetch(r *request, req *fetchRequest) *fetchAnswer {
	if r.budget == nil {
		r.budget = newFetchBudget(&in.plugin.opts)
	}
	ctx, cancel := in.deadline.context()
	defer cancel()
	answer := in.plugin.fetcher.do(ctx, req, r.budget)
	in.pace.interrupted()
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
