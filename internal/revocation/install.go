package revocation

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// InstallCRL takes the CRL of an issuer whose key is offline, as a ceremony made
// it, and serves it from then on: access.ManageAuthorities in the issuer's
// tenant.
//
// The CRL must be a full one, signed by the issuer, in force, with a number
// above that of the CRL that it replaces, with every entry that one had but those
// released since, and without a hold that is over; else it is Malformed, BadProof, PolicyRefused or Conflict. NotFound where the
// tenant has no such offline issuer.
func (s *Service) InstallCRL(ctx context.Context, g access.Permit, crl []byte) error {
	if err := g.Check(access.ManageAuthorities); err != nil {
		return err
	}
	list, err := parseList(crl, s.cfg.Now())
	if err != nil {
		return err
	}
	id, err := s.offlineIssuer(ctx, g.Tenant(), list)
	if err != nil {
		return err
	}
	state, err := s.shardOf(ctx, id, list)
	if err != nil {
		return err
	}
	covers, err := s.covered(ctx, id, state, list)
	if err != nil {
		return err
	}
	installed := &CRL{
		List: List{Issuer: id.issuer.ID, Shard: state.Shard}, Number: list.Number.Int64(), Covers: covers,
		Entries:    int64(len(list.listed)),
		ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate, DER: bytes.Clone(crl),
	}
	err = s.cfg.Store.PutCRL(ctx, installed, &pki.Event{
		Tenant: g.Tenant(), At: s.cfg.Now().UTC(), Actor: g.Actor(), Action: "crl.install", Target: "issuer:" + string(id.issuer.ID),
		Detail: fmt.Sprintf("shard %d, number %d, %d entries, next update %s", installed.Shard, installed.Number, installed.Entries, installed.NextUpdate.UTC().Format(time.RFC3339)),
	})
	if err == nil {
		s.published(installed.List)
	}
	return err
}

// offlineIssuer finds the tenant's offline issuer that signed the list.
func (s *Service) offlineIssuer(ctx context.Context, tenant pki.TenantID, list *fullList) (*identity, error) {
	issuers, err := s.cfg.Issuers.AllIssuers(ctx)
	if err != nil {
		return nil, err
	}
	for _, issuer := range issuers {
		if issuer.Tenant != tenant || issuer.Key != pki.OfflineKey {
			continue
		}
		id, err := s.identities.of(issuer)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(id.certificate.Subject, list.RawIssuer) || !bytes.Equal(id.certificate.SubjectKeyID(), list.AuthorityKeyId) {
			continue
		}
		signed, err := tbs.ParseCRL(list.Raw)
		if err != nil {
			return nil, err
		}
		if err := signed.CheckSignedBy(id.certificate); err != nil {
			return nil, pki.Because(pki.BadProof, err, "the CRL's signature is not by the issuer that it names")
		}
		return id, nil
	}
	return nil, pki.Errorf(pki.NotFound, "no offline issuer has the name and key that the CRL was made with")
}

// deltaCRLIndicator is the extension of a CRL that is not a full one (RFC 5280,
// 5.2.4).
const deltaCRLIndicator = "2.5.29.27"

// A fullList is a full CRL in force. Who signed it is not known yet.
type fullList struct {
	*x509.RevocationList
	listed map[pki.Serial]pki.Reason
}

// parseList reads a DER CRL and checks what it says of itself: Malformed, or
// PolicyRefused.
func parseList(crl []byte, now time.Time) (*fullList, error) {
	list, err := x509.ParseRevocationList(crl)
	if err != nil {
		return nil, pki.Because(pki.Malformed, err, "this is not a DER certificate revocation list")
	}
	if err := checkList(list, now); err != nil {
		return nil, err
	}
	listed := make(map[pki.Serial]pki.Reason, len(list.RevokedCertificateEntries))
	for _, e := range list.RevokedCertificateEntries {
		serial, err := pki.SerialFromBytes(e.SerialNumber.Bytes())
		if err != nil {
			return nil, err
		}
		if _, twice := listed[serial]; twice || e.SerialNumber.Sign() < 0 {
			return nil, pki.Errorf(pki.Malformed, "the CRL has a negative serial, or one twice")
		}
		if listed[serial] = pki.Reason(e.ReasonCode); listed[serial] == pki.RemoveFromCRL {
			return nil, pki.Errorf(pki.Malformed, "the CRL has an entry with reason removeFromCRL, which is for delta CRLs (RFC 5280, 5.3.1)")
		}
	}
	return &fullList{list, listed}, nil
}

func checkList(list *x509.RevocationList, now time.Time) error {
	if list.Number == nil || list.Number.Sign() <= 0 || !list.Number.IsInt64() {
		return pki.Errorf(pki.Malformed, "the CRL has no number, or one above 63 bits")
	}
	for _, e := range list.Extensions {
		if oid := e.Id.String(); oid == deltaCRLIndicator || e.Critical && oid != der.OIDIssuingDistributionPoint {
			return pki.Errorf(pki.PolicyRefused, "a full CRL is served here, without the extension %s", oid)
		}
	}
	switch {
	case list.ThisUpdate.After(now.Add(Backdate)):
		return pki.Errorf(pki.PolicyRefused, "the CRL is from %s, which is still to come", list.ThisUpdate.Format(time.RFC3339))
	case !now.Before(list.NextUpdate):
		return pki.Errorf(pki.PolicyRefused, "the CRL's next update was due at %s", list.NextUpdate.Format(time.RFC3339))
	}
	return nil
}

// shardOf finds the shard that the list's IssuingDistributionPoint names. A
// ceremony's list is full and has none: its issuer has one shard.
func (s *Service) shardOf(ctx context.Context, id *identity, list *fullList) (ShardState, error) {
	states, err := s.cfg.Store.Shards(ctx, id.issuer.ID)
	if err != nil {
		return ShardState{}, err
	}
	var scope []byte
	for _, e := range list.Extensions {
		if e.Id.String() == der.OIDIssuingDistributionPoint {
			scope = e.Value
		}
	}
	for _, state := range states {
		var want []byte
		if len(states) > 1 {
			want = distributionPoint(crlURL(id.issuer, state.Shard))
		}
		if bytes.Equal(scope, want) {
			return state, nil
		}
	}
	return ShardState{}, pki.Errorf(pki.PolicyRefused, "the CRL's issuing distribution point is not where this issuer's CRL is served")
}

// covered returns the sequence number up to which the store's entries are in the
// list, and refuses a list that lacks one that the CRL before it had, or shows a
// hold that is over.
func (s *Service) covered(ctx context.Context, id *identity, state ShardState, list *fullList) (int64, error) {
	for serial, reason := range list.listed {
		if reason != pki.CertificateHold {
			continue
		}
		status, err := s.cfg.Store.Status(ctx, id.issuer.ID, serial)
		if err != nil {
			return 0, err
		}
		if status.Revocation == nil || status.Revocation.Reason != reason {
			return 0, pki.Errorf(pki.Conflict, "the CRL shows certificate %s as on hold, which it is no more: ask the ceremony again", serial)
		}
	}
	now := s.cfg.Now() // what expired since the ceremony may be in the list, or not
	lacking := func(upto int64) (lacks bool, err error) {
		err = s.eachPage(ctx, List{Issuer: id.issuer.ID, Shard: state.Shard}, upto, now, Span{}, func(held []pki.Revocation) error {
			for _, r := range held {
				if _, ok := list.listed[r.Serial]; ok {
					continue
				}
				status, err := s.cfg.Store.Status(ctx, id.issuer.ID, r.Serial)
				if err != nil {
					return err
				}
				lacks = lacks || status.Revocation != nil // else it was released since
			}
			return nil
		})
		return lacks, err
	}
	switch lacks, err := lacking(state.Covers); {
	case err != nil:
		return 0, err
	case lacks:
		return 0, pki.Errorf(pki.Conflict, "the CRL lacks a certificate that is revoked in the one before it")
	}
	switch lacks, err := lacking(state.Newest); {
	case err != nil:
		return 0, err
	case lacks: // revoked since the ceremony was asked for it
		return state.Covers, nil
	}
	return state.Newest, nil
}

// distributionPoint returns the value of an IssuingDistributionPoint that says
// only where the list is served (RFC 5280, 5.2.5).
func distributionPoint(url string) []byte {
	value := der.Append(nil, der.Implicit(6), []byte(url)) // uniformResourceIdentifier
	value = der.Wrap(value, 0, der.Explicit(0))            // fullName, implicit
	value = der.Wrap(value, 0, der.Explicit(0))            // distributionPoint
	return der.Wrap(value, 0, asn1.SEQUENCE)
}
