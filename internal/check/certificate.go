package check

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"math"

	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/internal/parallel"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A verdict is what was made of one certificate.
type verdict struct {
	hash     [32]byte // of its TBSCertificate
	read     bool     // hash is set
	findings []Finding
}

// checkCertificates reads every certificate, verifies it, and notes what must be
// compared with others later.
func (c *checker) checkCertificates(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	pages := make(chan []*pki.Certificate, 1) // the next page is read while one is verified
	group.Go(func() error {
		defer close(pages)
		last := int64(math.MinInt64)
		for {
			certificates, next, err := c.store.ScanCertificates(ctx, last, page)
			if err != nil {
				return fmt.Errorf("reading certificates after row %d: %w", last, err)
			}
			if len(certificates) == 0 {
				return nil
			}
			last = next
			select {
			case pages <- certificates:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	group.Go(func() error {
		for certificates := range pages {
			for i, v := range c.verifyAll(ctx, certificates) {
				c.report.Certificates++
				if err := c.note(certificates[i], v); err != nil {
					return err
				}
			}
			c.tell("certificates", c.report.Certificates)
		}
		return nil
	})
	return group.Wait()
}

// verifyAll verifies a page on all cores.
func (c *checker) verifyAll(ctx context.Context, certificates []*pki.Certificate) []verdict {
	verdicts := make([]verdict, len(certificates))
	parallel.Each(len(certificates), func(i int) error { // which returns no error of its own
		verdicts[i] = c.verify(certificates[i])
		if c.relint == nil || c.relint.sample > 0 {
			return nil
		}
		if err := c.relint.check(ctx, certificates[i]); err != nil {
			verdicts[i].findings = append(verdicts[i].findings, Finding{Linted, subjectOf(certificates[i]), err.Error()})
		}
		return nil
	})
	return verdicts
}

// subjectOf names a certificate in findings.
func subjectOf(cert *pki.Certificate) string {
	return fmt.Sprintf("certificate %s/%s", cert.Issuer, cert.Serial)
}

// verify checks what can be told from one certificate and its issuer alone. A
// finding that would follow from an earlier one is left out.
func (c *checker) verify(cert *pki.Certificate) (v verdict) {
	found := func(i Invariant, format string, args ...any) {
		v.findings = append(v.findings, Finding{i, subjectOf(cert), fmt.Sprintf(format, args...)})
	}
	if cert.Intent == "" {
		found(Intended, "its intent is not in the store")
	}
	if cert.DER == nil {
		found(Stored, "its bytes do not have the hash stored with them")
		return v
	}
	parsed, err := tbs.ParseCertificate(cert.DER)
	if err != nil {
		found(Parses, "%v", err)
		return v
	}
	v.hash, v.read = sha256.Sum256(parsed.TBS), true
	std, err := x509.ParseCertificate(cert.DER)
	if err != nil {
		found(Parses, "crypto/x509: %v", err)
		return v
	}
	if why := differs(parsed, std); why != "" {
		found(Parses, "crypto/x509 reads another %s", why)
		return v
	}
	issuer := c.issuers[cert.Issuer]
	if issuer == nil || issuer.parsed == nil {
		found(Chain, "its issuer is missing or cannot be read")
		return v
	}
	switch {
	case parsed.Serial != cert.Serial:
		found(Columns, "its bytes have serial number %s", parsed.Serial)
	case !parsed.NotBefore.Equal(cert.NotBefore) || !parsed.NotAfter.Equal(cert.NotAfter):
		found(Columns, "its record has another validity than its bytes")
	case !bytes.Equal(parsed.Issuer, issuer.parsed.Subject):
		found(Columns, "its bytes name another issuer")
		return v
	case cert.Tenant != issuer.Tenant:
		found(Columns, "its record has another tenant than its issuer's")
	case cert.Owner == "" || cert.Profile.Name == "" || cert.Row != 0 && cert.Batch == "":
		found(Columns, "its record names an owner, a profile or a batch that is not in the store")
	}
	if err := parsed.CheckSignedBy(issuer.parsed); err != nil {
		found(Signature, "%v", err)
	}
	return v
}

// differs returns what two parsers read differently of the same certificate, or "".
func differs(p *tbs.Parsed, std *x509.Certificate) string {
	serial, err := pki.SerialFromBytes(std.SerialNumber.Bytes())
	switch {
	case !bytes.Equal(p.TBS, std.RawTBSCertificate):
		return "to-be-signed part"
	case err != nil || serial != p.Serial:
		return "serial number"
	case !bytes.Equal(p.Issuer, std.RawIssuer):
		return "issuer"
	case !bytes.Equal(p.Subject, std.RawSubject):
		return "subject"
	case !p.NotBefore.Equal(std.NotBefore) || !p.NotAfter.Equal(std.NotAfter):
		return "validity"
	case !bytes.Equal(p.Key.SPKI(), std.RawSubjectPublicKeyInfo):
		return "public key"
	case len(p.Extensions) != len(std.Extensions):
		return "number of extensions"
	case !bytes.Equal(p.Signature, std.Signature):
		return "signature"
	}
	return ""
}

// note reports what was made of a certificate and spills what is compared with others later.
func (c *checker) note(cert *pki.Certificate, v verdict) error {
	for _, f := range v.findings {
		c.report.add(f)
	}
	switch {
	case c.relint == nil:
	case c.relint.sample > 0:
		c.relint.choose(cert)
	default:
		c.report.Relinted++
	}
	issuer := c.issuers[cert.Issuer]
	if issuer == nil {
		return nil // reported; without its issuer there is nothing to compare it with
	}
	if cert.Intent != "" {
		p := place{intent: cert.Intent, place: cert.Place, issuer: issuer.number, read: v.read, hash: v.hash}
		if err := c.places.add(p.encode()); err != nil {
			return err
		}
	}
	use := serialUse{issuer: issuer.number, serial: cert.Serial, by: usedByCertificate}
	if cert.DER != nil {
		use.hash = sha256.Sum256(cert.DER)
	}
	if err := c.serials.add(use.encode()); err != nil {
		return err
	}
	if cert.Batch == "" {
		return nil
	}
	return c.rows.add(row{c.batchNumber(cert.Batch), cert.Row}.encode())
}

// batchNumber returns the number of a batch, which it gets here.
func (c *checker) batchNumber(batch pki.BatchID) uint32 {
	number, ok := c.batches[batch]
	if !ok {
		number = uint32(len(c.batchNames))
		c.batches[batch] = number
		c.batchNames = append(c.batchNames, batch)
	}
	return number
}
