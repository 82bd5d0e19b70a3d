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
	}
	chains interface {
		Chain(ctx context.Context, issuer pki.IssuerID) ([][]byte, error)
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

// make gets an issuer's keys, made anew where that is due.
func (r *registrars) make(ctx context.Context, issuer *pki.Issuer) (*scep.RA, error) {
	chain, err := r.chains.Chain(ctx, issuer.ID)
	if err != nil {
		return nil, err
	}
	ra := &scep.RA{Issuer: issuer, Chain: chain}
	signer, err := r.credential(ctx, issuer, keystore.UseSCEPSigner, policy.SCEPSignerProfile, "")
	if err != nil {
		return nil, err
	}
	ra.Signer.Certificate = signer.Chain[0]
	if ra.Signer.Key, err = r.credentials.keys.SCEPSigner(ctx, signer.Key); err != nil {
		return nil, err
	}
	before := policy.SCEPRecipientProfile + "-before:" + string(issuer.ID)
	recipient, err := r.credential(ctx, issuer, keystore.UseSCEPRecipient, policy.SCEPRecipientProfile, before)
	if err != nil {
		return nil, err
	}
	recipients := []*keystore.Credential{recipient}
	// A client may have asked for the certificate long before it uses it.
	if old, err := r.credentials.kept(ctx, issuer.Tenant, before); err == nil && old.Key != recipient.Key {
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
