package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// A Status is what holds of a certificate now.
type Status string

// The statuses. Revoked goes before held, and both before expired.
const (
	Good    Status = "good"
	Held    Status = "held"
	Revoked Status = "revoked"
	Expired Status = "expired"
)

// Statuses lists the statuses.
func Statuses() []Status { return []Status{Good, Held, Revoked, Expired} }

// StatusOf returns the status of a certificate at a time, given the latest of its
// revocation entries, nil for none. A released hold is none.
func StatusOf(notAfter, now time.Time, latest *pki.Revocation) Status {
	switch {
	case latest != nil && latest.Reason == pki.CertificateHold:
		return Held
	case latest != nil && latest.Reason != pki.RemoveFromCRL:
		return Revoked
	case now.After(notAfter):
		return Expired
	}
	return Good
}

// A Query says which certificates are wanted; what is empty is any.
type Query struct {
	Serial      string // hexadecimal
	Fingerprint string // SHA-256 of the DER in hexadecimal
	Device      pki.DeviceID
	Lot         string
	ProductLine string
	Batch       pki.BatchID
	Subject     string // words with which words of the subject begin, all of them
	Status      Status
	Issuer      pki.IssuerID
	Profile     string // name
	Owner       pki.TenantID
	ExpiresFrom time.Time
	ExpiresTo   time.Time // inclusive
}

// A Found is a certificate that a search found.
type Found struct {
	*pki.Certificate
	Status     Status
	Revocation *pki.Revocation // the entry that holds, or nil
	Cursor     string          // goes on after this one

	Position []byte // set by the store
}

// Certificates is a page of a search.
type Certificates struct {
	Page[*Found]

	// NotSearched names authorities that do not keep the index that leads the
	// search: their certificates are not among the items.
	NotSearched []string
}

// maxWords bounds the words of a search by subject.
const maxWords = 8

// check refuses what cannot be searched for, and brings the rest into one form.
func (q *Query) check() error {
	if q.Serial != "" {
		serial, err := pki.ParseSerial(q.Serial)
		if err != nil {
			return err
		}
		q.Serial = serial.String()
	}
	if q.Fingerprint = strings.ToLower(strings.ReplaceAll(q.Fingerprint, ":", "")); q.Fingerprint != "" {
		if len(q.Fingerprint) != 64 || strings.Trim(q.Fingerprint, "0123456789abcdef") != "" {
			return pki.Errorf(pki.Malformed, "fingerprint %.70q: it is a SHA-256 in 64 hexadecimal digits", q.Fingerprint)
		}
	}
	if words := Tokens([]string{q.Subject}); q.Subject != "" {
		if len(words) == 0 || len(words) > maxWords {
			return pki.Errorf(pki.Malformed, "subject %.40q: from 1 to %d words", q.Subject, maxWords)
		}
		q.Subject = strings.Join(words, " ")
	}
	if q.Status != "" && !slices.Contains(Statuses(), q.Status) {
		return pki.Errorf(pki.Malformed, "status %.20q: it is one of %v", q.Status, Statuses())
	}
	if !q.ExpiresTo.IsZero() && q.ExpiresTo.Before(q.ExpiresFrom) {
		return pki.Errorf(pki.Malformed, "the window of expiry ends before it begins")
	}
	return nil
}

// Certificates returns a page of the certificates that the permit's tenant issued
// or owns and that the query is about. It needs access.ReadCertificates.
//
// One criterion leads the search by its index: serial, fingerprint, batch,
// device, lot, subject, product line, a child that owns them, expiry or, by what was
// entered, the status revoked or held; without any of them all of the tenant's certificates are gone
// through. The others are looked at row by row, so that a page of many rows that
// do not fit ends early, with fewer items and a Next. Fingerprint, subject and
// expiry lead only among authorities that keep the index: NotReady where none
// does. An owner that is neither the tenant nor a child of it has none, whether there
// is such a tenant or not.
func (s *Service) Certificates(ctx context.Context, g access.Permit, q Query, p Paging) (*Certificates, error) {
	if err := g.CheckSome(access.ReadCertificates); err != nil {
		return nil, err
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	if err := s.checkQuery(ctx, g, &q); err != nil {
		return nil, err
	}
	out := new(Certificates)
	l := s.list(g.Tenant(), fmt.Sprintf("certificates %+v", q))
	page, err := search(l, p, func(after []byte) ([]*Found, []byte, error) {
		found, next, not, err := s.cfg.Store.SearchCertificates(ctx, g.Tenant(), q, s.cfg.Now(), after, p.Limit)
		out.NotSearched = not
		return found, next, err
	})
	if err != nil {
		return nil, err
	}
	for _, f := range page.Items {
		f.Cursor = l.cursor(f.Position)
	}
	out.Page = page
	return out, s.keepWithin(ctx, g, &q, out)
}

// checkQuery sees that who may read a part of the tenant looks there: by a product line
// or an issuer that is within the permit, or by what few certificates have. What is
// found is looked at again.
func (s *Service) checkQuery(ctx context.Context, g access.Permit, q *Query) error {
	if g.Whole() {
		return nil
	}
	where := access.Scope{ProductLine: q.ProductLine}
	if q.Issuer != "" {
		var err error
		if where.Authority, err = s.cfg.Store.IssuerAuthorityName(ctx, g.Tenant(), q.Issuer); err != nil {
			return err
		}
	}
	if q.Serial != "" || q.Fingerprint != "" || q.Device != "" || q.Batch != "" || q.Lot != "" || where != (access.Scope{}) {
		return g.CheckToward(access.ReadCertificates, where)
	}
	if q.Issuer != "" { // by whose authority nothing is within the permit
		return pki.Errorf(pki.NotFound, "no issuer %.60q of this tenant; search by product line, lot, batch, device, serial or fingerprint besides", string(q.Issuer))
	}
	err := g.Check(access.ReadCertificates)
	return pki.Because(pki.Forbidden, err, "%s: search by product line, issuer, lot, batch, device, serial or fingerprint", pki.DetailOf(err))
}

// keepWithin leaves out what is outside of the permit. One certificate that was asked
// for by its own name is Forbidden, as it is by itself.
func (s *Service) keepWithin(ctx context.Context, g access.Permit, q *Query, out *Certificates) error {
	if g.Whole() {
		return nil
	}
	kept := out.Items[:0]
	var refusal error
	for _, f := range out.Items {
		err := g.CheckCertificate(ctx, s.cfg.Store, access.ReadCertificates, f.Certificate)
		switch {
		case err == nil:
			kept = append(kept, f)
		case pki.KindOf(err) != pki.Forbidden:
			return err
		case q.Serial != "" || q.Fingerprint != "":
			refusal = err
		}
	}
	if out.Items = kept; len(kept) > 0 {
		return nil
	}
	return refusal
}

// The bounds of what is kept of a subject, in words and bytes of each.
const (
	maxTokens = 16
	maxToken  = 64
)

// Tokens returns the words of a subject's values in the form in which they are
// searched: in lower case, each once, in order.
func Tokens(values []string) []string {
	var all []string
	for _, v := range values {
		for word := range strings.FieldsSeq(strings.ToLower(strings.ToValidUTF8(v, ""))) {
			if len(word) > maxToken {
				word = strings.ToValidUTF8(word[:maxToken], "")
			}
			if len(all) < maxTokens {
				all = append(all, word)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Matches reports whether each word begins one of the tokens.
func Matches(tokens []string, words string) bool {
	for word := range strings.FieldsSeq(words) {
		if !slices.ContainsFunc(tokens, func(t string) bool { return strings.HasPrefix(t, word) }) {
			return false
		}
	}
	return true
}
