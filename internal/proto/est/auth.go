package est

import (
	"context"
	"hash/maphash"
	"net/http"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
)

// A Prover tells who asks at an endpoint; enrolauth.Service is one.
type Prover interface {
	Prove(ctx context.Context, label string, p enrolauth.Presented) (access.Principal, error)
	// Claimed returns the device that somebody who was not proved claims to be, "" for none.
	Claimed(ctx context.Context, label string, p enrolauth.Presented) pki.DeviceID
}

// presented reads what a request says of who sent it.
func presented(r *http.Request, renews bool) (enrolauth.Presented, error) {
	p := enrolauth.Presented{Protocol: pki.ProtocolEST, Renews: renews, Remote: r.RemoteAddr}
	if r.TLS != nil {
		p.Certificates = r.TLS.PeerCertificates
	}
	given := r.Header.Values("Authorization")
	switch {
	case len(given) == 0:
		return p, nil
	case len(given) > 1:
		return p, pki.Errorf(pki.Malformed, "the header Authorization stands there twice")
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	if strings.EqualFold(scheme, "Bearer") {
		p.Token = pki.NewSecret(token)
		return p, nil
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		return p, pki.Errorf(pki.Unauthenticated, "the header Authorization is neither Basic nor Bearer")
	}
	p.User, p.Secret = user, pki.NewSecret(password)
	return p, nil
}

// credential names what a request would prove somebody by, without looking at it: a
// hash under a key of this process, that nobody can make another's.
func (s *Server) credential(r *http.Request) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		h.Write(r.TLS.PeerCertificates[0].Raw)
	}
	h.WriteString(r.Header.Get("Authorization"))
	return h.Sum64()
}

// admit proves who asks and that they may enrol there, within the limits. It comes
// before the body is read. leave gives the place back.
func (s *Server) admit(r *http.Request, label string, renews bool) (g access.Permit, leave func(), err error) {
	var who access.Principal
	err = s.cfg.Limits.Admit(r.RemoteAddr, s.credential(r), func() (limit.Asker, error) {
		p, err := presented(r, renews)
		if err == nil {
			err = s.cfg.RA.Admit(r.Context(), label, r.RemoteAddr)
		}
		var claimed pki.DeviceID // of what Prove refuses it has operators see it itself
		if err != nil {
			claimed = s.cfg.Prover.Claimed(r.Context(), label, p)
		} else if who, err = s.cfg.Prover.Prove(r.Context(), label, p); err == nil {
			g, err = authorize(r, who, label)
		}
		err = s.refused(r, label, who, claimed, err) // before a limit says something else
		return limit.Asker{Known: who.ID != "", Tenant: who.Tenant, Device: who.Device}, err
	})
	if err == nil {
		leave, err = s.cfg.Limits.Share(who.Tenant, false)
	}
	return g, leave, err
}

// authorize returns the permit to enrol. Whoever enrols for others by a certificate
// alone shows by it that it is an RA's (RFC 7030, 3.7).
func authorize(r *http.Request, who access.Principal, label string) (access.Permit, error) {
	tenant, _, _ := strings.Cut(label, ".")
	g, err := who.Authorize(access.Enroll, pki.TenantID(tenant))
	if err != nil {
		return g, err
	}
	if who.Proofs == pki.ByCertificate && who.Device == "" && !isRA(r, who) {
		return g, access.Refuse(access.Enroll, access.Scope{}, "by EST a client certificate enrols for other devices only with the extended key usage id-kp-cmcRA (1.3.6.1.5.5.7.3.28)")
	}
	return g, nil
}

// isRA reports whether who asks is an RA: somebody that is no device, by a certificate
// that says so. One that a client sends and that proves nobody says nothing.
func isRA(r *http.Request, who access.Principal) bool {
	return who.Proofs.Has(pki.ByCertificate) && who.Device == "" && enrolauth.OfRA(r.TLS.PeerCertificates[0])
}
