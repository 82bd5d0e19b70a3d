//go:build system

package server

import (
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// serverKey is what a device's shell script does that has its key made: the two parts
// of the answer, the key of which is that of the certificate.
const serverKey = `
	curl="curl --silent --show-error --fail --cacert $TLS_CA"
	$curl $EST/cacerts | base64 -d | openssl pkcs7 -inform DER -print_certs -out cas.pem
	parts() { tr -d '\r' | awk '/^--/ { n++; body = 0; next } body { print > "part" n } /^$/ { body = 1 }'; }
	$curl --cert $CERT --key $KEY -H 'Content-Type: application/pkcs10' --data-binary @request $EST/serverkeygen | parts
	base64 -d part1 > part1.der
	base64 -d part2 | openssl pkcs7 -inform DER -print_certs -out $OUT.pem
	if [ "$SEALED" ]; then
		openssl cms -decrypt -inform DER -in part1.der -inkey $KEY -recip $CERT -out key.der
	else
		mv part1.der key.der
	fi
	openssl pkey -inform DER -in key.der -out $OUT.key
	openssl verify -x509_strict -CAfile cas.pem -purpose sslclient $OUT.pem
	cmp <(openssl pkey -in $OUT.key -pubout) <(openssl x509 -in $OUT.pem -noout -pubkey) && echo "the key is the certificate's"
	openssl pkey -in $OUT.key -noout -text | head -1`

// TestServerKeyByCurl: a device has its keys made, in plain, and with one of them for the
// next, by curl and openssl alone.
func TestServerKeyByCurl(t *testing.T) {
	s, st, meter, _ := trusting(t)
	if _, err := s.enroll.CreateEndpoint(t.Context(), st.Permit(t, "acme", access.ManageEndpoints), enroll.NewEndpoint{
		Name: "device", Authority: "issuing", Profile: "device", Protocols: []pki.Protocol{pki.ProtocolEST}}); err != nil {
		t.Fatal(err)
	}
	meter.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "device"}}})
	dir := t.TempDir()
	writeIdentity(t, meter, dir)
	ask := func(certificate, key, out string, sealed string, want string, csr []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "request"), []byte(base64.StdEncoding.EncodeToString(csr)), 0o600); err != nil {
			t.Fatal(err)
		}
		script := exec.Command("bash", "-euo", "pipefail", "-c", serverKey)
		script.Dir = dir
		script.Env = append(os.Environ(), "TLS_CA="+filepath.Join(s.cfg.Data, BootstrapFile), "EST="+s.URL("devices")+"/.well-known/est/acme.device",
			"CERT="+certificate, "KEY="+key, "OUT="+out, "SEALED="+sealed)
		said, err := script.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", out, err, said)
		}
		for _, want := range []string{out + ".pem: OK", "the key is the certificate's", want} {
			if !strings.Contains(string(said), want) {
				t.Errorf("%s: no %q in\n%s", out, want, said)
			}
		}
	}
	subject := pkix.Name{CommonName: "SM-1"}
	ask("meter.pem", "meter.key", "ec", "", "Private-Key: (256 bit)", pandotest.CSR(t, pandotest.Key(t, pki.P256), subject))
	ask("meter.pem", "meter.key", "rsa", "", "Private-Key: (2048 bit", pandotest.CSR(t, pandotest.Key(t, pki.RSA2048), subject))

	text, err := os.ReadFile(filepath.Join(dir, "rsa.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text[strings.Index(string(text), "-----BEGIN"):])
	first := pandotest.Parse(t, block.Bytes)
	ask("rsa.pem", "rsa.key", "sealed", "yes", "Private-Key: (256 bit)", pandotest.CSRWith(t, pandotest.Key(t, pki.P256), subject,
		pandotest.Attribute{OID: der.OIDAsymmetricDecryptKeyIdentifier, Value: der.Append(nil, asn1.OCTET_STRING, first.SubjectKeyId)}))
}
