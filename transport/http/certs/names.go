package certs

import "crypto/tls"

// Names are those of the certificate that the other side of a connection has
// shown, if it was checked: the common name first, then the DNS names. checked
// says that there is one. state may be nil, as without TLS.
func Names(state *tls.ConnectionState) (names []string, checked bool) {
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil, false
	}
	cert := state.VerifiedChains[0][0]
	if cert.Subject.CommonName != "" {
		names = append(names, cert.Subject.CommonName)
	}
	return append(names, cert.DNSNames...), true
}
