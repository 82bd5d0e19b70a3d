//go:build system

package server

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/trust"
)

// TestESTByStrongSwan: strongSwan's pki fetches the authorities' certificates, enrols by
// an enrolment secret, and renews, with P-256 and with RSA keys.
func TestESTByStrongSwan(t *testing.T) {
	cfg := newConfig(t)
	cfg.EST.Default = "acme.device" // pki has no labels
	s := open(t, cfg, time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	takesEST(t, s, st, "acme", "device")
	caller{t: t, s: s}.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "device"}}})
	made, text, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "device", Name: "gateways"})
	if err != nil {
		t.Fatal(err)
	}
	for name, generate := range map[string]string{"gw-1.example": "--type ecdsa --size 256", "gw-2.example": "--type rsa --size 2048"} {
		script := exec.Command("bash", "-euo", "pipefail", "-c", `
			pki --estca --url $EST --cacert $TLS_CA --caout ca.pem --outform pem --force
			pki --gen $GENERATE --outform pem > first.key
			pki --req --in first.key --dn "CN=$NAME" --san $NAME > first.csr
			pki --est --url $EST --in first.csr --cacert $TLS_CA --userpass $USERPASS --outform pem > first.pem
			pki --gen $GENERATE --outform pem > next.key
			pki --req --in next.key --dn "CN=$NAME" --san $NAME > next.csr
			pki --est --url $EST --in next.csr --cacert $TLS_CA --cert first.pem --key first.key --outform pem > next.pem
			for c in first next; do
				openssl verify -x509_strict -CAfile ca.pem -untrusted ca-1.pem -purpose sslclient -verify_hostname $NAME $c.pem
				cmp <(openssl x509 -in $c.pem -noout -pubkey) <(openssl pkey -in $c.key -pubout)
			done
			! pki --est --url $EST --in next.csr --cacert $TLS_CA --userpass $USERPASS-no > refused`)
		script.Dir = t.TempDir()
		script.Env = append(os.Environ(), "GENERATE="+generate, "NAME="+name, "EST="+s.URL("devices"),
			"TLS_CA="+filepath.Join(s.cfg.Data, BootstrapFile), "USERPASS="+string(made.ID)+":"+text.Reveal())
		out, err := script.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "first.pem: OK\nnext.pem: OK") || !strings.Contains(string(out), "HTTP 401") {
			t.Errorf("%s: %v\n%s", generate, err, out)
		}
	}
}
