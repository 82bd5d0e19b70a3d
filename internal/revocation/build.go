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
// where base is one of the shard's full ones, a delta to it. Of a full one it holds
// new parts that are not staged. It is errParts where stored parts are damaged.
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
	public, _, err := s.cfg.Signer.Public(ctx, id.issuer.Key)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	info := &tbs.CRLInfo{
		Issuer: id.certificate.Subject, IssuerKeyID: id.certificate.SubjectKeyID(),
		Algorithm: public.SignatureAlgorithm(), Number: c.Number, Base: c.Base,
		ThisUpdate: c.ThisUpdate, NextUpdate: c.NextUpdate, URL: scopeURL(id.issuer, state.Shard),
	}
	if id.issuer.Deltas && base == nil {
		info.Freshest = id.issuer.StatusURL + "/" + List{Issuer: id.issuer.ID, Shard: state.Shard, Delta: true}.Path()
	}
	if base == nil {
		err = s.signFull(ctx, id, c, info, state, expired)
	} else {
		err = s.signDelta(ctx, id, c, info, base.Covers, expired)
	}
	if err != nil {
		return nil, fmt.Errorf("CRL number %d: %w", c.Number, err)
	}
	return c, nil
}

// eachPage calls f with a shard's entries up to a sequence number and within a span,
// page by page in order of serial, without those whose certificates had expired by the
// given time.
func (s *Service) eachPage(ctx context.Context, list List, upto int64, expired time.Time, span Span, f func([]pki.Revocation) error) error {
	for {
		got, err := s.cfg.Store.Revoked(ctx, list.Issuer, list.Shard, upto, expired, span, page)
		if err != nil {
			return err
		}
		if err := f(got); err != nil || len(got) < page {
			return err
		}
		span.After = got[len(got)-1].Serial
	}
}

// signDelta signs a delta CRL, of the entries that are new since a sequence number,
// with releases, in order of serial.
func (s *Service) signDelta(ctx context.Context, id *identity, c *CRL, info *tbs.CRLInfo, since int64, expired time.Time) error {
	changes, err := s.changed(ctx, c, since, expired)
	if err != nil {
		return err
	}
	slices.SortFunc(changes, func(a, b pki.Revocation) int { return bytes.Compare(a.Serial[:], b.Serial[:]) })
	c.Entries = int64(len(changes))
	var of sample
	encoded, err := appendEntries(make([]byte, 0, len(changes)*entrySize), changes, &of)
	if err != nil {
		return err
	}
	if err := s.lintCRL(info, &of); err != nil {
		return err
	}
	list, err := tbs.NewCertList(info, len(encoded))
	if err != nil {
		return err
	}
	head, tail, err := s.signList(ctx, id, list, func(w io.Writer) error {
		_, err := w.Write(encoded)
		return err
	})
	c.DER = slices.Concat(head, encoded, tail)
	return err
}

// changed returns the entries of a shard that are new since a sequence number.
func (s *Service) changed(ctx context.Context, c *CRL, since int64, expired time.Time) (changes []pki.Revocation, err error) {
	for since < c.Covers {
		got, last, err := s.cfg.Store.Changed(ctx, c.Issuer, c.Shard, since, c.Covers, expired, page)
		if err != nil {
			return nil, err
		}
		changes, since = append(changes, got...), last
	}
	return changes, nil
}

// entrySize is what an entry takes in a CRL: a serial of 20 octets, a time, a reason.
const entrySize = 53

// appendEntries appends entries, which are in the order of their serials, each once,
// and has some sampled.
func appendEntries(dst []byte, entries []pki.Revocation, of *sample) (_ []byte, err error) {
	for i := range entries {
		r := &entries[i]
		if i > 0 && bytes.Compare(entries[i-1].Serial[:], r.Serial[:]) >= 0 {
			return nil, fmt.Errorf("serial %s of a CRL is there twice or out of order", r.Serial)
		}
		e := tbs.CRLEntry{Serial: r.Serial, At: r.At, Reason: r.Reason}
		at := len(dst)
		if dst, err = e.Append(dst); err != nil {
			return nil, err
		}
		of.add(r.Reason, dst[at:])
	}
	return dst, nil
}

// signList signs a list whose entries write writes, and returns what stands before
// and after them in the CRL.
func (s *Service) signList(ctx context.Context, id *identity, list *tbs.CertList, write func(io.Writer) error) (head, tail []byte, err error) {
	signature, err := s.cfg.Signer.SignStream(ctx, id.issuer.Key, signer.CRL, func(w io.Writer) error {
		if _, err := w.Write(list.Begin()); err != nil {
			return err
		}
		if err := write(w); err != nil {
			return err
		}
		_, err := w.Write(list.End())
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("sign: %w", err)
	}
	head, tail = list.Signed(signature)
	return head, tail, nil
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
