package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pando-pki/pando/internal/pki"
)

// A storedCertificate is a row of table certificate, with numbers for names and
// packed DER.
type storedCertificate struct {
	id, issuer, tenant, owner, profile int64
	line, lot, site                    int64
	batch                              sql.NullInt64
	packed                             []byte
	cert                               pki.Certificate
}

const certificateColumns = `c.id, c.serial, c.issuer, c.tenant, c.owner, c.device, c.profile, coalesce(i.id, ''), c.place,
	c.batch, c.row_no, c.not_before, c.not_after, c.issued, c.der, c.product_line, c.lot, c.site`

// A certificate whose intent is gone is still one, and for the checker to find.
const selectCertificate = `SELECT ` + certificateColumns + ` FROM certificate c LEFT JOIN intent i ON i.num = c.intent `

func scanCertificate(row row) (*storedCertificate, error) {
	c := new(storedCertificate)
	return c, row.Scan(&c.id, intoArray(c.cert.Serial[:]), &c.issuer, &c.tenant, &c.owner, &c.cert.Device, &c.profile,
		&c.cert.Intent, &c.cert.Place, &c.batch, &c.cert.Row,
		intoTime{&c.cert.NotBefore}, intoTime{&c.cert.NotAfter}, intoTime{&c.cert.Issued}, &c.packed, &c.line, &c.lot, &c.site)
}

// certificate returns what a row stands for. Where a name is missing or the stored
// bytes do not match their hash, it returns errNoName or errDamaged, with the
// certificate without them.
func (s *Store) certificate(ctx context.Context, c *storedCertificate) (*pki.Certificate, error) {
	var missing error
	nums := []int64{c.issuer, c.tenant, c.owner, c.profile, c.batch.Int64, c.line, c.lot, c.site}
	refs := make([]ref, len(nums))
	for i, num := range nums {
		var err error
		refs[i], err = s.refOf(ctx, s.read, num)
		switch {
		case errors.Is(err, errNoName):
			missing = err
		case err != nil:
			return nil, err
		}
	}
	cert := &c.cert
	cert.Issuer, cert.Tenant, cert.Owner = pki.IssuerID(refs[0].text), pki.TenantID(refs[1].text), pki.TenantID(refs[2].text)
	cert.Batch = pki.BatchID(refs[4].text)
	cert.Placement = pki.Placement{ProductLine: refs[5].text, Lot: refs[6].text, Site: refs[7].text}
	var err error
	if cert.Profile, err = refs[3].profile(); err != nil {
		missing = err
	}
	cert.DER, err = unpack(c.packed, func(num int64) (*reference, error) { return s.referenceByNum(ctx, s.read, num) })
	if err == nil {
		err = missing
	}
	if err != nil {
		return cert, fmt.Errorf("certificate %s of issuer %s: %w", cert.Serial, cert.Issuer, err)
	}
	return cert, nil
}

// Certificate implements issuance.Store.
func (s *Store) Certificate(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID, serial pki.Serial) (*pki.Certificate, error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return nil, err
	}
	who, err := s.findRef(ctx, tenantRef(tenant))
	if err != nil {
		return nil, err
	}
	c, err := one(ctx, s.read, scanCertificate,
		selectCertificate+`WHERE c.serial = $1 AND c.issuer = $2 AND (c.tenant = $3 OR c.owner = $3)`, serial[:], num, who)
	if errors.Is(err, sql.ErrNoRows) {
		if archived := s.Archived(ctx, tenant, issuer, serial); archived != nil {
			return nil, archived
		}
	}
	if c, err = found(c, err, "certificate with serial %s", serial); err != nil {
		return nil, err
	}
	cert, err := s.certificate(ctx, c)
	if err != nil {
		return nil, err
	}
	return cert, nil
}

// SampleSerial implements statuscheck.Store. It looks at a bounded part of the index
// behind from, and at one at its beginning.
func (s *Store) SampleSerial(ctx context.Context, issuer pki.IssuerID, from pki.Serial) (serial pki.Serial, err error) {
	num, err := s.findRef(ctx, issuerRef(issuer))
	if err != nil {
		return pki.Serial{}, err
	}
	for _, start := range []pki.Serial{from, {}} {
		serial, err = one(ctx, s.read, func(row row) (found pki.Serial, err error) {
			err = row.Scan(intoArray(found[:]))
			return found, err
		}, `SELECT serial FROM (SELECT serial, issuer FROM certificate WHERE serial >= $1 ORDER BY serial LIMIT 1000) c
			WHERE issuer = $2 ORDER BY serial LIMIT 1`, start[:], num)
		if !errors.Is(err, sql.ErrNoRows) {
			break
		}
	}
	return found(serial, err, "certificate of issuer %q near serial %s", issuer, from)
}
