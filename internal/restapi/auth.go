package restapi

import (
	"crypto/x509"
	"errors"
	"hash/maphash"
	"io"
	"net/http"
	"net/netip"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
)

// tenantHeader names the tenant of a client certificate that several trust.
const tenantHeader = "Pando-Tenant"

// prove returns who asks: by the client certificate, or by the bearer token (RFC 6750).
// What says so stands there once: of two, another program may read the other (RFC 9110,
// 5.3: such a header is no list).
func (s *server) prove(r *http.Request) (access.Principal, error) {
	for _, name := range []string{"Authorization", tenantHeader} {
		if len(r.Header[name]) > 1 {
			return access.Principal{}, pki.Errorf(pki.Malformed, "%s stands there twice", name)
		}
	}
	if s.cfg.Certificates {
		var presented []*x509.Certificate
		if r.TLS != nil {
			presented = r.TLS.PeerCertificates
		}
		if len(presented) == 0 && r.Header.Get("Authorization") != "" {
			return access.Principal{}, pki.Errorf(pki.Unauthenticated, "this listener takes client certificates and no tokens: send a token to the listener https, whose port is 8443 unless the configuration says another")
		}
		return s.cfg.Trust.Authenticate(r.Context(), presented, pki.TenantID(r.Header.Get(tenantHeader)))
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return access.Principal{}, pki.Errorf(pki.Unauthenticated, "send an API token: Authorization: Bearer pando_...")
	}
	return s.cfg.Tokens.Authenticate(r.Context(), pki.NewSecret(token))
}

// credential names what a request would prove somebody by, without looking at it: a
// hash under a key of this process, that nobody can make another's.
func (s *server) credential(r *http.Request) uint64 {
	if !s.cfg.Certificates {
		return maphash.String(s.seed, r.Header.Get("Authorization"))
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return 0
	}
	return maphash.Bytes(s.seed, r.TLS.PeerCertificates[0].Raw)
}

// authorize proves who asks, and that they may.
func (s *server) authorize(r *http.Request, rt Route) (Caller, error) {
	who, err := s.prove(r)
	if from, unknown := netip.ParseAddrPort(r.RemoteAddr); unknown == nil {
		who.Source = from.Addr()
	}
	if err == nil {
		err = s.cfg.Hierarchy.CheckSuspended(r.Context(), who.Tenant)
	}
	if err != nil || rt.Permission == "" {
		return Caller{who: who}, err
	}
	tenant := who.Tenant
	if rt.Tenant {
		tenant = pki.TenantID(r.PathValue("tenant"))
	}
	g, err := who.Authorize(rt.Permission, tenant)
	return Caller{who: who, grant: g}, err
}

// vouch is an error where whoever asked may not go on: they must still be allowed all
// that they were when they asked, since the answer was made for that.
func (s *server) vouch(r *http.Request, rt Route, before access.Permit) error {
	now, err := s.authorize(r, rt)
	if err == nil && rt.Permission != "" && !now.grant.Includes(before) {
		err = pki.Forbid(pki.PermissionsChanged, "what you may do was changed meanwhile: ask again")
	}
	return err
}

// admit authorises a request, and takes it from what its tenant may send, or from
// the failures that its source may have. It comes before the body is read, so that
// nobody waits for it in more places than their tenant has. leave gives the place back.
func (s *server) admit(r *http.Request, rt route) (c Caller, leave func(), err error) {
	err = s.cfg.Limits.Admit(r.RemoteAddr, s.credential(r), func() (limit.Asker, error) {
		c, err = s.authorize(r, rt.Route)
		return limit.Asker{Known: c.who.ID != "", Tenant: c.who.Tenant, Device: c.who.Device}, err
	})
	if err == nil {
		err = checkRequest(r)
	}
	if err == nil {
		leave, err = s.cfg.Limits.Share(c.who.Tenant, rt.lasts)
	}
	return c, leave, err
}

// guard authorises a request before huma reads anything of it.
func (s *server) guard(rt route) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		c, leave, err := s.admit(r, rt)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		defer leave()
		next(&authorized{humaContext: ctx, by: c, body: sentBody{ReadCloser: r.Body}})
	}
}

// A Caller is embedded in the input of every operation: who asks, and the permit
// of the route's permission.
type Caller struct {
	who   access.Principal
	grant access.Permit
}

// Resolve takes over what guard found. It is called by huma.
func (c *Caller) Resolve(ctx huma.Context) []error {
	*c = ctx.(*authorized).by
	return nil
}

func (c *Caller) caller() Caller { return *c }

type humaContext huma.Context

// authorized is a request with its caller.
type authorized struct {
	humaContext
	by     Caller
	body   sentBody
	status int // to send in place of huma's; 0 for that
}

// BodyReader returns the body, for huma to read.
func (a *authorized) BodyReader() io.Reader { return &a.body }

// fault returns what huma failed at. Of what a body's reader says, huma keeps the words.
func (a *authorized) fault(e *huma.ErrorModel) error {
	if a.body.broken != nil {
		return a.body.broken
	}
	text := e.Detail
	for _, d := range e.Errors {
		text += ": " + d.Message
	}
	return errors.New(text)
}

// Unwrap returns the request as it came.
func (a *authorized) Unwrap() huma.Context { return a.humaContext }

// SetStatus sends huma's 422, for what does not fit the schema, as the 400 that
// every malformed request gets, and that of the problem that problemOf found.
func (a *authorized) SetStatus(code int) {
	switch {
	case a.status != 0:
		code = a.status
	case code == http.StatusUnprocessableEntity:
		code = http.StatusBadRequest
	}
	a.humaContext.SetStatus(code)
}
