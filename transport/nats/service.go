package natstransport

// service is the NATS micro service of a server.
type service struct{}

func (s *service) stop() {}
