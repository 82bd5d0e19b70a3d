package est

import (
	"bytes"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// bound reports whether a request says in its challengePassword over which connection
// its sender holds the key (RFC 7030, 3.5). One that says another connection is BadProof:
// somebody sends on what is not theirs.
func bound(state *tls.ConnectionState, request []byte) (bool, error) {
	if !bytes.Contains(request, challengePassword) {
		return false, nil // the RA reads it: here it would be read once more, for nothing
	}
	csr, err := tbs.ParseCSR(request)
	if err != nil {
		return false, err
	}
	challenge, err := csr.Challenge()
	if err != nil || challenge.IsZero() {
		return false, err
	}
	want, err := binding(state)
	if err != nil {
		return false, err
	}
	if subtle.ConstantTimeCompare([]byte(challenge.Reveal()), []byte(want)) != 1 {
		return false, pki.Errorf(pki.BadProof, "the challengePassword is not that of this connection: the base64 of tls-unique (TLS 1.2) or of tls-exporter (TLS 1.3, RFC 9266); leave it out where the profile does not ask for it")
	}
	return true, nil
}

// challengePassword is the DER of the attribute's type: a request without these octets has
// no such attribute.
var challengePassword = der.MustOID(der.OIDChallengePassword)

// binding returns the channel binding of a connection, in base64: tls-unique (RFC 5929,
// 3), and for TLS 1.3, which has none, tls-exporter (RFC 9266, 2).
func binding(state *tls.ConnectionState) (string, error) {
	if state == nil {
		return "", pki.Errorf(pki.BadProof, "the connection has no TLS to be bound to")
	}
	value := state.TLSUnique
	if state.Version >= tls.VersionTLS13 {
		var err error
		if value, err = state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32); err != nil {
			return "", err
		}
	}
	if len(value) == 0 { // resumed without RFC 7627
		return "", pki.Errorf(pki.BadProof, "this TLS connection has no tls-unique; begin a new one, without resumption")
	}
	return base64.StdEncoding.EncodeToString(value), nil
}
