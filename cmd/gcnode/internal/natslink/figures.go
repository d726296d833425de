package natslink

import "github.com/gcnode/gcnode/cmd/gcnode/internal/status"

// Figures are those of the link, from when it is connected.
func (l *Link) Figures() *status.NATS {
	stats := l.conn.Stats()
	f := &status.NATS{
		Connected: l.conn.IsConnected(),
		In:        status.Traffic{Messages: stats.InMsgs, Bytes: stats.InBytes},
		Out:       status.Traffic{Messages: stats.OutMsgs, Bytes: stats.OutBytes},
	}
	if f.Connected {
		f.Server = l.conn.ConnectedServerName()
		if l.server == nil {
			f.URL = plainURL(l.conn.ConnectedUrl())
		}
	}
	l.events.mu.Lock()
	f.Interruptions, f.SlowConsumers, f.Error = l.events.interruptions, l.events.slow, l.events.err
	f.LostAt = status.Moment(l.events.lost)
	l.events.mu.Unlock()
	if l.peers != nil {
		served := l.peers.Stats()
		f.Streams = status.Streams{
			Open: served.Streams, Opened: served.StreamsOpened,
			Requests: served.Requests, Running: served.Running, Refused: served.Refused,
		}
	}
	if l.server != nil {
		f.Embedded = &status.NATSServer{
			Routes: l.server.nats.NumRemotes(), Clients: l.server.nats.NumClients(), JetStream: l.server.nats.JetStreamEnabled(),
		}
	}
	return f
}
