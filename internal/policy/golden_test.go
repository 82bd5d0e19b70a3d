package policy

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/tbs"
)

var update = flag.Bool("update", false, "write the golden dumps anew")

// TestGolden compares a readable dump of a certificate of each reference profile,
// with its first kind of key, with testdata/golden.
func TestGolden(t *testing.T) {
	for _, name := range Reference() {
		t.Run(name, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			p := reference(t, name)
			from := newIssuer(t, name)
			key := generate(t, p.KeyKinds()[0])
			if name == "root" {
				key = from.key
			}
			got := dump(t, issue(t, bind(t, p, from.IssuerParams), from, inputFor(t, name, key), testSerial()))
			file := filepath.Join("testdata", "golden", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("dump (-want +got):\n%s", diff)
			}
		})
	}
}

// dump prints a certificate, one field a line. crypto/x509 reads it, as an
// independent reader; what it does not know is printed in hexadecimal.
func dump(t *testing.T, certificate []byte) string {
	t.Helper()
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := tbs.ParseCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := tbs.ParseName(cert.RawSubject)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := tbs.ParseName(cert.RawIssuer)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%s: %s\n", what, fmt.Sprintf(format, args...))
	}
	line("version", "%d", cert.Version)
	line("serial", "%x", cert.SerialNumber)
	line("signature", "%s", cert.SignatureAlgorithm)
	line("issuer", "%s", issuer)
	line("not before", "%s", stamp(cert.NotBefore))
	line("not after", "%s", stamp(cert.NotAfter))
	line("subject", "%s", subject)
	line("key", "%s %x", parsed.Key.Kind(), parsed.Key.KeyID())
	for _, e := range cert.Extensions {
		critical := ""
		if e.Critical {
			critical = " (critical)"
		}
		name, text := printExtension(t, cert, e.Id.String(), e.Value)
		line(name+critical, "%s", text)
	}
	return b.String()
}

// printExtension names an extension and prints what crypto/x509 made of it.
func printExtension(t *testing.T, cert *x509.Certificate, oid string, value []byte) (name, text string) {
	t.Helper()
	switch oid {
	case "2.5.29.19":
		if !cert.IsCA {
			return "basicConstraints", "CA:FALSE"
		}
		return "basicConstraints", fmt.Sprintf("CA:TRUE, path length %d", cert.MaxPathLen)
	case "2.5.29.15":
		var set []string
		for i, usage := range []string{"digitalSignature", "contentCommitment", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign"} {
			if cert.KeyUsage&(1<<i) != 0 {
				set = append(set, usage)
			}
		}
		return "keyUsage", strings.Join(set, ", ")
	case "2.5.29.37":
		var oids []asn1.ObjectIdentifier
		if _, err := asn1.Unmarshal(value, &oids); err != nil {
			t.Fatal(err)
		}
		return "extendedKeyUsage", strings.Trim(fmt.Sprint(oids), "[]")
	case "2.5.29.32":
		return "certificatePolicies", strings.Trim(fmt.Sprint(cert.Policies), "[]")
	case "2.5.29.17":
		names, err := tbs.ParseGeneralNames(value)
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, n := range names {
			switch n.Kind {
			case tbs.DNSName:
				texts = append(texts, "dns "+n.Text)
			case tbs.URI:
				texts = append(texts, "uri "+n.Text)
			case tbs.IPAddress:
				texts = append(texts, "ip "+n.Text)
			case tbs.HardwareModuleName:
				texts = append(texts, fmt.Sprintf("hardwareModuleName %s %q", n.HWType, n.HWSerial))
			case tbs.Email:
				texts = append(texts, "email "+n.Text)
			default:
				texts = append(texts, fmt.Sprintf("%x", n.DER))
			}
		}
		return "subjectAltName", strings.Join(texts, ", ")
	case "2.5.29.14":
		return "subjectKeyIdentifier", hex.EncodeToString(cert.SubjectKeyId)
	case "2.5.29.35":
		return "authorityKeyIdentifier", hex.EncodeToString(cert.AuthorityKeyId)
	case "2.5.29.31":
		return "cRLDistributionPoints", strings.Join(cert.CRLDistributionPoints, ", ")
	case "1.3.6.1.5.5.7.1.1":
		return "authorityInfoAccess", fmt.Sprintf("ocsp %s, caIssuers %s", cert.OCSPServer, cert.IssuingCertificateURL)
	case "1.3.6.1.5.5.7.48.1.5":
		return "ocsp-nocheck", hex.EncodeToString(value)
	}
	return oid, hex.EncodeToString(value)
}
