package remote

import (
	"context"
	"errors"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const natsSubject = "values"

// natsRequest is a request over NATS. Its server and the one who answers are
// in one process.
func natsRequest() Contestant {
	return Contestant{
		Name:  "nats",
		serve: serveNATS,
		dial: func(_ context.Context, addr string) (*Client, error) {
			conn, err := nats.Connect(addr)
			if err != nil {
				return nil, err
			}
			return &Client{
				Get: func(ctx context.Context, want Want) error {
					answer, err := conn.RequestWithContext(ctx, natsSubject, []byte(want.Key))
					if err != nil {
						return err
					}
					return check(want, answer.Data)
				},
				Close: func() error { conn.Close(); return nil },
			}, nil
		},
	}
}

func serveNATS(content Content) (*server, error) {
	values := content.values()
	broker, conn, err := startNATS()
	if err != nil {
		return nil, err
	}
	_, err = conn.Subscribe(natsSubject, func(m *nats.Msg) {
		// An error shows as a request without an answer.
		if value, ok := values[string(m.Data)]; ok {
			_ = m.Respond(value)
		} else {
			_ = m.Respond(nil)
		}
	})
	if err != nil {
		return nil, err
	}
	if err := conn.FlushTimeout(startTime); err != nil {
		return nil, err
	}
	return &server{addr: broker.Addr().String(), close: func() {
		conn.Close()
		broker.Shutdown()
	}}, nil
}

// startNATS starts a NATS server in this process, with a connection to it.
func startNATS() (*natsserver.Server, *nats.Conn, error) {
	broker, err := NewBroker()
	if err != nil {
		return nil, nil, err
	}
	conn, err := nats.Connect("", nats.InProcessServer(broker))
	return broker, conn, err
}

// NewBroker starts a NATS server in this process. Its messages have up to 1 MiB,
// as with any server that is not told otherwise.
func NewBroker() (*natsserver.Server, error) {
	broker, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return nil, err
	}
	broker.Start()
	if !broker.ReadyForConnections(startTime) {
		return nil, errors.New("the NATS server does not start")
	}
	return broker, nil
}
