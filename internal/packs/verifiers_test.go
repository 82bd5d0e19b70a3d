//go:build system

package packs_test

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A verifier is a program of others that is asked about a chain. refuses says by
// profile what it says where it does not take the chain; docs/operator/packs.md says
// why.
type verifier struct {
	name    string
	run     func(t *testing.T, c *chainFiles) (string, error)
	refuses map[string]string
}

// chainFiles are the files of a chain.
type chainFiles struct {
	leaf    string   // PEM
	root    string   // PEM
	between []string // PEM, from below
	all     string   // PEM, leaf to root
	middle  string   // PEM, all of between
}

// TestVerifiers has each chain of each pack read and verified by openssl, GnuTLS, NSS
// and Java.
func TestVerifiers(t *testing.T) {
	classes := t.TempDir()
	command(t, "javac", "-d", classes, "testdata/Pkix.java")
	for _, name := range packs.Names() {
		p := get(t, name)
		tr := growAt(t, p, time.Now().Add(-time.Minute))
		for _, leaf := range leaves(t, p) {
			c := tr.leaf(t, leaf, "").files(t)
			for _, v := range verifiers(classes) {
				t.Run(name+"/"+leaf+"/"+v.name, func(t *testing.T) {
					said, err := v.run(t, c)
					switch refusal := v.refuses[leaf]; {
					case refusal == "" && err != nil:
						t.Errorf("%v: %s", err, said)
					case refusal != "" && (err == nil || !strings.Contains(said, refusal)):
						t.Errorf("it is taken, or refused for another reason than %q: %v: %s", refusal, err, said)
					}
				})
			}
		}
	}
}

// verifiers returns them all; classes has the compiled Pkix.java.
func verifiers(classes string) []verifier {
	return []verifier{
		{"openssl", openssl, nil},
		{"certtool", certtool, nil},
		// NSS is asked for a usage, and knows none for this purpose.
		{"vfychain", vfychain, map[string]string{"rni-command": "-8101"}},
		{"java", func(t *testing.T, c *chainFiles) (string, error) {
			return output("java", append([]string{"-cp", classes, "Pkix", c.root, c.leaf}, c.between...)...)
		}, nil},
	}
}

// TestVerifiersRSA has a chain whose authorities and end entity have RSA keys verified
// by everybody, crypto/x509 among them, signed by PKCS #1 v1.5 and by PSS, and mixed
// with ECDSA.
func TestVerifiersRSA(t *testing.T) {
	classes := t.TempDir()
	command(t, "javac", "-d", classes, "testdata/Pkix.java")
	when := time.Now().Add(-time.Minute)
	for name, kinds := range map[string]map[string]pki.KeyKind{
		"PKCS1":            {"root": pki.RSA4096, "issuing-ca": pki.RSA2048},
		"PSS":              {"root": pki.RSA4096PSS, "issuing-ca": pki.RSA3072PSS},
		"PSS, SHA-256":     {"root": pki.RSA3072PSS, "issuing-ca": pki.RSA2048PSS},
		"PKCS1 over PSS":   {"root": pki.RSA2048PSS, "issuing-ca": pki.RSA2048},
		"ECDSA over PKCS1": {"root": pki.RSA3072, "issuing-ca": pki.P256},
	} {
		tr := growWith(t, get(t, "tls"), when, kinds)
		for _, leaf := range []string{"tls-server", "tls-client"} {
			m := tr.leaf(t, leaf, pki.RSA2048)
			t.Run(name+"/"+leaf+"/go", func(t *testing.T) { verify(t, leaf, m, when) })
			c := m.files(t)
			for _, v := range verifiers(classes) {
				t.Run(name+"/"+leaf+"/"+v.name, func(t *testing.T) {
					said, err := v.run(t, c)
					if v.name == "vfychain" && leaf == "tls-server" {
						// NSS demands keyEncipherment of a server's RSA key, which TLS 1.3 has no use for.
						if err == nil || !strings.Contains(said, "-8102") {
							t.Errorf("it is taken, or refused for another reason: %v: %s", err, said)
						}
					} else if err != nil {
						t.Errorf("%v: %s", err, said)
					}
				})
			}
		}
	}
}

// TestVerifiersRefuse has each verifier refuse a chain whose root is another: they do
// look.
func TestVerifiersRefuse(t *testing.T) {
	classes := t.TempDir()
	command(t, "javac", "-d", classes, "testdata/Pkix.java")
	when := time.Now().Add(-time.Minute)
	c := growAt(t, get(t, "gb-smart-metering"), when).leaf(t, "gb-signing", "").files(t)
	c.root = growAt(t, get(t, "gb-smart-metering"), when).leaf(t, "gb-signing", "").files(t).root
	for _, v := range verifiers(classes) {
		if said, err := v.run(t, c); err == nil {
			t.Errorf("%s takes it: %s", v.name, said)
		}
	}
}

func (m made) files(t *testing.T) *chainFiles {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, certificates ...[]byte) string {
		var text []byte
		for _, raw := range certificates {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	last := len(m.above) - 1
	c := &chainFiles{
		leaf: write("leaf.pem", m.der), root: write("root.pem", m.above[last]),
		middle: write("middle.pem", m.above[:last]...), all: write("all.pem", append([][]byte{m.der}, m.above...)...),
	}
	for i, raw := range m.above[:last] {
		c.between = append(c.between, write("between"+string(rune('0'+i))+".pem", raw))
	}
	return c
}

func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := output(name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// openssl reads each certificate of the chain as text and as ASN.1, in which it must find
// what our own reader, and so the golden dumps, find; and verifies the chain strictly.
func openssl(t *testing.T, c *chainFiles) (string, error) {
	for _, path := range append([]string{c.leaf, c.root}, c.between...) {
		raw := readPEM(t, path)
		ours := seenByUs(t, raw)
		if diff := cmp.Diff(ours, seenByASN1Parse(t, raw, command(t, "openssl", "asn1parse", "-in", path))); diff != "" {
			t.Errorf("%s (-pando +openssl asn1parse):\n%s", path, diff)
		}
		var critical []bool
		for _, m := range extensionOfText.FindAllStringSubmatch(command(t, "openssl", "x509", "-in", path, "-noout", "-text"), -1) {
			critical = append(critical, m[1] != "")
		}
		if diff := cmp.Diff(ours.Critical, critical); diff != "" {
			t.Errorf("%s, critical extensions (-pando +openssl x509):\n%s", path, diff)
		}
	}
	return output("openssl", "verify", "-x509_strict", "-policy_check", "-CAfile", c.root, "-untrusted", c.middle, c.leaf)
}

// extensionOfText is the heading of an extension in the text of openssl x509.
var extensionOfText = regexp.MustCompile(`(?m)^ {12}\S.*: ?(critical)?$`)

// seen is what two readers of a certificate must agree on.
type seen struct {
	Subject    []string // OID and string type, "+" before those in the RDN of the one before
	Extensions []string // OIDs
	Critical   []bool   // of each extension
}

func seenByUs(t *testing.T, raw []byte) (s seen) {
	t.Helper()
	p, err := tbs.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := tbs.ParseName(p.Subject)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range subject {
		text := a.OID + " " + a.Type.String()
		if a.Joined {
			text = "+" + text
		}
		s.Subject = append(s.Subject, text)
	}
	for _, e := range p.Extensions {
		s.Extensions, s.Critical = append(s.Extensions, e.OID), append(s.Critical, e.Critical)
	}
	return s
}

// elementOfASN1 is an element in the text of openssl asn1parse: where it begins, its
// depth, the octets of its header and content, and its type.
var elementOfASN1 = regexp.MustCompile(`(?m)^ *(\d+):d=(\d+) +hl=(\d+) l= *(\d+) (?:prim|cons): ([A-Z0-9]+(?: STRING)?|cont \[ \d+ \])`)

// seenByASN1Parse takes from openssl's text where each element is and of which type, and
// reads nothing itself but OIDs and booleans.
func seenByASN1Parse(t *testing.T, raw []byte, text string) (s seen) {
	t.Helper()
	types := map[string]string{"UTF8STRING": "utf8", "PRINTABLESTRING": "printable", "IA5STRING": "ia5"}
	field, joined, oid := -1, false, "" // of the TBSCertificate: 0 is its version, 5 the subject, 7 the extensions
	for _, m := range elementOfASN1.FindAllStringSubmatch(text, -1) {
		var n [4]int
		for i := range n {
			n[i], _ = strconv.Atoi(m[1+i])
		}
		depth, element := n[1], raw[n[0]:n[0]+n[2]+n[3]]
		if depth == 1 && field >= 7 {
			break // what follows the TBSCertificate
		}
		if depth == 2 {
			field++
		}
		switch {
		case m[5] == "OBJECT" && depth == 5 && (field == 5 || field == 7):
			var id asn1.ObjectIdentifier
			if _, err := asn1.Unmarshal(element, &id); err != nil {
				t.Fatal(err)
			}
			if oid = id.String(); field == 7 {
				s.Extensions, s.Critical = append(s.Extensions, oid), append(s.Critical, false)
			}
		case m[5] == "BOOLEAN" && depth == 5 && field == 7:
			s.Critical[len(s.Critical)-1] = element[2] != 0
		case m[5] == "SET" && depth == 3 && field == 5:
			joined = false
		case depth == 5 && field == 5:
			entry := oid + " " + types[m[5]]
			if joined {
				entry = "+" + entry
			}
			s.Subject, joined = append(s.Subject, entry), true
		}
	}
	return s
}

func readPEM(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	return block.Bytes
}

func certtool(t *testing.T, c *chainFiles) (string, error) {
	return output("certtool", "--verify", "--load-ca-certificate", c.root, "--infile", c.all)
}

// vfychain verifies by RFC 5280 with NSS, with the root alone trusted; for code also the
// authority below it, since NSS takes none for code that neither says that it is for it
// nor is trusted for it.
func vfychain(t *testing.T, c *chainFiles) (string, error) {
	db := t.TempDir()
	command(t, "certutil", "-N", "-d", db, "--empty-password")
	command(t, "certutil", "-A", "-d", db, "-n", "root", "-t", "CT,C,C", "-i", c.root)
	usage := nssUsage(t, c.leaf)
	if usage == nssObjectSigner {
		command(t, "certutil", "-A", "-d", db, "-n", "issuing", "-t", ",,C", "-i", c.between[0])
	}
	args := []string{"-d", db, "-pp", "-u", usage, "-a", c.leaf}
	for _, path := range c.between {
		args = append(args, "-a", path)
	}
	return output("vfychain", args...)
}

const nssObjectSigner = "6"

// nssUsage returns the usage to ask NSS for, which knows no other: that of an extended
// key usage, else SSL server for key agreement and SSL client for signatures.
func nssUsage(t *testing.T, leaf string) string {
	t.Helper()
	certificate := parse(t, readPEM(t, leaf))
	for _, u := range certificate.ExtKeyUsage {
		switch u {
		case x509.ExtKeyUsageClientAuth:
			return "0"
		case x509.ExtKeyUsageServerAuth:
			return "1"
		case x509.ExtKeyUsageCodeSigning:
			return nssObjectSigner
		case x509.ExtKeyUsageOCSPSigning:
			return "10"
		}
	}
	if certificate.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return "1"
	}
	return "0"
}
