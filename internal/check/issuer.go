package check

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// An issuer is an issuer's record with its certificate parsed.
type issuer struct {
	*pki.Issuer
	number uint32
	parsed *tbs.Parsed       // nil where it cannot be read
	std    *x509.Certificate // nil where it cannot be read
}

// maxChain is how many certificates a chain may have: more is a loop.
const maxChain = 10

// checkIssuers reads every issuer and checks its record and chain.
func (c *checker) checkIssuers(ctx context.Context) error {
	all, err := c.store.AllIssuers(ctx)
	if err != nil {
		return fmt.Errorf("reading the issuers: %w", err)
	}
	for _, i := range all {
		known := &issuer{Issuer: i, number: uint32(len(c.order))}
		c.issuers[i.ID] = known
		c.order = append(c.order, known)
		if err := known.parse(); err != nil {
			c.report.addf(Chain, known.subject(), "%v", err)
		}
	}
	for _, i := range c.order {
		if i.std == nil {
			continue
		}
		if err := c.checkChain(i); err != nil {
			c.report.addf(Chain, i.subject(), "%v", err)
		}
		if i.Follows == "" {
			continue
		}
		if err := c.checkRootLinks(i); err != nil {
			c.report.addf(Chain, i.subject(), "%v", err)
		}
	}
	c.report.Issuers = int64(len(c.order))
	c.tell("issuers", c.report.Issuers)
	return nil
}

// subject names the issuer in findings.
func (i *issuer) subject() string { return "issuer " + string(i.ID) }

// parse reads the issuer's certificate and compares its validity.
func (i *issuer) parse() error {
	parsed, err := tbs.ParseCertificate(i.Certificate)
	if err != nil {
		return fmt.Errorf("its certificate cannot be read: %w", err)
	}
	std, err := x509.ParseCertificate(i.Certificate)
	if err != nil {
		return fmt.Errorf("its certificate cannot be read by crypto/x509: %w", err)
	}
	i.parsed, i.std = parsed, std
	if !std.NotBefore.Equal(i.NotBefore) || !std.NotAfter.Equal(i.NotAfter) {
		return fmt.Errorf("its record has another validity than its certificate")
	}
	return nil
}

// checkChain follows the parents' records to a root, and has crypto/x509 verify
// the chain: an implementation other than the one that issued it. It is verified
// as of the issuer's first second, since an authority may end before its status
// does. Signatures by ML-DSA and SLH-DSA are none that crypto/x509 knows: each link
// is verified by checkLink besides, and crypto/x509 has what is below the lowest of
// those as its chain. Name constraints of all above are held to the issuer's names
// here: crypto/x509 does not see them beyond that link, nor name spaces of all forms.
func (c *checker) checkChain(i *issuer) error {
	opts := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: i.std.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	at := i
	anchored := false
	var above [][]byte // certificates
	for below := range maxChain {
		if at.Tenant != i.Tenant || at.Mode != i.Mode {
			return fmt.Errorf("issuer %s in its chain is of another tenant or mode", at.ID)
		}
		if at.Parent == at.ID {
			if !anchored {
				opts.Roots.AddCert(at.std)
			}
			if !bytes.Equal(at.parsed.Issuer, at.parsed.Subject) {
				return fmt.Errorf("root %s has not issued itself", at.ID)
			}
			if err := at.parsed.CheckSignedBy(at.parsed); err != nil {
				return fmt.Errorf("root %s is not signed by itself: %w", at.ID, err)
			}
			if _, err := i.std.Verify(opts); err != nil {
				return fmt.Errorf("its chain does not verify: %w", err)
			}
			return i.checkNames(above)
		}
		parent := c.issuers[at.Parent]
		if parent == nil || parent.std == nil {
			return fmt.Errorf("issuer %s in its chain is missing or cannot be read", at.Parent)
		}
		if err := checkLink(at, parent, i.NotBefore, below); err != nil {
			return err
		}
		switch {
		case anchored:
		case parent.std.PublicKeyAlgorithm == x509.UnknownPublicKeyAlgorithm:
			opts.Roots.AddCert(at.std)
			anchored = true
		default:
			opts.Intermediates.AddCert(at.std)
		}
		at, above = parent, append(above, parent.Certificate)
	}
	return fmt.Errorf("its chain does not end at a root")
}

// checkNames refuses names of an issuer outside of the name constraints of those above it
// (RFC 5280, 4.2.1.10). An issuer that has issued itself anew is the last of its chain here,
// so that they hold for it, too.
func (i *issuer) checkNames(above [][]byte) error {
	values, err := policy.Constraints(above...)
	if err != nil {
		return err
	}
	var san []byte
	if e := i.parsed.Extension(der.OIDSubjectAltName); e != nil {
		san = e.Value
	}
	if err := policy.CheckConstraints(values, i.parsed.Subject, san); err != nil {
		return fmt.Errorf("its names are not within its chain: %w", err)
	}
	return nil
}

// checkLink verifies one step of a chain whose last certificate has its first second
// then; below are the authorities between it and the step.
func checkLink(at, parent *issuer, then time.Time, below int) error {
	if err := at.parsed.CheckSignedBy(parent.parsed); err != nil {
		return fmt.Errorf("issuer %s in its chain is not signed by issuer %s: %w", at.ID, parent.ID, err)
	}
	_, pathLen := parent.parsed.IsCA()
	switch {
	case pathLen >= 0 && below > pathLen:
		return fmt.Errorf("issuer %s in its chain allows %d authorities below the next, and there are %d", parent.ID, pathLen, below)
	case then.Before(parent.NotBefore) || then.After(parent.NotAfter):
		return fmt.Errorf("issuer %s in its chain was not valid then", parent.ID)
	}
	return nil
}
