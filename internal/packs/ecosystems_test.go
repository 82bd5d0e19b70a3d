package packs_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// TestMatter checks a chain as a commissioner does (Matter core, 6.2.2 and 6.2.3.1),
// and that a profile of DACs with another vendor's id cannot be bound to the PAI.
func TestMatter(t *testing.T) {
	p := get(t, "matter")
	tr := grow(t, p)
	dac := tr.leaf(t, "matter-dac", "")
	if err := attested(t, dac); err != nil {
		t.Error(err)
	}
	_, err := tr.issue(t, tr.authorities["pai"], profileOf(t, p, "matter-dac", map[string]string{"vid": "FFF2"}), sample(t, "matter-dac", generate(t, pki.P256)))
	if pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), "vendor id") {
		t.Errorf("a DAC with another VID than its PAI: %v", err)
	}
	if _, err := tr.issue(t, tr.authorities["paa"], profileOf(t, p, "matter-pai", map[string]string{"vid": "FFF2"}), &policy.Input{
		CSR: wish{}.request(t, generate(t, pki.P256)), CommonName: "PAI", Now: now}); pki.KindOf(err) != pki.PolicyRefused {
		t.Errorf("a PAI with another VID than its PAA: %v", err)
	}
}

// attested reports what is wrong with a chain of DAC, PAI and PAA.
func attested(t *testing.T, m made) error {
	if len(m.above) != 2 {
		return errors.New("a chain has three certificates")
	}
	dac, pai, paa := parse(t, m.der), parse(t, m.above[0]), parse(t, m.above[1])
	const authority = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	vids := make(map[string]bool)
	for _, c := range []*x509.Certificate{dac, pai, paa} {
		usage, length := authority, map[*x509.Certificate]int{pai: 0, paa: 1, dac: -1}[c]
		if c == dac {
			usage = x509.KeyUsageDigitalSignature
		}
		switch {
		case c.SignatureAlgorithm != x509.ECDSAWithSHA256 || c.PublicKeyAlgorithm != x509.ECDSA:
			return errors.New("the algorithm")
		case c.IsCA != (c != dac) || !c.BasicConstraintsValid || c != dac && c.MaxPathLen != length || c.KeyUsage != usage:
			return errors.New("basicConstraints or keyUsage")
		case len(c.SubjectKeyId) != 20 || len(c.AuthorityKeyId) != 20:
			return errors.New("a key identifier")
		}
		for _, e := range c.Extensions {
			if id := e.Id.String(); e.Critical != slices.Contains([]string{der.OIDBasicConstraints, der.OIDKeyUsage}, id) {
				return errors.New("criticality of " + id)
			}
		}
		subject, err := tbs.ParseName(c.RawSubject)
		if err != nil {
			return err
		}
		vids[subject.Get("1.3.6.1.4.1.37244.2.1")] = true
	}
	if len(vids) != 1 || !vids["FFF1"] {
		return errors.New("the vendor ids differ")
	}
	return pai.CheckSignature(dac.SignatureAlgorithm, dac.RawTBSCertificate, dac.Signature)
}

// TestPair has both certificates of a device of GB smart metering, which are for one
// EUI-64 and one use each, with key identifiers of 8 octets down from the root.
func TestPair(t *testing.T) {
	tr := grow(t, get(t, "gb-smart-metering"))
	signing, agreement := parse(t, tr.leaf(t, "gb-signing", "").der), parse(t, tr.leaf(t, "gb-key-agreement", "").der)
	if signing.KeyUsage != x509.KeyUsageDigitalSignature || agreement.KeyUsage != x509.KeyUsageKeyAgreement {
		t.Errorf("usages %b and %b", signing.KeyUsage, agreement.KeyUsage)
	}
	if names := findSAN(signing); names == nil || !bytes.Equal(names, findSAN(agreement)) {
		t.Errorf("names %x and %x", findSAN(signing), findSAN(agreement))
	}
	for _, c := range []*x509.Certificate{signing, agreement, parse(t, tr.authorities["gb-issuing"].der), parse(t, tr.authorities["gb-root"].der)} {
		if len(c.SubjectKeyId) != 8 || c.SubjectKeyId[0]>>4 != 4 || c.AuthorityKeyId != nil && len(c.AuthorityKeyId) != 8 {
			t.Errorf("%s: key identifiers %x and %x", c.Subject, c.SubjectKeyId, c.AuthorityKeyId)
		}
	}
	if len(signing.AuthorityKeyId) == 0 || len(signing.PolicyIdentifiers) != 1 {
		t.Errorf("authority key identifier %x, policies %v", signing.AuthorityKeyId, signing.PolicyIdentifiers)
	}
}

// TestSID reads the SID extension as Microsoft's clients do (MS-WCCE, 2.2.2.7.7.4).
func TestSID(t *testing.T) {
	tr := grow(t, get(t, "microsoft"))
	for _, name := range []string{"ms-computer", "ms-computer-v1", "ms-user", "ms-user-v1"} {
		certificate := parse(t, tr.leaf(t, name, pki.P256).der)
		i := slices.IndexFunc(certificate.Extensions, func(e pkix.Extension) bool { return e.Id.String() == "1.3.6.1.4.1.311.25.2" })
		if i < 0 {
			t.Fatalf("%s has none", name)
		}
		var names struct {
			Other struct {
				ID    asn1.ObjectIdentifier
				Value []byte `asn1:"explicit,tag:0"`
			} `asn1:"tag:0"`
		}
		rest, err := asn1.Unmarshal(certificate.Extensions[i].Value, &names)
		if err != nil || len(rest) > 0 || names.Other.ID.String() != "1.3.6.1.4.1.311.25.2.1" || !bytes.HasPrefix(names.Other.Value, []byte("S-1-5-21-")) {
			t.Errorf("%s: %+v, %v", name, names, err)
		}
	}
}
