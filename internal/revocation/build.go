package revocation

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// page is how many entries are read from the store at once.
const page = 5_000

// build signs a CRL of a shard with all entries up to state.Newest: a full one, or
// where base is one of the shard's full ones, a delta to it. It holds the CRL once;
// of a full one, nothing else grows with the entries.
func (s *Service) build(ctx context.Context, id *identity, state *ShardState, base *Edition) (*CRL, error) {
	if id.issuer.StatusURL == "" && id.issuer.Shards > 1 {
		return nil, pki.Errorf(pki.Internal, "without a status URL a shard's CRL would claim to be complete")
	}
	if err := s.checkKey(ctx, id); err != nil {
		return nil, err
	}
	now := s.cfg.Now().UTC().Truncate(time.Second)
	// An entry stays for a CRL's life after its certificate expired, so that a CRL
	// from after the expiry has it too (RFC 5280, 3.3).
	expired := now.Add(-s.cfg.CRLLife)
	c := &CRL{List: List{Issuer: id.issuer.ID, Shard: state.Shard, Delta: base != nil}, Covers: state.Newest}
	life := s.cfg.CRLLife
	if base != nil {
		c.Base, life = base.Number, s.cfg.CRLLife/deltaShare
	}
	var err error
	if c.Number, err = s.cfg.Store.ReserveCRLNumber(ctx, id.issuer.ID, state.Shard); err != nil {
		return nil, fmt.Errorf("reserve a number: %w", err)
	}
	c.ThisUpdate, c.NextUpdate = now.Add(-Backdate), now.Add(life)
	info := &tbs.CRLInfo{
		Issuer: id.certificate.Subject, IssuerKeyID: id.certificate.SubjectKeyID(),
		Algorithm: id.certificate.Key.SignatureAlgorithm(), Number: c.Number, Base: c.Base,
		ThisUpdate: c.ThisUpdate, NextUpdate: c.NextUpdate, URL: scopeURL(id.issuer, state.Shard),
	}
	if id.issuer.Deltas && base == nil {
		info.Freshest = id.issuer.StatusURL + "/" + List{Issuer: id.issuer.ID, Shard: state.Shard, Delta: true}.Path()
	}
	var list *tbs.CertList
	if base == nil {
		list, err = s.encode(ctx, c, info, state, expired)
	} else {
		list, err = s.encodeDelta(ctx, c, info, base.Covers, expired)
	}
	if err != nil {
		return nil, fmt.Errorf("entries: %w", err)
	}
	if c.DER, err = s.signList(ctx, id.issuer.Key, list); err != nil {
		return nil, fmt.Errorf("sign number %d: %w", c.Number, err)
	}
	return c, nil
}

// entrySize is what an entry takes in a CRL: a serial of 20 octets, a time, a reason.
const entrySize = 53

// maxGuess bounds the entries that memory is taken for before they are read.
const maxGuess = 2_000_000

// encode encodes a full CRL, with the entries as they come from the store, so that
// it holds no more than the CRL itself. How long that will be is guessed by the one
// before it.
func (s *Service) encode(ctx context.Context, c *CRL, info *tbs.CRLInfo, state *ShardState, expired time.Time) (*tbs.CertList, error) {
	guess := min(state.Entries+max(0, state.Newest-state.Covers), maxGuess)
	list, err := tbs.NewCertList(info, int(max(guess, state.Entries))*entrySize)
	if err != nil {
		return nil, err
	}
	return list, s.eachPage(ctx, c.List, c.Covers, expired, func(got []pki.Revocation) error {
		c.Entries += int64(len(got))
		return addEntries(list, got)
	})
}

// eachPage calls f with a shard's entries up to a sequence number, page by page in
// order of serial, without those whose certificates had expired by the given time.
func (s *Service) eachPage(ctx context.Context, list List, upto int64, expired time.Time, f func([]pki.Revocation) error) error {
	var after pki.Serial
	for {
		got, err := s.cfg.Store.Revoked(ctx, list.Issuer, list.Shard, upto, expired, after, page)
		if err != nil {
			return err
		}
		if err := f(got); err != nil || len(got) < page {
			return err
		}
		after = got[len(got)-1].Serial
	}
}

// encodeDelta encodes a delta CRL, of the entries that are new since a sequence
// number, with releases, in order of serial.
func (s *Service) encodeDelta(ctx context.Context, c *CRL, info *tbs.CRLInfo, since int64, expired time.Time) (*tbs.CertList, error) {
	var changes []pki.Revocation
	for since < c.Covers {
		got, last, err := s.cfg.Store.Changed(ctx, c.Issuer, c.Shard, since, c.Covers, expired, page)
		if err != nil {
			return nil, err
		}
		changes, since = append(changes, got...), last
	}
	slices.SortFunc(changes, func(a, b pki.Revocation) int { return bytes.Compare(a.Serial[:], b.Serial[:]) })
	c.Entries = int64(len(changes))
	list, err := tbs.NewCertList(info, len(changes)*entrySize)
	if err != nil {
		return nil, err
	}
	return list, addEntries(list, changes)
}

func addEntries(list *tbs.CertList, entries []pki.Revocation) error {
	for i := range entries {
		r := &entries[i]
		if err := list.Add(&tbs.CRLEntry{Serial: r.Serial, At: r.At, Reason: r.Reason}); err != nil {
			return err
		}
	}
	return nil
}

// signList signs a CRL, in the memory in which it was encoded.
func (s *Service) signList(ctx context.Context, key pki.KeyURI, list *tbs.CertList) ([]byte, error) {
	message := list.Finish()
	signature, err := s.cfg.Signer.SignStream(ctx, key, signer.CRL, func(w io.Writer) error {
		_, err := w.Write(message)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list.Signed(signature), nil
}

// checkKey checks that the issuer's key is that of its certificate. The signer
// verifies a CRL with the key's own public half, and relying parties with the
// certificate's.
func (s *Service) checkKey(ctx context.Context, id *identity) error {
	public, _, err := s.cfg.Signer.Public(ctx, id.issuer.Key)
	if err != nil {
		return fmt.Errorf("public key: %w", err)
	}
	if !bytes.Equal(public.SPKI(), id.certificate.Key.SPKI()) {
		return pki.Errorf(pki.Internal, "key %s is not that of the issuer's certificate", id.issuer.Key)
	}
	return nil
}
