package natstransport

import "sync/atomic"

// counts are the figures of a server.
type counts struct {
	streams, requests, refused atomic.Uint64
}

// ServerStats are figures of a [Server].
type ServerStats struct {
	// Streams is how many there are, and StreamsOpened how many were opened.
	Streams       int    `json:"streams"`
	StreamsOpened uint64 `json:"streams_opened"`
	// Requests is how many were served or are being served, Running how many
	// are being served, and Refused how many were too many at a time.
	Requests uint64 `json:"requests"`
	Running  int    `json:"running"`
	Refused  uint64 `json:"refused"`
}

// Stats returns the figures of the server.
func (s *Server) Stats() ServerStats {
	s.mu.Lock()
	streams := len(s.conversations)
	s.mu.Unlock()
	return ServerStats{
		Streams: streams, StreamsOpened: s.counts.streams.Load(),
		Requests: s.counts.requests.Load(), Running: len(s.places), Refused: s.counts.refused.Load(),
	}
}
