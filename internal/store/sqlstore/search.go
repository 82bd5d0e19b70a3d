package sqlstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/tbs"
)

// What can lead a search for certificates. Each statement goes through one index
// in its order, from a position on, and returns ids with the rest of their
// positions: a number and a text. Where two indexes hold what is wanted, their
// rows are merged in order of id. The tenant is looked at again with each row.
const (
	leadSerial      = `SELECT id, issuer, '' FROM certificate WHERE serial = $1 AND issuer > $2 ORDER BY issuer LIMIT $3`
	leadFingerprint = `SELECT certificate, 0, '' FROM certificate_fingerprint WHERE fp8 = $1 AND certificate > $2 ORDER BY certificate LIMIT $3`
	leadBatch       = `SELECT id, row_no, '' FROM certificate WHERE batch = $1 AND row_no > $2 AND batch IS NOT NULL ORDER BY row_no LIMIT $3`
	leadDevice      = `SELECT id, 0, '' FROM certificate WHERE owner = $1 AND device = $2 AND device <> '' AND id < $3
		UNION ALL SELECT id, 0, '' FROM certificate WHERE tenant = $1 AND device = $2 AND owner <> tenant AND id < $3
		ORDER BY 1 DESC LIMIT $4`
	leadLot     = `SELECT id, 0, '' FROM certificate WHERE lot = $1 AND lot <> 0 AND id < $2 ORDER BY id DESC LIMIT $3`
	leadLine    = `SELECT id, 0, '' FROM certificate WHERE product_line = $1 AND product_line <> 0 AND id < $2 ORDER BY id DESC LIMIT $3`
	leadSubject = `SELECT certificate, 0, token FROM certificate_subject WHERE tenant = $1 AND token >= $2 AND token < $3
		AND (token, certificate) > ($4, $5) ORDER BY token, certificate LIMIT $6`
	leadExpiry = `SELECT certificate, not_after, '' FROM certificate_expiry WHERE tenant = $1 AND not_after >= $2 AND not_after <= $3
		AND (not_after, certificate) > ($4, $5) ORDER BY not_after, certificate LIMIT $6`
	leadEntries = `SELECT coalesce((SELECT c.id FROM certificate c WHERE c.serial = r.serial AND c.issuer = r.issuer), 0), r.seq, ''
		FROM (SELECT seq, serial, issuer FROM revocation WHERE seq < $1 ORDER BY seq DESC LIMIT $2) r ORDER BY r.seq DESC`
	leadOwner  = `SELECT id, 0, '' FROM certificate WHERE owner = $1 AND owner <> tenant AND id < $2 ORDER BY id DESC LIMIT $3`
	leadTenant = `SELECT id, 0, '' FROM certificate WHERE tenant = $1 AND id < $2
		UNION ALL SELECT id, 0, '' FROM certificate WHERE owner = $1 AND owner <> tenant AND id < $2 ORDER BY 1 DESC LIMIT $3`
)

// A hit is a certificate that leads went by, with its position. An id of 0 is a
// serial that was revoked without a certificate.
type hit struct {
	id, num int64
	text    string
}

func (h hit) position() []byte {
	b := binary.AppendUvarint(binary.AppendUvarint([]byte{0}, uint64(h.num)), uint64(h.id))
	return append(b, h.text...)
}

// parsePosition is the reverse of hit.position; begun is false for nil. Any
// bytes are a position, if no useful one.
func parsePosition(b []byte) (h hit, begun bool) {
	if len(b) == 0 {
		return h, false
	}
	d := deltaReader{rest: b[1:]}
	h.num, h.id = int64(d.uvarint(math.MaxInt64)), int64(d.uvarint(math.MaxInt64))
	h.text = strings.ToValidUTF8(string(d.rest), "")
	return h, true
}

// A certificateSearch is one search on its way.
type certificateSearch struct {
	*Store
	tenant pki.TenantID
	who    int64
	q      registry.Query
	now    time.Time

	owner       int64 // that is asked for; 0 is any
	lent        bool  // it is a child of the tenant
	fingerprint []byte
	first       string // word of the subject that leads
	byEntries   bool   // the status leads
	none        bool   // nothing can be found
}

// SearchCertificates implements registry.Store.
func (s *Store) SearchCertificates(ctx context.Context, tenant pki.TenantID, q registry.Query, now time.Time, after []byte, limit int) ([]*registry.Found, []byte, []string, error) {
	who, err := s.findRef(ctx, tenantRef(tenant))
	if err != nil {
		return nil, nil, nil, err
	}
	if q.Issuer != "" {
		if _, err := s.seenIssuer(ctx, tenant, q.Issuer); err != nil {
			return nil, nil, nil, err
		}
	}
	c := &certificateSearch{Store: s, tenant: tenant, who: who, q: q, now: now}
	if c.fingerprint, err = hex.DecodeString(q.Fingerprint); err != nil {
		return nil, nil, nil, pki.Errorf(pki.Malformed, "fingerprint %.70q: it is written in hexadecimal", q.Fingerprint)
	}
	if err := c.readOwner(ctx); err != nil {
		return nil, nil, nil, err
	}
	text, args, needs, err := c.lead(ctx, after)
	if err != nil || c.none {
		return nil, nil, nil, err
	}
	var without []string
	if needs != "" {
		if without, err = c.needIndex(ctx, needs); err != nil {
			return nil, nil, nil, err
		}
	}
	bound := c.bound(limit)
	hits, err := list(ctx, s.read, func(row row) (h hit, err error) {
		err = row.Scan(&h.id, &h.num, &h.text)
		return h, err
	}, text, append(args, bound)...)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("searching certificates: %w", err)
	}
	found, next, err := c.keep(ctx, hits, bound, limit)
	return found, next, without, err
}

// readOwner looks at whose certificates are wanted. Of a tenant that is neither the one
// that asks nor a child of it nothing is found, and nothing is looked at: how much there
// is of it shows in no page.
func (c *certificateSearch) readOwner(ctx context.Context) (err error) {
	switch c.q.Owner {
	case "":
		return nil
	case c.tenant:
		c.owner = c.who
	default:
		parent, err := c.Parent(ctx, c.q.Owner)
		if err != nil && pki.KindOf(err) != pki.NotFound {
			return err
		}
		if c.lent = err == nil && parent == c.tenant; c.lent {
			if c.owner, err = c.findRef(ctx, tenantRef(c.q.Owner)); err != nil {
				return err
			}
		}
	}
	c.none = c.owner == 0
	return nil
}

// bound returns how many hits one page looks at: no more than it can hold where
// all are wanted that the search is led by.
func (c *certificateSearch) bound(limit int) int {
	q := c.q
	q.Serial, q.Device, q.Batch = "", "", "" // each alone
	if c.lent {
		q.Owner = "" // all that its index has
	}
	if q == (registry.Query{}) || q == (registry.Query{Lot: q.Lot}) || q == (registry.Query{ProductLine: q.ProductLine}) {
		return limit + 1
	}
	return scanBound
}

// lead returns the statement that leads the search, its arguments but the bound,
// and the index that authorities must keep for it.
func (c *certificateSearch) lead(ctx context.Context, after []byte) (text string, args []any, needs pki.SearchIndex, err error) {
	at, begun := parsePosition(after)
	before := at.id
	if !begun {
		before = math.MaxInt64
	}
	under := func(text string, r ref) (string, []any, pki.SearchIndex, error) {
		num, err := c.findRef(ctx, r)
		c.none = num == 0
		return text, []any{num, before}, "", err
	}
	q := &c.q
	switch {
	case c.none:
		return "", nil, "", nil
	case q.Serial != "":
		serial, err := pki.ParseSerial(q.Serial)
		return leadSerial, []any{serial[:], at.num}, "", err
	case q.Batch != "":
		num, err := c.batchNum(ctx, c.read, c.tenant, q.Batch)
		if c.none = pki.KindOf(err) == pki.NotFound; c.none {
			err = nil
		}
		return leadBatch, []any{num, at.num}, "", err
	case q.Device != "":
		return leadDevice, []any{c.who, q.Device, before}, "", nil
	case q.Fingerprint != "" && q.Lot+q.ProductLine == "" && !c.lent:
		return leadFingerprint, []any{c.fingerprint[:8], at.id}, pki.IndexFingerprint, nil
	case q.Lot != "":
		return under(leadLot, lotRef(c.tenant, q.Lot))
	case q.Subject != "" && q.ProductLine == "" && !c.lent:
		for word := range strings.FieldsSeq(q.Subject) { // the longest leaves most out
			if len(word) > len(c.first) {
				c.first = word
			}
		}
		from := c.first
		if begun {
			from = max(from, at.text)
		}
		return leadSubject, []any{c.who, from, c.first + "\U0010ffff", at.text, at.id}, pki.IndexSubject, nil
	case q.ProductLine != "":
		return under(leadLine, placeRef(registry.ProductLine, c.tenant, q.ProductLine))
	case c.lent:
		return leadOwner, []any{c.owner, before}, "", nil
	case !q.ExpiresFrom.IsZero() || !q.ExpiresTo.IsZero():
		to := int64(math.MaxInt64)
		if !q.ExpiresTo.IsZero() {
			to = micros(q.ExpiresTo)
		}
		return leadExpiry, []any{c.who, micros(q.ExpiresFrom), to, at.num, at.id}, pki.IndexExpiry, nil
	case q.Status == registry.Revoked || q.Status == registry.Held:
		c.byEntries = true
		if !begun {
			at.num = math.MaxInt64
		}
		return leadEntries, []any{at.num}, "", nil
	}
	return leadTenant, []any{c.who, before}, "", nil
}

// needIndex returns the names of the tenant's authorities that do not keep an
// index, or NotReady where none that is asked about does.
func (c *certificateSearch) needIndex(ctx context.Context, index pki.SearchIndex) (without []string, err error) {
	authorities, err := c.Authorities(ctx, c.tenant)
	if err != nil {
		return nil, err
	}
	kept := false
	for _, a := range authorities {
		issuers, err := c.Issuers(ctx, c.tenant, a.ID)
		if err != nil {
			return nil, err
		}
		asked := c.q.Issuer == "" || slices.ContainsFunc(issuers, func(i *pki.Issuer) bool { return i.ID == c.q.Issuer })
		switch {
		case !asked:
		case slices.Contains(a.Indexes, index):
			kept = true
		default:
			without = append(without, a.Name)
		}
	}
	if !kept && len(without) > 0 {
		return nil, pki.Errorf(pki.NotReady, "no authority that this search is about has the index %s: name a serial, device, batch, lot, product line or child that owns them besides, by which the search can be led, "+
			"or have the index made ('pando authority index NAME %s'), which 'pando authority show NAME' tells about", index, index)
	}
	return without, nil
}

// keep returns those of the hits that are wanted, up to limit, and where the
// search goes on.
func (c *certificateSearch) keep(ctx context.Context, hits []hit, bound, limit int) (kept []*registry.Found, next []byte, err error) {
	for part := range slices.Chunk(hits, rowsAtOnce) {
		rows, err := c.rows(ctx, part)
		if err != nil {
			return nil, nil, err
		}
		for _, h := range part {
			next = h.position()
			f, err := c.wanted(ctx, h, rows[h.id])
			if err != nil {
				return nil, nil, err
			}
			if f == nil {
				continue
			}
			f.Position = next
			if kept = append(kept, f); len(kept) < limit {
				continue
			}
			if h == hits[len(hits)-1] && len(hits) < bound {
				next = nil
			}
			return kept, next, nil
		}
	}
	if len(hits) < bound {
		next = nil
	}
	return kept, next, nil
}

// rowsAtOnce is how many rows one statement reads by id.
const rowsAtOnce = 50

var selectByID = selectCertificate + `WHERE c.id IN ($1` + func() (more string) {
	for n := 2; n <= rowsAtOnce; n++ {
		more += fmt.Sprintf(", $%d", n)
	}
	return more
}() + `)`

// rows returns the certificates of up to rowsAtOnce hits, by id.
func (c *certificateSearch) rows(ctx context.Context, hits []hit) (map[int64]*storedCertificate, error) {
	args := make([]any, rowsAtOnce)
	for i := range args {
		args[i] = hits[min(i, len(hits)-1)].id
	}
	rows, err := list(ctx, c.read, scanCertificate, selectByID, args...)
	if err != nil {
		return nil, fmt.Errorf("reading certificates: %w", err)
	}
	byID := make(map[int64]*storedCertificate, len(rows))
	for _, row := range rows {
		byID[row.id] = row
	}
	return byID, nil
}

// wanted returns what a row stands for, or nil where it is not what is asked for.
// What costs little is looked at first.
func (c *certificateSearch) wanted(ctx context.Context, h hit, row *storedCertificate) (*registry.Found, error) {
	q := &c.q
	if row == nil || row.tenant != c.who && row.owner != c.who ||
		c.owner != 0 && row.owner != c.owner ||
		row.owner != c.who && (q.Lot != "" || q.ProductLine != "" || q.Batch != "") || // which are the owner's alone to know
		q.Device != "" && q.Device != row.cert.Device ||
		!q.ExpiresFrom.IsZero() && row.cert.NotAfter.Before(q.ExpiresFrom) ||
		!q.ExpiresTo.IsZero() && row.cert.NotAfter.After(q.ExpiresTo) {
		return nil, nil
	}
	for _, name := range []struct {
		want string
		num  int64
		kind string
	}{
		{string(q.Issuer), row.issuer, "issuer"}, {q.Lot, row.lot, "lot"}, {q.ProductLine, row.line, "line"},
		{string(q.Batch), row.batch.Int64, "batch"}, {q.Profile, row.profile, "profile"},
	} {
		if name.want == "" {
			continue
		}
		r, err := c.refOf(ctx, c.read, name.num)
		if err != nil {
			return nil, err
		}
		text := r.text
		if name.kind == "profile" {
			text, _, _ = strings.Cut(text, "/")
		}
		if r.kind != name.kind || text != name.want {
			return nil, nil
		}
	}
	cert, err := c.certificate(ctx, row)
	if err != nil {
		return nil, err
	}
	if !c.looksLike(h, cert) {
		return nil, nil
	}
	return c.withStatus(ctx, h, cert)
}

// looksLike compares what only the certificate itself tells.
func (c *certificateSearch) looksLike(h hit, cert *pki.Certificate) bool {
	if len(c.fingerprint) > 0 {
		if sum := sha256.Sum256(cert.DER); !bytes.Equal(sum[:], c.fingerprint) {
			return false
		}
	}
	if c.q.Subject == "" {
		return true
	}
	tokens := subjectTokens(cert.DER)
	// A certificate that the leading word finds by several tokens is found by the
	// first.
	first := slices.IndexFunc(tokens, func(t string) bool { return strings.HasPrefix(t, c.first) })
	return registry.Matches(tokens, c.q.Subject) && (c.first == "" || tokens[first] == h.text)
}

// withStatus returns the certificate with its status, or nil where another is
// asked for.
func (c *certificateSearch) withStatus(ctx context.Context, h hit, cert *pki.Certificate) (*registry.Found, error) {
	status, err := c.Status(ctx, cert.Issuer, cert.Serial)
	if err != nil {
		return nil, err
	}
	f := &registry.Found{Certificate: cert, Revocation: status.Revocation, Status: registry.StatusOf(cert.NotAfter, c.now, status.Revocation)}
	if c.q.Status != "" && c.q.Status != f.Status {
		return nil, nil
	}
	if c.byEntries { // found by each of its entries: the newest stands for it
		newest, err := c.newestEntry(ctx, c.read, cert.Issuer, cert.Serial)
		if err != nil || newest != h.num {
			return nil, err
		}
	}
	return f, nil
}

// subjectTokens returns the words of a certificate's subject; none where it
// cannot be read, which lint does not let happen.
func subjectTokens(certificate []byte) []string {
	parsed, err := tbs.ParseCertificate(certificate)
	if err != nil {
		return nil
	}
	name, err := tbs.ParseName(parsed.Subject)
	if err != nil {
		return nil
	}
	var values []string
	for _, a := range name {
		values = append(values, a.Value)
	}
	return registry.Tokens(values)
}
