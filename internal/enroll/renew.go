package enroll

import (
	"bytes"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// checkRenewal refuses a renewal that asks for more than the certificate that the
// requester proved goes on: the same subject and the same names (RFC 7030, 4.2.2) for
// the same device, and after its end only in the profile's grace, for the same key.
// That it is not revoked was seen when it was proved.
func (s *Service) checkRenewal(lane *Lane, r *Request) error {
	who := r.Grant.Principal()
	if !r.Renews {
		if who.Late {
			return pki.Errorf(pki.PolicyRefused, "the client certificate has expired, and proves nothing but its own renewal")
		}
		return nil
	}
	record := who.Certificate
	if record == nil || record.Owner != lane.Endpoint.Tenant {
		return pki.Errorf(pki.PolicyRefused, "a renewal is asked for by the certificate that it renews, which an authority here issued to you; for a first certificate enrol")
	}
	if r.Pair != nil || r.MakeKey != OwnKey {
		return pki.Errorf(pki.PolicyRefused, "the certificates of a pair, and those of keys that are made here, are enrolled, not renewed")
	}
	old, err := tbs.ParseCertificate(record.DER)
	if err != nil {
		return err
	}
	csr, err := tbs.ParseCSR(r.CSR)
	if err != nil {
		return err
	}
	if err := sameAs(old, csr); err != nil {
		return err
	}
	if who.Late {
		return s.checkLate(lane, record, bytes.Equal(old.Key.SPKI(), csr.Key.SPKI()))
	}
	return nil
}

// sameAs refuses a request whose subject and names are not those of a certificate.
func sameAs(old *tbs.Parsed, csr *tbs.CSR) error {
	subject, err := tbs.ParseName(old.Subject)
	if err != nil {
		return err
	}
	same := slices.EqualFunc(subject, csr.Subject, func(a, b tbs.Attribute) bool {
		return a.OID == b.OID && a.Value == b.Value && a.Joined == b.Joined // whatever the string's type
	})
	if !same {
		return pki.Errorf(pki.PolicyRefused, "a renewal has the subject of the certificate that it renews, %q, and not %q", subject, csr.Subject)
	}
	var names []tbs.GeneralName
	if san := old.Extension(der.OIDSubjectAltName); san != nil {
		if names, err = tbs.ParseGeneralNames(san.Value); err != nil {
			return err
		}
	}
	within := func(a, b []tbs.GeneralName) bool {
		return !slices.ContainsFunc(a, func(n tbs.GeneralName) bool { return !slices.ContainsFunc(b, n.Equal) })
	}
	if !within(names, csr.Names) || !within(csr.Names, names) {
		return pki.Errorf(pki.PolicyRefused, "a renewal has the subject alternative names of the certificate that it renews: ask for these %d, and for no other", len(names))
	}
	return nil
}

// checkLate refuses a renewal after the end that the profile does not let pass.
func (s *Service) checkLate(lane *Lane, old *pki.Certificate, sameKey bool) error {
	grace := lane.profile.Profile().RenewalGrace()
	late := s.cfg.Now().Sub(old.NotAfter)
	switch {
	case grace == 0:
		return pki.Errorf(pki.PolicyRefused, "the certificate expired at %s, and the profile %s grants no time after that", old.NotAfter.UTC().Format(time.RFC3339), lane.profile.Profile().Name())
	case late > grace:
		return pki.Errorf(pki.PolicyRefused, "the certificate expired at %s, longer ago than the %s that the profile %s grants", old.NotAfter.UTC().Format(time.RFC3339), pki.FormatDuration(grace), lane.profile.Profile().Name())
	case !sameKey:
		return pki.Errorf(pki.PolicyRefused, "after its end a certificate is renewed with its own key alone")
	}
	return nil
}
