package revocation

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// page is how many entries are read from the store at once.
const page = 5_000

// build signs a CRL of a shard with all entries up to state.Newest: a full one, or
// where base is one of the shard's full ones, a delta to it. It holds the entries
// packed, 28 bytes each, and the CRL once; nothing else grows with them.
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
	var list *entries
	var err error
	life := s.cfg.CRLLife
	if base == nil {
		list, err = s.entries(ctx, id.issuer.ID, state.Shard, state.Newest, expired)
	} else {
		c.Base, life = base.Number, s.cfg.CRLLife/deltaShare
		list, err = s.changes(ctx, id.issuer.ID, state.Shard, base.Covers, state.Newest, expired)
	}
	if err != nil {
		return nil, fmt.Errorf("entries: %w", err)
	}
	c.Entries = int64(list.count)
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
	if c.DER, err = s.signList(ctx, id.issuer.Key, info, list); err != nil {
		return nil, fmt.Errorf("sign number %d: %w", c.Number, err)
	}
	return c, nil
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

// entries reads a shard's entries up to a sequence number, without those whose
// certificates had expired by the given time.
func (s *Service) entries(ctx context.Context, issuer pki.IssuerID, shard int, upto int64, expired time.Time) (*entries, error) {
	list := new(entries)
	var after pki.Serial
	for {
		got, err := s.cfg.Store.Revoked(ctx, issuer, shard, upto, expired, after, page)
		if err != nil {
			return nil, err
		}
		list.add(got)
		if len(got) < page {
			return list, nil
		}
		after = got[len(got)-1].Serial
	}
}

// changes reads the entries of a shard that are new since a sequence number, with
// releases, in order of serial.
func (s *Service) changes(ctx context.Context, issuer pki.IssuerID, shard int, since, upto int64, expired time.Time) (*entries, error) {
	list := new(entries)
	for since < upto {
		got, last, err := s.cfg.Store.Changed(ctx, issuer, shard, since, upto, expired, page)
		if err != nil {
			return nil, err
		}
		list.add(got)
		since = last
	}
	list.sort()
	return list, nil
}

// entries holds entries packed: the encoder goes over them more than once, and
// reading them from the store again would cost more than all the rest.
type entries struct {
	pages [][]packedEntry
	count int
}

// A packedEntry has what a CRL shows of an entry.
type packedEntry struct {
	serial pki.Serial
	reason uint8
	at     uint32 // Unix time, until 2106
}

func (l *entries) add(got []pki.Revocation) {
	packed := make([]packedEntry, len(got))
	for i := range got {
		packed[i] = packedEntry{got[i].Serial, uint8(got[i].Reason), uint32(got[i].At.Unix())}
	}
	l.pages = append(l.pages, packed)
	l.count += len(packed)
}

// sort puts entries that did not come in order of serial into one page in order.
func (l *entries) sort() {
	whole := slices.Concat(l.pages...)
	slices.SortFunc(whole, func(a, b packedEntry) int { return bytes.Compare(a.serial[:], b.serial[:]) })
	l.pages = [][]packedEntry{whole}
}

func (l *entries) all() iter.Seq[tbs.CRLEntry] {
	return func(yield func(tbs.CRLEntry) bool) {
		for _, page := range l.pages {
			for i := range page {
				e := &page[i]
				if !yield(tbs.CRLEntry{Serial: e.serial, At: time.Unix(int64(e.at), 0).UTC(), Reason: pki.Reason(e.reason)}) {
					return
				}
			}
		}
	}
}

// maxHeader is the longest DER header of what fits into 4 GiB.
const maxHeader = 6

// maxTail is room for the algorithm and the signature of every algorithm that
// pando has; a longer tail costs a copy, nothing else.
const maxTail = 1 << 10

// signList encodes and signs a CertificateList in one buffer of the right size,
// with room at its head for the outer header, whose length is known last.
func (s *Service) signList(ctx context.Context, key pki.KeyURI, info *tbs.CRLInfo, list *entries) ([]byte, error) {
	size, err := tbs.SizeTBSCertList(info, list.all())
	if err != nil {
		return nil, err
	}
	buffer := bytes.NewBuffer(make([]byte, maxHeader, maxHeader+int(size)+maxTail))
	signature, err := s.cfg.Signer.SignStream(ctx, key, signer.CRL, func(w io.Writer) error {
		buffer.Truncate(maxHeader)
		return tbs.WriteTBSCertList(io.MultiWriter(w, buffer), info, list.all())
	})
	if err != nil {
		return nil, err
	}
	buffer.Write(info.Algorithm.DER)
	buffer.Write(der.AppendBitString(nil, signature))

	whole := buffer.Bytes()
	header := der.AppendHeader(nil, asn1.SEQUENCE, len(whole)-maxHeader)
	start := maxHeader - len(header)
	copy(whole[start:], header)
	return whole[start:], nil
}
