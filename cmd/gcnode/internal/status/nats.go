package status

import "time"

// NATS is the connection by which the node and the others reach each other.
type NATS struct {
	Connected bool `json:"connected"`
	// Server is the name of the one that the node is connected to, and URL its
	// address unless it is within the node.
	Server string `json:"server"`
	URL    string `json:"url"`
	// Interruptions counts the times that the connection was lost; LostAt is
	// when it was, and nil while it is there.
	Interruptions uint64     `json:"interruptions"`
	LostAt        *time.Time `json:"lost_at"`
	// Error is the last one, also when it is over.
	Error string `json:"error"`
	// SlowConsumers counts the times that messages were thrown away because too
	// many had come.
	SlowConsumers uint64  `json:"slow_consumers"`
	In            Traffic `json:"in"`
	Out           Traffic `json:"out"`
	// Streams are those that others have opened to this node.
	Streams Streams `json:"streams"`
	// Embedded is the server within the node; nil: there is none.
	Embedded *NATSServer `json:"embedded,omitempty"`
}

// Traffic counts what went over a connection.
type Traffic struct {
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
}

// Streams are those of other nodes, and what is asked on them.
type Streams struct {
	Open     int    `json:"open"`
	Opened   uint64 `json:"opened"`
	Requests uint64 `json:"requests"`
	Running  int    `json:"running"`
	Refused  uint64 `json:"refused"`
}

// NATSServer is a server within the node.
type NATSServer struct {
	// Routes is how many other servers it is connected with.
	Routes int `json:"routes"`
	// Clients is how many connections it has, that of the node included.
	Clients   int  `json:"clients"`
	JetStream bool `json:"jetstream"`
}
