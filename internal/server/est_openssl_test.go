//go:build system

package server

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/trust"
)

// TestESTByCurl: what a device's shell script does: curl and openssl alone.
func TestESTByCurl(t *testing.T) {
	s, st, meter, _ := trusting(t)
	takesEST(t, s, st, "acme", "meter")
	meter.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter"}}})
	dir := t.TempDir()
	writeIdentity(t, meter, dir)
	script := exec.Command("bash", "-euo", "pipefail", "-c", `
		curl="curl --silent --show-error --fail --cacert $TLS_CA"
		$curl $EST/cacerts | base64 -d | openssl pkcs7 -inform DER -print_certs -out cas.pem
		openssl ecparam -name prime256v1 -genkey -noout -out new.key
		openssl req -new -key new.key -subj /serialNumber=SM-1 -outform DER | base64 > request
		$curl --cert meter.pem --key meter.key -H 'Content-Type: application/pkcs10' --data-binary @request $EST/simpleenroll |
			base64 -d | openssl pkcs7 -inform DER -print_certs -out new.pem
		openssl verify -x509_strict -CAfile cas.pem -purpose sslclient new.pem
		openssl x509 -in new.pem -noout -subject
		# A renewal has the subject and the names of what it renews.
		openssl ecparam -name prime256v1 -genkey -noout -out next.key
		openssl x509 -in new.pem -signkey new.key -x509toreq -copy_extensions copy -out same.csr
		openssl req -in same.csr -outform DER | base64 > request
		echo "again with its key: $(curl --silent --cacert $TLS_CA --cert new.pem --key new.key -H 'Content-Type: application/pkcs10' --data-binary @request $EST/simplereenroll -o refusal -w '%{http_code}')"
		cat refusal`)
	script.Dir = dir
	script.Env = append(os.Environ(), "TLS_CA="+filepath.Join(s.cfg.Data, BootstrapFile), "EST="+s.URL("devices")+"/.well-known/est/acme.meter")
	out, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"new.pem: OK", "serialNumber = SM-1", "again with its key: 409"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
