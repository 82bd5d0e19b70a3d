package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// known is what authentication needs of the store, at one moment.
type known struct {
	until   time.Time // by this process's own clock
	anchors map[pki.TenantID][]anchor
	issuers map[caKey][]*pki.Issuer // a root can be several tenants'

	// What was parsed, by DER: the next reading parses what is new alone.
	certificates map[string]*x509.Certificate
	keys         map[string]caKey
}

func newKnown(until time.Time) *known {
	return &known{until: until, anchors: make(map[pki.TenantID][]anchor), issuers: make(map[caKey][]*pki.Issuer),
		certificates: make(map[string]*x509.Certificate), keys: make(map[string]caKey)}
}

// A caKey is a hash of what a certificate's issuer is known by, its name and its key:
// an authority can have several certificates, and others can certify it too.
type caKey [32]byte

func caKeyOf(c *x509.Certificate) caKey { return newCAKey(c.RawSubject, c.RawSubjectPublicKeyInfo) }

func newCAKey(subject, spki []byte) caKey {
	return sha256.Sum256(slices.Concat(subject, spki)) // DER says where each ends
}

type anchor struct {
	*Anchor
	certificate *x509.Certificate
}

// load returns what is known, read anew after knownLife.
func (s *Service) load(ctx context.Context) (*known, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.known != nil && !s.stale && now.Before(s.known.until) {
		return s.known, nil
	}
	anchors, err := s.cfg.Store.AllAnchors(ctx)
	if err != nil {
		return nil, err
	}
	issuers, err := s.cfg.Store.AllIssuers(ctx)
	if err != nil {
		return nil, err
	}
	r := reading{newKnown(now.Add(knownLife)), s.known, make(map[placed]bool)}
	for _, a := range anchors {
		c, err := r.certificate(a.Certificate)
		if err != nil {
			return nil, fmt.Errorf("trusted authority %s of tenant %s: %w", a.Name, a.Tenant, err)
		}
		r.place(a, c) // of two with one certificate the first holds
	}
	if err := s.follow(ctx, &r, anchors, issuers); err != nil {
		return nil, err
	}
	for _, i := range issuers {
		key, err := r.key(i.Certificate)
		if err != nil {
			return nil, fmt.Errorf("issuer %s: %w", i.ID, err)
		}
		r.issuers[key] = append(r.issuers[key], i)
	}
	s.known, s.stale = r.known, false
	return s.known, nil
}

// A reading makes what is known of what the store says now, with what was parsed before.
type reading struct {
	*known
	before *known // nil is nothing
	placed map[placed]bool
}

// placed is that a tenant has an anchor with a certificate.
type placed struct {
	tenant pki.TenantID
	der    string
}

// place makes a certificate an anchor of the tenant's, unless it is one already.
func (r *reading) place(a *Anchor, c *x509.Certificate) {
	at := placed{a.Tenant, string(c.Raw)}
	if !r.placed[at] {
		r.placed[at] = true
		r.anchors[a.Tenant] = append(r.anchors[a.Tenant], anchor{a, c})
	}
}

func (r *reading) certificate(der []byte) (*x509.Certificate, error) {
	c, ok := r.certificates[string(der)]
	if !ok && r.before != nil {
		c, ok = r.before.certificates[string(der)]
	}
	if !ok {
		var err error
		if c, err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
	}
	r.certificates[string(der)] = c
	return c, nil
}

// key returns what an issuer is known by. It does not parse with crypto/x509: what that
// refuses of a tenant's own would stop all.
func (r *reading) key(der []byte) (caKey, error) {
	key, ok := r.keys[string(der)]
	if !ok && r.before != nil {
		key, ok = r.before.keys[string(der)]
	}
	if !ok {
		c, err := tbs.ParseCertificate(der)
		if err != nil {
			return caKey{}, err
		}
		key = newCAKey(c.Subject, c.Key.SPKI())
	}
	r.keys[string(der)] = key
	return key, nil
}

// follow adds the other issuers of own authorities that are trusted: trust in an authority
// is in what it signs over its life, and its devices renew across a rollover. One that is
// revoked is not followed to. A certificate that is an anchor by itself stays that.
func (s *Service) follow(ctx context.Context, r *reading, anchors []*Anchor, issuers []*pki.Issuer) error {
	authorities := make(map[pki.IssuerID]pki.AuthorityID)
	of := make(map[pki.AuthorityID][]*pki.Issuer)
	for _, i := range issuers {
		authorities[i.ID] = i.Authority
		if i.State != pki.IssuerDropped {
			of[i.Authority] = append(of[i.Authority], i)
		}
	}
	revoked := make(map[pki.IssuerID]bool) // of those that were looked at
	for _, a := range anchors {
		authority, own := authorities[a.Issuer]
		if !own {
			continue
		}
		for _, i := range of[authority] {
			c, err := r.certificate(i.Certificate)
			if err != nil || r.placed[placed{a.Tenant, string(c.Raw)}] {
				continue
			}
			gone, looked := revoked[i.ID]
			if !looked {
				if gone, err = s.revoked(ctx, i, c); err != nil {
					return err
				}
				revoked[i.ID] = gone
			}
			if !gone {
				r.place(a, c)
			}
		}
	}
	return nil
}

// revoked reports whether an issuer's own certificate is.
func (s *Service) revoked(ctx context.Context, i *pki.Issuer, c *x509.Certificate) (bool, error) {
	serial, err := pki.SerialFromBytes(c.SerialNumber.Bytes())
	if err != nil {
		return false, fmt.Errorf("issuer %s: %w", i.ID, err)
	}
	status, err := s.cfg.Store.Status(ctx, i.Parent, serial)
	return status.Revocation != nil, err
}

// Forget has what is known be read anew, after a change on this node.
func (s *Service) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stale = true
}
