package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/proto/scep"
)

// raLife is how long a node goes on with an issuer's keys for SCEP as it knows them.
const raLife = 5 * time.Second

// registrars is the scep.Authorities whose keys and certificates are credentials of the
// server, one pair for each issuer.
type registrars struct {
	store interface {
		Profile(ctx context.Context, ref pki.ProfileRef) (*pki.ProfileVersion, error)
		Tenants(ctx context.Context) ([]*pki.Tenant, error)
		Endpoints(ctx context.Context, tenant pki.TenantID) ([]*pki.Endpoint, error)
		Issuers(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) ([]*pki.Issuer, error)
	}
	chains interface {
		Chain(ctx context.Context, issuer pki.IssuerID) ([][]byte, error)
		Published(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) ([]*pki.Issuer, error)
		Links(ctx context.Context, tenant pki.TenantID, authority pki.AuthorityID) ([][]byte, error)
	}
	ra          *enroll.Service
	credentials *credentials
	alarms      *alarm.Board
	now         pki.Clock

	standing alarm.Standing // owned by Run

	mu    sync.Mutex
	known map[pki.IssuerID]knownRA // guarded by mu
}

// knownRA is an RA, or why there is none: each attempt makes a key, and anybody can ask.
type knownRA struct {
	ra    *scep.RA
	err   error
	until time.Time
}

// RA implements scep.Authorities.
func (r *registrars) RA(ctx context.Context, label string) (*scep.RA, error) {
	tenant, _, _ := strings.Cut(label, ".")
	g, err := access.System(pki.TenantID(tenant), "scep").Authorize(access.Enroll, pki.TenantID(tenant))
	if err != nil {
		return nil, err
	}
	lane, err := r.ra.Open(ctx, g, label, pki.ProtocolSCEP)
	if kind := pki.KindOf(err); kind == pki.NotFound || kind == pki.PolicyRefused { // whether there is one is not anybody's business
		return nil, pki.Errorf(pki.NotFound, "no endpoint %.90q takes %s", label, pki.ProtocolSCEP)
	}
	if err != nil {
		return nil, err
	}
	issuer := lane.Issuer()
	now := r.now()
	r.mu.Lock()
	have := r.known[issuer.ID]
	r.mu.Unlock()
	if !now.Before(have.until) || have.until.Sub(now) > raLife { // or the clock was set back
		made, err := r.make(ctx, issuer)
		if err != nil && ctx.Err() != nil {
			return nil, err
		}
		have = knownRA{made, err, now.Add(raLife)}
		r.mu.Lock()
		if r.known == nil {
			r.known = make(map[pki.IssuerID]knownRA)
		}
		r.known[issuer.ID] = have
		r.mu.Unlock()
	}
	if have.err != nil {
		return nil, pki.Because(pki.Unavailable, have.err, "the endpoint %s has no keys for SCEP at present", label)
	}
	of := *have.ra // one issuer has several endpoints
	of.Legacy = slices.Contains(lane.Endpoint.Protocols, pki.ProtocolSCEPLegacy)
	return &of, nil
}

// make gets an issuer's keys, and those of the authority's other issuers that clients may
// know or want to know.
func (r *registrars) make(ctx context.Context, issuer *pki.Issuer) (*scep.RA, error) {
	ra, err := r.own(ctx, issuer)
	if err != nil {
		return nil, err
	}
	issuers, err := r.chains.Published(ctx, issuer.Tenant, issuer.Authority)
	if err != nil {
		return nil, err
	}
	for _, other := range issuers {
		switch other.State {
		case pki.IssuerNext:
			if ra.Next, err = r.own(ctx, other); err != nil { // it is told of once it has keys
				r.credentials.log.ErrorContext(ctx, "keys for SCEP of a next issuer", "tenant", other.Tenant, "issuer", other.ID, "error", err)
			}
		case pki.IssuerEarlier:
			if before, err := r.earlier(ctx, other); err == nil {
				ra.Earlier = append(ra.Earlier, before)
			} else if pki.KindOf(err) != pki.NotFound {
				r.credentials.log.DebugContext(ctx, "keys for SCEP of an earlier issuer", "tenant", other.Tenant, "issuer", other.ID, "error", err)
			}
		}
	}
	return ra, nil
}

// earlier gets the keys of an issuer before for as long as they can be used. They are not
// made anew: clients learn of the new ones by GetCACert.
func (r *registrars) earlier(ctx context.Context, issuer *pki.Issuer) (*scep.RA, error) {
	signer, err := r.credentials.kept(ctx, issuer.Tenant, policy.SCEPSignerProfile+":"+string(issuer.ID))
	if err != nil {
		return nil, err
	}
	recipient, err := r.credentials.kept(ctx, issuer.Tenant, policy.SCEPRecipientProfile+":"+string(issuer.ID))
	if err != nil {
		return nil, err
	}
	return r.of(ctx, issuer, signer, recipient)
}

// own gets an issuer's keys, made anew where that is due.
func (r *registrars) own(ctx context.Context, issuer *pki.Issuer) (*scep.RA, error) {
	signer, err := r.credential(ctx, issuer, keystore.UseSCEPSigner, policy.SCEPSignerProfile, "")
	if err != nil {
		return nil, err
	}
	recipient, err := r.credential(ctx, issuer, keystore.UseSCEPRecipient, policy.SCEPRecipientProfile, beforeOf(issuer))
	if err != nil {
		return nil, err
	}
	return r.of(ctx, issuer, signer, recipient)
}

// beforeOf names the recipient that an issuer's replaced.
func beforeOf(issuer *pki.Issuer) string {
	return policy.SCEPRecipientProfile + "-before:" + string(issuer.ID)
}

// of returns the RA of an issuer, with the recipient that its own replaced.
func (r *registrars) of(ctx context.Context, issuer *pki.Issuer, signer, recipient *keystore.Credential) (*scep.RA, error) {
	chain, err := r.chains.Chain(ctx, issuer.ID)
	if err != nil {
		return nil, err
	}
	links, err := r.chains.Links(ctx, issuer.Tenant, issuer.Authority)
	if err != nil {
		return nil, err
	}
	ra := &scep.RA{Issuer: issuer, Chain: chain, Links: links}
	ra.Signer.Certificate = signer.Chain[0]
	if ra.Signer.Key, err = r.credentials.keys.SCEPSigner(ctx, signer.Key); err != nil {
		return nil, err
	}
	recipients := []*keystore.Credential{recipient}
	// A client may have asked for the certificate long before it uses it.
	if old, err := r.credentials.kept(ctx, issuer.Tenant, beforeOf(issuer)); err == nil && old.Key != recipient.Key {
		recipients = append(recipients, old)
	}
	for _, c := range recipients {
		key, err := r.credentials.keys.SCEPRecipient(ctx, c.Key)
		if err != nil {
			return nil, err
		}
		ra.Recipients = append(ra.Recipients, cms.Key{Certificate: c.Chain[0], Decrypter: key})
	}
	return ra, nil
}

// credential returns the issuer's credential for a use, whose name is that of its profile
// and the issuer.
func (r *registrars) credential(ctx context.Context, issuer *pki.Issuer, use keystore.Use, profile, before string) (*keystore.Credential, error) {
	version, err := r.store.Profile(ctx, pki.ProfileRef{Tenant: issuer.Tenant, Name: profile})
	if err != nil {
		return nil, err
	}
	compiled, err := policy.Parse([]byte(version.Source))
	if err != nil {
		return nil, err
	}
	kinds := compiled.KeyKinds()
	at := slices.IndexFunc(kinds, func(k pki.KeyKind) bool {
		return strings.HasPrefix(string(k), "rsa") && !strings.HasSuffix(string(k), "-pss")
	})
	if at < 0 {
		return nil, pki.Errorf(pki.PolicyRefused, "the profile %s allows %v: clients of SCEP know RSA alone", profile, kinds)
	}
	have, _, err := r.credentials.get(ctx, want{
		tenant: issuer.Tenant, name: profile + ":" + string(issuer.ID), use: use, kind: kinds[at], before: before,
		source: fmt.Sprintf("profile %s, version %d", version.Name, version.Version),
		enroll: func(ctx context.Context, g access.Permit, csr []byte) (*pki.Enrollment, error) {
			return r.credentials.ra.Own(ctx, g, issuer.ID, profile, csr)
		},
	})
	return have, err
}
