package est

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// simpleEnroll serves POST simpleenroll, RFC 7030, 4.2.1.
func (s *Server) simpleEnroll(w http.ResponseWriter, r *http.Request) error {
	return s.enroll(w, r, false)
}

// simpleReenroll serves POST simplereenroll, RFC 7030, 4.2.2: the client certificate
// of the connection is the one that is renewed.
func (s *Server) simpleReenroll(w http.ResponseWriter, r *http.Request) error {
	return s.enroll(w, r, true)
}

func (s *Server) enroll(w http.ResponseWriter, r *http.Request, renews bool) error {
	q, leave, err := s.asked(w, r, renews)
	if err != nil {
		return err
	}
	defer leave()
	q.Idempotency = retryKey(r, q.Endpoint, renews, q.Grant.Principal(), q.CSR)
	got, err := s.cfg.RA.Enroll(r.Context(), q)
	if err != nil {
		return err
	}
	return writeCertificates(w, r, "application/pkcs7-mime; smime-type=certs-only", [][]byte{got.Certificate.DER})
}

// asked proves who asks and reads what for, a request without its idempotency key.
// leave gives the place back.
func (s *Server) asked(w http.ResponseWriter, r *http.Request, renews bool) (q enroll.Request, leave func(), err error) {
	label, err := s.label(r)
	if err != nil {
		return q, nil, err
	}
	grant, leave, err := s.admit(r, label, renews)
	if err != nil {
		return q, nil, err
	}
	q = enroll.Request{Grant: grant, Endpoint: label, Protocol: pki.ProtocolEST, Renews: renews}
	if q.CSR, err = readCSR(w, r); err == nil {
		q.Bound, err = boundBy(r, grant.Principal(), q.CSR)
	}
	if err != nil {
		leave()
		return q, nil, s.refused(r, label, grant.Principal(), "", err)
	}
	return q, leave, nil
}

// boundBy is bound for whoever asks: an RA has seen to that on another connection (RFC
// 7030, 3.7).
func boundBy(r *http.Request, who access.Principal, csr []byte) (bool, error) {
	if isRA(r, who) {
		return true, nil
	}
	return bound(r.TLS, csr)
}

// retryKey is the idempotency key of an enrolment: a client that lost the answer and
// sends the same again over the same certificate gets the same answer, while the next
// renewal, over the certificate that this one leads to, is another even with one key. When
// the certificate has ended, the RA issues another.
func retryKey(r *http.Request, label string, renews bool, who access.Principal, csr []byte) string {
	h := sha256.New()
	part := func(b []byte) { // each of one length, so that no two run together
		sum := sha256.Sum256(b)
		h.Write(sum[:])
	}
	part([]byte(label))
	part([]byte(who.ID))
	if renews {
		part([]byte("renews"))
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		part(r.TLS.PeerCertificates[0].Raw)
	}
	part(csr)
	return hex.EncodeToString(h.Sum(nil))
}
