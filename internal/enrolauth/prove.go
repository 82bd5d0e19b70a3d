package enrolauth

import (
	"context"
	"crypto/x509"
	"net/netip"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/visits"
)

// Presented is what a client presented with a request; what it did not is zero.
type Presented struct {
	// Certificates are the client's own, first, and others in any order. The adapter says
	// by it that the client was shown to hold the key: by TLS, or by a signature over the
	// message.
	Certificates []*x509.Certificate

	User        string     // of HTTP Basic: the secret's id or its device; "" is unsaid
	Secret      pki.Secret // password, or challenge
	Token       pki.Secret // bearer token
	Request     []byte     // DER of the request that the secret came with, for a validator of the endpoint; nil is none
	Own         bool       // the key of that request signed the message that it came in
	Transaction string     // of the protocol, likewise

	Device pki.DeviceID // that the request names, for operators alone: it proves nothing; "" is not known

	taken string // the validator that took the request; "" is none

	Asked    string // id of the principal of a secret that came with what waits since, and does not come again
	Protocol pki.Protocol
	Renews   bool   // it may be a certificate that has expired, which is renewed
	Remote   string // address and port that the request came from, as net/http has it
}

func (p *Presented) nothing() bool {
	return len(p.Certificates) == 0 && p.Secret.IsZero() && p.Token.IsZero() && p.User == "" && p.Asked == ""
}

// Prove returns who asks at an endpoint, by all that they present together. What it does
// not say is who may do what: enroll does, also which proofs the endpoint wants. The
// adapter has package limit admit the request by it, so that nobody tries for long.
//
// Where a secret or a token proves somebody, a certificate that proves nobody is as if it
// were not there: TLS clients send what they have (RFC 7030, 3.2.3). All else that is
// presented must hold, and name one device where several name one. An Unauthenticated
// error does not say which was wrong;
// the visit that it is marked for does (visits.Noted).
func (s *Service) Prove(ctx context.Context, label string, p Presented) (access.Principal, error) {
	if p.nothing() {
		return access.Principal{}, pki.Errorf(pki.Unauthenticated, "prove who you are: by an enrolment secret, a client certificate or an API token")
	}
	who, err := s.prove(ctx, label, &p)
	if err == nil {
		err = s.cfg.Tenants.CheckSuspended(ctx, who.Tenant)
	}
	if err != nil && p.taken != "" && p.Own { // and refused all the same
		if untold := s.settle(ctx, s.notice(Awaited{Label: label, Transaction: p.Transaction, Request: p.Request, Protocol: p.Protocol}, p.taken), err); untold != nil {
			return access.Principal{}, untold
		}
	}
	switch kind := pki.KindOf(err); {
	case err == nil:
	case kind == pki.Unauthenticated:
		s.failed(ctx, label, &p, kind, pki.DetailOf(err))
		err = visits.Noted(pki.Because(pki.Unauthenticated, err, "what was presented proves nobody at this endpoint"))
	case isValidators(err) && kind == pki.PolicyRefused:
		s.failed(ctx, label, &p, kind, pki.DetailOf(err))
		err = visits.Noted(outward(err))
	case isValidators(err):
		s.noteRefusal(ctx, label, &p, kind, pki.DetailOf(err))
		err = visits.Noted(outward(err))
	}
	if err != nil {
		return access.Principal{}, err
	}
	if from, unknown := netip.ParseAddrPort(p.Remote); unknown == nil {
		who.Source = from.Addr()
	}
	return who, nil
}

// prove proves each that was presented. Its errors say what was wrong, for the operator.
func (s *Service) prove(ctx context.Context, label string, p *Presented) (who access.Principal, err error) {
	tenantText, name, ok := strings.Cut(label, ".")
	tenant := pki.TenantID(tenantText)
	if !ok || tenant == pki.Platform {
		return who, pki.Errorf(pki.Unauthenticated, "%.90q is no label of an endpoint", label)
	}
	first := false
	switch {
	case !p.Token.IsZero() && !p.Secret.IsZero():
		return who, pki.Errorf(pki.Unauthenticated, "a secret and a token in one request")
	case !p.Token.IsZero():
		who, err = s.byToken(ctx, tenant, p.Token)
		first = true
	case !p.Secret.IsZero() || p.User != "":
		who, err = s.bySecretOrValidator(ctx, tenant, name, p)
		first = true
	case p.Asked != "":
		who, err = s.Principal(ctx, tenant, p.Asked)
		first = true
	}
	if err != nil || len(p.Certificates) == 0 {
		return who, err
	}
	authenticate := s.cfg.Trust.Authenticate
	if p.Renews {
		authenticate = s.cfg.Trust.AuthenticateRenewal
	}
	certified, err := authenticate(ctx, p.Certificates, tenant)
	switch {
	case err != nil && first && pki.KindOf(err) == pki.Unauthenticated:
		return who, nil
	case pki.KindOf(err) == pki.Unauthenticated: // its detail, for anybody, does not say why
		return certified, pki.Because(pki.Unauthenticated, err, "%s", err)
	case err != nil || !first:
		return certified, err
	}
	return access.Combine(who, certified)
}

func (s *Service) byToken(ctx context.Context, tenant pki.TenantID, token pki.Secret) (access.Principal, error) {
	who, err := s.cfg.Tokens.Authenticate(ctx, token)
	if err == nil && who.Tenant != tenant {
		err = pki.Errorf(pki.Unauthenticated, "%s is of another tenant", who.ID)
	}
	return who, err
}

// bySecret returns whoever holds a secret of an endpoint.
func (s *Service) bySecret(ctx context.Context, tenant pki.TenantID, endpoint string, p *Presented) (access.Principal, error) {
	text := p.Secret.Reveal()
	found, err := s.find(ctx, tenant, endpoint, p, text)
	if err != nil {
		return access.Principal{}, err
	}
	switch {
	case found.Endpoint != endpoint:
		err = pki.Errorf(pki.Unauthenticated, "the secret %s is of the endpoint %s", found.ID, found.Endpoint)
	case !found.named(p.User):
		// The name is not shown: some clients send their secret as the user, too.
		err = pki.Errorf(pki.Unauthenticated, "the user name is neither the id of the secret %s nor its device", found.ID)
	default:
		err = found.holds(s.cfg.Now())
	}
	if err != nil {
		return access.Principal{}, err
	}
	return found.principal(), nil
}

// find returns the secret with a text, or is Unauthenticated. A random text names its
// secret; one that somebody chose is tried against those of the endpoint.
func (s *Service) find(ctx context.Context, tenant pki.TenantID, endpoint string, p *Presented, text string) (*Secret, error) {
	if id, random := idOf(text); random {
		found, err := s.cfg.Store.Secret(ctx, tenant, id)
		switch {
		case pki.KindOf(err) == pki.NotFound:
			return nil, pki.Because(pki.Unauthenticated, err, "the tenant has no secret %s", id)
		case err != nil:
			return nil, err
		case !found.matches(text):
			return nil, pki.Errorf(pki.Unauthenticated, "the text is not that of the secret %s", id)
		}
		return found, nil
	}
	now := s.cfg.Now()
	none := pki.Errorf(pki.Unauthenticated, "no secret of the endpoint has this text")
	if len(text) >= MinChosen && len(text) <= MaxChosen {
		all, err := s.cfg.Store.ChosenSecrets(ctx, tenant, endpoint, now)
		if err != nil {
			return nil, err
		}
		for _, one := range all {
			if !one.named(p.User) {
				continue
			}
			is, err := s.chosen.matches(ctx, limit.SourceOf(p.Remote), s.cfg.Family.Of(tenant), one, text, now)
			if err != nil {
				return nil, err
			}
			if is {
				return one, nil
			}
			none = limit.Dear(none)
		}
	}
	return nil, none
}

// Principal returns whoever holds a secret at this moment, by the id that its principal
// has, for what waited. One that is not there, is revoked or has expired is
// Unauthenticated.
func (s *Service) Principal(ctx context.Context, tenant pki.TenantID, id string) (access.Principal, error) {
	if Validated(id) {
		return s.waited(ctx, tenant, id)
	}
	found, err := s.cfg.Store.Secret(ctx, tenant, pki.SecretID(strings.TrimPrefix(id, principalPrefix)))
	if pki.KindOf(err) == pki.NotFound {
		err = pki.Because(pki.Unauthenticated, err, "there is no %s", id)
	}
	if err == nil {
		err = found.holds(s.cfg.Now())
	}
	if err != nil {
		return access.Principal{}, err
	}
	return found.principal(), nil
}

// nameOf returns an endpoint's name within a tenant, of its name or label.
func nameOf(tenant pki.TenantID, nameOrLabel string) (string, error) {
	of, name, label := strings.Cut(nameOrLabel, ".")
	if !label {
		return nameOrLabel, nil
	}
	if pki.TenantID(of) != tenant {
		return "", pki.Errorf(pki.NotFound, "no endpoint %.90q", nameOrLabel)
	}
	return name, nil
}
