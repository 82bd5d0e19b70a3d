//go:build system

package server

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/trust"
)

// newGateways returns a server whose default endpoint of EST, acme.device, takes devices
// by an enrolment secret and by the certificates that it gave them, and what a client of
// it has in its environment.
func newGateways(t *testing.T) (s *Server, env []string) {
	t.Helper()
	cfg := newConfig(t)
	cfg.EST.Default = "acme.device"
	s = open(t, cfg, time.Now)
	run(t, s)
	st := furnish(t, s, "acme", "device")
	takesEST(t, s, st, "acme", "device")
	caller{t: t, s: s}.trust("acme", trust.NewAnchor{Name: "devices", Authority: "issuing", Role: access.Device, Scopes: []access.Scope{{Endpoint: "device"}}})
	made, text, err := s.secrets.Create(t.Context(), st.Permit(t, "acme", access.ManageSecrets), enrolauth.NewSecret{Endpoint: "device", Name: "gateways"})
	if err != nil {
		t.Fatal(err)
	}
	return s, append(os.Environ(), "BASE="+s.URL("devices"), "EST="+s.URL("devices")+"/.well-known/est/acme.device",
		"TLS_CA="+filepath.Join(s.cfg.Data, BootstrapFile), "SECRET_ID="+string(made.ID), "SECRET="+text.Reveal())
}

// TestESTPage: the recipes of the operator's page run as they stand there.
func TestESTPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/operator/est.md")
	if err != nil {
		t.Fatal(err)
	}
	recipes := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(recipes) < 3 {
		t.Fatalf("%d recipes", len(recipes))
	}
	s, env := newGateways(t)
	stored := certificatesStored(t, s)
	script := exec.Command("bash", "-euxo", "pipefail", "-c", recipes[0][1]+recipes[1][1]+recipes[2][1])
	script.Dir, script.Env = t.TempDir(), env
	out, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"device.pem: OK", "next.pem: OK", "vpn-next.pem: OK"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if n := certificatesStored(t, s) - stored; n != 4 {
		t.Errorf("%d certificates more are there; the recipes get 4", n)
	}
}

// TestESTByStrongSwan: strongSwan's pki fetches the authorities' certificates, enrols by
// an enrolment secret, and renews, with P-256 and with RSA keys.
func TestESTByStrongSwan(t *testing.T) {
	_, env := newGateways(t)
	for name, generate := range map[string]string{"gw-1.example": "--type ecdsa --size 256", "gw-2.example": "--type rsa --size 2048"} {
		script := exec.Command("bash", "-euo", "pipefail", "-c", `
			pki --estca --url $BASE --cacert $TLS_CA --caout ca.pem --outform pem --force
			pki --gen $GENERATE --outform pem > first.key
			pki --req --in first.key --dn "CN=$NAME" --san $NAME > first.csr
			pki --est --url $BASE --in first.csr --cacert $TLS_CA --userpass $SECRET_ID:$SECRET --outform pem > first.pem
			pki --gen $GENERATE --outform pem > next.key
			pki --req --in next.key --dn "CN=$NAME" --san $NAME > next.csr
			pki --est --url $BASE --in next.csr --cacert $TLS_CA --cert first.pem --key first.key --outform pem > next.pem
			for c in first next; do
				openssl verify -x509_strict -CAfile ca.pem -untrusted ca-1.pem -purpose sslclient -verify_hostname $NAME $c.pem
				cmp <(openssl x509 -in $c.pem -noout -pubkey) <(openssl pkey -in $c.key -pubout)
			done
			! pki --est --url $BASE --in next.csr --cacert $TLS_CA --userpass $SECRET_ID:no > refused`)
		script.Dir, script.Env = t.TempDir(), append(env, "GENERATE="+generate, "NAME="+name)
		out, err := script.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "first.pem: OK\nnext.pem: OK") || !strings.Contains(string(out), "HTTP 401") {
			t.Errorf("%s: %v\n%s", generate, err, out)
		}
	}
}
