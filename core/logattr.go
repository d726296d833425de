package gcnode

import "log/slog"

const (
	levelInfo  = slog.LevelInfo
	levelWarn  = slog.LevelWarn
	levelError = slog.LevelError
)

func peerAttr(p Peer) slog.Attr {
	return slog.Group("peer", slog.String("id", p.ID), slog.String("addr", p.Addr))
}

func errAttr(err error) slog.Attr { return slog.String("error", err.Error()) }

func countAttr(n int) slog.Attr { return slog.Int("count", n) }
