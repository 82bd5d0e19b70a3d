package hierarchy

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A Rollover is what is asked for when an authority gets its next issuer. All else of
// that is as the authority's.
type Rollover struct {
	CommonName string      // of its certificate; "" is the active issuer's, one generation later, and a root's own
	KeyKind    pki.KeyKind // "" is the authority's
}

// rolloverChange is what a change of kind approval.RollAuthority asks for.
type rolloverChange struct {
	Authority  pki.AuthorityID `json:"authority"`
	Active     pki.IssuerID    `json:"active"` // that it follows
	CommonName string          `json:"common_name"`
	KeyKind    pki.KeyKind     `json:"key"`
	Version    int             `json:"version"` // of the authority's profile
}

// Rollover makes a key and a request for an authority's next issuer. Below an online
// parent that has its certificate at once, below an offline one it is pending until
// Install. Where that was cut off, as by a crash, the same call goes on with the key that
// was made. With its certificate it is published, beside the active one, and has CRLs and
// an OCSP responder, and keys for SCEP where an endpoint of the authority takes that;
// nothing else is signed by it before Switch. Of a root, the key is made in the ceremony
// that answers Request. It needs access.ManageAuthorities.
func (s *Service) Rollover(ctx context.Context, g access.Permit, nameOrID string, r Rollover) (*View, error) {
	if err := g.Check(access.ManageAuthorities); err != nil {
		return nil, err
	}
	a, err := s.find(ctx, g.Tenant(), nameOrID)
	if err != nil {
		return nil, err
	}
	release, err := s.hold(g.Tenant(), "name "+a.Name)
	if err != nil {
		return nil, err
	}
	defer release()
	if a, err = s.find(ctx, g.Tenant(), string(a.ID)); err != nil { // as it is now that nobody else is at it
		return nil, err
	}
	if a.State == pki.AuthorityActive {
		next, err := s.cutOff(ctx, a)
		if err != nil {
			return nil, err
		}
		if next != nil {
			return s.goOnRolling(ctx, g, a, next, r)
		}
	}
	ch, err := s.completeRollover(ctx, g.Tenant(), a, r)
	if err != nil {
		return nil, err
	}
	if a.Kind == pki.Root {
		return s.rollRoot(ctx, g, a, ch)
	}
	parent, err := s.find(ctx, g.Tenant(), string(a.Parent))
	if err != nil {
		return nil, err
	}
	above := parent.Active()
	if parent.State != pki.AuthorityActive || above == nil {
		return nil, pki.Errorf(pki.PolicyRefused, "%s, which is above it, is %s and signs no certificate", parent.Name, parent.State)
	}
	if err := s.inForce(ctx, parent, above.ID); err != nil {
		return nil, err
	}
	err = s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.RollAuthority, Target: "authority:" + a.Name, Payload: ch,
		Summary: fmt.Sprintf("the authority %s gets a next issuer, %q, under %s, key %s, profile %s version %d; before the authority is switched to it, it signs status and the SCEP keys that clients need then",
			a.Name, ch.CommonName, parent.Name, ch.KeyKind, a.Profile, ch.Version),
	})
	if err != nil {
		return nil, err
	}
	uri, request, err := s.newKey(ctx, g.Tenant(), ch.KeyKind, ch.CommonName)
	if err != nil {
		return nil, err
	}
	i := &pki.Issuer{
		ID: pki.IssuerID(pki.NewOpaqueID()), Authority: a.ID, Tenant: a.Tenant, Mode: a.Mode, Parent: above.ID, State: pki.IssuerPending,
		Key: uri, Request: request, StatusURL: a.StatusURL, Shards: a.Shards, Deltas: a.Deltas, Created: s.cfg.Now().UTC(), ProfileVersion: ch.Version,
	}
	err = s.cfg.Store.PutIssuer(ctx, i, s.event(g, "authority.rollover", "authority:"+string(a.ID), fmt.Sprintf("%s, issuer %s, %q, key %s", a.Name, i.ID, ch.CommonName, ch.KeyKind)))
	if err != nil {
		return nil, err
	}
	if above.Key == pki.OfflineKey {
		return s.find(ctx, g.Tenant(), string(a.ID))
	}
	return s.issue(ctx, g.For(access.Change{}), &a.Authority, i, ch.CommonName) // the change is executed by now
}

// goOnRolling goes on with a rollover that was cut off, which is to be the one that is asked
// for.
func (s *Service) goOnRolling(ctx context.Context, g access.Permit, a *View, next *pki.Issuer, r Rollover) (*View, error) {
	csr, err := tbs.ParseCSR(next.Request)
	if err != nil {
		return nil, err
	}
	name, kind := csr.Subject.Get(der.OIDCommonName), csr.Key.Kind()
	if r.CommonName != "" && r.CommonName != name || r.KeyKind != "" && strings.TrimSuffix(string(r.KeyKind), "-pss") != string(kind) { // the key does not say how it signs
		return nil, pki.Errorf(pki.Conflict, "the next issuer of %s was begun as %q with a key %s: go on with it as that, or 'pando authority drop'", a.Name, name, kind)
	}
	return s.goOn(ctx, g, a, next)
}

// completeRollover sets defaults and checks what is asked for.
func (s *Service) completeRollover(ctx context.Context, tenant pki.TenantID, a *View, r Rollover) (ch rolloverChange, err error) {
	switch coming := a.Coming(); {
	case a.State != pki.AuthorityActive:
		return ch, pki.Errorf(pki.Conflict, "the authority %s is %s: only an active one has a next issuer", a.Name, a.State)
	case a.Kind == pki.Root && r.CommonName != "" && r.CommonName != a.CommonName:
		return ch, pki.Errorf(pki.PolicyRefused, "a root is followed by one of its own name, %q (RFC 9810, 4.4); one of another name is made and imported as a root of its own", a.CommonName)
	case a.Kind == pki.Root && !s.cfg.Now().Before(a.Active().NotAfter):
		return ch, pki.Errorf(pki.PolicyRefused, "the root %s has ended, and signs nothing any more: make and import another", a.Name)
	case coming != nil:
		return ch, pki.Errorf(pki.Conflict, "the authority %s has a %s issuer already; switch to it ('pando authority switch'), or drop it ('pando authority drop')", a.Name, coming.State)
	}
	active := a.Active()
	ch = rolloverChange{Authority: a.ID, Active: active.ID, CommonName: r.CommonName, KeyKind: r.KeyKind}
	switch {
	case ch.CommonName != "":
	case a.Kind == pki.Root:
		ch.CommonName = a.CommonName
	default:
		ch.CommonName = nextGeneration(a.CommonName)
	}
	if err := pki.CheckText("common name", ch.CommonName); err != nil {
		return ch, err
	}
	p, version, err := s.caProfile(ctx, tenant, a.Profile)
	if pki.KindOf(err) == pki.NotFound && a.Kind == pki.Root {
		return ch, pki.Errorf(pki.NotReady, "publish the profile of the new root first, as %s ('pando profile packs common %s' prints one)", a.Profile, a.Profile)
	}
	if err != nil {
		return ch, err
	}
	ch.Version = version
	if ch.KeyKind == "" {
		ch.KeyKind = a.KeyKind
	}
	return ch, checkKeyKind(p, a.Profile, ch.KeyKind)
}

var generation = regexp.MustCompile(`^(.* G)([1-9][0-9]{0,3})$`)

// nextGeneration returns the name of the next generation: "X G2" for "X", "X G3" for that.
func nextGeneration(name string) string {
	m := generation.FindStringSubmatch(name)
	if m == nil {
		return name + " G2"
	}
	n, _ := strconv.Atoi(m[2]) // it is a number
	return m[1] + strconv.Itoa(n+1)
}

// switchChange is what a change of kind approval.SwitchAuthority asks for.
type switchChange struct {
	Authority pki.AuthorityID `json:"authority"`
	Issuer    pki.IssuerID    `json:"issuer"` // the next one
}

// Switch makes an authority's next issuer the active one: what is decided on from then on
// comes from it. The one before goes on with the status of what it has signed. There is
// no way back but another rollover. It needs access.ManageAuthorities.
func (s *Service) Switch(ctx context.Context, g access.Permit, nameOrID string) (*View, error) {
	a, err := s.within(ctx, g, access.ManageAuthorities, nameOrID)
	if err != nil {
		return nil, err
	}
	next := a.Coming()
	switch now := s.cfg.Now(); {
	case a.State != pki.AuthorityActive:
		return nil, pki.Errorf(pki.Conflict, "the authority %s is %s: only an active one is switched", a.Name, a.State)
	case next == nil:
		return nil, pki.Errorf(pki.Conflict, "the authority %s has no next issuer; 'pando authority rollover' makes one", a.Name)
	case next.State != pki.IssuerNext:
		if cut, err := s.cutOff(ctx, a); err != nil || cut != nil {
			return nil, cmp.Or(err, errCutOff(a))
		}
		return nil, pki.Errorf(pki.NotReady, "the next issuer of %s waits for its certificate: 'pando authority request', 'pando ceremony sign', 'pando authority install'", a.Name)
	case now.Before(next.NotBefore) || !now.Before(next.NotAfter):
		return nil, pki.Errorf(pki.NotReady, "the certificate of the next issuer of %s is valid from %s to %s", a.Name, next.NotBefore.UTC().Format(time.RFC3339), next.NotAfter.UTC().Format(time.RFC3339))
	}
	commonName, kind, err := s.able(ctx, &a.Authority, next)
	if err != nil {
		return nil, err
	}
	revoked, err := s.revokedOf(ctx, a.Issuers)
	if err != nil {
		return nil, err
	}
	if revoked[next.ID] {
		return nil, pki.Errorf(pki.Conflict, "the certificate of the next issuer of %s is revoked: 'pando authority drop', and make another", a.Name)
	}
	err = s.cfg.Gate.Pass(ctx, g, approval.Request{
		Kind: approval.SwitchAuthority, Target: "authority:" + a.Name, Place: access.Scope{Authority: a.Name}, Payload: switchChange{a.ID, next.ID},
		Summary: fmt.Sprintf("the authority %s signs by its next issuer, %q, from now on, until %s; its certificate has the SHA-256 %s",
			a.Name, commonName, next.NotAfter.UTC().Format(time.RFC3339), fingerprint(next.Certificate)),
	})
	if err != nil {
		return nil, err
	}
	err = s.cfg.Store.SwitchIssuer(ctx, g.Tenant(), next.ID, commonName, kind,
		s.event(g, "authority.switch", "authority:"+string(a.ID), fmt.Sprintf("%s, from issuer %s to %s", a.Name, a.Active().ID, next.ID)))
	if err != nil {
		return nil, err
	}
	s.forget(a.ID)
	return s.find(ctx, g.Tenant(), string(a.ID))
}

// DropNext ends an authority's issuer that is pending or next: it is published no more and
// is never switched to. Status of what it has signed goes on. Its certificate is not revoked:
// that is for who may at the authority above; one that was issued in a rollover that was cut
// off is stored with it, so that it is known. An authority that is pending itself is gone
// with its issuer, and another may have its name; Conflict where its certificate was issued,
// or a grant or a quota is about it. It needs access.ManageAuthorities.
func (s *Service) DropNext(ctx context.Context, g access.Permit, nameOrID string) (*View, error) {
	a, err := s.within(ctx, g, access.ManageAuthorities, nameOrID)
	if err != nil {
		return nil, err
	}
	release, err := s.hold(g.Tenant(), "name "+a.Name) // none is issued meanwhile
	if err != nil {
		return nil, err
	}
	defer release()
	if a, err = s.find(ctx, g.Tenant(), string(a.ID)); err != nil {
		return nil, err
	}
	if a.State == pki.AuthorityPending {
		if err := s.notIssued(ctx, g, a); err != nil {
			return nil, err
		}
	} else if a, err = s.withIssued(ctx, g, a); err != nil {
		return nil, err
	}
	next := a.Coming()
	if next == nil {
		return nil, pki.Errorf(pki.Conflict, "the authority %s has no next issuer", a.Name)
	}
	detail := fmt.Sprintf("%s, issuer %s, which was %s", a.Name, next.ID, next.State)
	if len(next.Certificate) > 0 {
		detail += ", its certificate has the SHA-256 " + fingerprint(next.Certificate)
	}
	if err := s.cfg.Store.DropIssuer(ctx, g.Tenant(), next.ID, s.event(g, "authority.drop", "authority:"+string(a.ID), detail)); err != nil {
		return nil, err
	}
	if a.State == pki.AuthorityPending {
		next.State = pki.IssuerDropped
		return a, nil
	}
	return s.find(ctx, g.Tenant(), string(a.ID))
}

// notIssued refuses to drop an authority that was begun, and has its certificate at the
// authority above.
func (s *Service) notIssued(ctx context.Context, g access.Permit, a *View) error {
	i, err := s.cutOff(ctx, a)
	if err != nil || i == nil {
		return err
	}
	_, err = s.cfg.RA.Subordinated(ctx, g.Tenant(), i.ID)
	switch {
	case err == nil:
		return pki.Errorf(pki.Conflict, "the certificate of %s is issued: 'pando authority create' with what it was begun with gives it to it, and 'pando authority retire' ends it", a.Name)
	case pki.KindOf(err) == pki.NotFound:
		return nil
	}
	return err
}

// able returns the name and the kind of key of a next issuer, which can sign: its key is
// reached, but for that of a root.
func (s *Service) able(ctx context.Context, a *pki.Authority, next *pki.Issuer) (commonName string, kind pki.KeyKind, err error) {
	if a.Kind == pki.Root {
		return a.CommonName, next.KeyKind, nil
	}
	line, err := s.lineOf(ctx, a, next)
	if err != nil {
		return "", "", err
	}
	subject, err := tbs.ParseName(line.Parsed.Subject)
	if err != nil {
		return "", "", err
	}
	return subject.Get(der.OIDCommonName), line.Parsed.Key.Kind(), nil
}
