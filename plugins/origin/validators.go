package main

import (
	"encoding/binary"
	"time"

	"github.com/gcnode/gcnode/plugins/internal/httporigin"
	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

// validators are in the store of the plugin. An entry is the length of the
// ETag, that of Last-Modified (u16 each), both, and the body.
type validators struct {
	store getter.Store
	keep  time.Duration // 0: nothing is kept
}

const entryHeaderBytes = 4

// Get implements httporigin.Validators.
func (v validators) Get(url string) (httporigin.Validator, bool) {
	entry, found := v.store.Get(url)
	if !found || len(entry) < entryHeaderBytes {
		return httporigin.Validator{}, false
	}
	etag := int(binary.LittleEndian.Uint16(entry))
	modified := int(binary.LittleEndian.Uint16(entry[2:]))
	rest := entry[entryHeaderBytes:]
	if etag+modified > len(rest) {
		return httporigin.Validator{}, false
	}
	return httporigin.Validator{
		ETag:         string(rest[:etag]),
		LastModified: string(rest[etag : etag+modified]),
		Body:         rest[etag+modified:],
	}, true
}

// Set implements httporigin.Validators. What there is no room for is loaded
// anew when it has expired.
func (v validators) Set(url string, d httporigin.Validator) {
	const longest = 1<<16 - 1
	if v.keep == 0 || len(d.ETag) > longest || len(d.LastModified) > longest {
		return
	}
	entry := make([]byte, entryHeaderBytes, entryHeaderBytes+len(d.ETag)+len(d.LastModified)+len(d.Body))
	binary.LittleEndian.PutUint16(entry, uint16(len(d.ETag)))
	binary.LittleEndian.PutUint16(entry[2:], uint16(len(d.LastModified)))
	entry = append(append(append(entry, d.ETag...), d.LastModified...), d.Body...)
	v.store.Set(url, entry, v.keep)
}
