package tbs

import (
	"bytes"
	"crypto/x509"
	"net/netip"
	"net/url"
	"slices"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// compareWithX509 reads the request with crypto/x509 and compares what a
// certificate or the proof of possession could depend on. Two parsers that
// understand the same bytes differently are how a forged request gets through.
func (c *CSR) compareWithX509() error {
	other, err := x509.ParseCertificateRequest(c.Raw)
	if err != nil {
		return pki.Because(pki.Malformed, err, "the request is refused by a second parser")
	}
	if !bytes.Equal(other.RawTBSCertificateRequest, c.TBS) ||
		!bytes.Equal(other.RawSubject, c.SubjectDER) ||
		!bytes.Equal(other.RawSubjectPublicKeyInfo, c.Key.SPKI()) ||
		!bytes.Equal(other.Signature, c.Signature) ||
		!c.sameExtensions(other) || !c.sameNames(other) || !c.sameSubject(other) {
		return pki.Errorf(pki.Malformed, "the request is understood differently by two parsers")
	}
	return nil
}

// sameSubject compares the values that a profile may take. Of one that stands
// there twice the parsers take different ones.
func (c *CSR) sameSubject(other *x509.CertificateRequest) bool {
	return c.Subject.Get(der.OIDCommonName) == other.Subject.CommonName &&
		c.Subject.Get(der.OIDSerialNumber) == other.Subject.SerialNumber
}

func (c *CSR) sameExtensions(other *x509.CertificateRequest) bool {
	if len(c.Extensions) != len(other.Extensions) {
		return false
	}
	for i, e := range c.Extensions {
		o := other.Extensions[i]
		if e.OID != o.Id.String() || e.Critical != o.Critical || !bytes.Equal(e.Value, o.Value) {
			return false
		}
	}
	return true
}

// sameNames compares the names by form, in order: crypto/x509 has no forms but
// these four.
func (c *CSR) sameNames(other *x509.CertificateRequest) bool {
	var dns, email, uris, otherURIs []string
	var ips, otherIPs []netip.Addr
	for _, n := range c.Names {
		switch n.Kind {
		case DNSName:
			dns = append(dns, n.Text)
		case Email:
			email = append(email, n.Text)
		case URI:
			u, err := url.Parse(n.Text)
			if err != nil {
				return false
			}
			uris = append(uris, u.String()) // crypto/x509 keeps them only parsed
		case IPAddress:
			ip, err := netip.ParseAddr(n.Text)
			if err != nil {
				return false
			}
			ips = append(ips, ip)
		}
	}
	for _, u := range other.URIs {
		otherURIs = append(otherURIs, u.String())
	}
	for _, b := range other.IPAddresses {
		ip, _ := netip.AddrFromSlice(b)
		otherIPs = append(otherIPs, ip)
	}
	return slices.Equal(dns, other.DNSNames) && slices.Equal(email, other.EmailAddresses) &&
		slices.Equal(uris, otherURIs) && slices.Equal(ips, otherIPs)
}
