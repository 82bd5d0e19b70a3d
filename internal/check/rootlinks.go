package check

import (
	"bytes"
	"fmt"

	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// checkRootLinks checks the links between a root and the one that it follows.
func (c *checker) checkRootLinks(i *issuer) error {
	old := c.issuers[i.Follows]
	if old == nil || old.parsed == nil {
		return fmt.Errorf("issuer %s, which it follows, is missing or cannot be read", i.Follows)
	}
	if old.Authority != i.Authority {
		return fmt.Errorf("issuer %s, which it follows, is of another authority", i.Follows)
	}
	links := ceremony.Links{Old: old.parsed, New: i.parsed}
	var err error
	if links.NewWithOld, err = tbs.ParseCertificate(i.Links.NewWithOld); err != nil {
		return fmt.Errorf("its NewWithOld cannot be read: %w", err)
	}
	if links.OldWithNew, err = tbs.ParseCertificate(i.Links.OldWithNew); err != nil {
		return fmt.Errorf("its OldWithNew cannot be read: %w", err)
	}
	if err := links.Check(); err != nil {
		return fmt.Errorf("its links with issuer %s: %w", i.Follows, err)
	}
	return nil
}

// isRootLink reports whether a certificate is a link between roots. No profile makes
// those: checkRootLinks says what is in them.
func (r *relinter) isRootLink(cert *pki.Certificate) bool {
	for _, i := range r.issuers {
		switch {
		case i.Follows == "":
		case i.Follows == cert.Issuer && bytes.Equal(i.Links.NewWithOld, cert.DER), i.ID == cert.Issuer && bytes.Equal(i.Links.OldWithNew, cert.DER):
			return true
		}
	}
	return false
}
